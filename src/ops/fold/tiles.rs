//! Folding tiles, on the widest instruction set of this machine.
//!
//! Within a tile, [`LANES`] partial results run side by side and are joined in a fixed tree, so that
//! loops vectorise and a result depends on the tiling alone, never on threads. Rows of a reduction along an
//! outer axis are folded as many columns at a time as registers hold.

use super::{Fold, State};
#[cfg(target_arch = "x86_64")]
use crate::ops::kernel::{Isa, isa};
use crate::ops::take::{Elements, LANES, Taken, ask, taken};
use crate::ops::vecmath::Real;
use std::ops::Range;

/// Columns that a reduction along an outer axis folds side by side.
const COLUMNS: usize = 16;

/// Asks memory for the rows that follow: such as lie apart are in memory, and are followed by others.
#[inline(always)]
pub(super) fn below<T>(rows: &[T], stride: usize, columns: Range<usize>) {
    let next = rows.len().next_multiple_of(stride);
    for at in columns.step_by(COLUMNS) {
        (at..rows.len()).step_by(stride).for_each(|i| ask(rows, next + i, COLUMNS));
    }
}

/// Folds rows into states, as many columns at a time as registers hold.
#[inline(always)]
pub(super) fn grouped<F: Fold, T: Real>(
    states: &mut [&mut [f64]; 4],
    tile: &[T],
    width: usize,
    stride: usize,
) {
    let groups = width / COLUMNS * COLUMNS;
    for at in (0..groups).step_by(COLUMNS) {
        if stride > width {
            below(tile, stride, at..at + COLUMNS);
        }
        group::<F, T, COLUMNS>(states, tile, stride, at);
    }
    for at in groups..width {
        group::<F, T, 1>(states, tile, stride, at);
    }
}

#[inline(always)]
fn group<F: Fold, T: Real, const N: usize>(
    states: &mut [&mut [f64]; 4],
    tile: &[T],
    stride: usize,
    at: usize,
) {
    let mut s = F::INIT.map(|x| [x; N]);
    for (s, from) in s.iter_mut().zip(states.iter()).take(F::CUDA.places) {
        s.copy_from_slice(&from[at..at + N]);
    }
    F::columns(&mut s, &tile[at..], stride);
    for (s, to) in s.iter().zip(states.iter_mut()).take(F::CUDA.places) {
        to[at..at + N].copy_from_slice(s);
    }
}

/// The kernels, dispatched on the instruction set.
macro_rules! dispatched {
    ($run:ident, $body:ident, $wide:ident, $widest:ident, <F $(, $t:ident)?>, |$($a:ident: $ty:ty),+|) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn $wide<F: Fold $(, $t: Real)?>($($a: $ty),+) {
            $body::<F $(, $t)?>($($a),+);
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn $widest<F: Fold $(, $t: Real)?>($($a: $ty),+) {
            $body::<F $(, $t)?>($($a),+);
        }
        pub(super) fn $run<F: Fold $(, $t: Real)?>($($a: $ty),+) {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the features were detected on this machine.
            match isa() {
                Isa::Avx512 => return unsafe { $widest::<F $(, $t)?>($($a),+) },
                Isa::Avx2 => return unsafe { $wide::<F $(, $t)?>($($a),+) },
                Isa::Base => {}
            }
            $body::<F $(, $t)?>($($a),+);
        }
    };
}
#[inline(always)]
fn tile<F: Fold, T: Real>(s: &mut State, tile: &[T]) {
    F::tile(s, tile);
}
#[inline(always)]
fn columns<F: Fold, T: Real>(states: &mut [&mut [f64]; 4], rows: &[T], width: usize, stride: usize) {
    F::across(states, rows, width, stride);
}
#[inline(always)]
fn tile_taken<F: Fold>(s: &mut State, tile: &Taken<'_>) {
    match tile.square {
        false => taken!(tile, |x: f32| x, |e| F::take::<f32>(s, e)),
        true => taken!(tile, |x: f32| x * x, |e| F::take::<f32>(s, e)),
    }
}
dispatched!(run, tile, run_wide, run_widest, <F, T>, |s: &mut State, elements: &[T]|);
dispatched!(run_taken, tile_taken, taken_wide, taken_widest, <F>, |s: &mut State, elements: &Taken<'_>|);
dispatched!(
    across, columns, across_wide, across_widest, <F, T>,
    |s: &mut [&mut [f64]; 4], elements: &[T], width: usize, stride: usize|
);

/// Folds elements in lanes: `f` takes an element in, `join` joins two partial results.
#[inline(always)]
pub(super) fn lanes<T: Real>(
    elements: impl Elements<T>,
    init: f64,
    f: impl Fn(f64, T) -> f64,
    join: impl Fn(f64, f64) -> f64,
) -> f64 {
    let mut acc = [init; LANES];
    let whole = elements.len() / LANES;
    for c in 0..whole {
        elements.ask(c * LANES, LANES);
        let x = elements.lanes(c);
        for (i, a) in acc.iter_mut().enumerate() {
            *a = f(*a, x(i));
        }
    }
    let rest = elements.part(whole * LANES, elements.len() - whole * LANES);
    rest.each(&mut acc, |a, x| *a = f(*a, x));
    tree(&acc, join)
}

/// Joins partial results. A function of its own, for the loops before it would else be cut into the
/// pieces that are joined.
#[inline(never)]
pub(super) fn tree(partial: &[f64; LANES], join: impl Fn(f64, f64) -> f64) -> f64 {
    let mut acc = *partial;
    let mut width = LANES / 2;
    while width > 0 {
        let (low, high) = acc.split_at_mut(width);
        for (a, b) in low.iter_mut().zip(high) {
            *a = join(*a, *b);
        }
        width /= 2;
    }
    acc[0]
}

#[inline(always)]
pub(super) fn smaller(a: f64, b: f64) -> f64 {
    if b < a || b.is_nan() { b } else { a }
}
#[inline(always)]
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}
#[inline(always)]
pub(super) fn plus(a: f64, b: f64) -> f64 {
    a + b
}
