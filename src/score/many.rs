//! Programs on many architectures: one worker per core, each with an architecture of its own.
//!
//! Small models use cores better side by side than one at a time; large ones want all cores and all
//! memory. Scores do not depend on which: a score is the same on any number of threads.

use super::lanes::{self, Work};
use super::{ReductionCache, Scorer, Scores};
use crate::engine::Engine;
use crate::ir::key::Key;
use crate::ir::prepare::Prepared;
use crate::site::{Source, SourceError};
use std::sync::atomic::{AtomicBool, Ordering};

/// What one architecture gave.
#[derive(Clone, Debug)]
pub struct Architecture {
    /// Scores of the programs.
    pub scores: Scores,
    /// Number of parameters.
    pub params: f64,
    /// Floating-point operations of a forward pass.
    pub flops: f64,
}

/// How many architectures are scored.
pub struct Many<'a> {
    /// Makes an engine for a worker.
    pub engine: &'a (dyn Fn() -> Box<dyn Engine> + Sync),
    /// Numbers known from earlier, and the identity of each architecture in it.
    pub cache: Option<(&'a ReductionCache, &'a (dyn Fn(usize) -> Key + Sync))>,
    /// Workers; with one, the models themselves use all cores.
    pub workers: usize,
    /// See [`Scorer::explain`].
    pub explain: bool,
    /// See [`Scorer::costs`].
    pub costs: bool,
    /// Set from elsewhere to stop early.
    pub stop: Option<&'a AtomicBool>,
}

/// Why scoring ended early.
#[derive(Debug)]
pub enum Stopped {
    /// [`Many::stop`] was set.
    Interrupted,
    /// The architecture with this index failed.
    Failed(usize, SourceError),
}

impl Many<'_> {
    /// Scores `programs` on the architectures `0..count` that `open` opens; `done` hears of each as
    /// it is finished, in any order. The result is in order.
    ///
    /// # Errors
    /// The first failure, by index; or an interruption.
    pub fn score<S: Source>(
        &self,
        programs: &Prepared,
        count: usize,
        open: &(dyn Fn(usize) -> Result<S, SourceError> + Sync),
        done: &mut dyn FnMut(usize, &Architecture),
    ) -> Result<Vec<Architecture>, Stopped> {
        let mut results: Vec<Option<Architecture>> = vec![None; count];
        let mut failure: Option<(usize, SourceError)> = None;
        let stopped = || self.stop.is_some_and(|flag| flag.load(Ordering::Relaxed));
        let worker = || -> Work<'_, Architecture, SourceError> {
            let mut engine = (self.engine)();
            Box::new(move |i| open(i).and_then(|source| self.one(programs, source, engine.as_mut(), i)))
        };
        lanes::each((count, self.workers), &stopped, &worker, |i, result| match result {
            Ok(a) => {
                done(i, &a);
                results[i] = Some(a);
            }
            Err(e) if failure.as_ref().is_none_or(|(j, _)| i < *j) => failure = Some((i, e)),
            Err(_) => {}
        });
        match failure {
            Some((i, e)) => Err(Stopped::Failed(i, e)),
            None => results.into_iter().collect::<Option<_>>().ok_or(Stopped::Interrupted),
        }
    }

    fn one<S: Source>(
        &self,
        programs: &Prepared,
        mut source: S,
        engine: &mut dyn Engine,
        i: usize,
    ) -> Result<Architecture, SourceError> {
        let cache = self.cache.map(|(cache, key)| cache.of(key(i)));
        let mut scorer = Scorer { engine, cache, explain: self.explain, costs: self.costs };
        let scores = scorer.score(programs, &mut source)?;
        let number =
            |name| source.outline().numbers.iter().find(|(n, _)| *n == name).map_or(0.0, |&(_, x)| x);
        Ok(Architecture { scores, params: number("params"), flops: number("flops") })
    }
}
