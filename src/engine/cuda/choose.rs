//! Generated or interpreted? A kernel is interpreted until what that has cost beyond running
//! generated code would have paid for its compilation, and is compiled then: whatever comes, that
//! costs at most twice what the better of both would have (the ski-rental rule of online algorithms;
//! Karlin et al., "Competitive snoopy caching", 1988). What things cost is measured at first use.

use super::backend::{Backend, Launch};
use super::error::CudaError;
use super::run::{Context, evaluate};
use crate::engine::Known;
use crate::ir::{Bound, BoundId, BoundNode, Leaf};
use crate::ops::{self, Attrs, Exec, OpId, Shape};
use crate::tensor::Tensor;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// How a pass runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// By a kernel generated for it.
    Generated,
    /// By the kernel that interprets any pass.
    Interpreted,
}

/// What a device was measured to take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Seconds to compile a kernel.
    pub compile: f64,
    /// Seconds of an addition on one element in a generated kernel.
    pub generated: f64,
    /// The same in the interpreting kernel.
    pub interpreted: f64,
}

/// Chooses for each kernel.
#[derive(Debug, Default)]
pub struct Chooser {
    /// Always the same, where that is wanted.
    pub always: Option<How>,
    costs: Option<Costs>,
    /// Seconds that interpreting each source has cost beyond running it.
    lost: FxHashMap<Arc<str>, f64>,
}

impl Chooser {
    /// Measures costs, at first use. A backend that compiles nothing always generates.
    ///
    /// # Errors
    /// When the device fails.
    pub fn prepare(&mut self, backend: &mut dyn Backend) -> Result<(), CudaError> {
        if self.always.is_some() || self.costs.is_some() {
            return Ok(());
        }
        self.costs = backend.recall();
        if self.costs.is_none() {
            match measure(backend) {
                // A kernel that does not compile is an error where it is needed, not here.
                Ok(None) | Err(CudaError::Compile { .. }) => self.always = Some(How::Generated),
                Ok(Some(costs)) => {
                    backend.keep(&costs);
                    self.costs = Some(costs);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// What was measured.
    pub fn costs(&self) -> Option<Costs> {
        self.costs
    }

    /// Decides how a kernel runs over `additions` (elements times operations).
    pub fn choose(&mut self, ready: bool, source: &Arc<str>, additions: f64) -> How {
        let (Some(costs), None) = (self.costs, self.always) else {
            return self.always.unwrap_or(How::Generated);
        };
        if ready {
            return How::Generated;
        }
        let lost = self.lost.entry(source.clone()).or_default();
        *lost += additions * (costs.interpreted - costs.generated).max(0.0);
        if *lost > costs.compile { How::Generated } else { How::Interpreted }
    }
}

fn measure(backend: &mut dyn Backend) -> Result<Option<Costs>, CudaError> {
    let Some(compile) = backend.compile_seconds()? else { return Ok(None) };
    let generated = per_addition(backend, How::Generated)?;
    let interpreted = per_addition(backend, How::Interpreted)?;
    Ok(Some(Costs { compile, generated, interpreted }))
}

/// Elements of the pass that is timed.
const ELEMENTS: usize = 1 << 20;
/// Operations of the chain that is timed.
const LENGTH: usize = 6;

struct Calibration {
    graph: Bound,
    tensor: Tensor,
}

impl Known for Calibration {
    fn get(&self, node: BoundId) -> Option<Tensor> {
        (node == 0).then(|| self.tensor.clone())
    }
}

/// A reduction of a chain of the first rows that take one element.
fn calibration() -> (Calibration, BoundId, f64) {
    let dims = [ELEMENTS];
    let mut graph = Bound::default();
    graph.leaves.push(Leaf::Number { run: 0, name: "calibration" });
    graph.nodes.push(BoundNode::Leaf(0));
    graph.shapes.push(Shape::of(&dims));
    let mut additions = 0.0;
    let rows = ops::rows().iter().enumerate();
    let maps =
        rows.clone().filter(|(_, r)| matches!(r.exec, Exec::Elementwise { .. }) && r.values.len() == 1);
    let folds = rows.filter(|(_, r)| matches!(r.exec, Exec::Reduce(_)));
    for (i, row) in maps.take(LENGTH).chain(folds.take(1)) {
        let last = graph.nodes.len() - 1;
        additions += row.cost;
        let attrs = Attrs::of(&row.attrs.iter().map(|a| a.default).collect::<Vec<_>>());
        graph.nodes.push(BoundNode::Op { op: OpId(i as u16), attrs, args: [last].into_iter().collect() });
        let reduced = matches!(row.exec, Exec::Reduce(_));
        graph.shapes.push(if reduced { Shape::number() } else { Shape::of(&dims) });
    }
    let last = graph.nodes.len() - 1;
    (Calibration { graph, tensor: Tensor::new(&dims, vec![0.5f32; ELEMENTS]) }, last, additions)
}

/// Seconds of an addition on one element.
fn per_addition(backend: &mut dyn Backend, how: How) -> Result<f64, CudaError> {
    let (c, last, additions) = calibration();
    let mut launches: Vec<Launch> = Vec::new();
    let mut chooser = Chooser { always: Some(how), ..Chooser::default() };
    let mut context = Context { chooser: &mut chooser, blamed: None, tap: Some(&mut launches) };
    evaluate(backend, &mut context, &c.graph, &[last], &c)?;
    let mut seconds = 0.0;
    for l in &launches {
        seconds += backend.seconds(l)?;
    }
    Ok(seconds / (additions * ELEMENTS as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_compiled_once_interpreting_has_cost_as_much() {
        let costs = Costs { compile: 1.0, generated: 1e-9, interpreted: 11e-9 };
        let mut c = Chooser { costs: Some(costs), ..Chooser::default() };
        let (often, once): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let uses: Vec<How> = (0..5).map(|_| c.choose(false, &often, 3e7)).collect();
        assert_eq!(&uses[..3], [How::Interpreted; 3]);
        assert_eq!(&uses[3..], [How::Generated; 2]);
        assert_eq!(c.choose(false, &once, 3e7), How::Interpreted);
        assert_eq!(c.choose(true, &once, 3e7), How::Generated, "compiled already");
        assert_eq!(c.choose(false, &once, 1e10), How::Generated, "one large use");
    }

    #[test]
    fn the_pass_that_is_timed_is_one_chain_and_one_reduction() {
        let (c, last, additions) = calibration();
        assert_eq!(last, LENGTH + 1);
        assert!(additions > LENGTH as f64 && c.graph.shapes[last].is_number());
    }
}
