//! The search: generations of proposals, evaluated together, on islands that exchange members.
//!
//! Everything random is drawn from streams keyed by (seed, island, generation, slot, attempt), and
//! what a generation looks at changes only at its barrier, so that the run does not depend on
//! threads, and goes on from a checkpoint as if it had not been interrupted.

use super::analysis::Analysis;
use super::bank::Bank;
use super::evaluator::{Evaluator, EvaluatorError, Outcome};
use super::judge::Judge;
use super::population::{Hall, Individual, Make};
use super::rules::{Counted, Scores};
use super::settings::Settings;
use super::space::{Genome, Space};
use super::terms::Terms;
use crate::ir::key::{Key, key_of};
use crate::ir::{Dag, NodeId, Program};
use crate::random::Stream;
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

/// Attempts to fill a slot before it stays empty.
const ATTEMPTS: usize = 40;
/// Standard errors that racing allows.
const CONFIDENCE: f64 = 3.0;

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

/// A program that passed the static rules.
struct Candidate {
    genome: Genome,
    root: NodeId,
    key: Key,
    island: usize,
    complexity: f64,
    cost: f64,
    ranking: Key,
    fitness: Option<super::judge::Fitness>,
    alive: bool,
}

/// Architectures on which programs are compared, from few to all.
struct Rung {
    archs: Vec<usize>,
    judge: Judge,
}

/// A running search.
pub struct Search<'a> {
    settings: &'a Settings,
    space: &'a dyn Space,
    eval: &'a mut dyn Evaluator,
    rungs: Vec<Rung>,
    dag: Dag,
    analysis: Analysis,
    bank: Bank,
    initial: Vec<Genome>,
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
        let bank = Bank::new(judge(archs.len()), eval, archs.to_vec());
        let state = State::new(settings.islands, Counted::without(&settings.no_rules)?);
        Ok(Search {
            settings,
            space,
            eval,
            rungs,
            dag: Dag::default(),
            analysis: Analysis::default(),
            bank,
            initial: Vec::new(),
            terms: Terms::default(),
            state,
        })
    }

    /// Genomes that stand in the first generation of the first island.
    pub fn seed_with(&mut self, genomes: Vec<Genome>) {
        self.initial = genomes;
    }

    /// Goes on from a checkpoint.
    pub fn resume(&mut self, state: State, terms: Terms) {
        self.bank.update(&terms);
        self.terms = terms;
        self.state = state;
    }

    /// One generation.
    ///
    /// # Errors
    /// When an architecture cannot be run.
    pub fn step(&mut self) -> Result<(), EvaluatorError> {
        let mut candidates = self.propose_all();
        self.evaluate(&mut candidates)?;
        self.bank.update(&self.terms);
        let settings = self.settings;
        for (i, island) in self.state.islands.iter_mut().enumerate() {
            let born = self.state.evaluations;
            let new = candidates.iter().filter(|c| c.island == i).filter_map(|c| individual(c, born));
            island.members.extend(new);
            let all = std::mem::take(&mut island.members);
            island.members = settings.algorithm.survivors(all, settings.population);
        }
        for c in &candidates {
            if let Some(i) = individual(c, self.state.evaluations) {
                self.state.hall.offer(&i);
            }
        }
        self.state.generation += 1;
        self.migrate();
        self.restart();
        self.record();
        Ok(())
    }

    fn propose_all(&mut self) -> Vec<Candidate> {
        let bank = std::mem::replace(&mut self.bank, Bank::empty());
        let mut out = Vec::new();
        for island in 0..self.state.islands.len() {
            let filled = !self.state.islands[island].members.is_empty();
            let size = self.settings.population;
            let slots = if filled { self.settings.algorithm.offspring(size) } else { size };
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

    /// Asks the static rules; what they let through counts as met.
    fn admit(&mut self, genome: Genome, island: usize) -> Option<Candidate> {
        let Ok(mut root) = self.space.lower(&genome, &mut self.dag) else {
            self.state.ill_typed += 1;
            return None;
        };
        // Where a genome is an expression, its canonical form takes its place.
        let genome = match genome {
            Genome::Expr(_) => {
                let simple = self.analysis.simple(&self.dag, root).clone();
                root = simple.lower(&mut self.dag);
                Genome::Expr(simple)
            }
            other => other,
        };
        let (mut facts, key) = self.analysis.facts(&self.dag, root, &*self.eval);
        let program = Program { name: String::new(), root, capture: self.settings.capture };
        let cost = self.eval.cost(&self.dag, &program);
        facts.shape_conflict = cost.is_err();
        let pass = self.eval.number(0, "flops", None).unwrap_or(0.0).max(1.0);
        facts.passes = cost.as_ref().map_or(0.0, |c| c / pass);
        facts.max_passes = self.settings.max_cost;
        facts.met = self.state.met.contains(&key);
        facts.max_size = self.settings.max_size;
        facts.max_depth = self.settings.max_depth;
        if self.state.rules.before(&facts) {
            return None;
        }
        self.state.met.insert(key);
        let cost = cost.unwrap_or_default();
        let complexity = facts.size as f64;
        let (ranking, fitness) = (Key::default(), None);
        Some(Candidate { genome, root, key, island, complexity, cost, ranking, fitness, alive: true })
    }

    fn evaluate(&mut self, candidates: &mut [Candidate]) -> Result<(), EvaluatorError> {
        self.state.evaluations += candidates.len() as u64;
        let rungs = std::mem::take(&mut self.rungs);
        let done = (0..rungs.len()).try_for_each(|r| self.rung(&rungs, r, candidates));
        self.rungs = rungs;
        done
    }

    fn rung(&mut self, rungs: &[Rung], r: usize, all: &mut [Candidate]) -> Result<(), EvaluatorError> {
        let rung = &rungs[r];
        let alive: Vec<usize> = (0..all.len()).filter(|&i| all[i].alive).collect();
        let roots: Vec<NodeId> = alive.iter().map(|&i| all[i].root).collect();
        let rows = self.terms.scores(self.eval, &self.dag, &roots, self.settings.capture, &rung.archs)?;
        for (&i, row) in alive.iter().zip(&rows) {
            let last = r + 1 == rungs.len();
            self.judge_one(&mut all[i], row, rung, r == 0, last);
        }
        Ok(())
    }

    fn judge_one(&mut self, c: &mut Candidate, row: &[Outcome], rung: &Rung, first: bool, last: bool) {
        let finite: Option<Vec<f64>> = row.iter().map(|o| o.as_ref().ok().copied()).collect();
        let fitness = finite.as_ref().map(|v| rung.judge.fitness(v));
        let print = finite.as_ref().filter(|_| first).map(|v| fingerprint(v));
        let n = row.len() as f64;
        // Standard error of τ where there is no correlation: an upper bound for any.
        let error = (2.0 * (2.0 * n + 5.0) / (9.0 * n * (n - 1.0))).sqrt();
        let island = &self.state.islands[c.island];
        let algorithm = self.settings.algorithm;
        let floor = algorithm.floor(&island.members, self.settings.population, c.complexity, c.cost);
        let scores = Scores {
            outcomes: row,
            finite: finite.as_deref(),
            noise: self.eval.noisy(&self.dag, c.root),
            met: print.is_some_and(|p| self.state.fingerprints.contains(&p)),
            bound: match fitness {
                Some(f) if !last => f.value + CONFIDENCE * error,
                _ => f64::INFINITY,
            },
            floor,
        };
        if self.state.rules.after(&scores) {
            c.alive = false;
            return;
        }
        self.state.fingerprints.extend(print);
        if last {
            c.fitness = fitness;
            c.ranking =
                finite.as_ref().map(|v| ranking(v, fitness.map_or(1.0, |f| f.sign))).unwrap_or_default();
        }
    }

    /// Every island's best goes to the next one, where it takes the place of the last.
    fn migrate(&mut self) {
        let n = self.state.islands.len();
        let due = self.state.generation.is_multiple_of(self.settings.migrate_every.max(1));
        if n < 2 || !due {
            return;
        }
        let best: Vec<Option<Individual>> =
            self.state.islands.iter().map(|i| best_of(&i.members).cloned()).collect();
        for (i, guest) in best.into_iter().enumerate() {
            let host = &mut self.state.islands[(i + 1) % n].members;
            let Some(guest) = guest else { continue };
            if host.iter().all(|m| m.key != guest.key) {
                host.pop();
                host.push(guest);
                let all = std::mem::take(host);
                *host = self.settings.algorithm.survivors(all, self.settings.population);
            }
        }
    }

    /// An island that has not got better for long starts anew; the hall keeps what it found.
    fn restart(&mut self) {
        for island in &mut self.state.islands {
            let best = best_of(&island.members).map_or(0.0, |b| b.fitness.value);
            if best > island.best + 1e-9 {
                island.best = best;
                island.stale = 0;
                continue;
            }
            island.stale += 1;
            if island.stale >= self.settings.plateau {
                *island = Island { restarts: island.restarts + 1, ..Island::default() };
            }
        }
    }

    fn record(&mut self) {
        let members = || self.state.islands.iter().flat_map(|i| &i.members);
        let count = members().count();
        let sum: f64 = members().map(|m| m.fitness.value).sum();
        let best = self.state.hall.members.first();
        self.state.history.push(Line {
            generation: self.state.generation,
            evaluations: self.state.evaluations,
            best: best.map_or(0.0, |b| b.fitness.value),
            complexity: best.map_or(0.0, |b| b.complexity),
            mean: sum / count.max(1) as f64,
            members: count,
            restarts: self.state.islands.iter().map(|i| i.restarts).sum(),
            rejected: self.state.rules.counts.clone(),
        });
    }
}

fn best_of(members: &[Individual]) -> Option<&Individual> {
    members.iter().max_by(|a, b| {
        a.fitness.value.total_cmp(&b.fitness.value).then(b.complexity.total_cmp(&a.complexity))
    })
}

fn individual(c: &Candidate, born: u64) -> Option<Individual> {
    Some(Individual {
        genome: c.genome.clone(),
        key: c.key,
        ranking: c.ranking,
        fitness: c.fitness?,
        complexity: c.complexity,
        cost: c.cost,
        born,
    })
}

/// Identity of scores up to rounding: nine significant digits.
fn fingerprint(scores: &[f64]) -> Key {
    let digits: Vec<String> = scores.iter().map(|x| format!("{x:.8e}")).collect();
    key_of(&digits)
}

/// Identity of a ranking, whichever way it was turned.
pub fn ranking(scores: &[f64], sign: f64) -> Key {
    let turned: Vec<f64> = scores.iter().map(|x| x * sign).collect();
    let ranks: Vec<u64> = crate::metric::average_ranks(&turned).iter().map(|r| r.to_bits()).collect();
    key_of(&ranks)
}
