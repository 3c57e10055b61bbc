//! Primitive nodes to passes.
//!
//! A node is *streamed* when its elements exist tile by tile only, or *held* when its value is kept
//! (inputs, results of reductions, of whole-tensor operators, and what is computed from those
//! alone). A reduction over streamed elements ends a pass, so the number of passes is the nesting
//! depth of reductions. All chains over the same elements run in one pass.
//!
//! The order in which a reduction meets its elements depends on its operand's shape alone, never on
//! what else shares the pass: a program's score does not depend on the company it is scored in.

use super::lower::{Prim, PrimId, Prims};
use crate::ops::{self, Placement};

/// How a pass walks over its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Walk {
    /// In memory order.
    Linear,
    /// For reductions along an axis that is not the last: planes of `len` rows of `inner` elements.
    Strided {
        /// Number of planes.
        outer: usize,
        /// Rows of a plane: the reduced axis.
        len: usize,
        /// Elements of a row.
        inner: usize,
    },
}

/// What a pass gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// The result of a reduction node.
    Reduced(PrimId),
    /// The elements of a node, kept for a whole-tensor operator or because they are wanted.
    Stored(PrimId),
}

/// One walk over the elements of some tensors.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Nesting depth: passes of a later step need results of earlier ones.
    pub step: usize,
    /// Number of elements walked over.
    pub numel: usize,
    /// How.
    pub walk: Walk,
    /// What comes out.
    pub outputs: Vec<Output>,
}

/// The passes for a set of primitive nodes, in order.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    /// Passes by step.
    pub passes: Vec<Pass>,
    /// Per node: are its elements streamed?
    pub streamed: Vec<bool>,
    /// Per node: the pass step that it belongs to (streamed), or from which on it is there (held).
    pub steps: Vec<usize>,
}

/// Facts while scheduling.
struct Facts {
    /// Derived from something as large as an input (not from results of reductions alone).
    large: Vec<bool>,
    streamed: Vec<bool>,
    steps: Vec<usize>,
}

impl Schedule {
    /// Schedules `prims`.
    pub fn new(prims: &Prims) -> Self {
        let n = prims.nodes.len();
        let mut facts = Facts { large: vec![false; n], streamed: vec![false; n], steps: vec![0; n] };
        let mut store = vec![false; n];
        for id in 0..n {
            place(prims, id, &mut facts, &mut store);
        }
        for &w in &prims.wanted {
            store[w] |= facts.streamed[w];
        }
        let mut passes = Vec::new();
        for id in 0..n {
            match &prims.nodes[id] {
                Prim::Reduce { arg, .. } if facts.large[*arg] => {
                    let walk = walk(prims, id, *arg);
                    add(
                        &mut passes,
                        facts.steps[*arg],
                        prims.shapes[*arg].numel(),
                        walk,
                        Output::Reduced(id),
                    );
                }
                _ => {}
            }
        }
        for id in (0..n).filter(|&id| store[id]) {
            let shape = &prims.shapes[id];
            add(&mut passes, facts.steps[id], shape.numel(), Walk::Linear, Output::Stored(id));
        }
        passes.sort_by_key(|p: &Pass| p.step);
        Schedule { passes, streamed: facts.streamed, steps: facts.steps }
    }

    /// Number of dependent passes over tensors: the nesting depth.
    pub fn depth(&self) -> usize {
        let mut steps: Vec<usize> = self.passes.iter().map(|p| p.step).collect();
        steps.dedup();
        steps.len()
    }
}

/// Decides the facts of one node, and which operands have to be stored for it.
fn place(prims: &Prims, id: PrimId, f: &mut Facts, store: &mut [bool]) {
    let shape = &prims.shapes[id];
    let args = prims.nodes[id].args();
    let latest = args.iter().map(|&a| f.steps[a]).max().unwrap_or(0);
    f.steps[id] = latest;
    match &prims.nodes[id] {
        Prim::Number(_) => {}
        Prim::Input(_) | Prim::Literal(..) => f.large[id] = !shape.is_number(),
        Prim::Map { args, .. } => {
            f.large[id] = args.iter().any(|&a| f.large[a]) && !shape.is_number();
            f.streamed[id] = f.large[id];
            for &a in args.iter().filter(|&&a| f.streamed[a]) {
                if ops::placement(&prims.shapes[a], shape) != Some(Placement::Same) {
                    store[a] = true;
                    f.steps[id] = f.steps[id].max(f.steps[a] + 1);
                }
            }
        }
        Prim::Reshape { arg, .. } => {
            f.large[id] = f.large[*arg] && !shape.is_number();
            f.streamed[id] = f.streamed[*arg];
        }
        Prim::Reduce { arg, .. } => f.steps[id] = f.steps[*arg] + usize::from(f.large[*arg]),
        Prim::Whole { args, .. } => {
            whole(args, id, f, store);
            f.large[id] = !shape.is_number() && shape.reduced.is_none();
        }
        Prim::Fold { terms, .. } => {
            whole(terms, id, f, store);
            f.large[id] = !shape.is_number();
        }
    }
}

/// A node that needs whole operands.
fn whole(args: &[PrimId], id: PrimId, f: &mut Facts, store: &mut [bool]) {
    for &a in args.iter().filter(|&&a| f.streamed[a]) {
        store[a] = true;
        f.steps[id] = f.steps[id].max(f.steps[a] + 1);
    }
}

fn add(passes: &mut Vec<Pass>, step: usize, numel: usize, walk: Walk, output: Output) {
    let fits = |p: &&mut Pass| {
        let same_walk = p.walk == walk || matches!(output, Output::Stored(_));
        p.step == step && p.numel == numel && same_walk
    };
    match passes.iter_mut().find(fits) {
        Some(p) => p.outputs.push(output),
        None => passes.push(Pass { step, numel, walk, outputs: vec![output] }),
    }
}

/// How a pass for `output` alone walks.
pub fn walk_of(prims: &Prims, output: Output) -> Walk {
    match output {
        Output::Reduced(n) => walk(prims, n, prims.nodes[n].args()[0]),
        Output::Stored(_) => Walk::Linear,
    }
}

/// How the reduction `id` walks over its operand.
fn walk(prims: &Prims, id: PrimId, arg: PrimId) -> Walk {
    match split(prims, id, arg) {
        Some((outer, len, inner)) if inner != 1 => Walk::Strided { outer, len, inner },
        _ => Walk::Linear,
    }
}

/// Elements before, along and after the axis of a reduction; `None` for a whole reduction.
pub fn split(prims: &Prims, reduce: PrimId, arg: PrimId) -> Option<(usize, usize, usize)> {
    let Prim::Reduce { attrs, .. } = &prims.nodes[reduce] else { return None };
    let d = &prims.shapes[arg].dims;
    let k = ops::axis_of(attrs.num(0), d.len()).ok().flatten()?;
    Some((d[..k].iter().product(), d[k], d[k + 1..].iter().product()))
}
