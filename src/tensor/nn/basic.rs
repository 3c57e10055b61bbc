//! Sums, products, broadcasting and joining.

use super::away;
use crate::tensor::Dims;
use crate::tensor::par;
use crate::tensor::real::Real;
use crate::tensor::tape::{Backward, Grad, Op, Tape, Var};

struct Add(Var, Var);

/// `x + y`, equal sizes.
pub fn add<R: Real>(t: &mut Tape<R>, x: Var, y: Var) -> Var {
    if let Some(y) = away::add(t, x, y) {
        return y;
    }
    let mut z = t.buffer(t.value(x).len());
    par::map2(&mut z, t.value(x), t.value(y), |z, x, y| {
        for ((z, &x), &y) in z.iter_mut().zip(x).zip(y) {
            *z = x + y;
        }
    });
    let dims: Dims = t.dims(x).into();
    let needs = t.needs(x) || t.needs(y);
    t.push(&dims, z, needs, Add(x, y))
}

impl<R: Real> Op<R> for Add {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        cx.add(self.0, &g);
        if cx.needs(self.1) && !cx.holds(self.1) {
            let g = cx.own(g);
            return cx.give(self.1, g);
        }
        cx.add(self.1, &g);
        cx.recycle(g);
    }
}

struct Mul(Var, Var);

/// `x * y`, equal sizes.
pub fn mul<R: Real>(t: &mut Tape<R>, x: Var, y: Var) -> Var {
    if let Some(y) = away::mul(t, x, y) {
        return y;
    }
    let mut z = t.buffer(t.value(x).len());
    product(&mut z, t.value(x), t.value(y));
    let dims: Dims = t.dims(x).into();
    let needs = t.needs(x) || t.needs(y);
    t.push(&dims, z, needs, Mul(x, y))
}

fn product<R: Real>(z: &mut [R], x: &[R], y: &[R]) {
    par::map2(z, x, y, |z, x, y| {
        for ((z, &x), &y) in z.iter_mut().zip(x).zip(y) {
            *z = x * y;
        }
    });
}

impl<R: Real> Op<R> for Mul {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        for (to, other) in [(self.0, self.1), (self.1, self.0)] {
            if cx.needs(to) {
                let mut d = cx.buffer(g.len());
                product(&mut d, &g, cx.value(other));
                cx.give(to, d);
            }
        }
        cx.recycle(g);
    }
}

struct Scale(Var, f64);

/// `c x`.
pub fn scale<R: Real>(t: &mut Tape<R>, x: Var, c: f64) -> Var {
    if let Some(y) = away::scale(t, x, c) {
        return y;
    }
    let mut y = t.buffer(t.value(x).len());
    let k = R::of(c);
    par::map1(&mut y, t.value(x), |y, x| {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = x * k;
        }
    });
    let dims: Dims = t.dims(x).into();
    let needs = t.needs(x);
    t.push(&dims, y, needs, Scale(x, c))
}

impl<R: Real> Op<R> for Scale {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let mut g = cx.own(g);
        let k = R::of(self.1);
        // Rows of any width do.
        par::rows(&mut g, 256, |_, g| {
            for v in g {
                *v *= k;
            }
        });
        cx.give(self.0, g);
    }
}

struct AddTable {
    x: Var,
    table: Var,
    period: usize,
    width: usize,
}

/// Adds row `r % period` of `table` to row `r` of `x`.
pub fn add_table<R: Real>(t: &mut Tape<R>, x: Var, table: Var, period: usize) -> Var {
    if let Some(y) = away::add_table(t, x, table, period) {
        return y;
    }
    let width = t.width(x);
    let mut y = t.buffer(t.value(x).len());
    let (xs, ts) = (t.value(x), t.value(table));
    par::rows(&mut y, width, |first, out| {
        for (j, y) in out.chunks_exact_mut(width).enumerate() {
            let r = first + j;
            let (x, row) = (&xs[r * width..], &ts[(r % period) * width..]);
            for i in 0..width {
                y[i] = x[i] + row[i];
            }
        }
    });
    let dims: Dims = t.dims(x).into();
    let needs = t.needs(x) || t.needs(table);
    t.push(&dims, y, needs, AddTable { x, table, period, width })
}

impl<R: Real> Op<R> for AddTable {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        if cx.needs(self.table) {
            let mut d = cx.zeroed(self.table);
            let table = cx.value(self.table).len();
            let rows = (g.len() / self.width / cx.samples(self.table)).max(1);
            for (r, row) in g.chunks_exact(self.width).enumerate() {
                let at = r / rows * table + (r % self.period) * self.width;
                for (d, &v) in d[at..at + self.width].iter_mut().zip(row) {
                    *d += v;
                }
            }
            cx.put(self.table, d);
        }
        let g = cx.own(g);
        cx.give(self.x, g);
    }
}

struct Concat {
    parts: Vec<(Var, usize)>,
    n: usize,
}

/// Joins along the last axis.
pub fn concat_features<R: Real>(t: &mut Tape<R>, parts: &[Var]) -> Var {
    if let Some(y) = away::concat_features(t, parts) {
        return y;
    }
    let Some(&first) = parts.first() else { return t.constant(&[0], Vec::new()) };
    let n = t.rows(first);
    let widths: Vec<(Var, usize)> = parts.iter().map(|&p| (p, t.width(p))).collect();
    let total: usize = widths.iter().map(|w| w.1).sum();
    let mut y = t.buffer(n * total);
    let mut at = 0;
    for &(p, w) in &widths {
        let xs = t.value(p);
        par::rows(&mut y, total, |first, rows| {
            for (row, x) in rows.chunks_exact_mut(total).zip(xs[first * w..].chunks_exact(w)) {
                row[at..at + w].copy_from_slice(x);
            }
        });
        at += w;
    }
    let mut dims: Dims = t.dims(first).into();
    if let Some(last) = dims.last_mut() {
        *last = total;
    }
    let needs = parts.iter().any(|&p| t.needs(p));
    t.push(&dims, y, needs, Concat { parts: widths, n })
}

impl<R: Real> Op<R> for Concat {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let total: usize = self.parts.iter().map(|w| w.1).sum();
        let mut at = 0;
        for (p, w) in self.parts {
            if cx.needs(p) {
                let mut d = cx.buffer(self.n * w);
                par::rows(&mut d, w, |first, rows| {
                    for (d, row) in rows.chunks_exact_mut(w).zip(g[first * total..].chunks_exact(total)) {
                        d.copy_from_slice(&row[at..at + w]);
                    }
                });
                cx.give(p, d);
            }
            at += w;
        }
        cx.recycle(g);
    }
}
