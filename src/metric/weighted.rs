//! Weighted τ: exchanges among good architectures weigh more than among bad ones.

use super::kendall::by;
use super::{MetricError, validate};

/// Vigna's weighted τ (WWW 2015) as SciPy's `weightedtau` computes it by default: hyperbolic
/// weights 1 / (rank + 1), added over the two elements of a pair; the mean of ranking by x (ties by
/// y) and by y (ties by x), larger is better. `None` where a list is constant.
///
/// # Errors
/// Different lengths, fewer than two points, values that are not finite.
pub fn weighted_tau(x: &[f64], y: &[f64]) -> Result<Option<f64>, MetricError> {
    validate(x, y)?;
    Ok(ranked_by_first(x, y).zip(ranked_by_first(y, x)).map(|(a, b)| (a + b) / 2.0))
}

fn ranked_by_first(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| by(x, i, j).then(by(y, i, j)));
    let mut weight = vec![0.0; n];
    for (place, &i) in order.iter().enumerate() {
        weight[i] = 1.0 / (n - place) as f64;
    }
    let ties = |order: &[usize], equal: &dyn Fn(usize, usize) -> bool| {
        let runs = order.chunk_by(|&i, &j| equal(i, j));
        runs.map(|run| run.iter().map(|&i| weight[i]).sum::<f64>() * (run.len() - 1) as f64).sum::<f64>()
    };
    let constant = |v: &[f64]| v.iter().all(|a| *a == v[0]);
    if constant(x) || constant(y) {
        return None;
    }
    let tied_both = ties(&order, &|i, j| x[i] == x[j] && y[i] == y[j]);
    let tied_x = ties(&order, &|i, j| x[i] == x[j]);
    let mut buffer = order.clone();
    let exchanged = Exchanges { y, weight: &weight }.sort(&mut order, &mut buffer).1;
    let tied_y = ties(&order, &|i, j| y[i] == y[j]);
    let total = weight.iter().sum::<f64>() * (n - 1) as f64;
    let excess = total - (tied_y + tied_x - tied_both) - 2.0 * exchanged;
    Some((excess / (total - tied_x).sqrt() / (total - tied_y).sqrt()).clamp(-1.0, 1.0))
}

struct Exchanges<'a> {
    y: &'a [f64],
    weight: &'a [f64],
}

impl Exchanges<'_> {
    /// Sorts by y; gives the weight of all elements and that of all exchanged pairs.
    fn sort(&self, order: &mut [usize], buffer: &mut [usize]) -> (f64, f64) {
        let n = order.len();
        if n == 1 {
            return (self.weight[order[0]], 0.0);
        }
        let middle = n / 2;
        let (left, right) = order.split_at_mut(middle);
        let (buffer_left, buffer_right) = buffer.split_at_mut(middle);
        let (mut residual, exchanged_left) = self.sort(left, buffer_left);
        let (weight_right, exchanged_right) = self.sort(right, buffer_right);
        let weight = residual + weight_right;
        let mut exchanged = exchanged_left + exchanged_right;
        let (mut i, mut j) = (0, middle);
        for slot in buffer.iter_mut() {
            if j == n || (i < middle && self.y[order[i]] <= self.y[order[j]]) {
                *slot = order[i];
                residual -= self.weight[order[i]];
                i += 1;
            } else {
                *slot = order[j];
                exchanged += self.weight[order[j]] * (middle - i) as f64 + residual;
                j += 1;
            }
        }
        order.copy_from_slice(buffer);
        (weight, exchanged)
    }
}
