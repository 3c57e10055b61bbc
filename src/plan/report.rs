//! What a plan does, in figures: passes, bytes read, operations. For `lpz explain` and for tests
//! that pin the number of passes.

use super::lower::{Prim, PrimId, Prims};
use super::program::{Instr, Program};
use super::schedule::{Columns, Output, Pass, Schedule, Walk};
use crate::ir::{Bound, BoundId};
use crate::ops;
use crate::tensor::Dtype;

/// One pass over tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct PassReport {
    /// Nesting depth: it needs results of passes of earlier steps.
    pub step: usize,
    /// Elements walked over.
    pub elements: usize,
    /// How they are walked over.
    pub walk: Walk,
    /// Bytes of tensors read, each tensor once.
    pub reads_bytes: usize,
    /// Bytes of tensors written for whole-tensor operators.
    pub writes_bytes: usize,
    /// Operations, in additions.
    pub ops: f64,
    /// Elementwise steps per tile.
    pub maps: usize,
    /// Reductions that it ends in.
    pub reductions: usize,
    /// Tile slots alive at once.
    pub slots: usize,
}

/// A whole-tensor operator.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeReport {
    /// Nesting depth from which on it can run.
    pub step: usize,
    /// Name of its row.
    pub name: &'static str,
    /// Elements of its operands.
    pub elements: usize,
}

/// What the evaluation of some nodes comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Passes, in order.
    pub passes: Vec<PassReport>,
    /// Operators on whole tensors.
    pub whole: Vec<WholeReport>,
}

impl PassReport {
    fn new(prims: &Prims, pass: &Pass, held: &dyn Fn(PrimId) -> Option<Dtype>) -> Self {
        let program = Program::new(prims, pass, &held);
        let size = |id: PrimId| match held(id) {
            Some(Dtype::F64) | None => 8,
            Some(Dtype::F32) => 4,
            Some(Dtype::F16 | Dtype::Bf16) => 2,
        };
        let read = program.streams.iter().map(|&n| prims.shapes[n].numel() * size(n));
        let folds = program.reductions.iter().chain(&program.columns).map(|r| ops::row(r.op).cost);
        let maps = program.code.iter().filter_map(|i| match i {
            Instr::Map { op, .. } => Some(ops::row(*op).cost),
            _ => None,
        });
        let stored = pass.outputs.iter().filter(|o| matches!(o, Output::Stored(_))).count();
        PassReport {
            step: pass.step,
            elements: pass.numel,
            walk: pass.walk,
            reads_bytes: read.sum(),
            writes_bytes: stored * pass.numel * 4,
            ops: folds.chain(maps.clone()).sum::<f64>() * pass.numel as f64,
            maps: maps.count(),
            reductions: program.reductions.len(),
            slots: program.slots.iter().sum(),
        }
    }
}

impl Plan {
    /// The plan for `want`; `dtype` gives the element type of nodes that are known (leaves that
    /// arrive), and `None` for the others.
    pub fn new(graph: &Bound, want: &[BoundId], dtype: &dyn Fn(BoundId) -> Option<Dtype>) -> Self {
        let prims = Prims::lower(graph, want, |n| dtype(n).is_some());
        let schedule = Schedule::new(&prims, Columns::InPassing);
        let held = |mut id: PrimId| {
            while let Prim::Reshape { arg, .. } = &prims.nodes[id] {
                id = *arg;
            }
            match &prims.nodes[id] {
                Prim::Input(n) => dtype(*n),
                _ => schedule.held[id].then_some(Dtype::F64),
            }
        };
        let passes = schedule.passes.iter().map(|pass| PassReport::new(&prims, pass, &held));
        let whole = (0..prims.nodes.len()).filter_map(|id| match &prims.nodes[id] {
            Prim::Whole { op, args, .. } => Some(WholeReport {
                step: schedule.steps[id],
                name: ops::row(*op).name,
                elements: args.iter().map(|&a| prims.shapes[a].numel()).sum(),
            }),
            _ => None,
        });
        Plan { passes: passes.collect(), whole: whole.collect() }
    }

    /// Dependent passes: the nesting depth of reductions.
    pub fn depth(&self) -> usize {
        let mut steps: Vec<usize> = self.passes.iter().map(|p| p.step).collect();
        steps.dedup();
        steps.len()
    }

    /// Bytes read by all passes.
    pub fn reads_bytes(&self) -> usize {
        self.passes.iter().map(|p| p.reads_bytes).sum()
    }

    /// Operations of all passes, in additions.
    pub fn ops(&self) -> f64 {
        self.passes.iter().map(|p| p.ops).sum()
    }
}
