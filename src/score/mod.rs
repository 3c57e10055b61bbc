//! Programs on one architecture: the one call that `rank`, `evolve`, `search` and the REPL share.
//!
//! [`Scorer::score`] binds a batch of programs to a source's outline (what the reduction cache knows
//! is not computed again), runs the source once per distinct capture, lets an engine evaluate every
//! site as soon as its tensors are there, and joins the terms in f64.

mod above;
mod cache;
mod cost;
pub mod explain;
pub mod inspect;
pub mod lanes;
pub mod many;
mod stream;
mod svg;

pub use cache::{ArchitectureCache, CacheStats, ReductionCache};
pub use cost::Cost;

use crate::engine::Engine;
use crate::ir::bind::{Binding, Cached, NoReductions, Reductions, bind_prepared};
use crate::ir::prepare::Prepared;
use crate::ir::{Bound, Degenerate};
use crate::plan::demand::Demand;
use crate::site::{Objective, Outline, Source, SourceError};
use std::time::Instant;
use stream::Stream;

/// The trivial baselines of the standard library that every rank table shows, because most
/// published proxies lose to them.
pub const BASELINES: &[&str] = &[
    "params_total",
    "params_decoder",
    "params_attention",
    "flops",
    "depth",
    "depth_logwidth",
    "spectral_capacity",
];

/// What a program gives on an architecture.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The score, finite, or why there is none.
    pub value: Result<f64, Degenerate>,
    /// What IEEE arithmetic gives (infinite or NaN) where there is no score for that reason.
    pub non_finite: Option<f64>,
    /// It depends on gradients whose size is what rounding alone would give.
    pub rounding_noise: bool,
    /// What it costs, where it was asked for.
    pub cost: Option<Cost>,
}

/// Scores of a batch and what was done for them.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    /// One per program, in order.
    pub scores: Vec<Score>,
    /// Times the source was run; 0 when the cache knew everything.
    pub runs: usize,
    /// Seconds in the source: the model's passes, or reading.
    pub source_seconds: f64,
    /// Seconds in the engine.
    pub engine_seconds: f64,
    /// The most tensors held at once.
    pub peak_tensors: usize,
    /// The most bytes of tensors held at once.
    pub peak_bytes: usize,
}

/// How programs are scored.
pub struct Scorer<'a> {
    /// Evaluates sites.
    pub engine: &'a mut dyn Engine,
    /// Numbers known from earlier, and where new ones are kept.
    pub cache: Option<ArchitectureCache<'a>>,
    /// Say precisely why a score is not finite: costs a slow evaluation of the guilty site, and a
    /// second run where the guilty number came from the cache. Without, the site alone is named.
    pub explain: bool,
    /// Fill [`Score::cost`].
    pub costs: bool,
}

impl<'a> Scorer<'a> {
    /// A scorer without a cache that explains what is not finite.
    pub fn new(engine: &'a mut dyn Engine) -> Self {
        Scorer { engine, cache: None, explain: true, costs: false }
    }

    /// Scores every program of the batch on the source's architecture.
    ///
    /// # Errors
    /// When the source cannot deliver. A program without a score is not an error.
    pub fn score(&mut self, programs: &Prepared, source: &mut dyn Source) -> Result<Scores, SourceError> {
        let default = source.default_objective();
        let remembered = self.remembered(programs, default);
        if remembered.iter().all(Option::is_some) {
            return Ok(Scores { scores: remembered.into_iter().flatten().collect(), ..Scores::default() });
        }
        let new: Vec<bool> = remembered.iter().map(Option::is_none).collect();
        let mut out = self.attempt(programs, source, Some(&new))?;
        for (slot, old) in out.scores.iter_mut().zip(remembered) {
            if let Some(old) = old {
                *slot = old;
            }
        }
        if self.explain && self.cache.is_some() {
            self.explain_vague(programs, source, &mut out)?;
        }
        if let Some(cache) = &self.cache {
            let keys = programs.keys(default);
            for (p, score) in out.scores.iter().enumerate().filter(|(p, _)| new[*p]) {
                cache.store_score(keys[p], score);
            }
        }
        Ok(out)
    }

    /// Where the guilty number came from the cache, computes it again to say why.
    fn explain_vague(
        &mut self,
        programs: &Prepared,
        source: &mut dyn Source,
        out: &mut Scores,
    ) -> Result<(), SourceError> {
        let vague: Vec<bool> = out.scores.iter().map(is_vague).collect();
        if !vague.contains(&true) {
            return Ok(());
        }
        let cache = self.cache.take();
        let again = self.attempt(programs, source, Some(&vague));
        self.cache = cache;
        let again = again?;
        for ((old, new), _) in out.scores.iter_mut().zip(again.scores).zip(&vague).filter(|(_, v)| **v) {
            old.value = new.value;
        }
        out.runs += again.runs;
        out.source_seconds += again.source_seconds;
        out.engine_seconds += again.engine_seconds;
        Ok(())
    }

    /// Whole programs that the cache knows: nothing is bound for them.
    fn remembered(&self, programs: &Prepared, default: Objective) -> Vec<Option<Score>> {
        let Some(cache) = self.cache.as_ref().filter(|_| !self.costs) else {
            return vec![None; programs.len()];
        };
        let mut found = cache.scores(&programs.keys(default));
        if self.explain {
            for slot in &mut found {
                slot.take_if(|score| is_vague(score));
            }
        }
        found
    }

    fn attempt(
        &mut self,
        programs: &Prepared,
        source: &mut dyn Source,
        only: Option<&[bool]>,
    ) -> Result<Scores, SourceError> {
        let default = source.default_objective();
        let known: &dyn Reductions = match &self.cache {
            Some(cache) => cache,
            None => &NoReductions,
        };
        let binding = bind_prepared(programs, source.outline(), default, known, only);
        let keep = self.cache.is_some();
        let demand = Demand::new(&binding.graph, |n| keep && binding.keys[n].is_some());
        let mut stream = Stream::new(programs, &binding, &demand, self.engine, self.explain);
        let mut seconds = Vec::new();
        for run in 0..binding.graph.runs.len() {
            let start = Instant::now();
            let engine_before = stream.engine_seconds;
            stream.run(run, source)?;
            seconds.push(start.elapsed().as_secs_f64() - (stream.engine_seconds - engine_before));
        }
        let mut out = Scores {
            runs: stream.runs,
            source_seconds: seconds.iter().sum(),
            engine_seconds: stream.engine_seconds,
            peak_tensors: stream.held.peak_tensors,
            peak_bytes: stream.held.peak_bytes,
            scores: Vec::new(),
        };
        let outcome = stream.finish();
        out.scores = outcome.scores(&binding, &demand, source.outline());
        if let Some(cache) = &self.cache {
            store(cache, &binding, &outcome, &demand);
        }
        if self.costs {
            let costs = cost::costs(&binding.graph, source.outline(), &seconds, out.engine_seconds);
            for (score, cost) in out.scores.iter_mut().zip(costs) {
                score.cost = Some(cost);
            }
        }
        Ok(out)
    }
}

/// Is its reason not known precisely?
fn is_vague(score: &Score) -> bool {
    score.value.as_ref().is_err_and(|d| d.reason == above::VAGUE)
}

/// Keeps every number that has an identity.
fn store(cache: &ArchitectureCache, binding: &Binding, outcome: &above::Outcome, demand: &Demand) {
    for (n, key) in binding.keys.iter().enumerate() {
        if let (Some(key), Some(value)) = (key, outcome.numbers[n]) {
            let rounding_noise = outcome.noisy(n, binding, demand);
            cache.store(*key, Cached { value, rounding_noise });
        }
    }
}

/// Floating-point operations of every program of a bound graph, as in [`Cost::flops`], without
/// running anything.
pub fn flops(graph: &Bound, outline: &Outline) -> Vec<f64> {
    cost::costs(graph, outline, &[], 0.0).into_iter().map(|c| c.flops).collect()
}
