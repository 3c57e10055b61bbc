//! Scaled dot-product attention: products over views of heads, and a softmax with the mask in it.

use super::{Away, push};
use crate::tensor::device::Arg::{Float, Int, Size};
use crate::tensor::device::{Grid, Held, at};
use crate::tensor::gemm::{Into, View};
use crate::tensor::nn::attention::{Heads, Mask, Sizes, sizes};
use crate::tensor::offload::{Group, groups};
use crate::tensor::real::Real;
use crate::tensor::tape::{Tape, Var};

/// Products of every head of every sequence. Either sequences of a head or heads of a sequence follow in
/// equal steps; the longer of the two makes the fewer groups.
fn each(batch: usize, heads: usize, views: impl Fn(usize, usize) -> [View; 3]) -> Vec<Group> {
    groups(batch * heads, |i| match batch > heads {
        true => views(i % batch, i / batch),
        false => views(i / heads, i % heads),
    })
}

/// The gradient of the tensor that holds `h`: heads that fill a fresh one need not find zeros there.
fn gradient<R: Real>(cx: &mut Away<'_, '_, R>, h: Heads, s: Sizes) -> (Held, Into) {
    let (d, into) = cx.slot(h.var);
    if into == Into::Set && (h.offset > 0 || h.count * h.width < s.row) {
        cx.s.zero(&d);
        return (d, Into::Add);
    }
    (d, into)
}

pub fn attention_probs<R: Real>(t: &mut Tape<R>, q: Heads, k: Heads, mask: Mask) -> Option<Var> {
    let (sq, sk) = (sizes(t, q), sizes(t, k));
    let (batch, n, heads, share) = (sq.batch, sq.seq, q.count, q.count / k.count.max(1));
    let s = t.session().filter(|_| batch * n * heads * q.width > 0)?;
    let alpha = 1.0 / (q.width as f64).sqrt();
    let rows = batch * heads * n;
    let p = s.room(rows * n);
    let scores = move |b: usize, h: usize| View::new(n, n).at((b * heads + h) * n * n);
    let views = each(batch, heads, |b, h| [scores(b, h), q.view(sq, b, h), k.view(sk, b, h / share).t()]);
    s.products(&p, [&t.held(q.var, &*s), &t.held(k.var, &*s)], &views, alpha, Into::Set);
    let mask = match mask {
        Mask::None => 0,
        Mask::Causal => 1,
        Mask::Flipped => 2,
    };
    s.kernel("softmax", Grid::Rows(rows, n), &[at(&p), at(&p), Size(n), Size(n), Float(1.0), Int(mask)]);
    push(t, &[batch, heads, n, n], p, &[q.var, k.var], move |g, cx| {
        let d = cx.s.room(rows * n);
        let args = [at(&cx.output()), at(g), at(&d), Size(n), Size(n), Float(1.0), Int(mask)];
        cx.s.kernel("softmax_backward", Grid::Rows(rows, n), &args);
        if cx.needs(q.var) {
            let (dq, into) = gradient(cx, q, sq);
            let views = each(batch, heads, |b, h| [q.view(sq, b, h), scores(b, h), k.view(sk, b, h / share)]);
            cx.s.products(&dq, [&d, &cx.value(k.var)], &views, alpha, into);
            cx.put(q.var, dq);
        }
        if cx.needs(k.var) {
            let (dk, into) = gradient(cx, k, sk);
            for j in 0..share {
                let views = each(batch, k.count, |b, h| {
                    let from = h * share + j;
                    [k.view(sk, b, h), scores(b, from).t(), q.view(sq, b, from)]
                });
                let into = if j == 0 { into } else { Into::Add };
                cx.s.products(&dk, [&d, &cx.value(q.var)], &views, alpha, into);
            }
            cx.put(k.var, dk);
        }
    })
}

pub fn attend<R: Real>(t: &mut Tape<R>, p: Var, v: Heads) -> Option<Var> {
    let sv = sizes(t, v);
    let (batch, n, heads) = (sv.batch, sv.seq, t.dims(p)[1]);
    let s = t.session().filter(|_| batch * n * heads * v.width > 0)?;
    let (so, share) = (Sizes { row: heads * v.width, ..sv }, heads / v.count.max(1));
    let merged = Heads { var: p, offset: 0, count: heads, width: v.width };
    let probs = move |b: usize, h: usize| View::new(n, n).at((b * heads + h) * n * n);
    let y = s.room(batch * n * so.row);
    let views = each(batch, heads, |b, h| [merged.view(so, b, h), probs(b, h), v.view(sv, b, h / share)]);
    s.products(&y, [&t.held(p, &*s), &t.held(v.var, &*s)], &views, 1.0, Into::Set);
    push(t, &[batch, n, so.row], y, &[p, v.var], move |g, cx| {
        if cx.needs(p) {
            let (d, into) = cx.slot(p);
            let views =
                each(batch, heads, |b, h| [probs(b, h), merged.view(so, b, h), v.view(sv, b, h / share).t()]);
            cx.s.products(&d, [g, &cx.value(v.var)], &views, 1.0, into);
            cx.put(p, d);
        }
        if cx.needs(v.var) {
            let (d, into) = gradient(cx, v, sv);
            for j in 0..share {
                let views = each(batch, v.count, |b, h| {
                    let from = h * share + j;
                    [v.view(sv, b, h), probs(b, from).t(), merged.view(so, b, from)]
                });
                let into = if j == 0 { into } else { Into::Add };
                cx.s.products(&d, [&cx.value(p), g], &views, 1.0, into);
            }
            cx.put(v.var, d);
        }
    })
}
