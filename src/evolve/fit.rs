//! Linear combinations of terms by least squares against the *ranks* of the ground truth.
//!
//! A rank correlation is a step function of the coefficients: maximised exactly it fits the noise of
//! the search architectures. Least squares against ranks is smooth, and what it finds holds better on
//! architectures that were never seen. Terms are chosen one after the other, each the one that
//! explains most of what is left (orthogonal matching pursuit; Pati et al., Asilomar 1993). With
//! several benchmarks everything is centred and scaled within each.

use super::judge::Judge;
use crate::metric::average_ranks;

/// Least share of a column that must not be explained by those chosen already: below it a
/// coefficient says more about rounding than about architectures.
const NEW: f64 = 0.05;

/// What is fitted: the ranks of the truth, centred and of unit length within each benchmark.
#[derive(Clone, Debug, Default)]
pub struct Target {
    groups: Vec<Vec<usize>>,
    ranks: Vec<f64>,
}

impl Target {
    /// The ranks of a judge's truth.
    pub fn new(judge: &Judge) -> Self {
        let groups = judge.groups().to_vec();
        let mut ranks = vec![0.0; judge.truth().len()];
        for g in &groups {
            let truth: Vec<f64> = g.iter().map(|&i| judge.truth()[i]).collect();
            g.iter().zip(average_ranks(&truth)).for_each(|(&i, r)| ranks[i] = r);
        }
        let mut target = Target { groups, ranks: Vec::new() };
        target.ranks = target.column(&ranks).unwrap_or(ranks);
        target
    }

    /// Values centred within each benchmark, of unit length; `None` where they are not finite or the
    /// same everywhere.
    pub fn column(&self, values: &[f64]) -> Option<Vec<f64>> {
        let mut out = values.to_vec();
        let largest = values.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        for g in &self.groups {
            let mean = g.iter().map(|&i| values[i]).sum::<f64>() / g.len().max(1) as f64;
            g.iter().for_each(|&i| out[i] -= mean);
        }
        let length = dot(&out, &out).sqrt();
        if !length.is_finite() || length <= 1e-10 * largest || length == 0.0 {
            return None;
        }
        out.iter_mut().for_each(|x| *x /= length);
        Some(out)
    }
}

/// What a set of columns explains, and what is left.
pub struct Basis {
    orthonormal: Vec<Vec<f64>>,
    left: Vec<f64>,
}

impl Basis {
    /// Nothing explained yet.
    pub fn new(target: &Target) -> Self {
        Basis { orthonormal: Vec::new(), left: target.ranks.clone() }
    }

    /// How much of what is left the column explains, as a correlation; 0 where it says nothing new.
    pub fn gain(&self, column: &[f64]) -> f64 {
        let mut explained = 0.0;
        for q in &self.orthonormal {
            explained += dot(q, column).powi(2);
        }
        let new = (1.0 - explained).max(0.0).sqrt();
        // What is left is orthogonal to the columns chosen already, so the column need not be reduced.
        if new < NEW { 0.0 } else { dot(&self.left, column).abs() / new }
    }

    /// Adds a column of unit length; whether it said anything new.
    pub fn push(&mut self, column: &[f64]) -> bool {
        let mut new = column.to_vec();
        // Twice: once is not orthogonal where little is left.
        for _ in 0..2 {
            for q in &self.orthonormal {
                let c = dot(q, &new);
                new.iter_mut().zip(q).for_each(|(x, y)| *x -= c * y);
            }
        }
        let length = dot(&new, &new).sqrt();
        if length < NEW {
            return false;
        }
        new.iter_mut().for_each(|x| *x /= length);
        let c = dot(&new, &self.left);
        self.left.iter_mut().zip(&new).for_each(|(x, y)| *x -= c * y);
        self.orthonormal.push(new);
        true
    }
}

/// Coefficients of `columns` (of unit length) that fit the target best; `None` where they depend on
/// each other.
pub fn coefficients(target: &Target, columns: &[&[f64]]) -> Option<Vec<f64>> {
    let n = columns.len();
    let mut basis = Basis::new(target);
    if !columns.iter().all(|c| basis.push(c)) {
        return None;
    }
    let q = &basis.orthonormal;
    let mut out = vec![0.0; n];
    // Back substitution: column j is a combination of the first j + 1 orthonormal ones.
    for j in (0..n).rev() {
        let known: f64 = (j + 1..n).map(|k| dot(&q[j], columns[k]) * out[k]).sum();
        out[j] = (dot(&q[j], &target.ranks) - known) / dot(&q[j], columns[j]);
    }
    out.iter().all(|x| x.is_finite()).then_some(out)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::super::judge::{Measure, Over};
    use super::*;
    use crate::random::Stream;

    #[test]
    fn recovers_what_the_ranks_are_made_of() {
        let mut s = Stream::new(1, "fit");
        let n = 60;
        let mut draw = || (0..n).map(|_| s.normal()).collect::<Vec<f64>>();
        let all: Vec<Vec<f64>> = (0..12).map(|_| draw()).collect();
        // A truth whose ranks are nearly linear in two of the columns.
        let truth: Vec<f64> = (0..n).map(|i| 2.0 * all[3][i] - all[7][i]).collect();
        let bench: Vec<usize> = (0..n).map(|i| i % 2).collect();
        let target = Target::new(&Judge::new(Measure::TauA, Over::Worst, truth, &bench));
        let columns: Vec<Vec<f64>> = all.iter().map(|v| target.column(v).unwrap()).collect();
        let mut basis = Basis::new(&target);
        let mut chosen = Vec::new();
        for _ in 0..2 {
            let gains: Vec<f64> = columns.iter().map(|c| basis.gain(c)).collect();
            let best = (0..12).max_by(|&a, &b| gains[a].total_cmp(&gains[b])).unwrap();
            assert!(basis.push(&columns[best]));
            chosen.push(best);
        }
        assert_eq!(chosen, [3, 7]);
        let c = coefficients(&target, &[&columns[3], &columns[7]]).unwrap();
        assert!(c[0] > 0.0 && c[1] < 0.0 && (c[0] / c[1] + 2.0).abs() < 0.4, "{c:?}");
        // The residual of least squares is orthogonal to what was fitted.
        for j in [3, 7] {
            let fitted: f64 = (0..n)
                .map(|i| (target.ranks[i] - c[0] * columns[3][i] - c[1] * columns[7][i]) * columns[j][i])
                .sum();
            assert!(fitted.abs() < 1e-12);
        }
        assert_eq!(coefficients(&target, &[&columns[3], &columns[3]]), None);
        assert_eq!(target.column(&[5.0; 60]), None);
    }
}
