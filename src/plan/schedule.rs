//! Primitive nodes to passes.
//!
//! A node is *streamed* when its elements exist tile by tile only, or *held* when its value is kept
//! (inputs, results of reductions, of whole-tensor operators, and what is computed from those
//! alone). A reduction over streamed elements ends a pass, so the number of passes is the nesting
//! depth of reductions. All chains over the same elements run in one pass.
//!
//! A reduction along a short outer axis (softmax over a batch of eight) may be used *in passing*: a tile
//! holds whole columns, so that its result is there, tile by tile, for what follows in the same pass.
//!
//! The order in which a reduction meets its elements depends on its operand alone, never on what else
//! shares the pass: a program's score does not depend on the company it is scored in.

use super::lower::{Prim, PrimId, Prims};
use super::place::Facts;
use crate::ops;

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

/// Elements before, along and after an axis.
pub type Split = (usize, usize, usize);

/// What becomes of reductions along short outer axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// Their results are held, as those of all others.
    Held,
    /// They are used in passing where that can be.
    InPassing,
}

/// Rows of a tile that holds whole columns.
pub const ROWS: usize = 16;
/// The least columns for which it is worth it.
pub(super) const LEAST: usize = 64;

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
    /// Per node: is its value kept? Neither what is streamed is, nor what is used in passing alone.
    pub held: Vec<bool>,
    /// Per node: the pass step that it belongs to (streamed), or from which on it is there (held).
    pub steps: Vec<usize>,
}

impl Schedule {
    /// Schedules `prims`.
    pub fn new(prims: &Prims, columns: Columns) -> Self {
        let n = prims.nodes.len();
        let mut f = Facts::new(n, columns == Columns::InPassing);
        for id in 0..n {
            f.place(prims, id);
        }
        for &w in &prims.wanted {
            f.store[w] |= f.streamed[w];
        }
        let held = f.held(prims);
        let mut passes = Vec::new();
        for (id, node) in prims.nodes.iter().enumerate() {
            if let Prim::Reduce { arg, .. } = node
                && f.large[*arg]
                && held[id]
            {
                let walk = match (split(prims, id, *arg), f.frame[*arg]) {
                    (None, Some(frame)) => strided(frame),
                    _ => walk(prims, id, *arg),
                };
                add(&mut passes, f.steps[id] - 1, prims.shapes[*arg].numel(), walk, Output::Reduced(id));
            }
        }
        for id in (0..n).filter(|&id| f.store[id]) {
            let walk = f.frame[id].map_or(Walk::Linear, strided);
            add(&mut passes, f.steps[id], prims.shapes[id].numel(), walk, Output::Stored(id));
        }
        passes.sort_by_key(|p: &Pass| p.step);
        Schedule { passes, streamed: f.streamed, held, steps: f.steps }
    }

    /// Number of dependent passes over tensors: the nesting depth.
    pub fn depth(&self) -> usize {
        let mut steps: Vec<usize> = self.passes.iter().map(|p| p.step).collect();
        steps.dedup();
        steps.len()
    }
}

fn add(passes: &mut Vec<Pass>, step: usize, numel: usize, walk: Walk, output: Output) {
    let fits = |p: &&mut Pass| {
        let anyhow = walk == Walk::Linear && matches!(output, Output::Stored(_));
        let same_walk = p.walk == walk || anyhow;
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
        Some(split) if split.2 != 1 => strided(split),
        _ => Walk::Linear,
    }
}

fn strided((outer, len, inner): Split) -> Walk {
    Walk::Strided { outer, len, inner }
}

/// Elements before, along and after the axis of a reduction; `None` for a whole reduction.
pub fn split(prims: &Prims, reduce: PrimId, arg: PrimId) -> Option<Split> {
    let Prim::Reduce { attrs, .. } = &prims.nodes[reduce] else { return None };
    let d = &prims.shapes[arg].dims;
    let k = ops::axis_of(attrs.num(0), d.len()).ok().flatten()?;
    Some(split_at(d, k))
}

/// Elements before, along and after axis `k`.
pub(super) fn split_at(dims: &[usize], k: usize) -> Split {
    (dims[..k].iter().product(), dims[k], dims[k + 1..].iter().product())
}
