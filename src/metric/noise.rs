//! How far a perfect proxy could get: the noise of the ground truth, where it was measured twice.

use super::{MetricError, check_list, kendall};
use crate::random::Stream;
use rustc_hash::FxHashMap;
use serde::Serialize;

/// What repeated measurements say about the ground truth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NoiseCeiling {
    /// Architectures measured more than once.
    pub groups: usize,
    /// Pooled standard deviation within these, in units of the ground truth.
    pub std: f64,
    /// Expected τ-b between the ground truth and itself measured once more with such noise.
    pub tau_b: f64,
}

const DRAWS: usize = 100;

/// Noise ceiling: the pooled standard deviation within groups of equal `keys` (the architecture's
/// canonical config), and the mean τ-b between the ground truth and the ground truth plus normal
/// noise of that size (100 seeded draws). `None` where nothing was measured twice.
///
/// # Errors
/// Different lengths, fewer than two points, values that are not finite.
pub fn noise_ceiling(keys: &[String], truth: &[f64], seed: u64) -> Result<Option<NoiseCeiling>, MetricError> {
    check_list("the ground truth", truth, keys.len())?;
    let mut groups: FxHashMap<&str, Vec<f64>> = FxHashMap::default();
    for (key, value) in keys.iter().zip(truth) {
        groups.entry(key).or_default().push(*value);
    }
    // In the order of first appearance, so that the sum below has a fixed order.
    let mut repeated = Vec::new();
    for key in keys {
        repeated.extend(groups.remove(key.as_str()).filter(|g| g.len() > 1));
    }
    if repeated.is_empty() {
        return Ok(None);
    }
    let freedom: usize = repeated.iter().map(|g| g.len() - 1).sum();
    let std = (repeated.iter().map(|g| squares(g)).sum::<f64>() / freedom as f64).sqrt();
    let mut stream = Stream::new(seed, "noise ceiling");
    let mut sum = 0.0;
    for _ in 0..DRAWS {
        let again: Vec<f64> = truth.iter().map(|t| t + std * stream.normal()).collect();
        sum += kendall(&again, truth)?.tau_b.unwrap_or(0.0);
    }
    Ok(Some(NoiseCeiling { groups: repeated.len(), std, tau_b: sum / DRAWS as f64 }))
}

fn squares(group: &[f64]) -> f64 {
    let mean = group.iter().sum::<f64>() / group.len() as f64;
    group.iter().map(|x| (x - mean) * (x - mean)).sum()
}
