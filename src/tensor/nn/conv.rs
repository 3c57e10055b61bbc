//! Convolutions along the sequence of `[batch, seq, width]`, with zero padding `k / 2` on both sides,
//! and a softmax over groups of features.

use super::attention::{softmax, softmax_backward};
use super::away;
use crate::tensor::Dims;
use crate::tensor::par;
use crate::tensor::real::Real;
use crate::tensor::tape::{Backward, Grad, Op, Tape, Var};
use rayon::prelude::*;

/// The steps `t` of a kernel of width `k` for which position `s + t - k/2` exists.
fn steps(s: usize, seq: usize, k: usize) -> std::ops::Range<usize> {
    let half = k / 2;
    half.saturating_sub(s)..(seq + half - s).min(k)
}

struct Depthwise {
    x: Var,
    w: Var,
    batch: usize,
    seq: usize,
    width: usize,
    k: usize,
}

/// Every feature with its own kernel, `w [width, 1, k]`.
pub fn depthwise<R: Real>(t: &mut Tape<R>, x: Var, w: Var) -> Var {
    if let Some(y) = away::depthwise(t, x, w) {
        return y;
    }
    let d: Dims = t.dims(x).into();
    let (batch, seq, width) = (d[0], d[1], d[2]);
    let k = t.value(w).len() / width.max(1);
    let mut y = t.buffer(batch * seq * width);
    let (xs, ws) = (t.value(x), t.value(w));
    par::rows(&mut y, width, |first, out| {
        for (j, y) in out.chunks_exact_mut(width).enumerate() {
            y.fill(R::default());
            let (b, s) = ((first + j) / seq, (first + j) % seq);
            for step in steps(s, seq, k) {
                let x = &xs[(b * seq + s + step - k / 2) * width..][..width];
                for c in 0..width {
                    y[c] += x[c] * ws[c * k + step];
                }
            }
        }
    });
    let needs = t.needs(x) || t.needs(w);
    t.push(&d, y, needs, Depthwise { x, w, batch, seq, width, k })
}

impl<R: Real> Op<R> for Depthwise {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let Depthwise { x, w, batch, seq, width, k } = *self;
        if cx.needs(w) {
            let xs = cx.value(x);
            let d = par::fold_rows(batch * seq, width * k, width * k, |range, part| {
                for r in range {
                    let s = r % seq;
                    for step in steps(s, seq, k) {
                        let (x, g) = (&xs[(r + step - k / 2) * width..][..width], &g[r * width..][..width]);
                        for c in 0..width {
                            part[c * k + step] += x[c] * g[c];
                        }
                    }
                }
            });
            cx.give(w, d);
        }
        if cx.needs(x) {
            let mut d = cx.zeroed(x);
            let ws = cx.value(w);
            par::rows(&mut d, width, |first, out| {
                for (j, d) in out.chunks_exact_mut(width).enumerate() {
                    let (b, s) = ((first + j) / seq, (first + j) % seq);
                    // Position s was read by s' = s - t + k/2.
                    for step in steps(s, seq, k) {
                        let g = &g[(b * seq + s + step - k / 2) * width..][..width];
                        let back = k - 1 - step;
                        for c in 0..width {
                            d[c] += g[c] * ws[c * k + back];
                        }
                    }
                }
            });
            cx.put(x, d);
        }
        cx.recycle(g);
    }
}

struct Mix {
    o: Var,
    kernel: Var,
    batch: usize,
    seq: usize,
    heads: usize,
    width: usize,
    k: usize,
}

/// `y[b, s, h, j] = sum_t o[b, s + t - k/2, h, j] kernel[b, s, h, t]`; `o [batch, seq, heads * width]`,
/// `kernel [batch, seq, heads * k]`.
pub fn conv_mix<R: Real>(t: &mut Tape<R>, o: Var, kernel: Var, heads: usize) -> Var {
    if let Some(y) = away::conv_mix(t, o, kernel, heads) {
        return y;
    }
    let d: Dims = t.dims(o).into();
    let (batch, seq, row) = (d[0], d[1], d[2]);
    let (width, k) = (row / heads, t.width(kernel) / heads);
    let op = Mix { o, kernel, batch, seq, heads, width, k };
    let mut y = t.buffer(batch * seq * row);
    let (os, ks) = (t.value(o), t.value(kernel));
    par::rows(&mut y, row, |first, out| {
        for (j, y) in out.chunks_exact_mut(row).enumerate() {
            y.fill(R::default());
            let r = first + j;
            for step in steps(r % seq, seq, k) {
                let o = &os[(r + step - k / 2) * row..][..row];
                for h in 0..heads {
                    let c = ks[(r * heads + h) * k + step];
                    for (y, &o) in y[h * width..][..width].iter_mut().zip(&o[h * width..][..width]) {
                        *y += o * c;
                    }
                }
            }
        }
    });
    let needs = t.needs(o) || t.needs(kernel);
    t.push(&d, y, needs, op)
}

impl<R: Real> Op<R> for Mix {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let Mix { o, kernel, batch, seq, heads, width, k } = *self;
        let row = heads * width;
        if cx.needs(kernel) {
            let mut d = cx.buffer(batch * seq * heads * k);
            let os = cx.value(o);
            d.par_chunks_mut((heads * k).max(1)).with_min_len(8).enumerate().for_each(|(r, d)| {
                d.fill(R::default());
                for step in steps(r % seq, seq, k) {
                    let (o, g) = (&os[(r + step - k / 2) * row..][..row], &g[r * row..][..row]);
                    for h in 0..heads {
                        let mut s = R::default();
                        for (&o, &g) in o[h * width..][..width].iter().zip(&g[h * width..][..width]) {
                            s += o * g;
                        }
                        d[h * k + step] = s;
                    }
                }
            });
            cx.give(kernel, d);
        }
        if cx.needs(o) {
            let mut d = cx.zeroed(o);
            let ks = cx.value(kernel);
            par::rows(&mut d, row, |first, out| {
                for (j, d) in out.chunks_exact_mut(row).enumerate() {
                    let r = first + j;
                    for step in steps(r % seq, seq, k) {
                        let from = r + step - k / 2;
                        let g = &g[from * row..][..row];
                        for h in 0..heads {
                            let c = ks[(from * heads + h) * k + (k - 1 - step)];
                            for (d, &g) in d[h * width..][..width].iter_mut().zip(&g[h * width..][..width]) {
                                *d += g * c;
                            }
                        }
                    }
                }
            });
            cx.put(o, d);
        }
        cx.recycle(g);
    }
}

struct SoftmaxLast {
    x: Var,
    group: usize,
}

/// Softmax over groups of `group` neighbouring features.
pub fn softmax_last<R: Real>(t: &mut Tape<R>, x: Var, group: usize) -> Var {
    if let Some(y) = away::softmax_last(t, x, group) {
        return y;
    }
    let mut y = t.buffer(t.value(x).len());
    y.copy_from_slice(t.value(x));
    y.par_chunks_mut(group.max(1)).with_min_len(256).for_each(softmax);
    let dims: Dims = t.dims(x).into();
    let needs = t.needs(x);
    t.push(&dims, y, needs, SoftmaxLast { x, group })
}

impl<R: Real> Op<R> for SoftmaxLast {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let mut g = cx.own(g);
        let n = self.group.max(1);
        g.par_chunks_mut(n)
            .zip(cx.output().par_chunks(n))
            .with_min_len(256)
            .for_each(|(g, p)| softmax_backward(g, p));
        cx.give(self.x, g);
    }
}
