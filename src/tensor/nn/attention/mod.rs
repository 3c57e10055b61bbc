//! Scaled dot-product attention in two steps, so that the probabilities can be observed.

mod backward;

use super::away;
use crate::tensor::gemm::{Into, View, batched, batched_away, product_here};
use crate::tensor::real::Real;
use crate::tensor::simd::{sum1, sum2, top, wide};
use crate::tensor::tape::{Tape, Var};
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
