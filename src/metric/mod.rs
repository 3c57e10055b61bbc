//! Rank statistics: how well scores order architectures.
//!
//! Every function takes scores and the ground truth *oriented so that higher is better*, of equal
//! length, finite, at least two. A statistic that does not exist (the correlation of a constant) is
//! `None`, never NaN, 0 or -1. Ties are handled as SciPy does. Where a choice among equal scores
//! would be needed (a top k whose border runs through a tie), the expectation over all choices is
//! taken, so that no result depends on the order of the architectures.

mod bootstrap;
mod correlation;
mod kendall;
mod noise;
pub mod pareto;
mod sized;
mod summary;
mod top;
mod weighted;

pub use bootstrap::{Interval, bootstrap};
pub use correlation::{average_ranks, pearson, spearman};
pub use kendall::{Kendall, kendall};
pub use noise::{NoiseCeiling, noise_ceiling};
pub use sized::{SizeControlled, size_controlled};
pub use summary::{Options, Summary, TopTau, summarise};
pub use top::{best_rank, overlap, precision_bottom, precision_top, regret, tau_within_top, worst_rank};
pub use weighted::weighted_tau;

use rustc_hash::FxHashSet;

/// Why a statistic cannot be taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// Fewer than two points.
    #[error("a rank statistic needs at least 2 architectures, there {} {n}", if *n == 1 { "is" } else { "are" })]
    TooFew {
        /// How many there are.
        n: usize,
    },
    /// Lists of different lengths.
    #[error("{left} values of {what} for {right} scores")]
    Lengths {
        /// What the second list holds.
        what: &'static str,
        /// Its length.
        left: usize,
        /// Number of scores.
        right: usize,
    },
    /// A value that is NaN or infinite.
    #[error("{what} number {index} is {value}; leave such architectures out before ranking")]
    NotFinite {
        /// Which list.
        what: &'static str,
        /// Where in it.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A top k or fraction that selects nothing.
    #[error("cannot take the top {k} of {n}: choose between 1 and {n}")]
    TopK {
        /// What was asked for.
        k: usize,
        /// Number of architectures.
        n: usize,
    },
}

/// Checks what every statistic asks of its inputs.
pub(crate) fn validate(scores: &[f64], truth: &[f64]) -> Result<(), MetricError> {
    check_list("the ground truth", truth, scores.len())?;
    check_list("the scores", scores, scores.len())?;
    if scores.len() < 2 {
        return Err(MetricError::TooFew { n: scores.len() });
    }
    Ok(())
}

pub(crate) fn check_list(what: &'static str, list: &[f64], len: usize) -> Result<(), MetricError> {
    if list.len() != len {
        return Err(MetricError::Lengths { what, left: list.len(), right: len });
    }
    match list.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(MetricError::NotFinite { what, index, value: list[index] }),
        None => Ok(()),
    }
}

/// Number of distinct values (0.0 and -0.0 are one).
pub fn distinct(values: &[f64]) -> usize {
    values.iter().map(|x| (x + 0.0).to_bits()).collect::<FxHashSet<_>>().len()
}

#[cfg(test)]
mod tests;
