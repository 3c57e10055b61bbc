//! What is reported of a program on one part of the split.

use super::judge::Over;
use crate::metric::{bootstrap, distinct, kendall, size_controlled, spearman};
use serde::{Deserialize, Serialize};

/// Resamples of the confidence intervals.
const RESAMPLES: usize = 1000;

/// An interval that holds the value with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

/// Rank statistics on one part. Over several benchmarks each is aggregated like the fitness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Architectures.
    pub n: usize,
    /// Kendall's τ-a.
    pub tau_a: f64,
    /// Kendall's τ-b; none for constant scores.
    pub tau_b: Option<f64>,
    /// Spearman's ρ; none for constant scores.
    pub rho: Option<f64>,
    /// τ over pairs of about the same number of parameters.
    pub tau_size_controlled: Option<f64>,
    /// Distinct scores.
    pub distinct: usize,
    /// Bootstrap interval of τ-a.
    pub tau_a_ci: Option<Interval>,
    /// Bootstrap interval of ρ.
    pub rho_ci: Option<Interval>,
}

/// One part of the split, as far as statistics need it.
pub struct Part {
    /// Architectures.
    pub archs: Vec<usize>,
    /// Ground truth of each, higher is better.
    pub truth: Vec<f64>,
    /// Parameter count of each.
    pub params: Vec<f64>,
    /// Benchmark of each.
    pub bench: Vec<usize>,
    /// Over benchmarks.
    pub over: Over,
}

impl Part {
    /// Figures of scores, in the order of [`Part::archs`]; `seed` draws the resamples.
    pub fn figures(&self, scores: &[f64], seed: u64) -> Figures {
        let count = self.bench.iter().max().map_or(0, |b| b + 1);
        let each: Vec<Figures> = (0..count).filter_map(|b| self.of(b, scores, seed)).collect();
        if each.len() == 1 {
            return each[0].clone();
        }
        let fold = |get: &dyn Fn(&Figures) -> Option<f64>| -> Option<f64> {
            let all: Option<Vec<f64>> = each.iter().map(get).collect();
            let all = all.filter(|v| !v.is_empty())?;
            Some(match self.over {
                Over::Worst => all.iter().copied().fold(f64::INFINITY, f64::min),
                Over::Mean => all.iter().sum::<f64>() / all.len() as f64,
            })
        };
        Figures {
            n: each.iter().map(|f| f.n).sum(),
            tau_a: fold(&|f| Some(f.tau_a)).unwrap_or(0.0),
            tau_b: fold(&|f| f.tau_b),
            rho: fold(&|f| f.rho),
            tau_size_controlled: fold(&|f| f.tau_size_controlled),
            distinct: each.iter().map(|f| f.distinct).sum(),
            tau_a_ci: None,
            rho_ci: None,
        }
    }

    fn of(&self, bench: usize, scores: &[f64], seed: u64) -> Option<Figures> {
        let places: Vec<usize> = (0..self.bench.len()).filter(|&i| self.bench[i] == bench).collect();
        if places.len() < 2 {
            return None;
        }
        let pick = |v: &[f64]| places.iter().map(|&i| v[i]).collect::<Vec<f64>>();
        let (x, y, p) = (pick(scores), pick(&self.truth), pick(&self.params));
        let tau = kendall(&x, &y).ok()?;
        let interval = |statistic: fn(&[f64], &[f64]) -> Option<f64>| {
            let drawn = bootstrap(x.len(), RESAMPLES, 0.95, seed, |at| {
                let of = |v: &[f64]| at.iter().map(|&i| v[i]).collect::<Vec<f64>>();
                statistic(&of(&x), &of(&y))
            });
            drawn.map(|i| Interval { lo: i.lo, hi: i.hi })
        };
        Some(Figures {
            n: x.len(),
            tau_a: tau.tau_a,
            tau_b: tau.tau_b,
            rho: spearman(&x, &y).ok().flatten(),
            tau_size_controlled: size_controlled(&x, &y, &p, 0.1).ok().and_then(|s| s.tau),
            distinct: distinct(&x),
            tau_a_ci: interval(|a, b| kendall(a, b).ok().map(|k| k.tau_a)),
            rho_ci: interval(|a, b| spearman(a, b).ok().flatten()),
        })
    }
}

impl Figures {
    /// `τ-a 0.761 [0.712, 0.802], ρ 0.931 [0.901, 0.950], τ at equal size 0.64, 167 distinct scores`.
    pub fn line(&self) -> String {
        if self.n == 0 {
            return "there is no such part".to_owned();
        }
        let ci = |i: Option<Interval>| i.map_or(String::new(), |i| format!(" [{:.3}, {:.3}]", i.lo, i.hi));
        let number = |x: Option<f64>| x.map_or_else(|| "none".to_owned(), |x| format!("{x:.3}"));
        format!(
            "τ-a {:.3}{}, ρ {}{}, τ at equal size {}, {} distinct scores of {}",
            self.tau_a,
            ci(self.tau_a_ci),
            number(self.rho),
            ci(self.rho_ci),
            number(self.tau_size_controlled),
            self.distinct,
            self.n
        )
    }
}
