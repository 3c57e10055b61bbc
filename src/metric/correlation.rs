//! Pearson's and Spearman's correlations, two different things under two names.

use super::kendall::by;
use super::{MetricError, validate};

/// Ranks from 1; equal values share the mean of their ranks.
pub fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| by(values, i, j));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for run in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let rank = first as f64 + (run.len() as f64 + 1.0) / 2.0;
        for &i in run {
            ranks[i] = rank;
        }
        first += run.len();
    }
    ranks
}

/// Pearson's product-moment correlation r; `None` where a list is constant.
///
/// # Errors
/// Different lengths, fewer than two points, values that are not finite.
pub fn pearson(x: &[f64], y: &[f64]) -> Result<Option<f64>, MetricError> {
    validate(x, y)?;
    Ok(product_moment(x, y))
}

/// Spearman's ρ: Pearson's correlation of the average ranks (Spearman, 1904); `None` where a list is
/// constant.
///
/// # Errors
/// Different lengths, fewer than two points, values that are not finite.
pub fn spearman(x: &[f64], y: &[f64]) -> Result<Option<f64>, MetricError> {
    validate(x, y)?;
    Ok(product_moment(&average_ranks(x), &average_ranks(y)))
}

fn product_moment(x: &[f64], y: &[f64]) -> Option<f64> {
    let (x, y) = (unit(x)?, unit(y)?);
    Some(x.iter().zip(&y).map(|(a, b)| a * b).sum::<f64>().clamp(-1.0, 1.0))
}

/// Centred and divided by the Euclidean norm; scaled first, so that nothing overflows.
fn unit(v: &[f64]) -> Option<Vec<f64>> {
    if v.iter().all(|a| *a == v[0]) {
        return None;
    }
    let largest = v.iter().fold(0.0, |m: f64, a| m.max(a.abs()));
    let scaled: Vec<f64> = v.iter().map(|a| a / largest).collect();
    let mean = scaled.iter().sum::<f64>() / v.len() as f64;
    let norm = scaled.iter().map(|a| (a - mean) * (a - mean)).sum::<f64>().sqrt();
    (norm > 0.0).then(|| scaled.iter().map(|a| (a - mean) / norm).collect())
}
