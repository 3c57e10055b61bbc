//! What follows after the runs: aggregates join their terms and the operators above them are
//! applied, in f64; then every program has a score or a reason why not.

use super::Score;
use super::stream::Values;
use crate::ir::bind::{Binding, place};
use crate::ir::{Bound, BoundId, BoundNode, Degenerate};
use crate::ops::{self, Eval, Value};
use crate::plan::demand::Demand;
use crate::site::Outline;
use crate::tensor::Tensor;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// The reason of a score that is not finite where nothing better is known.
pub(super) const VAGUE: &str = "not finite";

/// Every number and tensor that is left when all is done.
pub(super) struct Outcome {
    pub numbers: Vec<Option<f64>>,
    tensors: Vec<Option<Tensor>>,
    noisy_runs: u64,
    explained: FxHashMap<BoundId, String>,
}

impl Outcome {
    /// Evaluates the nodes above the frontier.
    pub fn new(
        graph: &Bound,
        demand: &Demand,
        values: Values,
        noisy_runs: u64,
        explained: FxHashMap<BoundId, String>,
    ) -> Self {
        let mut out = Outcome { numbers: values.numbers, tensors: values.tensors, noisy_runs, explained };
        for &n in &demand.above {
            match &graph.nodes[n] {
                BoundNode::Number(bits) => out.numbers[n] = Some(f64::from_bits(*bits)),
                BoundNode::Literal(bits) => {
                    let data = bits.iter().map(|b| f64::from_bits(*b)).collect();
                    out.set(n, Value { shape: graph.shapes[n].clone(), data });
                }
                BoundNode::Op { op, attrs, args } => {
                    let row = ops::row(*op);
                    let numbers: Option<SmallVec<[f64; 3]>> = args.iter().map(|&a| out.numbers[a]).collect();
                    match (row.eval, numbers) {
                        (Eval::Scalar(f), Some(x)) => out.numbers[n] = Some(f(&x)),
                        _ => {
                            let values: Vec<Value> = args.iter().map(|&a| out.value(graph, a)).collect();
                            let refs: Vec<&Value> = values.iter().collect();
                            out.set(n, row.evaluate(&graph.shapes[n], &refs, attrs));
                        }
                    }
                }
                BoundNode::Fold { reducer, terms } => out.fold(graph, n, *reducer, terms),
                BoundNode::Leaf(_) => {}
            }
        }
        out
    }

    fn fold(&mut self, graph: &Bound, n: BoundId, reducer: ops::ReducerId, terms: &[BoundId]) {
        let row = ops::reducer(reducer);
        let numbers: Option<Vec<f64>> = terms.iter().map(|&t| self.numbers[t]).collect();
        match numbers {
            Some(x) => self.numbers[n] = Some((row.join)(&x)),
            None => {
                let values: Vec<Value> = terms.iter().map(|&t| self.value(graph, t)).collect();
                self.set(n, row.fold(&values));
            }
        }
    }

    fn value(&self, graph: &Bound, n: BoundId) -> Value {
        let shape = graph.shapes[n].clone();
        let data = match (&self.tensors[n], self.numbers[n]) {
            (Some(t), _) => t.to_f64(),
            (None, Some(x)) => vec![x],
            (None, None) => Vec::new(),
        };
        Value { shape, data }
    }

    fn set(&mut self, n: BoundId, value: Value) {
        match value.data.as_slice() {
            &[x] if value.shape.dims.is_empty() => self.numbers[n] = Some(x),
            _ => self.tensors[n] = Some(Tensor::new(&value.shape.dims, value.data)),
        }
    }

    /// Whether a value depends on gradients that are rounding noise.
    pub fn noisy(&self, n: BoundId, binding: &Binding, demand: &Demand) -> bool {
        demand.gradient_runs[n] & self.noisy_runs != 0
            || (!binding.noisy.is_empty() && reaches(&binding.graph, n, &binding.noisy))
    }

    /// The score of every program.
    pub fn scores(&self, binding: &Binding, demand: &Demand, outline: &Outline) -> Vec<Score> {
        let score = |root: &Result<BoundId, Degenerate>| match root {
            Err(why) => {
                Score { value: Err(why.clone()), non_finite: None, rounding_noise: false, cost: None }
            }
            Ok(n) => {
                let number = self.numbers[*n];
                let value = match number {
                    Some(x) if x.is_finite() => Ok(x),
                    _ => Err(self.why(*n, binding, outline)),
                };
                let non_finite = number.filter(|x| !x.is_finite());
                Score { value, non_finite, rounding_noise: self.noisy(*n, binding, demand), cost: None }
            }
        };
        binding.graph.roots.iter().map(score).collect()
    }

    /// The value of a node, number or tensor.
    pub fn tensor(&self, n: BoundId) -> Option<Tensor> {
        self.tensors[n].clone().or_else(|| self.numbers[n].map(Tensor::number))
    }

    fn finite(&self, n: BoundId) -> bool {
        match (&self.tensors[n], self.numbers[n]) {
            (_, Some(x)) => x.is_finite(),
            (Some(t), None) => t.to_f64().iter().all(|x| x.is_finite()),
            (None, None) => true,
        }
    }

    /// Follows what is not finite down to where it began.
    fn why(&self, root: BoundId, binding: &Binding, outline: &Outline) -> Degenerate {
        let graph = &binding.graph;
        let mut n = root;
        let mut site = None;
        loop {
            site = binding.sites[n].or(site);
            let at = || place(outline, &site.into_iter().collect::<Vec<_>>());
            if let Some(reason) = self.explained.get(&n) {
                return Degenerate { reason: reason.clone(), at: at() };
            }
            let operands: &[BoundId] = match &graph.nodes[n] {
                BoundNode::Op { args, .. } => args,
                BoundNode::Fold { terms, .. } => terms,
                _ => &[],
            };
            // Terms that were explained come first, for they say more.
            let guilty = |&&a: &&BoundId| !self.finite(a);
            let explained = operands.iter().filter(guilty).find(|a| self.explained.contains_key(a));
            match explained.or_else(|| operands.iter().find(guilty)) {
                Some(&a) => n = a,
                None => return Degenerate { reason: self.reason(graph, n), at: at() },
            }
        }
    }

    /// Why a node is not finite whose operands are, or are gone.
    fn reason(&self, graph: &Bound, n: BoundId) -> String {
        let BoundNode::Op { op, args, .. } = &graph.nodes[n] else { return VAGUE.into() };
        let all_known = args.iter().all(|&a| self.numbers[a].is_some() || self.tensors[a].is_some());
        let row = ops::row(*op);
        match row.domain {
            Some(why) if all_known => {
                let size = args.first().map_or(1, |&a| graph.shapes[a].numel());
                why.replace("{n}", &format!("{size} elements"))
            }
            _ => VAGUE.into(),
        }
    }
}

/// Whether one of `targets` is under `root`.
fn reaches(graph: &Bound, root: BoundId, targets: &[BoundId]) -> bool {
    let mut seen = vec![false; root + 1];
    let mut stack = vec![root];
    while let Some(n) = stack.pop() {
        if std::mem::replace(&mut seen[n], true) {
            continue;
        }
        if targets.contains(&n) {
            return true;
        }
        match &graph.nodes[n] {
            BoundNode::Op { args, .. } => stack.extend(args.iter().copied()),
            BoundNode::Fold { terms, .. } => stack.extend(terms.iter().copied()),
            _ => {}
        }
    }
    false
}
