//! Scaled dot-product attention in two steps, so that the probabilities can be observed.

use super::away;
use crate::tensor::gemm::{Into, View, batched, batched_away, product_here};
use crate::tensor::real::Real;
use crate::tensor::simd::{sum1, sum2, top, wide};
use crate::tensor::tape::{Backward, Grad, Op, Tape, Var};
use rayon::prelude::*;

/// Heads inside the features of `[batch, seq, width]`: head `h` is `width` columns from
/// `offset + h * width`.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// The tensor.
    pub var: Var,
    /// First column.
    pub offset: usize,
    /// Number of heads.
    pub count: usize,
    /// Columns of one head.
    pub width: usize,
}

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mask {
    /// All.
    None,
    /// Those not after it.
    Causal,
    /// Later keys get the score +1e4 instead of their own: a causal mask whose constant has lost its sign.
    Flipped,
}

const FLIPPED: f64 = 1e4;

#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub batch: usize,
    pub seq: usize,
    /// Features of the tensor that holds the heads.
    pub row: usize,
}

pub(super) fn sizes<R: Real>(t: &Tape<R>, h: Heads) -> Sizes {
    let d = t.dims(h.var);
    Sizes { batch: d[0], seq: d[1], row: d[2] }
}

impl Heads {
    /// Matrix `[seq, width]` of one head in one batch.
    pub(super) fn view(&self, s: Sizes, b: usize, h: usize) -> View {
        View {
            offset: b * s.seq * s.row + self.offset + h * self.width,
            rows: s.seq,
            cols: self.width,
            rs: s.row,
            cs: 1,
        }
    }
}

/// The gradient of the tensor that holds `h`, and how the first product enters it: heads that fill a
/// fresh gradient need not find zeros there.
fn gradient<R: Real>(cx: &mut Backward<'_, R>, h: Heads, s: Sizes) -> (Vec<R>, Into) {
    let (mut d, held) = cx.slot(h.var);
    if !held && h.offset == 0 && h.count * h.width == s.row {
        return (d, Into::Set);
    }
    if !held {
        d.fill(R::default());
    }
    (d, Into::Add)
}

struct Probs {
    q: Heads,
    k: Heads,
    sq: Sizes,
    sk: Sizes,
    mask: Mask,
}

/// `softmax(mask(q k^T / sqrt(width)))`, `[batch, heads, query, key]`. `k` may have fewer heads, each
/// of which then serves several of `q` in turn.
pub fn attention_probs<R: Real>(t: &mut Tape<R>, q: Heads, k: Heads, mask: Mask) -> Var {
    if let Some(y) = away::attention_probs(t, q, k, mask) {
        return y;
    }
    let (sq, sk) = (sizes(t, q), sizes(t, k));
    let (n, share) = (sq.seq, q.count / k.count.max(1));
    let alpha = 1.0 / (q.width as f64).sqrt();
    let mut p = t.buffer(sq.batch * q.count * n * n);
    let (qs, ks) = (t.value(q.var), t.value(k.var));
    let views = |i: usize| {
        let (b, h) = (i / q.count, i % q.count);
        [View::new(n, n).at(i * n * n), q.view(sq, b, h), k.view(sk, b, h / share).t()]
    };
    let away = batched_away(sq.batch * q.count, &mut p, qs, ks, views, alpha, Into::Set);
    p.par_chunks_mut((n * n).max(1)).enumerate().for_each(|(i, p)| {
        if !away {
            let [to, q, k] = views(i);
            product_here(p, qs, ks, [to.at(0), q, k], alpha, Into::Set);
        }
        for (s, row) in p.chunks_exact_mut(n).enumerate() {
            masked_softmax(row, s + 1, mask);
        }
    });
    let needs = t.needs(q.var) || t.needs(k.var);
    t.push(&[sq.batch, q.count, n, n], p, needs, Probs { q, k, sq, sk, mask })
}

fn masked_softmax<R: Real>(row: &mut [R], seen: usize, mask: Mask) {
    match mask {
        Mask::None => softmax(row),
        Mask::Causal => {
            let (live, dead) = row.split_at_mut(seen);
            softmax(live);
            dead.fill(R::default());
        }
        Mask::Flipped => {
            row[seen..].fill(R::of(FLIPPED));
            softmax(row);
        }
    }
}

wide! {
    /// Softmax in place; the largest element is taken off as a constant, which changes nothing.
    pub(super) fn softmax<R: Real>(row: &mut [R]) {
        let most = R::lift(top(row));
        for x in row.iter_mut() {
            *x = (*x - most).exp();
        }
        let inv = R::of(1.0) / sum1(row, |x| x);
        for x in row.iter_mut() {
            *x *= inv;
        }
    }

    /// Turns the gradient of softmax's output into that of its input.
    pub(super) fn softmax_backward<R: Real>(g: &mut [R], p: &[R]) {
        let s = sum2(g, p, |g, p| g * p);
        for (g, &p) in g.iter_mut().zip(p) {
            *g = p * (*g - s);
        }
    }
}

impl<R: Real> Op<R> for Probs {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let mut g = cx.own(g);
        let Probs { q, k, sq, sk, mask } = *self;
        let (n, share) = (sq.seq, q.count / k.count.max(1));
        let alpha = 1.0 / (q.width as f64).sqrt();
        let p = cx.output();
        g.par_chunks_mut(n.max(1)).zip(p.par_chunks(n.max(1))).with_min_len(16).enumerate().for_each(
            |(i, (g, p))| {
                softmax_backward(g, p);
                if mask == Mask::Flipped {
                    g[i % n + 1..].fill(R::default());
                }
            },
        );
        let scores = |i: usize| View::new(n, n).at(i * n * n);
        if cx.needs(q.var) {
            let (mut d, into) = gradient(cx, q, sq);
            batched(
                sq.batch * q.count,
                &mut d,
                &g,
                cx.value(k.var),
                |i| {
                    let (b, h) = (i / q.count, i % q.count);
                    [q.view(sq, b, h), scores(i), k.view(sk, b, h / share)]
                },
                alpha,
                into,
            );
            cx.put(q.var, d);
        }
        if cx.needs(k.var) {
            let (mut d, into) = gradient(cx, k, sk);
            for j in 0..share {
                batched(
                    sq.batch * k.count,
                    &mut d,
                    &g,
                    cx.value(q.var),
                    |i| {
                        let (b, kh) = (i / k.count, i % k.count);
                        let h = kh * share + j;
                        [k.view(sk, b, kh), scores(b * q.count + h).t(), q.view(sq, b, h)]
                    },
                    alpha,
                    if j == 0 { into } else { Into::Add },
                );
            }
            cx.put(k.var, d);
        }
        cx.reuse(g);
    }
}

struct Attend {
    p: Var,
    v: Heads,
    heads: usize,
    sv: Sizes,
    so: Sizes,
}

impl Attend {
    fn out(&self, b: usize, h: usize) -> View {
        Heads { var: self.p, offset: 0, count: self.heads, width: self.v.width }.view(self.so, b, h)
    }
    fn probs(&self, b: usize, h: usize) -> View {
        let n = self.so.seq;
        View::new(n, n).at((b * self.heads + h) * n * n)
    }
}

/// `p v` with the heads merged: `[batch, seq, heads * width]`.
pub fn attend<R: Real>(t: &mut Tape<R>, p: Var, v: Heads) -> Var {
    if let Some(y) = away::attend(t, p, v) {
        return y;
    }
    let sv = sizes(t, v);
    let heads = t.dims(p)[1];
    let so = Sizes { row: heads * v.width, ..sv };
    let op = Attend { p, v, heads, sv, so };
    let mut y = t.buffer(so.batch * so.seq * so.row);
    let share = heads / v.count.max(1);
    batched(
        so.batch * heads,
        &mut y,
        t.value(p),
        t.value(v.var),
        |i| {
            let (b, h) = (i / heads, i % heads);
            [op.out(b, h), op.probs(b, h), v.view(sv, b, h / share)]
        },
        1.0,
        Into::Set,
    );
    let needs = t.needs(p) || t.needs(v.var);
    t.push(&[so.batch, so.seq, so.row], y, needs, op)
}

impl<R: Real> Op<R> for Attend {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let (heads, v, sv) = (self.heads, self.v, self.sv);
        let share = heads / v.count.max(1);
        if cx.needs(self.p) {
            let (mut d, held) = cx.slot(self.p);
            batched(
                sv.batch * heads,
                &mut d,
                &g,
                cx.value(v.var),
                |i| {
                    let (b, h) = (i / heads, i % heads);
                    [self.probs(b, h), self.out(b, h), v.view(sv, b, h / share).t()]
                },
                1.0,
                if held { Into::Add } else { Into::Set },
            );
            cx.put(self.p, d);
        }
        if cx.needs(v.var) {
            let (mut d, into) = gradient(cx, v, sv);
            for j in 0..share {
                batched(
                    sv.batch * v.count,
                    &mut d,
                    cx.value(self.p),
                    &g,
                    |i| {
                        let (b, vh) = (i / v.count, i % v.count);
                        let h = vh * share + j;
                        [v.view(sv, b, vh), self.probs(b, h).t(), self.out(b, h)]
                    },
                    1.0,
                    if j == 0 { into } else { Into::Add },
                );
            }
            cx.put(v.var, d);
        }
        cx.recycle(g);
    }
}
