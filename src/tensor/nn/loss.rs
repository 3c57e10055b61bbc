//! Log-likelihoods and the numbers that are differentiated.

use super::away;
use crate::tensor::par;
use crate::tensor::real::Real;
use crate::tensor::simd::{sum1, top, wide};
use crate::tensor::tape::{Backward, Grad, Op, Tape, Var};
use rayon::prelude::*;

/// A target that does not count.
pub const IGNORE: u32 = u32::MAX;

struct Pick<R> {
    logits: Var,
    targets: Vec<u32>,
    /// log sum exp of every row.
    norms: Vec<R>,
}

wide! {
    fn log_sum_exp<R: Real>(row: &[R]) -> R {
        let most = R::lift(top(row));
        most + sum1(row, |x| (x - most).exp()).ln()
    }

    /// Turns logits into `-e^(x - norm) g`, the gradient of a likelihood but for its target.
    pub(super) fn against<R: Real>(d: &mut [R], norm: R, g: R) {
        for d in d.iter_mut() {
            *d = -((*d - norm).exp() * g);
        }
    }
}

/// Element `targets[n]` of the log softmax of row `n`; 0 where the target is [`IGNORE`]. One number
/// per row.
pub fn pick_log_softmax<R: Real>(t: &mut Tape<R>, logits: Var, targets: Vec<u32>) -> Var {
    if let Some(y) = away::pick_log_softmax(t, logits, &targets) {
        return y;
    }
    let width = t.width(logits);
    let xs = t.value(logits);
    let norms: Vec<R> = xs.par_chunks(width.max(1)).map(log_sum_exp).collect();
    let y: Vec<R> = targets
        .iter()
        .zip(&norms)
        .enumerate()
        .map(|(n, (&id, &z))| if id == IGNORE { R::default() } else { xs[n * width + id as usize] - z })
        .collect();
    let needs = t.needs(logits);
    t.push(&[y.len()], y, needs, Pick { logits, targets, norms })
}

impl<R: Real> Op<R> for Pick<R> {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let n = cx.value(self.logits).len();
        let width = (n / self.targets.len().max(1)).max(1);
        // Nothing before reads the logits again: their buffer becomes their gradient's.
        let mut d = match cx.take_value(self.logits) {
            Some(x) => x,
            None => {
                let mut d = cx.buffer(n);
                par::copy(&mut d, cx.value(self.logits));
                d
            }
        };
        d.par_chunks_mut(width).enumerate().for_each(|(r, d)| {
            let id = self.targets[r];
            if id == IGNORE {
                d.fill(R::default());
                return;
            }
            against(d, self.norms[r], g[r]);
            d[id as usize] += g[r];
        });
        cx.give(self.logits, d);
    }
}

struct Dot {
    x: Var,
    with: Option<Var>,
}

/// The sum of `x`, or its inner product with a constant of equal size.
pub fn dot<R: Real>(t: &mut Tape<R>, x: Var, with: Option<Var>) -> Var {
    if let Some(y) = away::dot(t, x, with) {
        return y;
    }
    let xs = t.value(x);
    let y = match with {
        Some(c) => par::dot(xs, t.value(c)),
        None => par::sum(xs),
    };
    let needs = t.needs(x);
    t.push(&[], vec![y], needs, Dot { x, with })
}

impl<R: Real> Op<R> for Dot {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let n = cx.value(self.x).len();
        let mut d = cx.buffer(n);
        match self.with {
            Some(c) => {
                for (d, &c) in d.iter_mut().zip(cx.value(c)) {
                    *d = c * g[0];
                }
            }
            None => d.fill(g[0]),
        }
        cx.give(self.x, d);
    }
}

struct Combine(Vec<(Var, f64)>);

/// `sum_i c_i x_i` of numbers.
pub fn combine<R: Real>(t: &mut Tape<R>, parts: Vec<(Var, f64)>) -> Var {
    let mut y = R::default();
    for &(x, c) in &parts {
        y += t.value(x)[0] * R::of(c);
    }
    let needs = parts.iter().any(|p| t.needs(p.0));
    t.push(&[], vec![y], needs, Combine(parts))
}

impl<R: Real> Op<R> for Combine {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        for (x, c) in self.0 {
            cx.give(x, vec![g[0] * R::of(c)]);
        }
    }
}
