//! τ among architectures of about the same size: what a proxy knows beyond the parameter count.

use super::kendall::by;
use super::{MetricError, check_list, validate};
use serde::Serialize;

/// Size-controlled τ and how many pairs it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SizeControlled {
    /// (concordant - discordant) / pairs; `None` without pairs.
    pub tau: Option<f64>,
    /// Pairs compared.
    pub pairs: u64,
}

/// Size-controlled τ, over the pairs (i, j) with |pᵢ - pⱼ| ≤ tolerance · max(pᵢ, pⱼ) whose ground
/// truth differs: (concordant - discordant) / all those pairs. A pair with equal scores counts as
/// neither, so that ties are not rewarded (as in τ-a); a constant score gets 0.
///
/// # Errors
/// As all of the module, and for parameter counts that are not finite.
pub fn size_controlled(
    scores: &[f64],
    truth: &[f64],
    params: &[f64],
    tolerance: f64,
) -> Result<SizeControlled, MetricError> {
    validate(scores, truth)?;
    check_list("the parameter counts", params, scores.len())?;
    let mut order: Vec<usize> = (0..params.len()).collect();
    order.sort_by(|&i, &j| by(params, i, j));
    let (mut excess, mut pairs) = (0i64, 0u64);
    for (place, &i) in order.iter().enumerate() {
        let similar = |&&j: &&usize| params[j] - params[i] <= tolerance * params[j];
        for &j in order[place + 1..].iter().take_while(similar) {
            if truth[i] != truth[j] {
                pairs += 1;
                excess += by(truth, i, j) as i64 * by(scores, i, j) as i64;
            }
        }
    }
    Ok(SizeControlled { tau: (pairs > 0).then(|| excess as f64 / pairs as f64), pairs })
}
