//! Values to look at: the same path as scores, but roots may be tensors, and the terms of aggregates
//! can be asked for. What the REPL shows.

use super::above::Outcome;
use super::stream::Stream;
use super::{Score, Scorer};
use crate::ir::bind::{Binding, NoReductions, Reductions, bind_values, place, sites_of};
use crate::ir::prepare::Prepared;
use crate::ir::{BoundId, BoundNode, Degenerate, Node};
use crate::ops;
use crate::plan::demand::Demand;
use crate::site::{Outline, SiteId, Source, SourceError};
use crate::tensor::Tensor;
use smallvec::SmallVec;
use std::time::Instant;

/// The values of a batch on one architecture.
pub struct Inspection {
    binding: Binding,
    demand: Demand,
    outcome: Outcome,
    outline: Outline,
    /// Times that the source was asked to run.
    pub runs: usize,
    /// Seconds in the source.
    pub source_seconds: f64,
    /// Seconds in the engine.
    pub engine_seconds: f64,
}

/// An outermost aggregate of a program, term by term.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Name of its reducer.
    pub reducer: &'static str,
    /// What its terms join to.
    pub value: Option<Tensor>,
    /// Terms in order.
    pub terms: Vec<Term>,
}

/// One term of an aggregate.
#[derive(Clone, Debug)]
pub struct Term {
    /// Sites that it stands for.
    pub sites: SmallVec<[SiteId; 2]>,
    /// Where: `linear "encoder.layer.0.query"`.
    pub at: String,
    /// Its value.
    pub value: Option<Tensor>,
}

impl Scorer<'_> {
    /// The values of programs, whose roots may be tensors. What the cache knows is not computed, and
    /// then has no terms.
    ///
    /// # Errors
    /// When the source cannot deliver.
    pub fn inspect(
        &mut self,
        programs: &Prepared,
        source: &mut dyn Source,
    ) -> Result<Inspection, SourceError> {
        let outline = source.outline().clone();
        let known: &dyn Reductions = match &self.cache {
            Some(cache) => cache,
            None => &NoReductions,
        };
        let binding = bind_values(programs, &outline, source.default_objective(), known);
        let keep = self.cache.is_some();
        let demand = Demand::new(&binding.graph, |n| keep && binding.keys[n].is_some());
        let start = Instant::now();
        let mut stream = Stream::new(programs, &binding, &demand, self.engine, self.explain);
        for run in 0..binding.graph.runs.len() {
            stream.run(run, source)?;
        }
        let (runs, engine_seconds) = (stream.runs, stream.engine_seconds);
        let outcome = stream.finish();
        if let Some(cache) = &self.cache {
            super::store(cache, &binding, &outcome, &demand);
        }
        let source_seconds = start.elapsed().as_secs_f64() - engine_seconds;
        Ok(Inspection { binding, demand, outcome, outline, runs, source_seconds, engine_seconds })
    }
}

impl Inspection {
    /// The architecture.
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    /// The value of a program.
    ///
    /// # Errors
    /// Why it has none on this architecture.
    pub fn value(&self, program: usize) -> Result<Tensor, Degenerate> {
        let root = self.binding.graph.roots[program].clone()?;
        self.outcome
            .tensor(root)
            .ok_or_else(|| Degenerate { reason: "it was not computed".into(), at: place(&self.outline, &[]) })
    }

    /// The score of every program; a tensor is no score.
    pub fn scores(&self) -> Vec<Score> {
        self.outcome.scores(&self.binding, &self.demand, &self.outline)
    }

    /// Does the value depend on gradients that are rounding noise?
    pub fn noisy(&self, program: usize) -> bool {
        let root = &self.binding.graph.roots[program];
        root.as_ref().is_ok_and(|&n| self.outcome.noisy(n, &self.binding, &self.demand))
    }

    /// The outermost aggregates of a program, in the order in which it mentions them.
    pub fn terms(&self, programs: &Prepared, program: usize) -> Vec<Terms> {
        let Ok(root) = &self.binding.graph.roots[program] else { return Vec::new() };
        let mut seen = vec![false; root + 1];
        let mut todo = vec![*root];
        let mut found = Vec::new();
        while let Some(n) = todo.pop() {
            if std::mem::replace(&mut seen[n], true) {
                continue;
            }
            match &self.binding.graph.nodes[n] {
                BoundNode::Op { args, .. } => todo.extend(args.iter().rev().copied()),
                BoundNode::Fold { terms, .. } => found.extend(self.fold(programs, n, terms)),
                _ => {}
            }
        }
        found
    }

    fn fold(&self, programs: &Prepared, n: BoundId, terms: &[BoundId]) -> Option<Terms> {
        let Node::Fold { reducer, over, .. } = programs.node(self.binding.origin[n]?) else { return None };
        let sites = sites_of(&self.outline, over);
        let terms = terms.iter().zip(sites).map(|(&t, sites)| Term {
            at: place(&self.outline, &sites),
            sites,
            value: self.outcome.tensor(t),
        });
        Some(Terms {
            reducer: ops::reducer(*reducer).name,
            value: self.outcome.tensor(n),
            terms: terms.collect(),
        })
    }
}
