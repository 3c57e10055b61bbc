//! Gathering, scattering, slicing and joining rows.

use super::push;
use crate::tensor::device::Arg::{At, Int, Null, Size};
use crate::tensor::device::{Grid, Held, Session, at};
use crate::tensor::gemm::Into;
use crate::tensor::real::Real;
use crate::tensor::tape::{Tape, Var};

/// Rows `ids` of a table.
fn rows_of(s: &dyn Session, table: &Held, ids: &[u32], width: usize) -> Held {
    let y = s.room(ids.len() * width);
    let args = [at(table), Null, at(&s.indices(ids)), at(&y), Size(width), Size(1)];
    s.kernel("embedding", Grid::Rows(ids.len(), width), &args);
    y
}

/// Which rows of a gradient enter which row of the table's: those of one row together, in their order.
struct Sorted {
    order: Vec<u32>,
    starts: Vec<u32>,
    rows: Vec<u32>,
}

impl Sorted {
    /// Row `r` of the gradient enters row `row(r)`, if any.
    fn new(count: usize, row: impl Fn(usize) -> Option<u32>) -> Self {
        let mut pairs: Vec<(u32, u32)> = (0..count).filter_map(|r| Some((row(r)?, r as u32))).collect();
        pairs.sort_unstable();
        let (mut starts, mut rows) = (Vec::new(), Vec::new());
        for (k, &(row, _)) in pairs.iter().enumerate() {
            if rows.last() != Some(&row) {
                rows.push(row);
                starts.push(k as u32);
            }
        }
        starts.push(pairs.len() as u32);
        Sorted { order: pairs.iter().map(|p| p.1).collect(), starts, rows }
    }
}

pub fn gather<R: Real>(
    t: &mut Tape<R>,
    table: Var,
    ids: &[u32],
    lead: &[usize],
    frozen: Option<u32>,
) -> Option<Var> {
    let s = t.session()?;
    let width = t.width(table);
    let y = rows_of(&*s, &t.held(table, &*s), ids, width);
    let mut dims = lead.to_vec();
    dims.push(width);
    let (ids, rows) = (ids.to_vec(), t.rows(table));
    push(t, &dims, y, &[table], move |g, cx| {
        let each = (ids.len() / cx.samples(table)).max(1);
        let live = |r: usize| (Some(ids[r]) != frozen).then(|| (r / each * rows) as u32 + ids[r]);
        let sorted = Sorted::new(ids.len(), live);
        let d = cx.zeroed(table);
        let lists = [&sorted.order, &sorted.starts, &sorted.rows].map(|x| cx.s.indices(x));
        let [order, starts, to] = lists.each_ref().map(at);
        let args = [at(g), order, starts, to, at(&d), Size(width)];
        cx.s.kernel("embedding_backward", Grid::Rows(sorted.rows.len(), width), &args);
        cx.put(table, d);
    })
}

pub fn scatter_rows<R: Real>(t: &mut Tape<R>, parts: &[(Var, Vec<u32>)], dims: &[usize]) -> Option<Var> {
    let s = t.session()?;
    let width = dims.last().copied().unwrap_or(1);
    let y = s.zeros(dims.iter().product());
    for (part, rows) in parts {
        let args = [at(&t.held(*part, &*s)), at(&s.indices(rows)), at(&y), Size(width)];
        s.kernel("scatter", Grid::Rows(rows.len(), width), &args);
    }
    let inputs: Vec<Var> = parts.iter().map(|p| p.0).collect();
    let parts = parts.to_vec();
    push(t, dims, y, &inputs, move |g, cx| {
        for (part, rows) in parts {
            if cx.needs(part) {
                let d = rows_of(&*cx.s, g, &rows, width);
                cx.give(part, d);
            }
        }
    })
}

pub fn slice_rows<R: Real>(t: &mut Tape<R>, x: Var, from: usize, to: usize) -> Option<Var> {
    let s = t.session()?;
    let mut dims = t.dims(x).to_vec();
    let width: usize = dims.iter().skip(1).product();
    let (start, n) = (from * width, (to - from) * width);
    let y = s.part(&t.held(x, &*s), start, n);
    if let Some(first) = dims.first_mut() {
        *first = to - from;
    }
    push(t, &dims, y, &[x], move |g, cx| {
        let (d, into) = cx.slot(x);
        if into == Into::Set {
            cx.s.zero(&d);
            cx.s.copy((&d, start), (g, 0), n);
        } else {
            // Not by `add`, which wants rows to begin at 16 bytes.
            let args = [At(d.clone(), start), at(g), At(d.clone(), start), Size(n), Size(n), Int(0)];
            cx.s.kernel("bias_activation", Grid::Each(n), &args);
        }
        cx.put(x, d);
    })
}

pub fn concat_rows<R: Real>(t: &mut Tape<R>, parts: &[Var]) -> Option<Var> {
    let s = t.session()?;
    let mut dims = t.dims(*parts.first()?).to_vec();
    let lens: Vec<(Var, usize)> = parts.iter().map(|&p| (p, t.len(p))).collect();
    let y = s.room(lens.iter().map(|p| p.1).sum());
    let mut at = 0;
    for &(p, n) in &lens {
        s.copy((&y, at), (&t.held(p, &*s), 0), n);
        at += n;
    }
    if let Some(first) = dims.first_mut() {
        *first = parts.iter().map(|&p| t.dims(p).first().copied().unwrap_or(1)).sum();
    }
    push(t, &dims, y, parts, move |g, cx| {
        let mut at = 0;
        for (p, n) in lens {
            if cx.needs(p) {
                let d = cx.s.part(g, at, n);
                cx.give(p, d);
            }
            at += n;
        }
    })
}
