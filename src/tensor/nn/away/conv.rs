//! Convolutions along the sequence, and a softmax over groups of features.

use super::push;
use crate::tensor::Dims;
use crate::tensor::device::Arg::{Float, Int, Size};
use crate::tensor::device::{Grid, at};
use crate::tensor::real::Real;
use crate::tensor::tape::{Tape, Var};

pub fn depthwise<R: Real>(t: &mut Tape<R>, x: Var, w: Var) -> Option<Var> {
    let s = t.session()?;
    let d: Dims = t.dims(x).into();
    let (n, width) = (t.len(x), d[2]);
    let k = t.len(w) / width.max(1);
    let [seq, taps] = [d[1], k].map(|x| x as i32);
    let sizes = move |n: usize| [Size(n), Int(seq), Size(width), Int(taps)];
    let y = s.room(n);
    let [xs, ws] = [x, w].map(|v| t.held(v, &*s));
    s.kernel("depthwise", Grid::Each(n), &[&[at(&xs), at(&ws), at(&y)], &sizes(n)[..], &[Int(0)]].concat());
    push(t, &d, y, &[x, w], move |g, cx| {
        if cx.needs(w) {
            let d = cx.s.room(width * k);
            let args = [&[at(&cx.value(x)), at(g), at(&d)], &sizes(n / width)[..]].concat();
            cx.s.kernel("depthwise_weights", Grid::Blocks(width * k), &args);
            cx.give(w, d);
        }
        if cx.needs(x) {
            let d = cx.s.room(n);
            let args = [&[at(g), at(&cx.value(w)), at(&d)], &sizes(n)[..], &[Int(1)]].concat();
            cx.s.kernel("depthwise", Grid::Each(n), &args);
            cx.give(x, d);
        }
    })
}

pub fn conv_mix<R: Real>(t: &mut Tape<R>, o: Var, kernel: Var, heads: usize) -> Option<Var> {
    let s = t.session()?;
    let d: Dims = t.dims(o).into();
    let (n, m) = (t.len(o), t.len(kernel));
    let (seq, each, k) = (d[1] as i32, d[2] / heads, t.width(kernel) / heads);
    let sizes = move |n: usize| [Size(n), Int(seq), Size(heads), Size(each), Int(k as i32)];
    let y = s.room(n);
    let [os, ks] = [o, kernel].map(|v| t.held(v, &*s));
    s.kernel("dynamic_mix", Grid::Each(n), &[&[at(&os), at(&ks), at(&y)], &sizes(n)[..]].concat());
    push(t, &d, y, &[o, kernel], move |g, cx| {
        if cx.needs(kernel) {
            let d = cx.s.room(m);
            let args = [&[at(&cx.value(o)), at(g), at(&d)], &sizes(m)[..]].concat();
            cx.s.kernel("dynamic_mix_kernels", Grid::Each(m), &args);
            cx.give(kernel, d);
        }
        if cx.needs(o) {
            let d = cx.s.room(n);
            let args = [&[at(&cx.value(kernel)), at(g), at(&d)], &sizes(n)[..]].concat();
            cx.s.kernel("dynamic_mix_inputs", Grid::Each(n), &args);
            cx.give(o, d);
        }
    })
}

pub fn softmax_last<R: Real>(t: &mut Tape<R>, x: Var, group: usize) -> Option<Var> {
    let n = t.len(x);
    let s = t.session().filter(|_| group > 0 && n.is_multiple_of(group))?;
    let (rows, y) = (n / group, s.room(n));
    let sizes = move || [Size(group), Size(1), Float(1.0), Int(0)];
    let args = [&[at(&t.held(x, &*s)), at(&y)], &sizes()[..]].concat();
    s.kernel("softmax", Grid::Rows(rows, group), &args);
    let dims: Dims = t.dims(x).into();
    push(t, &dims, y, &[x], move |g, cx| {
        let d = cx.s.room(n);
        let args = [&[at(&cx.output()), at(g), at(&d)], &sizes()[..]].concat();
        cx.s.kernel("softmax_backward", Grid::Rows(rows, group), &args);
        cx.give(x, d);
    })
}
