//! Two-dimensional linear transforms over (sequence, head width), as products with constant matrices.

use super::attention::softmax;
use super::away;
use crate::tensor::gemm::{Into, View, batched, product};
use crate::tensor::real::Real;
use crate::tensor::tape::{Backward, Grad, Op, Tape, Var};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::f64::consts::PI;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Which transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transform {
    /// Real part of the unnormalised discrete Fourier transform.
    Dft,
    /// Unnormalised DCT-II: `y_k = 2 sum_j x_j cos(pi k (2j + 1) / 2N)`.
    Dct,
}

/// `cos` or `sin` of `2 pi (k j mod n) / n`: the reduction keeps the angle exact.
fn fourier(n: usize, f: fn(f64) -> f64) -> Vec<f64> {
    let angle = |i: usize| 2.0 * PI * (((i / n) * (i % n)) % n) as f64 / n as f64;
    (0..n * n).map(|i| f(angle(i))).collect()
}

fn cosine(n: usize) -> Vec<f64> {
    let angle = |k: usize, j: usize| PI * ((k * (2 * j + 1)) % (4 * n)) as f64 / (2 * n) as f64;
    (0..n * n).map(|i| 2.0 * libm::cos(angle(i / n, i % n))).collect()
}

fn lift<R: Real>(x: &[f64]) -> Vec<R> {
    x.iter().map(|&x| R::of(x)).collect()
}

/// Larger matrices are made anew.
const KEPT: usize = 1024;

/// A matrix by its formula and size, and every one that was made.
type Formula = fn(usize) -> Vec<f64>;
type Made = FxHashMap<(Part, usize), Arc<[f64]>>;
static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);

/// What a transform is made of.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    FourierCos,
    FourierSin,
    Cosine,
}

impl Part {
    /// The matrix of `n` rows; those of sequences and heads come again in every layer and model.
    fn matrix<R: Real>(self, n: usize) -> Vec<R> {
        let formula: Formula = match self {
            Part::FourierCos => |n| fourier(n, libm::cos),
            Part::FourierSin => |n| fourier(n, libm::sin),
            Part::Cosine => cosine,
        };
        if n > KEPT {
            return lift(&formula(n));
        }
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        lift(made.entry((self, n)).or_insert_with(|| formula(n).into()))
    }
}

/// The transform is the sum over terms of `sign * left x right^T` per batch and head.
pub(super) struct Term<R> {
    pub left: Vec<R>,
    pub right: Vec<R>,
    pub sign: f64,
}

pub(super) fn terms<R: Real>(kind: Transform, seq: usize, width: usize) -> Vec<Term<R>> {
    let term = |part: Part, sign| Term { left: part.matrix(seq), right: part.matrix(width), sign };
    match kind {
        Transform::Dft => vec![term(Part::FourierCos, 1.0), term(Part::FourierSin, -1.0)],
        Transform::Dct => vec![term(Part::Cosine, 1.0)],
    }
}

struct Apply<R> {
    x: Var,
    terms: Vec<Term<R>>,
    batch: usize,
    seq: usize,
    heads: usize,
    width: usize,
}

impl<R: Real> Apply<R> {
    /// `sum sign * left x right^T`, or with the matrices transposed.
    fn run(&self, x: &[R], y: &mut [R], half: &mut [R], transposed: bool) {
        let (seq, row, w) = (self.seq, self.heads * self.width, self.width);
        let turn = |v: View| if transposed { v.t() } else { v };
        for (i, term) in self.terms.iter().enumerate() {
            let n = self.batch * seq * self.heads;
            let right = turn(View::new(w, w).t());
            product(half, x, &term.right, [View::new(n, w), View::new(n, w), right], 1.0, Into::Set);
            batched(
                self.batch,
                y,
                &term.left,
                half,
                |b| {
                    let part = View::new(seq, row).at(b * seq * row);
                    [part, turn(View::new(seq, seq)), part]
                },
                term.sign,
                if i == 0 { Into::Set } else { Into::Add },
            );
        }
    }
}

/// Transforms every head `[seq, width / heads]` of `x [batch, seq, width]`.
pub fn transform2d<R: Real>(t: &mut Tape<R>, x: Var, heads: usize, kind: Transform) -> Var {
    if let Some(y) = away::transform2d(t, x, heads, kind) {
        return y;
    }
    let d = t.dims(x).to_vec();
    let width = d[2] / heads;
    let op = Apply { x, terms: terms(kind, d[1], width), batch: d[0], seq: d[1], heads, width };
    let n = t.value(x).len();
    let (mut y, mut half) = (t.buffer(n), t.buffer(n));
    op.run(t.value(x), &mut y, &mut half, false);
    t.recycle(half);
    let needs = t.needs(x);
    t.push(&d, y, needs, op)
}

impl<R: Real> Op<R> for Apply<R> {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let (mut d, mut half) = (cx.buffer(g.len()), cx.buffer(g.len()));
        self.run(&g, &mut d, &mut half, true);
        cx.reuse(half);
        cx.recycle(g);
        cx.give(self.x, d);
    }
}

/// Softmax over the features of every head, `[batch, heads, seq, width / heads]`; not differentiable.
pub fn softmax_heads<R: Real>(t: &mut Tape<R>, x: Var, heads: usize) -> Var {
    if let Some(y) = away::softmax_heads(t, x, heads) {
        return y;
    }
    let d = t.dims(x).to_vec();
    let (batch, seq, row) = (d[0], d[1], d[2]);
    let w = row / heads;
    let mut y = t.buffer(batch * seq * row);
    let xs = t.value(x);
    y.par_chunks_mut((seq * w).max(1)).enumerate().for_each(|(i, y)| {
        let (b, h) = (i / heads, i % heads);
        for (s, y) in y.chunks_exact_mut(w).enumerate() {
            y.copy_from_slice(&xs[(b * seq + s) * row + h * w..][..w]);
            softmax(y);
        }
    });
    t.constant(&[batch, heads, seq, w], y)
}
