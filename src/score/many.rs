//! Programs on many architectures: one worker per core, each with an architecture of its own.
//!
//! Small models use cores better side by side than one at a time; large ones want all cores and all
//! memory. Scores do not depend on which: a score is the same on any number of threads.

use super::{ReductionCache, Scorer, Scores};
use crate::engine::Engine;
use crate::ir::key::Key;
use crate::ir::prepare::Prepared;
use crate::site::{Source, SourceError};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

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
        let next = AtomicUsize::new(0);
        let halt = AtomicBool::new(false);
        let workers = self.workers.clamp(1, count.max(1));
        let mut results: Vec<Option<Architecture>> = vec![None; count];
        let mut failure: Option<(usize, SourceError)> = None;
        std::thread::scope(|scope| {
            let (send, receive) = mpsc::channel();
            for _ in 0..workers {
                let (send, next, halt) = (send.clone(), &next, &halt);
                let work = move || self.work(programs, count, open, next, halt, &send);
                scope.spawn(move || beside(workers, work));
            }
            drop(send);
            for (i, result) in receive {
                match result {
                    Ok(a) => {
                        done(i, &a);
                        results[i] = Some(a);
                    }
                    Err(e) if failure.as_ref().is_none_or(|(j, _)| i < *j) => failure = Some((i, e)),
                    Err(_) => {}
                }
            }
        });
        match failure {
            Some((i, e)) => Err(Stopped::Failed(i, e)),
            None => results.into_iter().collect::<Option<_>>().ok_or(Stopped::Interrupted),
        }
    }

    fn work<S: Source>(
        &self,
        programs: &Prepared,
        count: usize,
        open: &(dyn Fn(usize) -> Result<S, SourceError> + Sync),
        next: &AtomicUsize,
        halt: &AtomicBool,
        send: &mpsc::Sender<(usize, Result<Architecture, SourceError>)>,
    ) {
        let mut engine = (self.engine)();
        let stopped = || halt.load(Ordering::Relaxed) || self.stop.is_some_and(|s| s.load(Ordering::Relaxed));
        while !stopped() {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                break;
            }
            let result = open(i).and_then(|source| self.one(programs, source, engine.as_mut(), i));
            halt.fetch_or(result.is_err(), Ordering::Relaxed);
            if send.send((i, result)).is_err() {
                break;
            }
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

/// Results of `work` for `0..count`, in order; with several threads each takes pieces of its own, which then do
/// not split any further.
pub fn side_by_side<T: Send>(count: usize, work: &(dyn Fn(usize) -> T + Sync)) -> Vec<T> {
    let workers = rayon::current_num_threads().min(count);
    if workers <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < count);
    let share = || {
        let mut done = Vec::new();
        alone(|| done.extend(std::iter::from_fn(|| take().map(|i| (i, work(i))))));
        done
    };
    let mut all: Vec<(usize, T)> = std::thread::scope(|scope| {
        let shares: Vec<_> = (0..workers).map(|_| scope.spawn(share)).collect();
        let joined = shares.into_iter().map(|s| s.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        joined.flatten().collect()
    });
    all.sort_by_key(|&(i, _)| i);
    all.into_iter().map(|(_, x)| x).collect()
}

/// Runs the work of one of several workers beside a thread that waits for it: with all threads where it is
/// the only one and there are some.
pub fn beside(workers: usize, work: impl FnOnce() + Send) {
    if workers == 1 && rayon::current_num_threads() > 1 { work() } else { alone(work) }
}

/// Runs `work` in a thread pool of one, so that workers do not compete for cores.
fn alone(work: impl FnOnce() + Send) {
    match rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build() {
        Ok(pool) => pool.install(work),
        Err(_) => work(),
    }
}
