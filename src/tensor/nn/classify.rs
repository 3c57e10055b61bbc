//! Log-likelihoods of a linear classifier with many classes, the products and the softmax in one walk.
//!
//! Logits are made in pieces of some rows and classes, which are still in cache when the softmax takes them
//! in; on the way back the gradient of a piece is used, for the rows and for the weights of its classes,
//! before the next one is made. So logits are written once and read once, and their gradient never lies in
//! memory whole. Weights and biases may come in parts, which need not be joined.

use super::loss::{IGNORE, against, pick_log_softmax};
use super::rows::concat_rows;
use super::{Layout, linear};
use crate::tensor::gemm::{Into, View, product, product_here};
use crate::tensor::real::Real;
use crate::tensor::simd::{sum1, top, wide};
use crate::tensor::tape::{Backward, Grad, Op, Tape, Var};
use crate::tensor::{offload, par, tile};
use rayon::prelude::*;

/// Classes of a piece: six times what the kernels write at once.
const CLASSES: usize = 576;
/// Rows of a piece at most.
const ROWS: usize = 384;

/// Weights `[classes, inner]` and their biases.
pub type Part = (Var, Var);

/// Successive classes of one part.
#[derive(Clone, Copy)]
struct Piece {
    part: usize,
    /// First class within the part.
    at: usize,
    /// First class of all.
    first: usize,
    classes: usize,
}

struct Classify<R> {
    h: Var,
    parts: Vec<Part>,
    targets: Vec<u32>,
    /// log sum exp of every row.
    norms: Vec<R>,
    /// For every block of rows the pieces one after the other.
    logits: Vec<R>,
    pieces: Vec<Piece>,
    inner: usize,
    classes: usize,
}

/// Element `targets[n]` of the log softmax of row `n` of `h W^T + b`, where `W` and `b` are the parts one
/// below the other; 0 where the target is [`IGNORE`]. One number per row.
pub fn classify<R: Real>(t: &mut Tape<R>, h: Var, parts: &[Part], targets: Vec<u32>) -> Var {
    // Dual numbers, and products on a device, have ways of their own.
    if R::PARTS > 1 || t.session().is_some() || offload::installed() {
        return step_by_step(t, h, parts, targets);
    }
    let inner = t.width(h).max(1);
    let pieces = pieces(&parts.iter().map(|p| t.len(p.0) / inner).collect::<Vec<_>>());
    let classes = pieces.last().map_or(0, |p| p.first + p.classes);
    let needs = t.needs(h) || parts.iter().any(|p| t.needs(p.0) || t.needs(p.1));
    let n = targets.len();
    let mut logits = if needs { t.buffer(n * classes) } else { Vec::new() };
    let (mut norms, mut picks) = (vec![R::default(); n], vec![R::default(); n]);
    let rows = block(n);
    let scratch = || vec![R::default(); rows * CLASSES];
    let hs = t.value(h);
    let values: Vec<(&[R], &[R])> = parts.iter().map(|p| (t.value(p.0), t.value(p.1))).collect();
    let forward = |x: &mut Vec<R>, i: usize, keep: Option<&mut [R]>, norms: &mut [R], picks: &mut [R]| {
        let (at, n) = (i * rows, norms.len());
        let from = &hs[at * inner..(at + n) * inner];
        rows_forward(x, from, &values, &pieces, &targets[at..at + n], (keep, norms, picks));
    };
    let numbers = norms.par_chunks_mut(rows).zip(picks.par_chunks_mut(rows)).enumerate();
    if needs {
        let blocks = numbers.zip(logits.par_chunks_mut((rows * classes).max(1)));
        blocks.for_each_init(scratch, |x, ((i, (norms, picks)), l)| forward(x, i, Some(l), norms, picks));
    } else {
        numbers.for_each_init(scratch, |x, (i, (norms, picks))| forward(x, i, None, norms, picks));
    }
    let op = Classify { h, parts: parts.to_vec(), targets, norms, logits, pieces, inner, classes };
    t.push(&[n], picks, needs, op)
}

/// The same, each step a whole.
fn step_by_step<R: Real>(t: &mut Tape<R>, h: Var, parts: &[Part], targets: Vec<u32>) -> Var {
    let (ws, bs): (Vec<Var>, Vec<Var>) = parts.iter().copied().unzip();
    let one = |t: &mut Tape<R>, all: &[Var]| match all {
        &[one] => one,
        several => concat_rows(t, several),
    };
    let (w, b) = (one(t, &ws), one(t, &bs));
    let logits = linear(t, h, w, Some(b), Layout::OutIn);
    pick_log_softmax(t, logits, targets)
}

/// Rows of a block of so many rows; there are several blocks where it is worth it.
fn block(n: usize) -> usize {
    n.div_ceil(8).next_multiple_of(16).clamp(16, ROWS)
}

fn pieces(sizes: &[usize]) -> Vec<Piece> {
    let mut all = Vec::new();
    let mut first = 0;
    for (part, &size) in sizes.iter().enumerate() {
        for at in (0..size).step_by(CLASSES) {
            all.push(Piece { part, at, first: first + at, classes: CLASSES.min(size - at) });
        }
        first += size;
    }
    all
}

/// Logits, where they are kept, norms and likelihoods of a block of rows; `x` has room for a piece.
fn rows_forward<R: Real>(
    x: &mut [R],
    h: &[R],
    parts: &[(&[R], &[R])],
    pieces: &[Piece],
    targets: &[u32],
    (mut keep, norms, picks): (Option<&mut [R]>, &mut [R], &mut [R]),
) {
    let n = norms.len();
    let inner = h.len() / n.max(1);
    let mut seen = vec![(R::lift(R::Base::of(f64::from(f32::MIN))), R::default()); n];
    for p in pieces {
        let x = &mut x[..n * p.classes];
        let (w, b) = parts[p.part];
        let views = [View::new(n, p.classes), View::new(n, inner), p.weights(inner).t()];
        product_here(x, h, w, views, 1.0, Into::Set);
        let b = &b[p.at..p.at + p.classes];
        for (r, row) in x.chunks_exact_mut(p.classes).enumerate() {
            seen[r] = absorb(row, b, seen[r]);
            if let Some(c) = p.class(targets[r]) {
                picks[r] = row[c];
            }
        }
        if let Some(logits) = &mut keep {
            tile::stream(&mut logits[n * p.first..][..x.len()], x);
        }
    }
    for (r, (most, sum)) in seen.into_iter().enumerate() {
        norms[r] = most + sum.ln();
        picks[r] = if targets[r] == IGNORE { R::default() } else { picks[r] - norms[r] };
    }
}

wide! {
    /// Adds the bias to logits and takes them in: the largest so far and the sum of exponentials below it.
    fn absorb<R: Real>(row: &mut [R], bias: &[R], seen: (R, R)) -> (R, R) {
        for (x, &b) in row.iter_mut().zip(bias) {
            *x += b;
        }
        let (before, sum) = seen;
        let here = top(row);
        let most = if before.value() > here { before } else { R::lift(here) };
        (most, sum * (before - most).exp() + sum1(row, |x| (x - most).exp()))
    }
}

impl Piece {
    /// Its rows of its part's weights.
    fn weights(&self, inner: usize) -> View {
        View::new(self.classes, inner).at(self.at * inner)
    }

    /// The place of a target among its classes.
    fn class(&self, target: u32) -> Option<usize> {
        (target != IGNORE)
            .then_some(target as usize)
            .and_then(|t| t.checked_sub(self.first))
            .filter(|&c| c < self.classes)
    }
}

/// A gradient being written, and how what comes enters it.
type Slot<R> = Option<(Vec<R>, Into)>;

fn slot<R: Real>(cx: &mut Backward<'_, R>, v: Var) -> Slot<R> {
    cx.needs(v).then(|| cx.slot(v)).map(|(d, held)| (d, if held { Into::Add } else { Into::Set }))
}

impl<R: Real> Classify<R> {
    /// The gradient of a piece of a block of rows.
    fn piece(&self, i: usize, p: &Piece, g: &[R], d: &mut [R]) {
        let at = i * block(self.targets.len());
        let n = d.len() / p.classes;
        let from = at * self.classes + n * p.first;
        d.copy_from_slice(&self.logits[from..from + d.len()]);
        for (r, row) in d.chunks_exact_mut(p.classes).enumerate() {
            let target = self.targets[at + r];
            if target == IGNORE {
                row.fill(R::default());
                continue;
            }
            against(row, self.norms[at + r], g[at + r]);
            if let Some(c) = p.class(target) {
                row[c] += g[at + r];
            }
        }
    }

    /// Gradients of a piece of all rows, and what they give the rows.
    fn rows_backward(&self, p: &Piece, g: &[R], d: &mut [R], dh: &mut Slot<R>, w: &[R]) {
        let (rows, inner) = (block(self.targets.len()), self.inner);
        let pieces = d.par_chunks_mut(rows * p.classes).enumerate();
        let Some((dh, into)) = dh else {
            return pieces.for_each(|(i, d)| self.piece(i, p, g, d));
        };
        let into = if p.first == 0 { *into } else { Into::Add };
        pieces.zip(dh.par_chunks_mut(rows * inner)).for_each(|((i, d), dh)| {
            self.piece(i, p, g, d);
            let n = d.len() / p.classes;
            let views = [View::new(n, inner), View::new(n, p.classes), p.weights(inner)];
            product_here(dh, d, w, views, 1.0, into);
        });
    }
}

impl<R: Real> Op<R> for Classify<R> {
    fn backward(mut self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let (n, inner) = (self.targets.len(), self.inner);
        let mut dh = slot(cx, self.h);
        let mut dw: Vec<Slot<R>> = self.parts.iter().map(|p| slot(cx, p.0)).collect();
        let mut db: Vec<Slot<R>> = self.parts.iter().map(|p| slot(cx, p.1)).collect();
        let mut scratch = cx.buffer(n * CLASSES);
        for p in &self.pieces {
            let d = &mut scratch[..n * p.classes];
            self.rows_backward(p, &g, d, &mut dh, cx.value(self.parts[p.part].0));
            if let Some((dw, into)) = &mut dw[p.part] {
                let views = [p.weights(inner), View::new(n, p.classes).t(), View::new(n, inner)];
                product(dw, d, cx.value(self.h), views, 1.0, *into);
            }
            if let Some((db, into)) = &mut db[p.part] {
                for (to, sum) in db[p.at..].iter_mut().zip(par::column_sums(d, p.classes)) {
                    *to = if *into == Into::Add { *to + sum } else { sum };
                }
            }
        }
        let vars = [self.h].into_iter().chain(self.parts.iter().flat_map(|p| [p.0, p.1]));
        let slots = [dh].into_iter().chain(dw.into_iter().zip(db).flat_map(|(w, b)| [w, b]));
        for (v, slot) in vars.zip(slots) {
            if let Some((d, _)) = slot {
                cx.put(v, d);
            }
        }
        cx.reuse(scratch);
        cx.reuse(std::mem::take(&mut self.logits));
        cx.recycle(g);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn run(fused: bool, targets: &[u32], sizes: &[usize]) -> (Vec<f64>, Vec<(Var, Vec<f64>)>) {
        let (n, inner) = (targets.len(), 5);
        let mut t = Tape::<f64>::new(true);
        let mut leaf = |dims: &[usize], name: &str| {
            let mut s = Stream::new(3, name);
            let x: Vec<f64> = (0..dims.iter().product()).map(|_| s.normal()).collect();
            t.leaf(dims, x.into(), true)
        };
        let h = leaf(&[n, inner], "h");
        let parts: Vec<Part> = (0..sizes.len())
            .map(|i| (leaf(&[sizes[i], inner], &format!("w{i}")), leaf(&[sizes[i]], &format!("b{i}"))))
            .collect();
        let y = match fused {
            true => classify(&mut t, h, &parts, targets.to_vec()),
            false => step_by_step(&mut t, h, &parts, targets.to_vec()),
        };
        let out = t.value(y).to_vec();
        let weights = (0..n).map(|i| (i as f64 * 0.7).sin()).collect();
        let c = t.constant(&[n], weights);
        let f = super::super::dot(&mut t, y, Some(c));
        let mut grads = Vec::new();
        let last = parts.last().map_or(h, |p| p.1);
        t.backward(f, 1.0, &mut |v, g| {
            if v <= last {
                grads.push((v, g.to_vec()));
            }
        });
        (out, grads)
    }

    #[test]
    fn one_walk_gives_what_the_steps_give() {
        for (n, sizes) in [(1, vec![1]), (7, vec![3]), (50, vec![600, 3]), (33, vec![1200, 577, 1])] {
            let classes: usize = sizes.iter().sum();
            let target = |i: usize| if i % 5 == 3 { IGNORE } else { (i * 7919 % classes) as u32 };
            let targets: Vec<u32> = (0..n).map(target).collect();
            let ((a, da), (b, db)) = (run(true, &targets, &sizes), run(false, &targets, &sizes));
            let close = |a: &[f64], b: &[f64]| {
                a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-11 * (1.0 + y.abs()))
            };
            assert!(close(&a, &b), "{n} {sizes:?}");
            assert_eq!(da.len(), 1 + 2 * sizes.len());
            assert!(da.iter().zip(&db).all(|(x, y)| x.0 == y.0 && close(&x.1, &y.1)), "{n} {sizes:?}");
        }
    }

    #[test]
    fn likelihoods_without_gradients() {
        let mut t = Tape::<f32>::new(false);
        let h = t.constant(&[40, 2], (0..80).map(|i| (i as f32 * 0.37).cos()).collect());
        let w = t.constant(&[700, 2], (0..1400).map(|i| (i as f32 * 0.11).sin()).collect());
        let b = t.constant(&[700], vec![0.25; 700]);
        let targets: Vec<u32> = (0..40).map(|i| i * 17).collect();
        let (x, y) =
            (classify(&mut t, h, &[(w, b)], targets.clone()), step_by_step(&mut t, h, &[(w, b)], targets));
        assert!(t.value(x).iter().zip(t.value(y)).all(|(x, y)| (x - y).abs() < 1e-5));
    }
}
