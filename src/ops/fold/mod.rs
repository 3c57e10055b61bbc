//! Streaming reductions: how each folds tiles into four f64s.
//!
//! Here is what a fold is; `tiles` runs folds over tiles, `plain`, `mean`, `moments` and `sum_exp` are the
//! folds that rows stand for.

mod mean;
mod moments;
mod plain;
mod sum_exp;
mod tiles;

pub(in crate::ops) use mean::{Mean, within};
pub(in crate::ops) use moments::{Std, Var};
pub(in crate::ops) use plain::{Entropy, L1, Max, Min, Norm, Prod, Sum, information};
pub(in crate::ops) use sum_exp::SumExp;

use crate::ops::attrs::Attrs;
use crate::ops::row::{CudaFold, Reduce};
use crate::ops::take::{Elements, One};
use crate::ops::vecmath::Real;
use std::marker::PhantomData;

/// State of a fold.
pub type State = [f64; 4];

/// A streaming reduction.
pub trait Fold: Sized {
    /// State of no elements.
    const INIT: State = [0.0; 4];
    /// CUDA text.
    const CUDA: CudaFold;
    /// The reduction whose result the first place is.
    const FIRST: Option<&'static str> = None;
    /// Can its elements be computed while it takes them?
    const TAKES: bool = true;
    /// Folds elements in.
    fn take<T: Real>(s: &mut State, elements: impl Elements<T>);
    /// Folds a tile in.
    #[inline(always)]
    fn tile<T: Real>(s: &mut State, tile: &[T]) {
        Self::take(s, One { x: tile, f: |x| x, ahead: 0 });
    }
    /// Folds an element in.
    fn push(s: &mut State, x: f64);
    /// Folds rows of `N` elements, each `stride` behind the one before, into `N` states, place by
    /// place.
    #[inline(always)]
    fn columns<T: Real, const N: usize>(s: &mut [[f64; N]; 4], rows: &[T], stride: usize) {
        for row in rows.chunks(stride) {
            for (i, x) in row[..N].iter().enumerate() {
                let mut state = [s[0][i], s[1][i], s[2][i], s[3][i]];
                Self::push(&mut state, x.widen());
                for (place, value) in s.iter_mut().zip(state) {
                    place[i] = value;
                }
            }
        }
    }
    /// Folds rows of `width` elements, each `stride` behind the one before, into states that lie place by
    /// place, columns side by side.
    #[inline(always)]
    fn across<T: Real>(states: &mut [&mut [f64]; 4], rows: &[T], width: usize, stride: usize) {
        tiles::grouped::<Self, T>(states, rows, width, stride);
    }
    /// Merges later elements in.
    fn merge(s: &mut State, later: &State);
    /// The result of `n` elements.
    fn finish(s: &State, n: usize, attrs: &Attrs) -> f64;
}

/// The row field of a fold.
pub struct Of<F>(PhantomData<F>);

impl<F: Fold> Of<F> {
    /// The functions of the fold, for both element types.
    pub const REDUCE: &'static Reduce = &Reduce {
        init: F::INIT,
        f32: tiles::run::<F, f32>,
        f64: tiles::run::<F, f64>,
        taken: if F::TAKES { Some(tiles::run_taken::<F>) } else { None },
        f32_across: tiles::across::<F, f32>,
        f64_across: tiles::across::<F, f64>,
        merge: F::merge,
        finish: F::finish,
        finish_across: finish_across::<F>,
        first: F::FIRST,
        cuda: F::CUDA,
    };
}

fn finish_across<F: Fold>(states: &[&[f64]; 4], n: usize, attrs: &Attrs, results: &mut [f64]) {
    for (i, out) in results.iter_mut().enumerate() {
        let mut state = F::INIT;
        for (s, from) in state.iter_mut().zip(states).take(F::CUDA.places) {
            *s = from[i];
        }
        *out = F::finish(&state, n, attrs);
    }
}
