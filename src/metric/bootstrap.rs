//! Bootstrap confidence intervals.

use crate::random::Stream;
use serde::Serialize;

/// A percentile interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

/// Percentile bootstrap interval (Efron, 1979) of `statistic`, which gets the indices drawn with
/// replacement out of `0..n`. Resamples where it is `None` are left out; `None` when fewer than half
/// remain. `level` is the coverage, 0.95 for a 95 % interval. The same seed gives the same interval.
pub fn bootstrap(
    n: usize,
    resamples: usize,
    level: f64,
    seed: u64,
    mut statistic: impl FnMut(&[usize]) -> Option<f64>,
) -> Option<Interval> {
    let mut stream = Stream::new(seed, "bootstrap");
    let mut values = Vec::with_capacity(resamples);
    let mut indices = vec![0; n];
    for _ in 0..resamples {
        indices.fill_with(|| stream.below(n));
        values.extend(statistic(&indices).filter(|v| v.is_finite()));
    }
    if values.is_empty() || values.len() * 2 < resamples {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - level) / 2.0;
    Some(Interval { lo: quantile(&values, tail), hi: quantile(&values, 1.0 - tail) })
}

/// Quantile of sorted values, linear between neighbours.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * (place - place.floor())
}
