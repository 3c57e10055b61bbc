//! Engines evaluate bound graphs. `reference` is the definition (f64, obvious); the others are
//! tested against it through the one suite in `tests/engines.rs`.

mod cpu;
pub mod cuda;
mod reference;

pub use cpu::{Cpu, Timed};
pub use reference::{NonFinite, Reference, explain_nonfinite, leaves_under};

use crate::ir::{Bound, BoundId};
use crate::tensor::Tensor;

/// What an engine needs to know of nodes that are already evaluated, leaves included.
pub trait Known: Sync {
    /// The value of `node`, where it is known (leaf tensors that arrived, folds, earlier results).
    fn get(&self, node: BoundId) -> Option<Tensor>;
}

/// Why an engine could not evaluate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happened.
    pub message: String,
    /// What to do.
    pub help: String,
    /// A wanted node that it happened for.
    pub node: Option<BoundId>,
}

/// Evaluates nodes of a bound graph.
pub trait Engine {
    /// Name on the command line.
    fn name(&self) -> &'static str;

    /// The values of `want`. Everything they depend on is either in `known` or computable from it.
    /// Non-finite results are returned as they are; the caller decides what degenerates.
    fn evaluate(&mut self, graph: &Bound, want: &[BoundId], known: &dyn Known) -> Vec<Tensor>;

    /// The values of several lists of nodes; an engine that can do so evaluates them side by side.
    fn evaluate_each(
        &mut self,
        graph: &Bound,
        wants: &[Vec<BoundId>],
        known: &dyn Known,
    ) -> Vec<Vec<Tensor>> {
        wants.iter().map(|want| self.evaluate(graph, want, known)).collect()
    }

    /// Why the last evaluation failed, where an engine can fail: what it returned then means nothing.
    fn fault(&mut self) -> Option<Fault> {
        None
    }
}
