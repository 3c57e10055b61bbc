//! One generation's programs on their way: static rules, then rungs of more and more architectures
//! with the dynamic rules between them.

use super::super::evaluator::{Evaluator, EvaluatorError, Outcome};
use super::super::expr::Expr;
use super::super::judge::{Fitness, Judge};
use super::super::population::Individual;
use super::super::rules::Scores;
use super::super::space::Genome;
use super::{Search, ranking};
use crate::ir::key::{Key, key_of};
use crate::ir::{Dag, NodeId, Program};

/// Standard errors that racing allows.
const CONFIDENCE: f64 = 3.0;

/// A program that passed the static rules.
pub(super) struct Candidate {
    pub(super) genome: Genome,
    pub(super) root: NodeId,
    pub(super) key: Key,
    pub(super) island: usize,
    pub(super) complexity: f64,
    pub(super) cost: f64,
    pub(super) ranking: Key,
    pub(super) fitness: Option<Fitness>,
    pub(super) alive: bool,
}

/// Architectures on which programs are compared, from few to all.
pub(super) struct Rung {
    pub(super) archs: Vec<usize>,
    pub(super) judge: Judge,
}

impl Candidate {
    /// The individual it has become, if it came through.
    pub(super) fn individual(&self, born: u64) -> Option<Individual> {
        let c = self;
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
}

impl Search<'_> {
    /// Asks the static rules; what they let through counts as met.
    pub(super) fn admit(&mut self, genome: Genome, island: usize) -> Option<Candidate> {
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
        // A graph of its own: the estimate must not take longer the more was met before.
        let mut alone = Dag::default();
        let at = Expr::lift(&self.dag, root).lower(&mut alone);
        let program = Program { name: String::new(), root: at, capture: self.settings.capture };
        let cost = self.eval.cost(&alone, &program);
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
        if self.state.met.insert(key) {
            self.broken.met.push(key);
        }
        let cost = cost.unwrap_or_default();
        let complexity = facts.size as f64;
        let (ranking, fitness) = (Key::default(), None);
        Some(Candidate { genome, root, key, island, complexity, cost, ranking, fitness, alive: true })
    }

    pub(super) fn evaluate(&mut self, candidates: &mut [Candidate]) -> Result<(), EvaluatorError> {
        self.state.evaluations += candidates.len() as u64;
        let rungs = std::mem::take(&mut self.rungs);
        let done = (0..rungs.len()).try_for_each(|r| self.rung(&rungs, r, candidates));
        self.rungs = rungs;
        done
    }

    /// Measures on all architectures at once, without racing: what alone says little may say much
    /// beside others.
    pub(super) fn measure_fully(&mut self, candidates: &mut [Candidate]) -> Result<(), EvaluatorError> {
        self.state.evaluations += candidates.len() as u64;
        let rungs = std::mem::take(&mut self.rungs);
        let done = rungs.last().map_or(Ok(()), |last| self.climb(last, (true, true), candidates));
        self.rungs = rungs;
        done
    }

    fn rung(&mut self, rungs: &[Rung], r: usize, all: &mut [Candidate]) -> Result<(), EvaluatorError> {
        self.climb(&rungs[r], (r == 0, r + 1 == rungs.len()), all)
    }

    fn climb(
        &mut self,
        rung: &Rung,
        (first, last): (bool, bool),
        all: &mut [Candidate],
    ) -> Result<(), EvaluatorError> {
        let alive: Vec<usize> = (0..all.len()).filter(|&i| all[i].alive).collect();
        let roots: Vec<NodeId> = alive.iter().map(|&i| all[i].root).collect();
        let eval: &mut dyn Evaluator = &mut *self.eval;
        let rows =
            self.terms.scores((eval, self.halt), &self.dag, &roots, self.settings.capture, &rung.archs)?;
        for (&i, row) in alive.iter().zip(&rows) {
            self.judge_one(&mut all[i], row, rung, first, last);
        }
        Ok(())
    }

    fn judge_one(&mut self, c: &mut Candidate, row: &[Outcome], rung: &Rung, first: bool, last: bool) {
        let finite: Option<Vec<f64>> = row.iter().map(|o| o.as_ref().ok().copied()).collect();
        let fitness = finite.as_ref().map(|v| rung.judge.fitness(v));
        let few = self.rungs_first.min(row.len());
        let print = finite.as_ref().filter(|_| first).map(|v| fingerprint(&v[..few]));
        let n = row.len() as f64;
        // Standard error of τ where there is no correlation: an upper bound for any.
        let error = (2.0 * (2.0 * n + 5.0) / (9.0 * n * (n - 1.0))).sqrt();
        let island = &self.state.islands[c.island];
        let algorithm = self.settings.algorithm;
        let floor = algorithm.floor(&island.members, self.settings.population, c.complexity, c.cost);
        let scores = Scores {
            outcomes: row,
            finite: finite.as_deref(),
            noise: self.terms.noisy(&self.dag, c.root),
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
        if let Some(p) = print.filter(|p| self.state.fingerprints.insert(*p)) {
            self.broken.fingerprints.push(p);
        }
        if last {
            c.fitness = fitness;
            c.ranking =
                finite.as_ref().map(|v| ranking(v, fitness.map_or(1.0, |f| f.sign))).unwrap_or_default();
        }
    }
}

/// Identity of scores up to rounding: nine significant digits.
fn fingerprint(scores: &[f64]) -> Key {
    let digits: Vec<String> = scores.iter().map(|x| format!("{x:.8e}")).collect();
    key_of(&digits)
}
