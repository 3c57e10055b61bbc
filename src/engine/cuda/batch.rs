//! Passes to kernels: outputs that one skeleton can run, as many in one kernel as its registers
//! hold, and equal kernels over different tensors in one launch.

use super::generate::{Kind, places};
use crate::ops;
use crate::plan::lower::{PrimId, Prims};
use crate::plan::program::{Instr, Program, Width};
use crate::plan::schedule::{Output, Pass, split};
use crate::tensor::Dtype;

/// What a kernel may hold without spilling on a thread's 255 registers. A kernel with one output
/// may be larger; the tests pin what the compiler makes of the largest.
mod budget {
    /// Doubles of reduction states (2 registers each, twice while merging).
    pub const PLACES: usize = 12;
    /// Bytes per element of the tensors read; 8 elements are held.
    pub const BYTES: usize = 24;
    /// Registers of both together: two a byte (8 elements of 4 bytes a register), four a double.
    pub const TOGETHER: usize = 76;
    /// Slots of f32 elements; those of f64 count twice.
    pub const SLOTS: usize = 32;
    /// Arithmetic per element, in additions: eight copies of it are the kernel's code.
    pub const OPS: f64 = 160.0;
    /// Repeated tensors, stores and numbers.
    pub const OPERANDS: usize = 16;
}

/// A part of a pass that is one kernel.
pub struct Part {
    /// Which skeleton.
    pub kind: Kind,
    /// Its code.
    pub program: Program,
}

/// Splits a pass into kernels.
pub fn parts(prims: &Prims, pass: &Pass, held: &dyn Fn(PrimId) -> Option<Dtype>) -> Vec<Part> {
    let mut out = Vec::new();
    for kind in [Kind::Whole, Kind::Rows, Kind::Columns] {
        let mut rest: Vec<Output> =
            pass.outputs.iter().copied().filter(|&o| kind_of(prims, o) == kind).collect();
        while !rest.is_empty() {
            let (taken, program) = fill(prims, pass, &rest, held);
            out.push(Part { kind, program });
            rest.drain(..taken);
        }
    }
    out
}

fn kind_of(prims: &Prims, output: Output) -> Kind {
    let Output::Reduced(n) = output else { return Kind::Whole };
    match split(prims, n, prims.nodes[n].args()[0]) {
        None => Kind::Whole,
        Some((_, _, 1)) => Kind::Rows,
        Some(_) => Kind::Columns,
    }
}

/// The code of as many outputs as fit, at least one.
fn fill(
    prims: &Prims,
    pass: &Pass,
    outputs: &[Output],
    held: &dyn Fn(PrimId) -> Option<Dtype>,
) -> (usize, Program) {
    let code = |n: usize| Program::new(prims, &Pass { outputs: outputs[..n].to_vec(), ..pass.clone() }, held);
    let mut best = (1, code(1));
    for n in 2..=outputs.len() {
        let next = code(n);
        if !fits(&next, held) {
            break;
        }
        best = (n, next);
    }
    best
}

fn fits(p: &Program, held: &dyn Fn(PrimId) -> Option<Dtype>) -> bool {
    let size = |&n: &PrimId| match held(n) {
        Some(Dtype::F16 | Dtype::Bf16) => 2,
        Some(Dtype::F32) => 4,
        Some(Dtype::F64) | None => 8,
    };
    let bytes = p.streams.iter().map(size).sum::<usize>();
    places(p) <= budget::PLACES
        && bytes <= budget::BYTES
        && 2 * bytes + 4 * places(p) <= budget::TOGETHER
        && p.slots[0] + 2 * p.slots[1] <= budget::SLOTS
        && additions(p) <= budget::OPS
        && p.alongs.len() + p.stores.len() + p.numbers.len() <= budget::OPERANDS
}

/// Arithmetic of the code per element, in single-precision additions.
pub fn additions(p: &Program) -> f64 {
    let cost = |i: &Instr| match i {
        Instr::Map { op, width: Width::F32, .. } => ops::row(*op).cost,
        Instr::Map { op, width: Width::F64, .. } => 4.0 * ops::row(*op).cost,
        _ => 1.0,
    };
    p.code.iter().map(cost).sum()
}
