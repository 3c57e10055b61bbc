//! What one program comes to on a benchmark.

use crate::cli::error::{CliError, failed};
use crate::cli::programs::Programs;
use crate::metric::{Options, Summary, kendall, summarise};
use crate::report::statistic;
use crate::score::many::Architecture;

/// Scores of one program on every architecture.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) baseline: bool,
    /// Mean over seeds; `None` where it has no score.
    pub(super) scores: Vec<Option<f64>>,
    /// The first reason for having no score.
    pub(super) reason: Option<String>,
    /// Some of it is built on rounding noise.
    pub(super) noise: bool,
    pub(super) seconds: f64,
    pub(super) flops: f64,
    pub(super) summary: Option<Summary>,
    /// τ-b of every seed alone.
    pub(super) tau_by_seed: Vec<f64>,
}

impl Row {
    /// Program `p`, whose scores stand in the runs, one for every seed.
    pub(super) fn new(programs: &Programs, p: usize, runs: &[Vec<Architecture>], truth: &[f64]) -> Self {
        let n = runs[0].len();
        let score = |run: &Vec<Architecture>, i: usize| run[i].scores.scores[p].clone();
        let over_seeds = |i: usize| {
            let values: Option<Vec<f64>> = runs.iter().map(|r| score(r, i).value.ok()).collect();
            values.map(|v| mean(&v))
        };
        let all = || runs.iter().flat_map(|r| (0..n).map(move |i| score(r, i)));
        let count = (n * runs.len()) as f64;
        let tau_by_seed = |r: &Vec<Architecture>| {
            let pairs: Vec<(f64, f64)> =
                (0..n).filter_map(|i| Some((score(r, i).value.ok()?, truth[i]))).collect();
            let (s, t): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            kendall(&s, &t).ok().and_then(|k| k.tau_b)
        };
        Row {
            name: programs.programs[p].name.clone(),
            baseline: programs.baseline[p],
            scores: (0..n).map(over_seeds).collect(),
            reason: all().find_map(|s| s.value.err()).map(|d| format!("{} at {}", d.reason, d.at)),
            noise: all().any(|s| s.rounding_noise),
            seconds: all().map(|s| s.cost.unwrap_or_default().seconds).sum::<f64>() / count,
            flops: all().map(|s| s.cost.unwrap_or_default().flops).sum::<f64>() / count,
            summary: None,
            tau_by_seed: runs.iter().filter_map(tau_by_seed).collect(),
        }
    }

    /// Compares the scores there are with the truth, where there are two of them.
    ///
    /// # Errors
    /// Never for scores and truths that are finite.
    pub(super) fn summarise(&mut self, truth: &[f64], params: &[f64], seed: u64) -> Result<(), CliError> {
        let keep: Vec<usize> = (0..self.scores.len()).filter(|&i| self.scores[i].is_some()).collect();
        if keep.len() < 2 {
            return Ok(());
        }
        let pick = |v: &[f64]| -> Vec<f64> { keep.iter().map(|&i| v[i]).collect() };
        let scored: Vec<f64> = self.scores.iter().flatten().copied().collect();
        let options = Options { seed, ..Options::default() };
        let done = summarise(&scored, &pick(truth), Some(&pick(params)), &options);
        self.summary = Some(done.map_err(failed)?);
        Ok(())
    }

    /// τ-b, what tables are sorted by; last where there is none.
    pub(super) fn tau(&self) -> f64 {
        self.summary.as_ref().and_then(|s| s.tau_b).unwrap_or(f64::NEG_INFINITY)
    }

    /// What stands behind the name: a baseline, rounding noise, or nothing.
    pub(super) fn mark(&self) -> &'static str {
        match (self.baseline, self.noise) {
            (true, _) => " *",
            (_, true) => " ~",
            _ => "",
        }
    }

    /// Name, τ-b, its interval (ends joined by `to`), τ-a, ρ, r, weighted τ, τ-b in the top 30 %,
    /// size-controlled τ, P@10 %: what every table of ranks begins with.
    pub(super) fn statistics(&self, to: &str) -> Vec<String> {
        let s = self.summary.as_ref();
        let top = s.and_then(|s| s.top.iter().find(|t| t.percent == 30)?.tau_b);
        let ci = s.and_then(|s| s.tau_b_ci);
        vec![
            format!("{}{}", self.name, self.mark()),
            statistic(s.and_then(|s| s.tau_b)),
            ci.map_or("-".to_owned(), |c| format!("{:.3}{to}{:.3}", c.lo, c.hi)),
            statistic(s.map(|s| s.tau_a)),
            statistic(s.and_then(|s| s.rho)),
            statistic(s.and_then(|s| s.r)),
            statistic(s.and_then(|s| s.tau_weighted)),
            statistic(top),
            statistic(s.and_then(|s| s.size_controlled.as_ref()?.tau)),
            statistic(s.map(|s| s.precision_top)),
        ]
    }

    /// Distinct scores, and architectures with a score.
    pub(super) fn counts(&self) -> [String; 2] {
        let distinct = self.summary.as_ref().map_or("-".to_owned(), |s| s.distinct.to_string());
        [distinct, self.scores.iter().flatten().count().to_string()]
    }
}

/// The mean of finite numbers, finite even where their sum is not.
fn mean(v: &[f64]) -> f64 {
    let (sum, n) = (v.iter().sum::<f64>(), v.len() as f64);
    if sum.is_finite() { sum / n } else { v.iter().map(|x| x / n).sum() }
}

#[cfg(test)]
mod tests {
    use super::mean;

    #[test]
    fn a_mean_is_finite() {
        assert_eq!(mean(&[1.0, 2.0, 6.0]), 3.0);
        assert_eq!(mean(&[1.5e308, 1.5e308]), 1.5e308);
        assert_eq!(mean(&[f64::MAX, f64::MAX, f64::MIN, f64::MIN]), 0.0);
    }
}
