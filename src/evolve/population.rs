//! Individuals, and the algorithms: who becomes a parent and who survives.

use super::judge::Fitness;
use super::space::Genome;
use crate::ir::key::Key;
use crate::metric::pareto;
use crate::random::Stream;
use serde::{Deserialize, Serialize};

/// An evaluated program.
#[derive(Clone, Debug)]
pub struct Individual {
    /// What it inherits.
    pub genome: Genome,
    /// Identity of its canonical form.
    pub key: Key,
    /// Identity of its ranking of the search architectures.
    pub ranking: Key,
    /// Fitness on the search architectures.
    pub fitness: Fitness,
    /// Nodes of its expression, equal ones once.
    pub complexity: f64,
    /// Estimated cost of one score, in additions.
    pub cost: f64,
    /// Number of evaluations when it was found.
    pub born: u64,
}

impl Individual {
    /// Objectives, all minimised.
    pub fn point(&self) -> [f64; 3] {
        [-self.fitness.value, self.complexity, self.cost]
    }
}

/// How a population moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// NSGA-II over rank correlation, complexity and cost.
    Nsga2,
    /// LPZero's: a parent from the top half, one offspring a step, the worst removed.
    Lpzero,
    /// The control: every program is drawn anew.
    Random,
    /// Every program of a finite space.
    Exhaustive,
}

/// How a genome comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// Drawn anew.
    Random,
    /// A changed copy of this member.
    Mutate(usize),
    /// A mixture of two members, changed.
    Cross(usize, usize),
}

/// Odds of the ways to make an offspring, where there is a choice.
const CROSSOVER: f64 = 0.5;
const FRESH: f64 = 0.05;

impl Algorithm {
    /// Offspring of one generation of a population of `size`.
    pub fn offspring(self, size: usize) -> usize {
        match self {
            Algorithm::Lpzero => 1,
            _ => size,
        }
    }

    /// How the next offspring comes about.
    pub fn make(self, population: &[Individual], s: &mut Stream) -> Make {
        if population.len() < 2 || self == Algorithm::Random || s.uniform() < FRESH {
            return Make::Random;
        }
        let cross = s.uniform() < CROSSOVER;
        let a = self.parent(population, s);
        if !cross {
            return Make::Mutate(a);
        }
        Make::Cross(a, self.parent(population, s))
    }

    /// Populations are kept sorted, the best first; NSGA-II's by front and crowding.
    fn parent(self, population: &[Individual], s: &mut Stream) -> usize {
        match self {
            Algorithm::Lpzero => s.below(population.len().div_ceil(2)),
            _ => s.below(population.len()).min(s.below(population.len())),
        }
    }

    /// The population of the next generation, sorted.
    pub fn survivors(self, mut all: Vec<Individual>, size: usize) -> Vec<Individual> {
        if self == Algorithm::Nsga2 {
            let points: Vec<[f64; 3]> = all.iter().map(Individual::point).collect();
            let keep = pareto::select(&points, size);
            let mut slots: Vec<Option<Individual>> = all.into_iter().map(Some).collect();
            return keep.into_iter().filter_map(|i| slots[i].take()).collect();
        }
        // Stable: of equals the older stays.
        all.sort_by(|a, b| b.fitness.value.total_cmp(&a.fitness.value));
        all.truncate(size);
        all
    }

    /// Fitness below which an offspring of this complexity and cost cannot survive; racing stops it.
    pub fn floor(self, population: &[Individual], size: usize, complexity: f64, cost: f64) -> f64 {
        if population.len() < size {
            return f64::NEG_INFINITY;
        }
        let value = |i: &Individual| i.fitness.value;
        match self {
            // The last of the population would be the one removed.
            Algorithm::Lpzero | Algorithm::Exhaustive => {
                population.iter().map(value).fold(f64::INFINITY, f64::min)
            }
            Algorithm::Random => population.iter().map(value).fold(f64::NEG_INFINITY, f64::max),
            // Dominated by at least a tenth of the population: never in a front that survives.
            Algorithm::Nsga2 => {
                let mut better: Vec<f64> = population
                    .iter()
                    .filter(|i| i.complexity <= complexity && i.cost <= cost)
                    .map(value)
                    .collect();
                better.sort_by(|a, b| b.total_cmp(a));
                better.get(size.div_ceil(10)).copied().unwrap_or(f64::NEG_INFINITY)
            }
        }
    }
}

/// The best programs met so far: the front over fitness and complexity, and the fittest, every
/// ranking once.
#[derive(Clone, Debug, Default)]
pub struct Hall {
    /// Members, the fittest first.
    pub members: Vec<Individual>,
}

/// Fittest members kept.
pub const HALL: usize = 40;

impl Hall {
    /// Offers an individual.
    pub fn offer(&mut self, new: &Individual) {
        if let Some(same) = self.members.iter_mut().find(|m| m.ranking == new.ranking) {
            // The same ranking with less is better.
            if (new.complexity, new.cost) < (same.complexity, same.cost) {
                *same = new.clone();
                self.trim();
            }
            return;
        }
        let at = self.members.partition_point(|m| m.fitness.value >= new.fitness.value);
        self.members.insert(at, new.clone());
        self.trim();
    }

    fn trim(&mut self) {
        let mut simplest = f64::INFINITY;
        let mut place = 0;
        self.members.retain(|m| {
            place += 1;
            let front = m.complexity < simplest;
            simplest = simplest.min(m.complexity);
            front || place <= HALL
        });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::evolve::space::vocab::Genes;

    pub fn individual(id: u64, value: f64, complexity: f64) -> Individual {
        Individual {
            genome: Genome::Genes(Genes(vec![id as usize])),
            key: Key::default().mix(id),
            ranking: Key::default().mix(id),
            fitness: Fitness { value, sign: 1.0 },
            complexity,
            cost: 1.0,
            born: id,
        }
    }

    #[test]
    fn the_hall_keeps_the_fittest_and_the_front() {
        let mut hall = Hall::default();
        for i in 0..500 {
            let value = 0.5 + 0.001 * i as f64;
            hall.offer(&individual(i, value, 1.0 + i as f64));
        }
        // Every one is in the front here: simpler ones rank worse.
        assert_eq!(hall.members.len(), 500);
        assert!(hall.members.windows(2).all(|w| w[0].fitness.value >= w[1].fitness.value));
        hall.offer(&individual(500, 1.0, 0.5));
        assert!(hall.members.len() <= HALL);
    }

    #[test]
    fn lpzero_removes_the_worst_and_draws_from_the_top_half() {
        let all: Vec<Individual> = (0..10).map(|i| individual(i, i as f64 / 10.0, 1.0)).collect();
        let kept = Algorithm::Lpzero.survivors(all, 9);
        assert!(kept.iter().all(|i| i.fitness.value > 0.0));
        let mut s = Stream::new(0, "t");
        for _ in 0..200 {
            match Algorithm::Lpzero.make(&kept, &mut s) {
                Make::Random => {}
                Make::Mutate(a) => assert!(a < 5),
                Make::Cross(a, b) => assert!(a < 5 && b < 5),
            }
        }
        assert!((Algorithm::Lpzero.floor(&kept, 9, 1.0, 1.0) - 0.1).abs() < 1e-12);
    }
}
