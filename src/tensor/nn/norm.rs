//! Layer normalisation.

use crate::tensor::Dims;
use crate::tensor::par;
use crate::tensor::real::{Base, Real};
use crate::tensor::tape::{Backward, Op, Tape, Var};
use rayon::prelude::*;

struct LayerNorm<R> {
    x: Var,
    w: Var,
    b: Var,
    /// Mean and reciprocal standard deviation of every row.
    stats: Vec<(R, R)>,
}

fn stats<R: Real>(row: &[R], eps: f64) -> (R, R) {
    let inv = R::of(1.0 / row.len() as f64);
    let mut sum = R::default();
    for &v in row {
        sum += v;
    }
    let mean = sum * inv;
    let mut var = R::default();
    for &v in row {
        let c = v - mean;
        var += c * c;
    }
    (mean, R::of(1.0) / (var * inv + R::of(eps)).sqrt())
}

/// `(x - mean) / sqrt(var + eps) * w + b` over the last axis.
pub fn layer_norm<R: Real>(t: &mut Tape<R>, x: Var, w: Var, b: Var, eps: f64) -> Var {
    let width = t.width(x);
    let xs = t.value(x);
    let stats: Vec<(R, R)> =
        xs.par_chunks(width.max(1)).with_min_len(16).map(|row| stats(row, eps)).collect();
    let mut y = t.buffer(xs.len());
    let (xs, ws, bs) = (t.value(x), t.value(w), t.value(b));
    par::rows(&mut y, width, |first, out| {
        let x = &xs[first * width..first * width + out.len()];
        for ((y, x), &(mean, rstd)) in
            out.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(&stats[first..])
        {
            for i in 0..width {
                y[i] = (x[i] - mean) * rstd * ws[i] + bs[i];
            }
        }
    });
    let dims: Dims = t.dims(x).into();
    let needs = t.needs(x) || t.needs(w) || t.needs(b);
    t.push(&dims, y, needs, LayerNorm { x, w, b, stats })
}

/// Gradient of one row; returns the squared sizes of the result and of its terms, in units of the
/// row's spread.
fn row_backward<R: Real>(
    dx: &mut [R],
    g: &[R],
    x: &[R],
    w: &[R],
    (mean, rstd): (R, R),
    add: bool,
) -> (f64, f64) {
    let inv = R::of(1.0 / x.len() as f64);
    let (mut a, mut c, mut q) = (R::default(), R::default(), R::default());
    for i in 0..x.len() {
        let gw = g[i] * w[i];
        a += gw;
        c += gw * (x[i] - mean) * rstd;
        q += gw * gw;
    }
    let (a, c) = (a * inv, c * inv);
    let mut p = R::default();
    for i in 0..x.len() {
        let d = g[i] * w[i] - a - (x[i] - mean) * rstd * c;
        p += d * d;
        let d = d * rstd;
        dx[i] = if add { dx[i] + d } else { d };
    }
    (p.value().to_f64_(), q.value().to_f64_())
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
    fn backward(self: Box<Self>, g: Vec<R>, cx: &mut Backward<'_, R>) {
        let width = cx.value(self.w).len();
        let stats = &self.stats;
        if cx.needs(self.w) || cx.needs(self.b) {
            let xs = cx.value(self.x);
            let mut both = par::fold_rows(stats.len(), width, 2 * width, |range, part| {
                let (dw, db) = part.split_at_mut(width);
                for r in range {
                    let (g, x) = (&g[r * width..(r + 1) * width], &xs[r * width..(r + 1) * width]);
                    let (mean, rstd) = stats[r];
                    for i in 0..width {
                        dw[i] += g[i] * (x[i] - mean) * rstd;
                        db[i] += g[i];
                    }
                }
            });
            let db = both.split_off(width);
            cx.give(self.w, both);
            cx.give(self.b, db);
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
                        let (p, q) = row_backward(dx, &g[at.clone()], &xs[at], ws, stats[r], held);
                        size = (size.0 + p, size.1 + q);
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
