//! Where scores come from, as the search sees it. The real one runs models through the score
//! driver; tests use synthetic ones.

use crate::ir::{Collection, Dag, Degenerate, NodeId, Program};

/// A score, or why there is none.
pub type Outcome = Result<f64, Box<Degenerate>>;

/// Scores could not be computed at all (a model that cannot run, a file that cannot be read).
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct EvaluatorError {
    /// What failed, with the place.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Nothing failed: it was told to stop.
    pub halted: bool,
}

impl EvaluatorError {
    /// Told to stop.
    pub fn halted() -> Self {
        EvaluatorError { message: "stopped".into(), help: None, halted: true }
    }
}

/// Says between two architectures whether to stop.
pub type Halt<'a> = &'a dyn Fn() -> bool;

/// Scores programs on numbered architectures.
pub trait Evaluator {
    /// Number of architectures.
    fn architectures(&self) -> usize;

    /// A number that is known of an architecture without running it (`depth`, `params[ffn]`).
    fn number(&self, arch: usize, name: &str, role: Option<&str>) -> Option<f64>;

    /// The score of every program on every architecture of `archs`, by program, then architecture.
    /// The same call gives the same bits, whatever was asked before and with any number of threads.
    ///
    /// # Errors
    /// When an architecture cannot be run.
    fn scores(
        &mut self,
        dag: &Dag,
        programs: &[Program],
        archs: &[usize],
    ) -> Result<Vec<Vec<Outcome>>, EvaluatorError>;

    /// The score of every program on one architecture, with elements widened to double precision before anything is
    /// computed from them; nothing is remembered.
    ///
    /// # Errors
    /// When the architecture cannot be run.
    fn doubled(
        &mut self,
        dag: &Dag,
        programs: &[Program],
        arch: usize,
    ) -> Result<Vec<Outcome>, EvaluatorError> {
        Ok(self.scores(dag, programs, &[arch])?.into_iter().filter_map(|mut row| row.pop()).collect())
    }

    /// [`Evaluator::scores`] on `archs` and [`Evaluator::doubled`] on `probe`, side by side where that can be.
    ///
    /// # Errors
    /// When an architecture cannot be run.
    fn probed(
        &mut self,
        dag: &Dag,
        programs: &[Program],
        archs: &[usize],
        probe: usize,
    ) -> Result<(Vec<Vec<Outcome>>, Vec<Outcome>), EvaluatorError> {
        Ok((self.scores(dag, programs, archs)?, self.doubled(dag, programs, probe)?))
    }

    /// The terms of programs that are one aggregate over sites each: by program, architecture, site.
    /// A term that is not finite is returned as it is; without sites the list is empty.
    ///
    /// # Errors
    /// When an architecture cannot be run.
    fn per_site(
        &mut self,
        dag: &Dag,
        programs: &[Program],
        archs: &[usize],
    ) -> Result<Vec<Vec<Vec<f64>>>, EvaluatorError>;

    /// What one score of the program costs, in operations, on the first architecture; infinite where it needs a
    /// tensor that is too large.
    ///
    /// # Errors
    /// When its shapes do not fit there.
    fn cost(&self, dag: &Dag, program: &Program) -> Result<f64, Degenerate>;

    /// Seconds that a run of an architecture took one thread, on average; 0 where nothing is known.
    fn seconds_per_architecture(&self) -> f64 {
        0.0
    }

    /// Does the program read gradients that are rounding noise (known after it was scored)?
    fn noisy(&self, _dag: &Dag, _root: NodeId) -> bool {
        false
    }

    /// Has every architecture sites in this collection?
    fn has_sites(&self, _over: &Collection) -> bool {
        true
    }
}
