//! What a program costs: its share of the model's passes and its own operations.

use crate::ir::prepare::Level;
use crate::ir::{Bound, BoundId, BoundNode, Leaf};
use crate::ops::{self, Group};
use crate::plan::demand::leaf_level;
use crate::site::{Batches, CaptureSpec, FIELDS, Outline, Pass};

/// Cost of a program on an architecture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Seconds: an equal share of every run that it needs, and of the engine's time in proportion to
    /// its operations.
    pub seconds: f64,
    /// Floating-point operations: the passes that it needs, as if it ran alone, and its own.
    pub flops: f64,
}

/// Forward passes that a pass counts as: a backward pass is two forward ones, and second order
/// doubles both.
fn passes(pass: Pass) -> f64 {
    match pass {
        Pass::Weights => 0.0,
        Pass::Forward => 1.0,
        Pass::Backward => 3.0,
        Pass::SecondOrder => 9.0,
    }
}

fn pass_of(leaf: &Leaf) -> Pass {
    match leaf {
        Leaf::Field { field, .. } => {
            FIELDS.iter().find(|r| r.field == *field).map_or(Pass::Backward, |r| r.pass)
        }
        Leaf::Number { .. } => Pass::Forward,
    }
}

fn batches(spec: &CaptureSpec, leaf: &Leaf) -> f64 {
    match spec.batches {
        Batches::Many(n) if leaf_level(leaf) == Level::Backward => n as f64,
        _ => 1.0,
    }
}

/// The cost of every program; `run_seconds` is what each run took in the source.
pub(super) fn costs(graph: &Bound, outline: &Outline, run_seconds: &[f64], engine_seconds: f64) -> Vec<Cost> {
    let flops = outline.numbers.iter().find(|(n, _)| *n == "flops").map_or(0.0, |&(_, x)| x);
    let uses: Vec<Use> =
        graph.roots.iter().map(|r| r.as_ref().map_or_else(|_| Use::default(), |&n| used(graph, n))).collect();
    let all_ops: f64 = uses.iter().map(|u| u.ops).sum();
    let sharing =
        |run: usize| uses.iter().filter(|u| u.runs.iter().any(|r| r.0 == run)).count().max(1) as f64;
    let cost = |u: &Use| {
        let model: f64 = u.runs.iter().map(|(_, forwards)| forwards * flops).sum();
        let source: f64 = u.runs.iter().map(|(r, _)| run_seconds.get(*r).unwrap_or(&0.0) / sharing(*r)).sum();
        let own = if all_ops > 0.0 { engine_seconds * u.ops / all_ops } else { 0.0 };
        Cost { seconds: source + own, flops: model + u.ops }
    };
    uses.iter().map(cost).collect()
}

fn elements(dims: &[usize]) -> f64 {
    dims.iter().map(|&d| d as f64).product()
}

/// How often an element is used: matrix work passes over each once per row or column.
fn steps(group: Group, dims: &[usize]) -> f64 {
    match (group, dims) {
        (Group::Spectral, [.., a, b]) => *a.min(b) as f64,
        (Group::Contraction, [.., a, b]) => (*a.min(b) as f64 / 32.0).max(1.0),
        _ => 1.0,
    }
}

#[derive(Default)]
struct Use {
    /// Runs, and how many forward passes each counts as.
    runs: Vec<(usize, f64)>,
    ops: f64,
}

fn used(graph: &Bound, root: BoundId) -> Use {
    let mut out = Use::default();
    let mut seen = vec![false; root + 1];
    let mut stack = vec![root];
    while let Some(n) = stack.pop() {
        if std::mem::replace(&mut seen[n], true) {
            continue;
        }
        match &graph.nodes[n] {
            BoundNode::Op { op, args, .. } => {
                let dims = |a: &BoundId| graph.shapes[*a].dims.as_slice();
                let row = ops::row(*op);
                let each = args.iter().map(|a| elements(dims(a)) * steps(row.group, dims(a)));
                out.ops += row.cost * each.fold(1.0, f64::max);
                stack.extend(args.iter().copied());
            }
            BoundNode::Fold { terms, .. } => {
                out.ops += terms.len() as f64;
                stack.extend(terms.iter().copied());
            }
            BoundNode::Leaf(l) => out.leaf(graph, &graph.leaves[*l]),
            _ => {}
        }
    }
    out
}

impl Use {
    fn leaf(&mut self, graph: &Bound, leaf: &Leaf) {
        let run = match leaf {
            Leaf::Field { run, .. } | Leaf::Number { run, .. } => *run,
        };
        let forwards = passes(pass_of(leaf)) * batches(&graph.runs[run], leaf);
        match self.runs.iter_mut().find(|r| r.0 == run) {
            Some(r) => r.1 = r.1.max(forwards),
            None => self.runs.push((run, forwards)),
        }
    }
}
