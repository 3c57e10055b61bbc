//! Log-likelihoods and the numbers that are differentiated.

use super::push;
use crate::tensor::device::Arg::{Null, Size};
use crate::tensor::device::{Grid, at};
use crate::tensor::real::Real;
use crate::tensor::tape::{Tape, Var};

/// Elements that a block of a sum takes before there are more blocks, and the most blocks.
const PER_BLOCK: usize = 4096;
const BLOCKS: usize = 1024;

pub fn pick_log_softmax<R: Real>(t: &mut Tape<R>, logits: Var, targets: &[u32]) -> Option<Var> {
    let s = t.session()?;
    let (rows, width) = (targets.len(), t.width(logits));
    let ids = s.indices(targets);
    let (loss, norms) = (s.room(rows), s.room(rows));
    let args = [at(&t.held(logits, &*s)), at(&ids), at(&loss), at(&norms), Size(width)];
    s.kernel("cross_entropy", Grid::Rows(rows, width), &args);
    // The kernel's loss is the negative of the likelihood.
    let y = s.multiply(Some(&loss), None, -1.0, rows);
    push(t, &[rows], y, &[logits], move |g, cx| {
        let g = cx.s.multiply(Some(g), None, -1.0, rows);
        let d = cx.s.room(rows * width);
        let args = [at(&cx.value(logits)), at(&ids), at(&norms), at(&g), at(&d), Size(width)];
        cx.s.kernel("cross_entropy_backward", Grid::Rows(rows, width), &args);
        cx.give(logits, d);
    })
}

pub fn dot<R: Real>(t: &mut Tape<R>, x: Var, with: Option<Var>) -> Option<Var> {
    let s = t.session()?;
    let n = t.len(x);
    let c = with.map(|c| t.held(c, &*s));
    let blocks = n.div_ceil(PER_BLOCK).clamp(1, BLOCKS);
    // In double precision.
    let (parts, y) = (s.room(2 * blocks), s.room(1));
    let args = [at(&t.held(x, &*s)), c.as_ref().map_or(Null, at), at(&parts), Size(n)];
    s.kernel("dot_parts", Grid::Blocks(blocks), &args);
    s.kernel("dot_total", Grid::Blocks(1), &[at(&parts), at(&y), Size(blocks)]);
    push(t, &[], y, &[x], move |g, cx| {
        // One number, which comes from the host: reading it waits for nothing.
        let mut by = [0f32];
        g.read(&mut by);
        let d = cx.s.multiply(c.as_ref(), None, by[0].into(), n);
        cx.give(x, d);
    })
}
