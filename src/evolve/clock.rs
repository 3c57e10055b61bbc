//! When a session ends: budgets, interrupts, and what is set aside for the end of the run.

use super::finish::{Parts, Reference};
use super::search::State;
use super::settings::Budget;
use crate::site::CaptureSpec;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The clock of a session: what is left for the search after the end was set aside.
pub struct Clock<'a> {
    /// When the session began.
    pub started: Instant,
    /// Budget in seconds.
    pub seconds: Option<f64>,
    /// Seconds that the end will take.
    pub left: Cell<f64>,
    /// Set from outside.
    pub stop: &'a AtomicBool,
}

/// Most of the time that is set aside for the end.
const END: f64 = 0.6;

impl Clock<'_> {
    fn late(&self) -> bool {
        self.seconds.is_some_and(|s| self.started.elapsed().as_secs_f64() + self.left.get().min(END * s) >= s)
    }

    /// Is it time to break off?
    pub fn over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.late()
    }
}

/// Runs of architectures at the end, per thread: those that selection did not see are run for the
/// reported programs, and every architecture for known proxies that need a run of their own.
pub fn ending(parts: &Parts, capture: CaptureSpec, references: &[Reference]) -> f64 {
    let unseen = parts.validation.archs.len() + parts.test.archs.len();
    let mut specs = vec![capture];
    specs.extend(references.iter().filter(|r| !r.baseline).map(|r| r.program.capture));
    let mut different: Vec<CaptureSpec> = Vec::new();
    specs.into_iter().for_each(|s| {
        if !different.contains(&s) {
            different.push(s)
        }
    });
    let all = unseen + parts.search.archs.len();
    // As much again for scores and statistics.
    2.0 * (unseen + (different.len() - 1) * all) as f64 / rayon::current_num_threads() as f64
}

/// Why a session ends, if it does.
pub fn spent(state: &State, budget: &Budget, clock: &Clock<'_>) -> Option<String> {
    if clock.stop.load(Ordering::Relaxed) {
        return Some(format!("interrupted after {} generations", state.generation));
    }
    if budget.iterations.is_some_and(|n| state.generation >= n) {
        return Some("all iterations done".into());
    }
    if budget.evaluations.is_some_and(|n| state.evaluations >= n) {
        return Some("all evaluations done".into());
    }
    clock.late().then(|| format!("time is up after {} generations", state.generation))
}
