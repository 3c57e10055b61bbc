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
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&i, &j| by(x, i, j).then(by(y, i, j)));
    let tied_x = tied(&order, |i, j| x[i] == x[j]);
    let tied_both = tied(&order, |i, j| x[i] == x[j] && y[i] == y[j]);
    let mut buffer = order.clone();
    let discordant = exchanges(&mut order, &mut buffer, y);
    let tied_y = tied(&order, |i, j| y[i] == y[j]);
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

/// Pairs within runs of equal neighbours.
fn tied(order: &[usize], equal: impl Fn(usize, usize) -> bool) -> u64 {
    order.chunk_by(|&i, &j| equal(i, j)).map(|run| run.len() as u64 * (run.len() as u64 - 1) / 2).sum()
}

/// Sorts `order` by `y`, stably, and counts the pairs that change places.
fn exchanges(order: &mut [usize], buffer: &mut [usize], y: &[f64]) -> u64 {
    let n = order.len();
    if n < 2 {
        return 0;
    }
    let middle = n / 2;
    let (left, right) = order.split_at_mut(middle);
    let (buffer_left, buffer_right) = buffer.split_at_mut(middle);
    let mut count = exchanges(left, buffer_left, y) + exchanges(right, buffer_right, y);
    let (mut i, mut j) = (0, middle);
    for slot in buffer.iter_mut() {
        if j == n || (i < middle && y[order[i]] <= y[order[j]]) {
            *slot = order[i];
            i += 1;
        } else {
            *slot = order[j];
            count += (middle - i) as u64;
            j += 1;
        }
    }
    order.copy_from_slice(buffer);
    count
}
