//! Kendall's rank correlation in O(n log n).

use super::{MetricError, validate};
use serde::Serialize;

/// Kendall's correlation, with what it was counted from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Kendall {
    /// τ-b: (concordant - discordant) / √(pairs untied in x · pairs untied in y). `None` where all
    /// values of a list are equal.
    pub tau_b: Option<f64>,
    /// τ-a: (concordant - discordant) / all pairs; ties count as failures.
    pub tau_a: f64,
    /// Pairs ordered alike.
    pub concordant: u64,
    /// Pairs ordered oppositely.
    pub discordant: u64,
    /// All pairs.
    pub pairs: u64,
}

/// Kendall's τ-b and τ-a (Kendall, Biometrika 1938, 1945; Knight's algorithm, JASA 1966).
///
/// # Errors
/// Different lengths, fewer than two points, values that are not finite.
pub fn kendall(x: &[f64], y: &[f64]) -> Result<Kendall, MetricError> {
    validate(x, y)?;
    let mut points: Vec<(u64, u64)> = x.iter().zip(y).map(|(&x, &y)| (rank(x), rank(y))).collect();
    points.sort_unstable();
    let tied_x = tied(&points, |a, b| a.0 == b.0);
    let tied_both = tied(&points, |a, b| a == b);
    let mut ys: Vec<u64> = points.iter().map(|p| p.1).collect();
    let discordant = exchanges(&mut ys, &mut vec![0; x.len()]);
    let tied_y = tied(&ys, |a, b| a == b);
    let n = x.len() as u64;
    let pairs = n * (n - 1) / 2;
    let concordant = pairs + tied_both - tied_x - tied_y - discordant;
    let excess = concordant as f64 - discordant as f64;
    let untied = ((pairs - tied_x) as f64).sqrt() * ((pairs - tied_y) as f64).sqrt();
    let tau_b = (untied > 0.0).then(|| (excess / untied).clamp(-1.0, 1.0));
    Ok(Kendall { tau_b, tau_a: excess / pairs as f64, concordant, discordant, pairs })
}

/// Order of two finite elements; zeros of both signs are equal.
pub(super) fn by(v: &[f64], i: usize, j: usize) -> std::cmp::Ordering {
    v[i].partial_cmp(&v[j]).unwrap_or(std::cmp::Ordering::Equal)
}

/// An integer in the order of finite numbers: comparing such sorts without branches. Zeros of both signs
/// are equal.
fn rank(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// Pairs within runs of equal neighbours.
fn tied<T>(sorted: &[T], equal: impl Fn(&T, &T) -> bool) -> u64 {
    sorted.chunk_by(equal).map(|run| run.len() as u64 * (run.len() as u64 - 1) / 2).sum()
}

/// Length up to which counting pair by pair is faster than merging.
const SHORT: usize = 12;

/// Sorts `values` and counts the pairs that change places.
fn exchanges(values: &mut [u64], buffer: &mut [u64]) -> u64 {
    let n = values.len();
    if n <= SHORT {
        let above = |i: usize| values[..i].iter().map(|v| u64::from(*v > values[i])).sum::<u64>();
        let count = (1..n).map(above).sum();
        values.sort_unstable();
        return count;
    }
    let middle = n / 2;
    let mut count = {
        let (left, right) = values.split_at_mut(middle);
        let (buffer_left, buffer_right) = buffer.split_at_mut(middle);
        exchanges(left, buffer_left) + exchanges(right, buffer_right)
    };
    let (mut i, mut j) = (0, middle);
    for slot in buffer.iter_mut() {
        let right = i == middle || (j < n && values[j] < values[i]);
        *slot = values[if right { j } else { i }];
        count += if right { (middle - i) as u64 } else { 0 };
        j += usize::from(right);
        i += usize::from(!right);
    }
    values.copy_from_slice(buffer);
    count
}
