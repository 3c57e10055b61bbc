//! Everything the rank table says about one proxy.

use super::top::count;
use super::{
    Interval, MetricError, SizeControlled, best_rank, bootstrap, distinct, kendall, overlap, pearson,
    precision_bottom, precision_top, regret, size_controlled, spearman, tau_within_top, weighted_tau,
    worst_rank,
};
use serde::Serialize;

/// What to compute besides the fixed statistics.
#[derive(Clone, Debug)]
pub struct Options {
    /// k of the top-k statistics, as a share of n.
    pub top: f64,
    /// Relative difference of parameter counts that still counts as the same size.
    pub size_tolerance: f64,
    /// Bootstrap resamples; 0 leaves the intervals out.
    pub resamples: usize,
    /// Coverage of the intervals.
    pub level: f64,
    /// Seed of the resampling.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { top: 0.1, size_tolerance: 0.1, resamples: 1000, level: 0.95, seed: 0 }
    }
}

/// τ within the truly best part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TopTau {
    /// The part, per cent.
    pub percent: u32,
    /// τ-b in it.
    pub tau_b: Option<f64>,
    /// τ-a in it.
    pub tau_a: Option<f64>,
}

/// All statistics of one proxy against one ground truth; `None` where one does not exist.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Architectures.
    pub n: usize,
    /// Kendall's τ-b.
    pub tau_b: Option<f64>,
    /// Kendall's τ-a.
    pub tau_a: f64,
    /// Spearman's ρ.
    pub rho: Option<f64>,
    /// Pearson's r.
    pub r: Option<f64>,
    /// Weighted τ.
    pub tau_weighted: Option<f64>,
    /// Number of distinct scores.
    pub distinct: usize,
    /// Size-controlled τ, where parameter counts were given.
    pub size_controlled: Option<SizeControlled>,
    /// τ within the top 10, 30 and 50 %.
    pub top: Vec<TopTau>,
    /// k of the five following.
    pub k: usize,
    /// Expected number of the k truly best among the k best scored.
    pub overlap: f64,
    /// P@top-k.
    pub precision_top: f64,
    /// P@bottom-k.
    pub precision_bottom: f64,
    /// BR@k, a share of n.
    pub best_rank: f64,
    /// WR@k, a share of n.
    pub worst_rank: f64,
    /// Regret at k, in units of the ground truth.
    pub regret: f64,
    /// Interval of τ-b.
    pub tau_b_ci: Option<Interval>,
    /// Interval of ρ.
    pub rho_ci: Option<Interval>,
}

/// All statistics of `scores` against `truth` (higher is better); `params` are parameter counts.
///
/// # Errors
/// As all of the module.
pub fn summarise(
    scores: &[f64],
    truth: &[f64],
    params: Option<&[f64]>,
    options: &Options,
) -> Result<Summary, MetricError> {
    let tau = kendall(scores, truth)?;
    let k = count(scores.len(), options.top);
    let sized = |p| size_controlled(scores, truth, p, options.size_tolerance);
    let interval = |statistic: fn(&[f64], &[f64]) -> Option<f64>| {
        bootstrap(scores.len(), options.resamples, options.level, options.seed, |indices| {
            let pick = |v: &[f64]| -> Vec<f64> { indices.iter().map(|&i| v[i]).collect() };
            statistic(&pick(scores), &pick(truth))
        })
    };
    Ok(Summary {
        n: scores.len(),
        tau_b: tau.tau_b,
        tau_a: tau.tau_a,
        rho: spearman(scores, truth)?,
        r: pearson(scores, truth)?,
        tau_weighted: weighted_tau(scores, truth)?,
        distinct: distinct(scores),
        size_controlled: params.map(sized).transpose()?,
        top: [10, 30, 50].into_iter().map(|p| top_tau(scores, truth, p)).collect::<Result<_, _>>()?,
        k,
        overlap: overlap(scores, truth, k)?,
        precision_top: precision_top(scores, truth, k)?,
        precision_bottom: precision_bottom(scores, truth, k)?,
        best_rank: best_rank(scores, truth, k)?,
        worst_rank: worst_rank(scores, truth, k)?,
        regret: regret(scores, truth, k)?,
        tau_b_ci: interval(|s, t| kendall(s, t).ok()?.tau_b),
        rho_ci: interval(|s, t| spearman(s, t).ok()?),
    })
}

fn top_tau(scores: &[f64], truth: &[f64], percent: u32) -> Result<TopTau, MetricError> {
    let tau = tau_within_top(scores, truth, f64::from(percent) / 100.0)?;
    Ok(TopTau { percent, tau_b: tau.and_then(|t| t.tau_b), tau_a: tau.map(|t| t.tau_a) })
}
