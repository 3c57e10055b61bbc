//! Gathering, scattering, slicing and joining rows.

use super::away;
use crate::tensor::real::Real;
use crate::tensor::tape::{Backward, Grad, Op, Tape, Var};

struct Gather {
    table: Var,
    ids: Vec<u32>,
    width: usize,
    frozen: Option<u32>,
}

/// Rows `ids` of a table `[rows, width]`, shaped `lead x width`. The row `frozen` gets no gradient.
pub fn gather<R: Real>(
    t: &mut Tape<R>,
    table: Var,
    ids: Vec<u32>,
    lead: &[usize],
    frozen: Option<u32>,
) -> Var {
    if let Some(y) = away::gather(t, table, &ids, lead, frozen) {
        return y;
    }
    let width = t.width(table);
    let mut y = t.buffer(ids.len() * width);
    let rows = t.value(table);
    for (y, &id) in y.chunks_exact_mut(width).zip(&ids) {
        y.copy_from_slice(&rows[id as usize * width..][..width]);
    }
    let mut dims = lead.to_vec();
    dims.push(width);
    let needs = t.needs(table);
    t.push(&dims, y, needs, Gather { table, ids, width, frozen })
}

impl<R: Real> Op<R> for Gather {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let mut d = cx.zeroed(self.table);
        let table = cx.value(self.table).len();
        let rows = (self.ids.len() / cx.samples(self.table)).max(1);
        for (r, (row, &id)) in g.chunks_exact(self.width).zip(&self.ids).enumerate() {
            if Some(id) != self.frozen {
                let at = r / rows * table + id as usize * self.width;
                for (d, &v) in d[at..at + self.width].iter_mut().zip(row) {
                    *d += v;
                }
            }
        }
        cx.put(self.table, d);
        cx.recycle(g);
    }
}

/// Rows `rows` of `x` seen as a matrix, shaped `[rows, width]`.
pub fn select_rows<R: Real>(t: &mut Tape<R>, x: Var, rows: Vec<u32>) -> Var {
    let n = rows.len();
    gather(t, x, rows, &[n], None)
}

struct Scatter {
    parts: Vec<(Var, Vec<u32>)>,
    width: usize,
}

/// A tensor `dims` whose row `rows[j]` is row `j` of the part; rows that no part names are 0.
pub fn scatter_rows<R: Real>(t: &mut Tape<R>, parts: Vec<(Var, Vec<u32>)>, dims: &[usize]) -> Var {
    if let Some(y) = away::scatter_rows(t, &parts, dims) {
        return y;
    }
    let width = dims.last().copied().unwrap_or(1);
    let mut y = t.buffer(dims.iter().product());
    y.fill(R::default());
    for (part, rows) in &parts {
        for (x, &r) in t.value(*part).chunks_exact(width).zip(rows) {
            y[r as usize * width..][..width].copy_from_slice(x);
        }
    }
    let needs = parts.iter().any(|(p, _)| t.needs(*p));
    t.push(dims, y, needs, Scatter { parts, width })
}

impl<R: Real> Op<R> for Scatter {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        for (part, rows) in self.parts {
            if cx.needs(part) {
                let mut d = cx.buffer(rows.len() * self.width);
                for (d, &r) in d.chunks_exact_mut(self.width).zip(&rows) {
                    d.copy_from_slice(&g[r as usize * self.width..][..self.width]);
                }
                cx.give(part, d);
            }
        }
        cx.recycle(g);
    }
}

struct Slice {
    x: Var,
    start: usize,
}

/// Rows `from..to` of a matrix, or elements of a vector.
pub fn slice_rows<R: Real>(t: &mut Tape<R>, x: Var, from: usize, to: usize) -> Var {
    if let Some(y) = away::slice_rows(t, x, from, to) {
        return y;
    }
    let mut dims = t.dims(x).to_vec();
    let width: usize = dims.iter().skip(1).product();
    let y = t.value(x)[from * width..to * width].to_vec();
    if let Some(first) = dims.first_mut() {
        *first = to - from;
    }
    let needs = t.needs(x);
    t.push(&dims, y, needs, Slice { x, start: from * width })
}

impl<R: Real> Op<R> for Slice {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let mut d = cx.zeroed(self.x);
        for (d, &v) in d[self.start..].iter_mut().zip(g.iter()) {
            *d += v;
        }
        cx.put(self.x, d);
        cx.recycle(g);
    }
}

struct ConcatRows(Vec<(Var, usize)>);

/// Joins matrices (or vectors) along their first axis.
pub fn concat_rows<R: Real>(t: &mut Tape<R>, parts: &[Var]) -> Var {
    if let Some(y) = away::concat_rows(t, parts) {
        return y;
    }
    let mut y = Vec::new();
    let mut dims = parts.first().map_or_else(Vec::new, |&p| t.dims(p).to_vec());
    let mut lens = Vec::new();
    let mut rows = 0;
    for &p in parts {
        y.extend_from_slice(t.value(p));
        rows += t.dims(p).first().copied().unwrap_or(1);
        lens.push((p, t.value(p).len()));
    }
    if let Some(first) = dims.first_mut() {
        *first = rows;
    }
    let needs = parts.iter().any(|&p| t.needs(p));
    t.push(&dims, y, needs, ConcatRows(lens))
}

impl<R: Real> Op<R> for ConcatRows {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let mut rest: &[R] = &g;
        for (p, n) in self.0 {
            let (part, after) = rest.split_at(n);
            rest = after;
            if cx.needs(p) {
                cx.give(p, part.to_vec());
            }
        }
        cx.recycle(g);
    }
}
