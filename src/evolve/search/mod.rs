//! The search: generations of proposals, evaluated together, on islands that exchange members.
//!
//! Everything random is drawn from streams keyed by (seed, island, generation, slot, attempt), and
//! what a generation looks at changes only at its barrier, so that the run does not depend on
//! threads, and goes on from a checkpoint as if it had not been interrupted.

mod barrier;
mod ladder;
mod step;

use super::analysis::Analysis;
use super::bank::Bank;
use super::evaluator::{Evaluator, Halt};
use super::judge::Judge;
use super::population::{Hall, Individual, Make};
use super::rules::Counted;
use super::settings::Settings;
use super::space::{Genome, Space};
use super::terms::Terms;
use crate::ir::Dag;
use crate::ir::key::{Key, key_of};
use crate::random::Stream;
use ladder::{Candidate, Rung};
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use step::Broken;

/// Attempts to fill a slot before it stays empty.
const ATTEMPTS: usize = 40;

/// Share of the first generation that is drawn at random where probes were measured.
const UNSEEN: usize = 4;

/// A population of its own.
#[derive(Clone, Debug, Default)]
pub struct Island {
    /// Members, sorted by the algorithm.
    pub members: Vec<Individual>,
    /// Best fitness since the last start.
    pub best: f64,
    /// Generations since it got better.
    pub stale: u64,
    /// Starts after the first.
    pub restarts: u64,
}

/// One line of the history: no wall time in it, so that equal runs have equal histories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Generation.
    pub generation: u64,
    /// Programs evaluated so far.
    pub evaluations: u64,
    /// Best fitness so far.
    pub best: f64,
    /// Complexity of the best.
    pub complexity: f64,
    /// Mean fitness over all islands.
    pub mean: f64,
    /// Members of all islands.
    pub members: usize,
    /// Restarts so far.
    pub restarts: u64,
    /// Rejections so far, by rule.
    pub rejected: Vec<u64>,
}

/// What a checkpoint holds.
#[derive(Clone, Debug)]
pub struct State {
    /// Generations done.
    pub generation: u64,
    /// Programs evaluated (on at least one rung).
    pub evaluations: u64,
    /// Proposals that did not type-check.
    pub ill_typed: u64,
    /// Islands.
    pub islands: Vec<Island>,
    /// The best so far.
    pub hall: Hall,
    /// Canonical forms met.
    pub met: FxHashSet<Key>,
    /// Scores met on the first rung.
    pub fingerprints: FxHashSet<Key>,
    /// Rules.
    pub rules: Counted,
    /// One line per generation.
    pub history: Vec<Line>,
}

impl State {
    /// Before the first generation.
    pub fn new(islands: usize, rules: Counted) -> Self {
        State {
            generation: 0,
            evaluations: 0,
            ill_typed: 0,
            islands: vec![Island::default(); islands],
            hall: Hall::default(),
            met: FxHashSet::default(),
            fingerprints: FxHashSet::default(),
            rules,
            history: Vec::new(),
        }
    }
}

/// A running search.
pub struct Search<'a> {
    settings: &'a Settings,
    space: &'a dyn Space,
    eval: &'a mut dyn Evaluator,
    rungs: Vec<Rung>,
    /// Architectures of the first rung: those that scores are told apart by.
    rungs_first: usize,
    dag: Dag,
    analysis: Analysis,
    bank: Bank,
    initial: Vec<Genome>,
    halt: Halt<'a>,
    broken: Broken,
    /// Terms with their values.
    pub terms: Terms,
    /// Everything that evolves.
    pub state: State,
}

impl<'a> Search<'a> {
    /// A search over `archs` (the search part of the split) with their truth and benchmarks.
    ///
    /// # Errors
    /// When a rule in the settings is unknown.
    pub fn new(
        settings: &'a Settings,
        space: &'a dyn Space,
        eval: &'a mut dyn Evaluator,
        archs: &[usize],
        truth: &[f64],
        bench: &[usize],
    ) -> Result<Self, String> {
        let judge = |n: usize| Judge::new(settings.measure, settings.over, truth[..n].to_vec(), &bench[..n]);
        let several = bench.iter().any(|b| *b != bench[0]);
        let below = settings.ladder.iter().copied().filter(|&n| !several && n < archs.len());
        let rungs: Vec<Rung> = below
            .chain([archs.len()])
            .map(|n| Rung { archs: archs[..n].to_vec(), judge: judge(n) })
            .collect();
        let bank = Bank::new(&judge(archs.len()), eval, archs.to_vec());
        let state = State::new(settings.islands, Counted::without(&settings.no_rules)?);
        let rungs_first = rungs.first().map_or(0, |r| r.archs.len());
        Ok(Search {
            settings,
            space,
            eval,
            rungs,
            rungs_first,
            dag: Dag::default(),
            analysis: Analysis::default(),
            bank,
            initial: Vec::new(),
            halt: &|| false,
            broken: Broken::default(),
            terms: Terms::default(),
            state,
        })
    }

    /// Genomes that stand in the first generation of the first island.
    pub fn seed_with(&mut self, genomes: Vec<Genome>) {
        self.initial = genomes;
    }

    /// Asked between architectures whether to break the generation off.
    pub fn halt_when(&mut self, halt: Halt<'a>) {
        self.halt = halt;
    }

    /// Seconds that a run of an architecture took one thread, on average.
    pub fn seconds_per_architecture(&self) -> f64 {
        self.eval.seconds_per_architecture()
    }

    /// Goes on from a checkpoint.
    pub fn resume(&mut self, state: State, terms: Terms) {
        self.terms = terms;
        self.state = state;
        self.remember();
    }

    /// Shows what is known of terms to spaces that look at it.
    fn remember(&mut self) {
        if self.space.looks() {
            self.bank.update(&self.terms);
        }
    }

    fn propose_all(&mut self, probed: bool) -> Vec<Candidate> {
        let bank = std::mem::replace(&mut self.bank, Bank::empty());
        let mut out = Vec::new();
        for island in 0..self.state.islands.len() {
            let filled = !self.state.islands[island].members.is_empty();
            let size = self.settings.population;
            let slots = match filled {
                true => self.settings.algorithm.offspring(size),
                false if probed => (size / UNSEEN).max(self.initial.len()).max(1),
                false => size,
            };
            for slot in 0..slots {
                out.extend(self.propose(island, slot, filled, &bank));
            }
        }
        self.bank = bank;
        out
    }

    fn propose(&mut self, island: usize, slot: usize, filled: bool, bank: &Bank) -> Option<Candidate> {
        let generation = self.state.generation;
        if generation == 0 && island == 0 && slot < self.initial.len() {
            let genome = self.initial[slot].clone();
            if let Some(c) = self.admit(genome, island) {
                return Some(c);
            }
        }
        (0..ATTEMPTS).find_map(|attempt| {
            let name = format!("evolve/{island}/{generation}/{slot}/{attempt}");
            let mut s = Stream::new(self.settings.seed, &name);
            let genome = self.draw(island, filled, &mut s, bank);
            self.admit(genome, island)
        })
    }

    fn draw(&self, island: usize, filled: bool, s: &mut Stream, bank: &Bank) -> Genome {
        let members = &self.state.islands[island].members;
        let make = if filled { self.settings.algorithm.make(members, s) } else { Make::Random };
        match make {
            Make::Random => self.space.random(s),
            Make::Mutate(a) => self.space.mutate(&members[a].genome, s, bank),
            Make::Cross(a, b) => {
                let child = self.space.cross(&members[a].genome, &members[b].genome, s);
                if s.below(2) == 0 { self.space.mutate(&child, s, bank) } else { child }
            }
        }
    }
}

/// Identity of a ranking, whichever way it was turned.
pub fn ranking(scores: &[f64], sign: f64) -> Key {
    let turned: Vec<f64> = scores.iter().map(|x| x * sign).collect();
    let ranks: Vec<u64> = crate::metric::average_ranks(&turned).iter().map(|r| r.to_bits()).collect();
    key_of(&ranks)
}
