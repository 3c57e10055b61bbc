//! Statistics about the best architectures: what matters when one of them is going to be trained.
//!
//! P@top-k, P@bottom-k, BR@k and WR@k are those of Ning et al., "Evaluating Efficient Performance
//! Estimators of Neural Architectures" (NeurIPS 2021). Their k is a number of architectures here;
//! [`count`] turns a fraction into one.

use super::kendall::by;
use super::{Kendall, MetricError, kendall, validate};

/// ⌈fraction · n⌉, at least 1 and at most n.
pub(super) fn count(n: usize, fraction: f64) -> usize {
    // The small subtraction keeps 0.3 · 10 = 3.0000000000000004 at 3.
    ((fraction * n as f64 - 1e-9).ceil().max(1.0) as usize).min(n)
}

/// Probability of each element to be among the `k` largest when ties are broken at random.
fn membership(values: &[f64], k: usize) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let border = sorted[k - 1];
    let above = values.iter().filter(|v| **v > border).count();
    let tied = values.iter().filter(|v| **v == border).count();
    let share = (k - above) as f64 / tied as f64;
    let of = |v: &f64| if *v > border { 1.0 } else { f64::from(u8::from(*v == border)) * share };
    values.iter().map(of).collect()
}

fn validate_top(scores: &[f64], truth: &[f64], k: usize) -> Result<(), MetricError> {
    validate(scores, truth)?;
    if k == 0 || k > scores.len() {
        return Err(MetricError::TopK { k, n: scores.len() });
    }
    Ok(())
}

fn negated(v: &[f64]) -> Vec<f64> {
    v.iter().map(|x| -x).collect()
}

/// Expected number of architectures that are both among the `k` best scored and the `k` truly best.
///
/// # Errors
/// As all of the module; `k` of 0 or above n.
pub fn overlap(scores: &[f64], truth: &[f64], k: usize) -> Result<f64, MetricError> {
    validate_top(scores, truth, k)?;
    Ok(membership(scores, k).iter().zip(membership(truth, k)).map(|(a, b)| a * b).sum())
}

/// P@top-k: the share of the `k` truly best among the `k` best scored.
///
/// # Errors
/// As [`overlap`].
pub fn precision_top(scores: &[f64], truth: &[f64], k: usize) -> Result<f64, MetricError> {
    Ok(overlap(scores, truth, k)? / k as f64)
}

/// P@bottom-k: the share of the `k` truly worst among the `k` worst scored.
///
/// # Errors
/// As [`overlap`].
pub fn precision_bottom(scores: &[f64], truth: &[f64], k: usize) -> Result<f64, MetricError> {
    precision_top(&negated(scores), &negated(truth), k)
}

/// Expected maximum of `value` over the `k` best scored.
fn expected_max(scores: &[f64], value: &[f64], k: usize) -> f64 {
    let share = membership(scores, k);
    let certain = (0..value.len()).filter(|&i| share[i] >= 1.0);
    let floor = certain.clone().map(|i| value[i]).fold(f64::NEG_INFINITY, f64::max);
    let mut tied: Vec<usize> = (0..value.len()).filter(|&i| share[i] > 0.0 && share[i] < 1.0).collect();
    tied.sort_by(|&i, &j| by(value, j, i));
    let chosen = k - certain.count();
    if tied.is_empty() || chosen == 0 {
        return floor;
    }
    // Walk from the largest: with m of t to choose and none of the first j chosen, the next one is
    // chosen with probability m / (t - j).
    let mut expected = 0.0;
    let mut none_yet = 1.0;
    for (j, &i) in tied.iter().enumerate() {
        let next = (chosen as f64 / (tied.len() - j) as f64).min(1.0);
        expected += none_yet * next * value[i].max(floor);
        none_yet *= 1.0 - next;
    }
    expected
}

/// True ranks, 1 the best; equal ones share the best of their ranks.
fn true_ranks(truth: &[f64]) -> Vec<f64> {
    let mut sorted = truth.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    truth.iter().map(|v| 1.0 + sorted.partition_point(|s| s > v) as f64).collect()
}

/// BR@k: the true rank of the best among the `k` best scored, divided by n (1/n is perfect).
///
/// # Errors
/// As [`overlap`].
pub fn best_rank(scores: &[f64], truth: &[f64], k: usize) -> Result<f64, MetricError> {
    validate_top(scores, truth, k)?;
    Ok(-expected_max(scores, &negated(&true_ranks(truth)), k) / truth.len() as f64)
}

/// WR@k: the true rank of the worst among the `k` best scored, divided by n (k/n is perfect).
///
/// # Errors
/// As [`overlap`].
pub fn worst_rank(scores: &[f64], truth: &[f64], k: usize) -> Result<f64, MetricError> {
    validate_top(scores, truth, k)?;
    Ok(expected_max(scores, &true_ranks(truth), k) / truth.len() as f64)
}

/// Regret at k: the best true value minus the best true value among the `k` best scored, in units of
/// the ground truth.
///
/// # Errors
/// As [`overlap`].
pub fn regret(scores: &[f64], truth: &[f64], k: usize) -> Result<f64, MetricError> {
    validate_top(scores, truth, k)?;
    let best = truth.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Ok(best - expected_max(scores, truth, k))
}

/// Kendall's τ among the truly best ⌈fraction · n⌉ (with all that tie with the last of them); `None`
/// where that is fewer than two.
///
/// # Errors
/// As all of the module.
pub fn tau_within_top(scores: &[f64], truth: &[f64], fraction: f64) -> Result<Option<Kendall>, MetricError> {
    validate(scores, truth)?;
    let share = membership(truth, count(truth.len(), fraction));
    let kept = |v: &[f64]| -> Vec<f64> {
        v.iter().zip(&share).filter(|(_, s)| **s > 0.0).map(|(x, _)| *x).collect()
    };
    let (scores, truth) = (kept(scores), kept(truth));
    if scores.len() < 2 {
        return Ok(None);
    }
    kendall(&scores, &truth).map(Some)
}
