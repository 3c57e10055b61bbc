//! Sums, products, broadcasting, joining, and non-linearities.

use super::push;
use crate::tensor::Dims;
use crate::tensor::device::Arg::{At, Int, Null, Size};
use crate::tensor::device::{Grid, Held, Session, at};
use crate::tensor::nn::Act;
use crate::tensor::real::Real;
use crate::tensor::tape::{Tape, Var};

pub fn add<R: Real>(t: &mut Tape<R>, x: Var, y: Var) -> Option<Var> {
    let s = t.session()?;
    let z = s.sum(&t.held(x, &*s), &t.held(y, &*s), 1.0);
    let dims: Dims = t.dims(x).into();
    push(t, &dims, z, &[x, y], move |g, cx| {
        cx.give(x, g.clone());
        cx.give(y, g.clone());
    })
}

pub fn mul<R: Real>(t: &mut Tape<R>, x: Var, y: Var) -> Option<Var> {
    let s = t.session()?;
    let n = t.len(x);
    let z = s.multiply(Some(&t.held(x, &*s)), Some(&t.held(y, &*s)), 1.0, n);
    let dims: Dims = t.dims(x).into();
    push(t, &dims, z, &[x, y], move |g, cx| {
        for (to, other) in [(x, y), (y, x)] {
            if cx.needs(to) {
                let d = cx.s.multiply(Some(g), Some(&cx.value(other)), 1.0, n);
                cx.give(to, d);
            }
        }
    })
}

pub fn scale<R: Real>(t: &mut Tape<R>, x: Var, c: f64) -> Option<Var> {
    let s = t.session()?;
    let n = t.len(x);
    let y = s.multiply(Some(&t.held(x, &*s)), None, c, n);
    let dims: Dims = t.dims(x).into();
    push(t, &dims, y, &[x], move |g, cx| {
        let d = cx.s.multiply(Some(g), None, c, n);
        cx.give(x, d);
    })
}

/// `y = x + b` repeated along `x`.
pub fn shift(s: &dyn Session, x: &Held, b: &Held, y: &Held, period: usize) {
    let n = y.len();
    let args = [at(x), at(b), at(y), Size(n), Size(period), Int(0)];
    s.kernel("bias_activation", Grid::Each(n), &args);
}

/// Sums over the rows of each of `runs` runs.
pub fn column_sums(s: &dyn Session, x: &Held, width: usize, runs: usize) -> Held {
    let sums = s.room(runs * width);
    let rows = x.len() / width / runs;
    s.kernel("column_sums", Grid::Columns(width, runs), &[at(x), at(&sums), Size(rows), Size(width)]);
    sums
}

/// Only where the table comes round a whole number of times.
pub fn add_table<R: Real>(t: &mut Tape<R>, x: Var, table: Var, period: usize) -> Option<Var> {
    let width = t.width(x) * period;
    let s = t.session().filter(|_| t.rows(x).is_multiple_of(period))?;
    let y = s.room(t.len(x));
    shift(&*s, &t.held(x, &*s), &t.held(table, &*s), &y, width);
    let (dims, whole): (Dims, usize) = (t.dims(x).into(), t.len(table));
    push(t, &dims, y, &[x, table], move |g, cx| {
        if cx.needs(table) {
            let samples = cx.samples(table);
            let sums = column_sums(&*cx.s, g, width, samples);
            // Rows that nothing uses have gradient 0.
            let d = cx.s.zeros(samples * whole);
            (0..samples).for_each(|i| cx.s.copy((&d, i * whole), (&sums, i * width), width));
            cx.give(table, d);
        }
        cx.give(x, g.clone());
    })
}

pub fn concat_features<R: Real>(t: &mut Tape<R>, parts: &[Var]) -> Option<Var> {
    let s = t.session()?;
    let first = *parts.first()?;
    let n = t.rows(first);
    let widths: Vec<(Var, usize)> = parts.iter().map(|&p| (p, t.width(p))).collect();
    let total: usize = widths.iter().map(|w| w.1).sum();
    let y = s.room(n * total);
    let mut from = 0;
    for &(p, w) in &widths {
        let args = [at(&t.held(p, &*s)), At(y.clone(), from), Size(n * w), Size(w), Size(w), Size(total)];
        s.kernel("copy_columns", Grid::Each(n * w), &args);
        from += w;
    }
    let mut dims: Dims = t.dims(first).into();
    if let Some(last) = dims.last_mut() {
        *last = total;
    }
    push(t, &dims, y, parts, move |g, cx| {
        let mut from = 0;
        for (p, w) in widths {
            if cx.needs(p) {
                let d = cx.s.room(n * w);
                let args = [At(g.clone(), from), at(&d), Size(n * w), Size(w), Size(total), Size(w)];
                cx.s.kernel("copy_columns", Grid::Each(n * w), &args);
                cx.give(p, d);
            }
            from += w;
        }
    })
}

pub fn activation<R: Real>(t: &mut Tape<R>, x: Var, act: Act) -> Option<Var> {
    let s = t.session()?;
    let n = t.len(x);
    let act = match act {
        Act::Relu => 1,
        Act::Gelu => 2,
        Act::GeluTanh => 3,
        Act::Silu => 4,
    };
    let y = s.room(n);
    let args = [at(&t.held(x, &*s)), Null, at(&y), Size(n), Size(1), Int(act)];
    s.kernel("bias_activation", Grid::Each(n), &args);
    let dims: Dims = t.dims(x).into();
    push(t, &dims, y, &[x], move |g, cx| {
        let d = cx.s.room(n);
        let args = [at(&cx.value(x)), Null, at(g), at(&d), Size(n), Size(1), Int(act)];
        cx.s.kernel("bias_activation_backward", Grid::Each(n), &args);
        cx.give(x, d);
    })
}
