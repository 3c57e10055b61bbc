//! Gradients of attention, head by head: what the products of a head share is read while it is in cache.
//! Where products may run on a device, they are offered to it one kind after the other.

use super::Mask;
use super::{Attend, Heads, Probs, Sizes, softmax_backward};
use crate::tensor::gemm::{Into, Split, View, batched};
use crate::tensor::offload;
use crate::tensor::real::Real;
use crate::tensor::tape::{Backward, Grad, Op};
use rayon::prelude::*;

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

/// Gradients of heads of two tensors, which may be one.
struct Pair<R> {
    /// The second is `None` where it is the first, or not wanted.
    buffers: [Option<Vec<R>>; 2],
    into: [Into; 2],
    one: bool,
}

impl<R: Real> Pair<R> {
    fn take(cx: &mut Backward<'_, R>, [(a, sa), (b, sb)]: [(Heads, Sizes); 2]) -> Self {
        let (needs_a, needs_b) = (cx.needs(a.var), cx.needs(b.var));
        let one = a.var == b.var;
        let mut take = |h, s| {
            let (d, into) = gradient(cx, h, s);
            (Some(d), into)
        };
        let (first, into_first) = if needs_a { take(a, sa) } else { (None, Into::Add) };
        let (second, into_second) = if needs_b && !one { take(b, sb) } else { (None, Into::Add) };
        Pair { buffers: [first, second], into: [into_first, into_second], one }
    }

    /// The destinations of both.
    fn split(&mut self) -> [Option<Split<'_, R>>; 2] {
        let one = self.one;
        let [first, second] = &mut self.buffers;
        let first = first.as_mut().map(|d| Split::new(d));
        let second = if one { first.clone() } else { second.as_mut().map(|d| Split::new(d)) };
        [first, second]
    }

    fn put(self, cx: &mut Backward<'_, R>, [a, b]: [Heads; 2]) {
        for (d, h) in self.buffers.into_iter().zip([a, b]) {
            if let Some(d) = d {
                cx.put(h.var, d);
            }
        }
    }
}

/// Do the columns of two sets of heads meet?
fn meet(a: Heads, b: Heads) -> bool {
    let end = |h: Heads| h.offset + h.count * h.width;
    a.var == b.var && a.offset < end(b) && b.offset < end(a)
}

impl Probs {
    /// How many heads of `q` one of `k` serves.
    fn share(&self) -> usize {
        self.q.count / self.k.count.max(1)
    }

    fn alpha(&self) -> f64 {
        1.0 / (self.q.width as f64).sqrt()
    }

    /// Turns gradients of rows of probabilities, from row `first` on, into those of scores.
    fn scores<R: Real>(&self, g: &mut [R], p: &[R], first: usize) {
        let n = self.sq.seq;
        for (i, (g, p)) in g.chunks_exact_mut(n).zip(p.chunks_exact(n)).enumerate() {
            softmax_backward(g, p);
            if self.mask == Mask::Flipped {
                g[(first + i) % n + 1..].fill(R::default());
            }
        }
    }

    /// Products of scores' gradients, one kind after the other.
    fn products<R: Real>(&self, g: &[R], cx: &mut Backward<'_, R>) {
        let Probs { q, k, sq, sk, .. } = *self;
        let (n, share, alpha) = (sq.seq, self.share(), self.alpha());
        let scores = |i: usize| View::new(n, n).at(i * n * n);
        if cx.needs(q.var) {
            let (mut d, into) = gradient(cx, q, sq);
            batched(
                sq.batch * q.count,
                &mut d,
                g,
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
                    g,
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
    }

    /// Everything of one head of `k` after the other.
    fn by_head<R: Real>(&self, g: &mut [R], cx: &mut Backward<'_, R>) {
        let Probs { q, k, sq, sk, .. } = *self;
        let (n, share, alpha) = (sq.seq, self.share(), self.alpha());
        let mut pair = Pair::take(cx, [(q, sq), (k, sk)]);
        let into = pair.into;
        let [dq, dk] = pair.split();
        let (p, qs, ks) = (cx.output(), cx.value(q.var), cx.value(k.var));
        let size = (share * n * n).max(1);
        g.par_chunks_mut(size).zip(p.par_chunks(size)).enumerate().for_each(|(i, (g, p))| {
            let (b, kh) = (i / k.count, i % k.count);
            for j in 0..share {
                let at = j * n * n..(j + 1) * n * n;
                self.scores(&mut g[at.clone()], &p[at.clone()], 0);
                let (h, scores) = (kh * share + j, View::new(n, n).at(at.start));
                let (qv, kv) = (q.view(sq, b, h), k.view(sk, b, kh));
                if let Some(dq) = &dq {
                    // SAFETY: no other task writes to this head of `q`, nor, as they do not meet, of `k`.
                    unsafe { dq.product(g, ks, [qv, scores, kv], alpha, into[0]) };
                }
                if let Some(dk) = &dk {
                    let into = if j == 0 { into[1] } else { Into::Add };
                    // SAFETY: as above.
                    unsafe { dk.product(g, qs, [kv, scores.t(), qv], alpha, into) };
                }
            }
        });
        pair.put(cx, [q, k]);
    }
}

impl<R: Real> Op<R> for Probs {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let mut g = cx.own(g);
        if offload::installed() || meet(self.q, self.k) {
            let n = self.sq.seq.max(1);
            let rows = g.par_chunks_mut(n).zip(cx.output().par_chunks(n)).with_min_len(16);
            rows.enumerate().for_each(|(i, (g, p))| self.scores(g, p, i));
            self.products(&g, cx);
        } else {
            self.by_head(&mut g, cx);
        }
        cx.reuse(g);
    }
}

impl Attend {
    /// How many heads one of `v` serves.
    fn share(&self) -> usize {
        self.heads / self.v.count.max(1)
    }

    /// Products of the output's gradient, one kind after the other.
    fn products<R: Real>(&self, g: &[R], cx: &mut Backward<'_, R>) {
        let (heads, v, sv, share) = (self.heads, self.v, self.sv, self.share());
        if cx.needs(self.p) {
            let (mut d, held) = cx.slot(self.p);
            batched(
                sv.batch * heads,
                &mut d,
                g,
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
                    g,
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
    }

    /// Everything of one head of `v` after the other.
    fn by_head<R: Real>(&self, g: &[R], cx: &mut Backward<'_, R>) {
        let (v, sv, share) = (self.v, self.sv, self.share());
        let (mut dv, into_v) = gradient(cx, v, sv);
        let (mut dp, held) = cx.slot(self.p);
        let into_p = if held { Into::Add } else { Into::Set };
        let (to_v, to_p) = (Split::new(&mut dv), Split::new(&mut dp));
        let (ps, vs) = (cx.value(self.p), cx.value(v.var));
        (0..sv.batch * v.count).into_par_iter().for_each(|i| {
            let (b, vh) = (i / v.count, i % v.count);
            for j in 0..share {
                let h = vh * share + j;
                let (p, out, value) = (self.probs(b, h), self.out(b, h), v.view(sv, b, vh));
                let into_v = if j == 0 { into_v } else { Into::Add };
                // SAFETY: no other task writes to this head of `v`, nor to its probabilities.
                unsafe {
                    to_p.product(g, vs, [p, out, value.t()], 1.0, into_p);
                    to_v.product(ps, g, [value, p.t(), out], 1.0, into_v);
                }
            }
        });
        cx.put(self.p, dp);
        cx.put(v.var, dv);
    }
}

impl<R: Real> Op<R> for Attend {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        if offload::installed() || !cx.needs(self.p) || !cx.needs(self.v.var) {
            self.products(&g, cx);
        } else {
            self.by_head(&g, cx);
        }
        cx.recycle(g);
    }
}
