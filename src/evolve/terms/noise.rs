//! Does a term say more than how it was rounded? A value that cancels (the mean of what is centred) ranks
//! architectures, but by noise. Double precision tells them apart.

use super::{Exact, Terms, identity, terms_of};
use crate::evolve::evaluator::{Evaluator, EvaluatorError};
use crate::ir::{Dag, NodeId};
use crate::site::CaptureSpec;

/// Architectures from which on it can be said how far values differ.
const SPREAD: usize = 8;
/// Architectures on which a term is computed in double precision, to see whether it is noise.
const DOUBLED: usize = 2;
/// Difference that double precision makes, in standard deviations between architectures, above which a
/// term is noise.
const NOISE: f64 = 0.05;
/// Difference below which one architecture is enough to say that it is none.
const CLEAR: f64 = NOISE / 50.0;

/// The architecture on which terms that are new are computed in double precision beside the rest; none where
/// there are too few to say how far values differ.
pub(super) fn probe(eval: &dyn Evaluator, archs: &[usize]) -> Option<usize> {
    let enough = archs.len() >= SPREAD;
    enough.then(|| smallest(eval, archs)).and_then(|places| places.first().map(|&i| archs[i]))
}

impl Terms {
    /// Looks whether terms that are new say more than how they were rounded; `exact` holds what is known of
    /// them in double precision.
    pub(super) fn look(
        &mut self,
        eval: &mut dyn Evaluator,
        terms: &[usize],
        capture: CaptureSpec,
        archs: &[usize],
        exact: &Exact,
    ) -> Result<(), EvaluatorError> {
        let finite = |&t: &usize| -> Option<Vec<f64>> {
            let value = |&a: &usize| self.list[t].values[a].as_ref()?.as_ref().ok().copied();
            archs.iter().map(value).collect()
        };
        let new = terms.iter().filter(|&&t| self.list[t].noise.is_none() && archs.len() >= SPREAD);
        let (new, values): (Vec<usize>, Vec<Vec<f64>>) =
            new.filter_map(|t| finite(t).map(|v| (*t, v))).unzip();
        if new.is_empty() {
            return Ok(());
        }
        // By how much double precision moves each, in standard deviations.
        let (mut moved, mut noisy) = (vec![0.0f64; new.len()], vec![false; new.len()]);
        for (turn, i) in smallest(eval, archs).into_iter().take(DOUBLED).enumerate() {
            let asked = |&k: &usize| turn == 0 || (CLEAR..NOISE).contains(&moved[k]);
            let asked: Vec<usize> = (0..new.len()).filter(asked).collect();
            let known = |k: &usize| exact.get(&new[*k]).filter(|_| turn == 0).cloned();
            let open: Vec<usize> = asked.iter().copied().filter(|k| known(k).is_none()).collect();
            let (dag, programs) = self.programs(&open.iter().map(|&k| new[k]).collect::<Vec<_>>(), capture);
            let found = eval.doubled(&dag, &programs, archs[i])?;
            let known = asked.into_iter().filter_map(|k| Some((k, known(&k)?)));
            for (k, exact) in known.collect::<Vec<_>>().into_iter().chain(open.into_iter().zip(found)) {
                let off = exact.as_ref().map_or(0.0, |x| (x - values[k][i]).abs());
                moved[k] = moved[k].max(off / deviation(&values[k]));
            }
        }
        let (dag, programs) = self.programs(&new, capture);
        for (noisy, program) in noisy.iter_mut().zip(&programs) {
            *noisy = eval.noisy(&dag, program.root);
        }
        for (k, &t) in new.iter().enumerate() {
            self.list[t].noise = Some(moved[k] > NOISE || noisy[k]);
            self.looked.push(t);
        }
        Ok(())
    }

    /// Is a term of the program noise, as far as it was looked into?
    pub fn noisy(&self, dag: &Dag, root: NodeId) -> bool {
        let noise = |t: NodeId| self.index.get(&identity(dag, t)).and_then(|&t| self.list[t].noise);
        terms_of(dag, root).into_iter().any(|t| noise(t) == Some(true))
    }
}

/// Places of `archs`, the smallest architecture first.
fn smallest(eval: &dyn Evaluator, archs: &[usize]) -> Vec<usize> {
    let params = |&i: &usize| eval.number(archs[i], "params", None).unwrap_or(0.0);
    let mut places: Vec<usize> = (0..archs.len()).collect();
    places.sort_by(|i, j| params(i).total_cmp(&params(j)));
    places
}

/// Standard deviation.
fn deviation(x: &[f64]) -> f64 {
    let n = x.len().max(1) as f64;
    let mean = x.iter().sum::<f64>() / n;
    (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt()
}
