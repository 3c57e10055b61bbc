//! A generation from the first probe to its barrier; one that is broken off leaves no trace.

use super::super::evaluator::EvaluatorError;
use super::super::population::Algorithm;
use super::Search;
use super::ladder::Candidate;
use crate::ir::key::Key;
use crate::random::Stream;

/// Most that a probe may cost besides the passes of the model that all share, in forward passes: there
/// are many.
const PROBE_COST: f64 = 0.01;

/// Draws for one probe at most.
const PROBE_DRAWS: usize = 4;

/// What has to be taken back when a generation is broken off.
#[derive(Default)]
pub(super) struct Broken {
    pub met: Vec<Key>,
    pub fingerprints: Vec<Key>,
}

impl Search<'_> {
    /// One generation. One that was broken off leaves no trace: the error says `halted`.
    ///
    /// # Errors
    /// When an architecture cannot be run; when it was told to stop.
    pub fn step(&mut self) -> Result<(), EvaluatorError> {
        let (counts, evaluations, ill_typed) =
            (self.state.rules.counts.clone(), self.state.evaluations, self.state.ill_typed);
        self.broken = Broken::default();
        let candidates = self.measured();
        if candidates.is_err() {
            self.state.rules.counts = counts;
            self.state.evaluations = evaluations;
            self.state.ill_typed = ill_typed;
            for k in &self.broken.met {
                self.state.met.remove(k);
            }
            for k in &self.broken.fingerprints {
                self.state.fingerprints.remove(k);
            }
            self.terms.roll_back();
        }
        self.advance(&candidates?);
        self.terms.settle();
        Ok(())
    }

    /// The candidates of a generation with their fitness.
    fn measured(&mut self) -> Result<Vec<Candidate>, EvaluatorError> {
        let mut probes = self.probes();
        self.measure_fully(&mut probes)?;
        self.remember();
        let mut candidates = self.propose_all(!probes.is_empty());
        self.evaluate(&mut candidates)?;
        self.remember();
        probes.append(&mut candidates);
        Ok(probes)
    }

    fn advance(&mut self, candidates: &[Candidate]) {
        let settings = self.settings;
        for (i, island) in self.state.islands.iter_mut().enumerate() {
            let born = self.state.evaluations;
            let new = candidates.iter().filter(|c| c.island == i).filter_map(|c| c.individual(born));
            island.members.extend(new);
            let all = std::mem::take(&mut island.members);
            island.members = settings.algorithm.survivors(all, settings.population);
        }
        for c in candidates {
            if let Some(i) = c.individual(self.state.evaluations) {
                self.state.hall.offer(&i);
            }
        }
        self.state.generation += 1;
        self.migrate();
        self.restart();
        self.record();
    }

    /// Short terms for the bank, measured on every search architecture in one go before anything else.
    fn probes(&mut self) -> Vec<Candidate> {
        let wanted = self.settings.algorithm != Algorithm::Random && self.space.looks();
        if self.state.generation > 0 || !wanted {
            return Vec::new();
        }
        let pass = self.eval.number(0, "flops", None).unwrap_or(0.0).max(1.0);
        let islands = self.state.islands.len();
        let settings = self.settings;
        let one = |slot: usize| {
            let mut s = Stream::new(settings.seed, &format!("evolve/probe/{slot}"));
            let c = self.space.probe(&mut s).and_then(|g| self.admit(g, slot % islands))?;
            (c.cost % pass <= PROBE_COST * pass).then_some(c)
        };
        (0..PROBE_DRAWS * settings.probes).filter_map(one).take(settings.probes).collect()
    }
}
