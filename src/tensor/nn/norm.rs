//! Layer normalisation.

use super::away;
use crate::tensor::Dims;
use crate::tensor::par;
use crate::tensor::real::{Base, Real};
use crate::tensor::simd::{sum1, sums3, wide};
use crate::tensor::tape::{Backward, Grad, Op, Tape, Var};
use rayon::prelude::*;

struct LayerNorm<R> {
    x: Var,
    w: Var,
    b: Var,
    /// Mean and reciprocal standard deviation of every row.
    stats: Vec<(R, R)>,
}

wide! {
    /// Mean and reciprocal standard deviation of a row, and the row normalised, scaled and shifted.
    fn normalise<R: Real>(y: &mut [R], x: &[R], w: &[R], b: &[R], eps: f64) -> (R, R) {
        let inv = R::of(1.0 / x.len() as f64);
        let mean = sum1(x, |v| v) * inv;
        let var = sum1(x, |v| {
            let c = v - mean;
            c * c
        });
        let rstd = R::of(1.0) / (var * inv + R::of(eps)).sqrt();
        for (((y, &x), &w), &b) in y.iter_mut().zip(x).zip(w).zip(b) {
            *y = (x - mean) * rstd * w + b;
        }
        (mean, rstd)
    }

    /// Adds a row's part of the gradients of weight and bias.
    fn add_affine<R: Real>(dw: &mut [R], db: &mut [R], g: &[R], x: &[R], mean: R, rstd: R) {
        for (((dw, db), &g), &x) in dw.iter_mut().zip(db).zip(g).zip(x) {
            *dw += g * (x - mean) * rstd;
            *db += g;
        }
    }

    /// Gradient of one row; returns the squares of the result and of its terms, in units of the row's
    /// spread.
    fn row_backward<R: Real>(dx: &mut [R], g: &[R], x: &[R], w: &[R], mean: R, rstd: R, add: bool) -> (R, R) {
        let inv = R::of(1.0 / x.len() as f64);
        let [a, c, q] = sums3(g, x, w, |g, x, w| {
            let gw = g * w;
            [gw, gw * (x - mean) * rstd, gw * gw]
        });
        let (a, c) = (a * inv, c * inv);
        let term = |g: R, x: R, w: R| g * w - a - (x - mean) * rstd * c;
        let [p, _, _] = sums3(g, x, w, |g, x, w| {
            let d = term(g, x, w);
            [d * d, R::default(), R::default()]
        });
        if add {
            for (((dx, &g), &x), &w) in dx.iter_mut().zip(g).zip(x).zip(w) {
                *dx += term(g, x, w) * rstd;
            }
        } else {
            for (((dx, &g), &x), &w) in dx.iter_mut().zip(g).zip(x).zip(w) {
                *dx = term(g, x, w) * rstd;
            }
        }
        (p, q)
    }
}

/// `(x - mean) / sqrt(var + eps) * w + b` over the last axis.
pub fn layer_norm<R: Real>(t: &mut Tape<R>, x: Var, w: Var, b: Var, eps: f64) -> Var {
    if let Some(y) = away::layer_norm(t, x, w, b, eps) {
        return y;
    }
    let width = t.width(x);
    let mut y = t.buffer(t.value(x).len());
    let mut stats = vec![(R::default(), R::default()); t.rows(x)];
    let (xs, ws, bs) = (t.value(x), t.value(w), t.value(b));
    let block = par::rows_per_task(width);
    let rows = y.par_chunks_mut(block * width.max(1)).zip(stats.par_chunks_mut(block));
    rows.zip(xs.par_chunks(block * width.max(1))).for_each(|((y, stats), x)| {
        let rows = y.chunks_exact_mut(width.max(1)).zip(x.chunks_exact(width.max(1)));
        for ((y, x), s) in rows.zip(stats) {
            *s = normalise(y, x, ws, bs, eps);
        }
    });
    let dims: Dims = t.dims(x).into();
    let needs = t.needs(x) || t.needs(w) || t.needs(b);
    t.push(&dims, y, needs, LayerNorm { x, w, b, stats })
}

/// Widening under a name that does not clash.
trait Widen {
    fn to_f64_(self) -> f64;
}
impl<T: Base> Widen for T {
    fn to_f64_(self) -> f64 {
        crate::tensor::Element::to_f64(self)
    }
}

impl<R: Real> Op<R> for LayerNorm<R> {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let width = cx.value(self.w).len();
        let stats = &self.stats;
        if cx.needs(self.w) || cx.needs(self.b) {
            let xs = cx.value(self.x);
            let samples = cx.samples(self.w).max(cx.samples(self.b));
            let rows = stats.len() / samples;
            let (mut dw, mut db) = (Vec::new(), Vec::new());
            for first in (0..stats.len()).step_by(rows.max(1)) {
                let both = par::fold_rows(rows, width, 2 * width, |range, part| {
                    let (dw, db) = part.split_at_mut(width);
                    for r in first + range.start..first + range.end {
                        let (g, x) = (&g[r * width..(r + 1) * width], &xs[r * width..(r + 1) * width]);
                        let (mean, rstd) = stats[r];
                        add_affine(dw, db, g, x, mean, rstd);
                    }
                });
                dw.extend_from_slice(&both[..width]);
                db.extend_from_slice(&both[width..]);
            }
            // Without a gradient of its own it may have no place for several.
            for (v, d) in [(self.w, dw), (self.b, db)] {
                if cx.needs(v) {
                    cx.give(v, d);
                }
            }
        }
        if cx.needs(self.x) {
            let (mut dx, held) = cx.slot(self.x);
            let (xs, ws) = (cx.value(self.x), cx.value(self.w));
            let block = par::rows_per_task(width);
            let sizes: Vec<(f64, f64)> = dx
                .par_chunks_mut(block * width)
                .enumerate()
                .map(|(k, dx)| {
                    let mut size = (0.0, 0.0);
                    for (j, dx) in dx.chunks_exact_mut(width).enumerate() {
                        let r = k * block + j;
                        let at = r * width..(r + 1) * width;
                        let (mean, rstd) = stats[r];
                        let (p, q) = row_backward(dx, &g[at.clone()], &xs[at], ws, mean, rstd, held);
                        size = (size.0 + p.value().to_f64_(), size.1 + q.value().to_f64_());
                    }
                    size
                })
                .collect();
            cx.put(self.x, dx);
            let (p, q) = sizes.iter().fold((0.0, 0.0), |s, x| (s.0 + x.0, s.1 + x.1));
            cx.note_cancellation(if q > 0.0 { (p / q).sqrt() } else { 1.0 });
        }
        cx.recycle(g);
    }
}
