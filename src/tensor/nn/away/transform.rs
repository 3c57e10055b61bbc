//! Linear transforms as products with constant matrices.

use super::push;
use crate::tensor::device::Arg::{Float, Int, Size};
use crate::tensor::device::{Grid, Held, Session, at};
use crate::tensor::gemm::{Into, View};
use crate::tensor::nn::transform::{Transform, terms};
use crate::tensor::offload::{Group, groups};
use crate::tensor::real::Real;
use crate::tensor::stored::upload;
use crate::tensor::tape::{Tape, Var};

/// A transform on `[batch, seq, heads * width]`; matrices of every term with its sign.
struct Apply {
    terms: Vec<(Held, Held, f64)>,
    sizes: [usize; 4],
}

impl Apply {
    /// `sum sign * left x right^T`, or with the matrices transposed.
    fn run(&self, s: &dyn Session, x: &Held, transposed: bool) -> Held {
        let [batch, seq, heads, w] = self.sizes;
        let (row, rows) = (heads * w, batch * seq * heads);
        let turn = |v: View| if transposed { v.t() } else { v };
        let (y, half) = (s.room(x.len()), s.room(x.len()));
        for (i, (left, right, sign)) in self.terms.iter().enumerate() {
            let views = [View::new(rows, w), View::new(rows, w), turn(View::new(w, w).t())];
            let one = [Group { views, strides: [0; 3], count: 1 }];
            s.products(&half, [x, right], &one, 1.0, Into::Set);
            let each = groups(batch, |b| {
                let part = View::new(seq, row).at(b * seq * row);
                [part, turn(View::new(seq, seq)), part]
            });
            let into = if i == 0 { Into::Set } else { Into::Add };
            s.products(&y, [left, &half], &each, *sign, into);
        }
        y
    }
}

pub fn transform2d<R: Real>(t: &mut Tape<R>, x: Var, heads: usize, kind: Transform) -> Option<Var> {
    let d = t.dims(x).to_vec();
    let s = t.session().filter(|_| d.iter().product::<usize>() > 0)?;
    let width = d[2] / heads;
    let sent = terms::<R>(kind, d[1], width);
    let sent = sent.iter().map(|t| (upload(&*s, &t.left), upload(&*s, &t.right), t.sign));
    let op = Apply { terms: sent.collect(), sizes: [d[0], d[1], heads, width] };
    let y = op.run(&*s, &t.held(x, &*s), false);
    push(t, &d, y, &[x], move |g, cx| {
        let d = op.run(&*cx.s, g, true);
        cx.give(x, d);
    })
}

pub fn softmax_heads<R: Real>(t: &mut Tape<R>, x: Var, heads: usize) -> Option<Var> {
    let s = t.session()?;
    let (batch, seq, w) = (t.dims(x)[0], t.dims(x)[1], t.dims(x)[2] / heads);
    let n = batch * seq * heads * w;
    let (turned, y) = (s.room(n), s.room(n));
    let args = [at(&t.held(x, &*s)), at(&turned), Size(n), Size(seq), Size(heads), Size(w)];
    s.kernel("swap_axes", Grid::Each(n), &args);
    let args = [at(&turned), at(&y), Size(w), Size(1), Float(1.0), Int(0)];
    s.kernel("softmax", Grid::Rows(batch * heads * seq, w), &args);
    push(t, &[batch, heads, seq, w], y, &[], |_, _| {})
}
