//! The CPU engine: fused passes over tiles, all cores.
//!
//! Elements keep the precision they were captured in (f16 and bf16 are widened tile by tile);
//! reductions accumulate in f64, in an order that depends on shapes alone.

mod columns;
mod fuse;
mod pass;
mod plans;
mod step;
mod tile;
mod walk;

use super::{Engine, Known};
use crate::ir::{Bound, BoundId};
use crate::ops::{self, Eval, Exec, Value};
use crate::plan::lower::{Needed, Prim, PrimId};
use crate::plan::program::Program;
use crate::plan::schedule::{Output, Pass, walk_of};
use crate::tensor::{Dtype, Tensor};
use fuse::Code;
use pass::{Elements, Operands};
use plans::Plan;
use rayon::prelude::*;
use smallvec::SmallVec;
use std::sync::OnceLock;
use std::time::Instant;
use tile::{Spread, Stream};

/// Fused passes over tiles.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

impl Engine for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn evaluate(&mut self, graph: &Bound, want: &[BoundId], known: &dyn Known) -> Vec<Tensor> {
        evaluate(graph, want, known, &mut |_| {})
    }

    fn evaluate_each(
        &mut self,
        graph: &Bound,
        wants: &[Vec<BoundId>],
        known: &dyn Known,
    ) -> Vec<Vec<Tensor>> {
        wants.par_iter().map(|want| evaluate(graph, want, known, &mut |_| {})).collect()
    }
}

/// The CPU engine, with the time of every pass.
#[derive(Clone, Debug, Default)]
pub struct Timed {
    /// For every evaluation: what was wanted, and the seconds of each pass of its plan, in order.
    pub calls: Vec<(Vec<BoundId>, Vec<f64>)>,
}

impl Engine for Timed {
    fn name(&self) -> &'static str {
        Cpu.name()
    }

    fn evaluate(&mut self, graph: &Bound, want: &[BoundId], known: &dyn Known) -> Vec<Tensor> {
        let mut seconds = Vec::new();
        let out = evaluate(graph, want, known, &mut |s| seconds.push(s));
        self.calls.push((want.to_vec(), seconds));
        out
    }
}

/// Evaluates; `pass` hears how long each took.
fn evaluate(
    graph: &Bound,
    want: &[BoundId],
    known: &dyn Known,
    pass_took: &mut dyn FnMut(f64),
) -> Vec<Tensor> {
    let needed = Needed::new(graph, want, |n| known.get(n).is_some());
    let inputs: Vec<Option<Tensor>> = plans::inputs(graph, &needed).map(|n| known.get(n)).collect();
    let plan = Plan::find(graph, want, &needed, &inputs);
    let mut run = Run { plan: &plan, inputs, values: vec![Held::Absent; plan.prims.nodes.len()] };
    let mut passes = plan.schedule.passes.iter().zip(&plan.code).peekable();
    for (step, nodes) in plan.held.iter().enumerate() {
        for &id in nodes {
            run.hold(id);
        }
        while let Some((pass, code)) = passes.next_if(|(p, _)| p.step == step) {
            let start = Instant::now();
            run.pass(pass, code);
            pass_took(start.elapsed().as_secs_f64());
        }
    }
    plan.prims.wanted.iter().map(|&w| run.tensor(w)).collect()
}

/// A value that is there.
#[derive(Clone, Debug)]
enum Held {
    Absent,
    Number(f64),
    Tensor(Tensor),
}

struct Run<'a> {
    plan: &'a Plan,
    inputs: Vec<Option<Tensor>>,
    values: Vec<Held>,
}

impl Run<'_> {
    fn number(&self, id: PrimId) -> Option<f64> {
        match &self.values[id] {
            Held::Number(x) => Some(*x),
            _ => None,
        }
    }

    fn tensor(&self, id: PrimId) -> Tensor {
        match &self.values[id] {
            Held::Number(x) => Tensor::number(*x),
            Held::Tensor(t) => t.clone(),
            Held::Absent => Tensor::number(f64::NAN),
        }
    }

    fn set(&mut self, id: PrimId, tensor: Tensor) {
        self.values[id] = match tensor.item() {
            Some(x) if self.plan.prims.shapes[id].is_number() => Held::Number(x),
            _ => Held::Tensor(tensor),
        };
    }

    /// Computes a node that is not streamed, from held ones.
    fn hold(&mut self, id: PrimId) {
        if !matches!(self.values[id], Held::Absent) {
            return;
        }
        let prims = &self.plan.prims;
        let shape = &prims.shapes[id];
        match &prims.nodes[id] {
            Prim::Input(n) => {
                if let Some(t) = self.inputs.get_mut(*n).and_then(Option::take) {
                    self.set(id, t);
                }
            }
            Prim::Number(bits) => self.values[id] = Held::Number(f64::from_bits(*bits)),
            Prim::Literal(dims, bits) => {
                let data: Vec<f64> = bits.iter().map(|&b| f64::from_bits(b)).collect();
                self.set(id, Tensor::new(dims, data));
            }
            Prim::Map { op, args } => self.map(id, *op, args),
            Prim::Reduce { op, attrs, arg } => match (self.number(*arg), &ops::row(*op).exec) {
                (Some(x), Exec::Reduce(r)) => {
                    let mut state = r.init;
                    (r.f64)(&mut state, &[x]);
                    self.values[id] = Held::Number((r.finish)(&state, 1, attrs));
                }
                // Over a large operand a pass computes it.
                (None, _) if !matches!(self.values[*arg], Held::Absent) => {
                    self.small(id, Output::Reduced(id))
                }
                _ => {}
            },
            Prim::Reshape { arg, .. } => {
                let t = self.tensor(*arg);
                if t.numel() == shape.numel() {
                    self.set(id, t.reshape(&shape.dims));
                }
            }
            Prim::Whole { op, attrs, args } => {
                let values: SmallVec<[Value; 3]> = args.iter().map(|&a| self.value(a)).collect();
                let refs: SmallVec<[&Value; 3]> = values.iter().collect();
                let out = ops::row(*op).evaluate(shape, &refs, attrs);
                self.set(id, Tensor::new(&out.shape.dims, out.data));
            }
            Prim::Fold { reducer, terms } => {
                let values: Vec<Value> = terms.iter().map(|&t| self.value(t)).collect();
                let out = ops::reducer(*reducer).fold(&values);
                self.set(id, Tensor::new(&out.shape.dims, out.data));
            }
        }
    }

    fn map(&mut self, id: PrimId, op: ops::OpId, args: &[PrimId]) {
        let numbers: Option<SmallVec<[f64; 3]>> = args.iter().map(|&a| self.number(a)).collect();
        match (ops::row(op).eval, numbers) {
            (Eval::Scalar(f), Some(x)) => self.values[id] = Held::Number(f(&x)),
            _ => self.small(id, Output::Stored(id)),
        }
    }

    fn value(&self, id: PrimId) -> Value {
        Value { shape: self.plan.prims.shapes[id].clone(), data: self.tensor(id).to_f64() }
    }

    /// A node over results of reductions: a pass of its own, over little.
    fn small(&mut self, id: PrimId, output: Output) {
        let over = match output {
            Output::Stored(n) => n,
            Output::Reduced(n) => self.plan.prims.nodes[n].args()[0],
        };
        let walk = walk_of(&self.plan.prims, output);
        let numel = self.plan.prims.shapes[over].numel();
        let plan = self.plan;
        self.pass(&Pass { step: 0, numel, walk, outputs: vec![output] }, &plan.small[id]);
        debug_assert!(!matches!(self.values[id], Held::Absent));
    }

    fn dtype(&self, id: PrimId) -> Option<Dtype> {
        match &self.values[id] {
            Held::Tensor(t) => Some(t.dtype()),
            Held::Number(_) => Some(Dtype::F64),
            Held::Absent => None,
        }
    }

    /// Runs a pass and keeps its results.
    fn pass(&mut self, pass: &Pass, code: &OnceLock<Code>) {
        let code = code.get_or_init(|| {
            let program = Program::new(&self.plan.prims, pass, &|id| self.dtype(id));
            Code::new(&self.plan.prims, program, pass.walk)
        });
        let program = &code.program;
        let streams: Vec<Tensor> = program.streams.iter().map(|&n| self.tensor(n)).collect();
        let operands = Operands {
            streams: streams.iter().map(Stream::new).collect(),
            alongs: program
                .alongs
                .iter()
                .enumerate()
                .map(|(i, a)| Spread::new(&self.tensor(a.node), a.split, |w| program.spreads(i, w)))
                .collect(),
            numbers: program.numbers.iter().map(|&n| self.number(n).unwrap_or(f64::NAN)).collect(),
        };
        let results = pass::run(pass, code, &operands);
        for (id, values) in results.reduced {
            let tensor = Tensor::new(&self.plan.prims.shapes[id].dims, values);
            self.set(id, tensor);
        }
        for (id, elements) in results.stored {
            let elements: Elements = elements;
            let tensor = elements.tensor(&self.plan.prims.shapes[id].dims);
            self.set(id, tensor);
        }
    }
}
