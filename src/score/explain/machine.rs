//! What this machine can do, measured with programs of known cost.

use super::groups::groups;
use crate::engine::{Engine, Known};
use crate::ir::bind::{NoReductions, bind_values};
use crate::ir::prepare::Prepared;
use crate::ir::{Bound, BoundId, BoundNode, Dag};
use crate::lang::Library;
use crate::plan::demand::Demand;
use crate::site::{Field, Kind, Objective, Outline, Site};
use crate::tensor::{Dims, Tensor};
use std::time::Instant;

/// What a machine can do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Bytes read a second, of tensors larger than the caches.
    pub bytes: f64,
    /// Additions a second in tiles.
    pub ops: f64,
    /// Seconds that a pass takes at least.
    pub pass: f64,
}

impl Default for Machine {
    /// A small machine of today.
    fn default() -> Self {
        Machine { bytes: 8e9, ops: 4e9, pass: 5e-6 }
    }
}

/// What this machine can do, measured in some tens of milliseconds: one pass that reads much and
/// computes little, one that reads little and computes much, one over a single element.
pub fn machine() -> Machine {
    let assumed = Machine::default();
    let pass = best("sum l in linear { sum(l.weight) }", 1).map_or(assumed.pass, |t| t.0);
    let large = 4 << 20;
    let bytes = best("sum l in linear { sum(l.weight) }", large).map(|t| 4.0 * large as f64 / t.0);
    let deep = "sum l in linear { sum(exp(sigmoid(exp(tanh(l.weight))))) }";
    let ops = best(deep, 1 << 18).map(|t| t.1 / (t.0 - pass).max(1e-9));
    Machine { bytes: bytes.unwrap_or(assumed.bytes), ops: ops.unwrap_or(assumed.ops), pass }
}

/// Seconds that a program takes over one weight of so many elements, the best of five; its operations.
fn best(text: &str, elements: usize) -> Option<(f64, f64)> {
    let mut dag = Dag::default();
    let programs = [Library::new().expression("machine", text, &mut dag).ok()?.program];
    let dims: Dims = smallvec::smallvec![1, elements];
    let outline = Outline { sites: vec![weight(dims.clone())], ..Outline::default() };
    let prepared = Prepared::new(&dag, &programs);
    let binding = bind_values(&prepared, &outline, Objective::Loss, &NoReductions);
    let demand = Demand::new(&binding.graph, |_| false);
    let plan = groups(&binding, &demand, &outline).pop()?.plan;
    let known = One(Tensor::new(&dims, vec![0.5f32; elements]), binding.graph.clone());
    let want: Vec<BoundId> = demand.frontier.iter().map(|f| f.node).collect();
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        crate::engine::Cpu.evaluate(&binding.graph, &want, &known);
        best = best.min(start.elapsed().as_secs_f64());
    }
    Some((best, plan.ops()))
}

/// A linear site with a weight alone.
fn weight(dims: Dims) -> Site {
    Site {
        kind: Kind::Linear,
        name: "x".into(),
        layer: Some(0),
        roles: Vec::new(),
        transposed: false,
        fields: vec![(Field::Weight, dims)],
    }
}

/// The one leaf of a graph.
struct One(Tensor, Bound);

impl Known for One {
    fn get(&self, node: BoundId) -> Option<Tensor> {
        matches!(self.1.nodes[node], BoundNode::Leaf(_)).then(|| self.0.clone())
    }
}
