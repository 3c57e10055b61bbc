//! Linear maps: products, and a bias that is added to them.

use super::basic::{column_sums, shift};
use super::push;
use crate::tensor::Dims;
use crate::tensor::gemm::{Into, View};
use crate::tensor::nn::Layout;
use crate::tensor::offload::{Group, groups};
use crate::tensor::real::Real;
use crate::tensor::tape::{Tape, Var};

fn one(views: [View; 3]) -> [Group; 1] {
    [Group { views, strides: [0; 3], count: 1 }]
}

pub fn linear<R: Real>(t: &mut Tape<R>, x: Var, w: Var, b: Option<Var>, layout: Layout) -> Option<Var> {
    let (n, inner) = (t.rows(x), t.width(x));
    let outer = t.len(w) / inner.max(1);
    let s = t.session().filter(|_| n * inner * outer > 0)?;
    let weight = match layout {
        Layout::OutIn => View::new(outer, inner).t(),
        Layout::InOut => View::new(inner, outer),
    };
    let y = s.room(n * outer);
    let views = [View::new(n, outer), View::new(n, inner), weight];
    s.products(&y, [&t.held(x, &*s), &t.held(w, &*s)], &one(views), 1.0, Into::Set);
    if let Some(b) = b {
        shift(&*s, &y, &t.held(b, &*s), &y, outer);
    }
    let mut dims: Dims = t.dims(x).into();
    if let Some(last) = dims.last_mut() {
        *last = outer;
    }
    let inputs: Vec<Var> = [x, w].into_iter().chain(b).collect();
    push(t, &dims, y, &inputs, move |g, cx| {
        if cx.needs(w) {
            let samples = cx.samples(w);
            let rows = n / samples;
            let xv = |i: usize| View::new(rows, inner).at(i * rows * inner);
            let gv = |i: usize| View::new(rows, outer).at(i * rows * outer);
            let (d, into) = cx.slot(w);
            let xs = cx.value(x);
            match layout {
                Layout::OutIn => {
                    let to = |i: usize| View::new(outer, inner).at(i * outer * inner);
                    let views = groups(samples, |i| [to(i), gv(i).t(), xv(i)]);
                    cx.s.products(&d, [g, &xs], &views, 1.0, into);
                }
                Layout::InOut => {
                    let to = |i: usize| View::new(inner, outer).at(i * outer * inner);
                    let views = groups(samples, |i| [to(i), xv(i).t(), gv(i)]);
                    cx.s.products(&d, [&xs, g], &views, 1.0, into);
                }
            }
            cx.put(w, d);
        }
        if let Some(b) = b.filter(|&b| cx.needs(b)) {
            let sums = column_sums(&*cx.s, g, outer, cx.samples(b));
            cx.give(b, sums);
        }
        if cx.needs(x) {
            let (d, into) = cx.slot(x);
            let views = [View::new(n, inner), View::new(n, outer), weight.t()];
            cx.s.products(&d, [g, &cx.value(w)], &one(views), 1.0, into);
            cx.put(x, d);
        }
    })
}
