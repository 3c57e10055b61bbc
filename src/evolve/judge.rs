//! What a ranking is worth: a rank correlation with the ground truth, over one or several benchmarks.

use crate::metric::{kendall, spearman};
use serde::{Deserialize, Serialize};

/// Which correlation is the fitness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Kendall's τ-a: ties count as undecided, so that few distinct scores are not rewarded.
    TauA,
    /// Kendall's τ-b.
    TauB,
    /// Spearman's ρ.
    Rho,
}

/// How several benchmarks become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// The worst benchmark counts.
    Worst,
    /// The mean counts.
    Mean,
}

/// Fitness of a program.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitness {
    /// Correlation after the sign was fixed; at least as good as its negative.
    pub value: f64,
    /// 1, or -1 where the program ranks the other way.
    pub sign: f64,
}

/// Judges scores on one set of architectures.
#[derive(Clone, Debug)]
pub struct Judge {
    /// Correlation.
    pub measure: Measure,
    /// Over benchmarks.
    pub over: Over,
    /// Per benchmark: positions in the score vector.
    positions: Vec<Vec<usize>>,
    truth: Vec<f64>,
}

impl Judge {
    /// `truth` (higher is better) and the benchmark of every architecture, in the order of scores.
    pub fn new(measure: Measure, over: Over, truth: Vec<f64>, bench: &[usize]) -> Self {
        let count = bench.iter().max().map_or(0, |m| m + 1);
        let positions = (0..count).map(|b| (0..bench.len()).filter(|&i| bench[i] == b).collect()).collect();
        Judge { measure, over, positions, truth }
    }

    /// Ground truth in the order of scores.
    pub fn truth(&self) -> &[f64] {
        &self.truth
    }

    /// Positions in the score vector, by benchmark.
    pub fn groups(&self) -> &[Vec<usize>] {
        &self.positions
    }

    /// Correlation of the scores as they are, per benchmark (0 where undefined).
    pub fn correlations(&self, scores: &[f64]) -> Vec<f64> {
        self.positions.iter().map(|p| self.correlation(p, scores)).collect()
    }

    fn correlation(&self, positions: &[usize], scores: &[f64]) -> f64 {
        let x: Vec<f64> = positions.iter().map(|&i| scores[i]).collect();
        let y: Vec<f64> = positions.iter().map(|&i| self.truth[i]).collect();
        match self.measure {
            Measure::TauA => kendall(&x, &y).map(|k| k.tau_a).unwrap_or(0.0),
            Measure::TauB => kendall(&x, &y).ok().and_then(|k| k.tau_b).unwrap_or(0.0),
            Measure::Rho => spearman(&x, &y).ok().flatten().unwrap_or(0.0),
        }
    }

    /// Fitness of finite scores; the sign is the one with the better aggregate.
    pub fn fitness(&self, scores: &[f64]) -> Fitness {
        let each = self.correlations(scores);
        let up = self.aggregate(each.iter().copied());
        let down = self.aggregate(each.iter().map(|x| -x));
        if up >= down { Fitness { value: up, sign: 1.0 } } else { Fitness { value: down, sign: -1.0 } }
    }

    /// The benchmarks' correlations as one number.
    pub fn aggregate(&self, each: impl Iterator<Item = f64>) -> f64 {
        let each: Vec<f64> = each.collect();
        match self.over {
            Over::Worst => each.iter().copied().fold(f64::INFINITY, f64::min),
            Over::Mean => each.iter().sum::<f64>() / each.len().max(1) as f64,
        }
    }
}
