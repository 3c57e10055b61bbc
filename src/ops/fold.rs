//! Streaming reductions: how each folds tiles into four f64s.
//!
//! Within a tile, [`LANES`] partial results run side by side and are joined in a fixed tree, so that
//! loops vectorise and a result depends on the tiling alone, never on threads.

use super::attrs::Attrs;
#[cfg(target_arch = "x86_64")]
use super::kernel::{Isa, isa};
use super::row::{CudaFold, Reduce};
use super::take::{Elements, LANES, One, Taken, ask, taken};
use super::vecmath::Real;
use std::marker::PhantomData;
use std::ops::Range;

/// Columns that a reduction along an outer axis folds side by side.
const COLUMNS: usize = 16;
/// Exponentials that are computed before they are added up.
const BLOCK: usize = 256;

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
        grouped::<Self, T>(states, rows, width, stride);
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
        f32: run::<F, f32>,
        f64: run::<F, f64>,
        taken: if F::TAKES { Some(run_taken::<F>) } else { None },
        f32_across: across::<F, f32>,
        f64_across: across::<F, f64>,
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

/// Asks memory for the rows that follow: such as lie apart are in memory, and are followed by others.
#[inline(always)]
fn below<T>(rows: &[T], stride: usize, columns: Range<usize>) {
    let next = rows.len().next_multiple_of(stride);
    for at in columns.step_by(COLUMNS) {
        (at..rows.len()).step_by(stride).for_each(|i| ask(rows, next + i, COLUMNS));
    }
}

/// Folds rows into states, as many columns at a time as registers hold.
#[inline(always)]
fn grouped<F: Fold, T: Real>(states: &mut [&mut [f64]; 4], tile: &[T], width: usize, stride: usize) {
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
        fn $run<F: Fold $(, $t: Real)?>($($a: $ty),+) {
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
fn lanes<T: Real>(
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
fn tree(partial: &[f64; LANES], join: impl Fn(f64, f64) -> f64) -> f64 {
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
fn smaller(a: f64, b: f64) -> f64 {
    if b < a || b.is_nan() { b } else { a }
}
#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}
#[inline(always)]
fn plus(a: f64, b: f64) -> f64 {
    a + b
}
#[inline(always)]
fn times(a: f64, b: f64) -> f64 {
    a * b
}
/// -p log p, 0 at 0.
#[inline(always)]
pub(super) fn information(p: f64) -> f64 {
    if p == 0.0 { 0.0 } else { -p * Real::ln(p) }
}

/// A fold whose state is one number.
macro_rules! fold {
    ($name:ident, $init:expr, $take:expr, $join:expr, |$s:ident, $n:ident| $finish:expr, $cuda:expr) => {
        pub(super) struct $name;
        impl Fold for $name {
            const INIT: State = [$init, 0.0, 0.0, 0.0];
            const CUDA: CudaFold = $cuda;
            #[inline(always)]
            fn take<T: Real>(s: &mut State, elements: impl Elements<T>) {
                s[0] = $join(s[0], lanes(elements, $init, |a, x: T| $take(a, x.widen()), $join));
            }
            #[inline(always)]
            fn push(s: &mut State, x: f64) {
                s[0] = $take(s[0], x);
            }
            fn merge(s: &mut State, later: &State) {
                s[0] = $join(s[0], later[0]);
            }
            #[inline(always)]
            fn finish(s: &State, $n: usize, _: &Attrs) -> f64 {
                let $s = s[0];
                $finish
            }
        }
    };
}

/// CUDA text of a fold whose state is one number.
const fn cuda(push: &'static str, merge: &'static str, finish: &'static str) -> CudaFold {
    CudaFold { places: 1, push, merge, finish }
}
const ADDED: &str = "s[0] += t[0];";

fold!(Sum, 0.0, plus, plus, |s, _n| s, cuda("s[0] += x;", ADDED, "s[0]"));
fold!(Prod, 1.0, times, times, |s, _n| s, cuda("s[0] *= x;", "s[0] *= t[0];", "s[0]"));
fold!(
    Min,
    f64::INFINITY,
    smaller,
    smaller,
    |s, _n| s,
    cuda("if (x < s[0] || x != x) s[0] = x;", "if (t[0] < s[0] || t[0] != t[0]) s[0] = t[0];", "s[0]")
);
fold!(
    Max,
    f64::NEG_INFINITY,
    larger,
    larger,
    |s, _n| s,
    cuda("if (x > s[0] || x != x) s[0] = x;", "if (t[0] > s[0] || t[0] != t[0]) s[0] = t[0];", "s[0]")
);
fold!(L1, 0.0, |a: f64, x: f64| a + x.abs(), plus, |s, _n| s, cuda("s[0] += fabs(x);", ADDED, "s[0]"));
fold!(
    Norm,
    0.0,
    |a: f64, x: f64| a + x * x,
    plus,
    |s, _n| s.sqrt(),
    cuda("s[0] += x * x;", ADDED, "sqrt(s[0])")
);
fold!(
    Entropy,
    0.0,
    |a: f64, x: f64| a + information(x),
    plus,
    |s, _n| s,
    cuda("if (x != 0) s[0] -= x * log(x);", ADDED, "s[0]")
);

/// Sum, and for elements of double precision the smallest and the largest: a mean lies between them,
/// so that equal elements have exactly that mean. Sums of shorter elements are exact enough.
pub(super) struct Mean;

impl Mean {
    /// The bounds of elements whose bounds do not matter.
    const UNBOUNDED: State = [0.0, f64::NEG_INFINITY, f64::INFINITY, 0.0];
    const fn narrow<T>() -> bool {
        size_of::<T>() < size_of::<f64>()
    }
}

impl Fold for Mean {
    const INIT: State = [0.0, f64::INFINITY, f64::NEG_INFINITY, 0.0];
    const CUDA: CudaFold = CudaFold {
        places: 3,
        push: "s[0] += x; if (x < s[1]) s[1] = x; if (x > s[2]) s[2] = x;",
        merge: "s[0] += t[0]; if (t[1] < s[1]) s[1] = t[1]; if (t[2] > s[2]) s[2] = t[2];",
        finish: "s[0] / n < s[1] ? s[1] : (s[0] / n > s[2] ? s[2] : s[0] / n)",
    };
    #[inline(always)]
    fn take<T: Real>(s: &mut State, tile: impl Elements<T>) {
        let mut t = Self::UNBOUNDED;
        t[0] = lanes(tile, 0.0, |a, x: T| a + x.widen(), plus);
        if !Self::narrow::<T>() {
            t[1] = lanes(tile, f64::INFINITY, |a, x: T| smaller(a, x.widen()), smaller);
            t[2] = lanes(tile, f64::NEG_INFINITY, |a, x: T| larger(a, x.widen()), larger);
        }
        Self::merge(s, &t);
    }
    #[inline(always)]
    fn push(s: &mut State, x: f64) {
        s[0] += x;
        s[1] = smaller(s[1], x);
        s[2] = larger(s[2], x);
    }
    #[inline(always)]
    fn columns<T: Real, const N: usize>(s: &mut [[f64; N]; 4], rows: &[T], stride: usize) {
        for row in rows.chunks(stride) {
            for (i, x) in row[..N].iter().enumerate() {
                s[0][i] += x.widen();
                if !Self::narrow::<T>() {
                    s[1][i] = smaller(s[1][i], x.widen());
                    s[2][i] = larger(s[2][i], x.widen());
                }
            }
        }
        if Self::narrow::<T>() {
            s[1] = [Self::UNBOUNDED[1]; N];
            s[2] = [Self::UNBOUNDED[2]; N];
        }
    }
    #[inline(always)]
    fn merge(s: &mut State, later: &State) {
        s[0] += later[0];
        s[1] = smaller(s[1], later[1]);
        s[2] = larger(s[2], later[2]);
    }
    fn finish(s: &State, n: usize, _: &Attrs) -> f64 {
        within(s[0] / n as f64, s[1], s[2])
    }
}

/// A mean, held between the smallest and the largest element.
pub(super) fn within(mean: f64, least: f64, most: f64) -> f64 {
    if mean < least {
        least
    } else if mean > most {
        most
    } else {
        mean
    }
}

/// The largest element and the sum of exponentials of what lies below it, in one pass (Milakov and
/// Gimelshein, 2018).
pub(super) struct SumExp;

impl SumExp {
    /// Below this an exponential adds nothing to a sum that holds a 1.
    const FLOOR: f64 = -87.0;
    /// exp(x - top), in the elements' own type.
    #[inline(always)]
    fn term<T: Real>(x: T, top: T) -> T {
        let d = x - top;
        let d = if d < T::of(Self::FLOOR) { T::of(Self::FLOOR) } else { d };
        d.exp_plain()
    }
    /// A sum of exponentials below `old`, as one below `top`.
    #[inline(always)]
    fn rescaled(sum: f64, old: f64, top: f64) -> f64 {
        let moved = sum * Real::exp(old - top);
        if old == f64::NEG_INFINITY { 0.0 } else { moved }
    }
    /// Takes larger tops over. Rare after the first rows: the largest of n elements in random order changes
    /// log n times.
    #[inline(always)]
    fn raise<T: Real>(tops: &mut [f64], sums: &mut [f64], top: &[T]) {
        let (mut fresh, mut moved) = (true, false);
        for (old, t) in tops.iter().zip(top) {
            fresh &= *old == f64::NEG_INFINITY;
            moved |= *old != t.widen();
        }
        if moved && !fresh {
            for (s, (old, t)) in sums.iter_mut().zip(tops.iter().zip(top)) {
                *s = Self::rescaled(*s, *old, t.widen());
            }
        }
        for (old, t) in tops.iter_mut().zip(top) {
            *old = t.widen();
        }
    }
}

impl Fold for SumExp {
    const INIT: State = [f64::NEG_INFINITY, 0.0, 0.0, 0.0];
    const CUDA: CudaFold = CudaFold {
        places: 2,
        push: "if (x > s[0] || x != x) { s[1] = (s[0] > -1.0 / 0.0 ? s[1] * exp(s[0] - x) : 0.0) + 1.0; s[0] = x; } \
               else if (s[0] > -1.0 / 0.0 || s[0] != s[0]) s[1] += exp(x - s[0]);",
        merge: "if (t[0] > s[0] || t[0] != t[0]) { \
                    s[1] = (s[0] > -1.0 / 0.0 ? s[1] * exp(s[0] - t[0]) : 0.0) + t[1]; s[0] = t[0]; } \
                else if (t[0] > -1.0 / 0.0) s[1] += t[1] * exp(t[0] - s[0]);",
        finish: "s[0] - s[0] == 0 || n == 0 ? s[1] : not_a_number()",
    };
    const FIRST: Option<&'static str> = Some("max");
    const TAKES: bool = false;
    /// Twice, for the largest is known only then.
    #[inline(always)]
    fn take<T: Real>(s: &mut State, tile: impl Elements<T>) {
        let top = lanes(tile, f64::NEG_INFINITY, |a, x: T| larger(a, x.widen()), larger);
        // A block of exponentials before the first is widened: what was just stored cannot be loaded
        // in other pieces without a wait. Loops, for what `map` calls is not compiled for the
        // instruction set at hand.
        let mut sum = 0.0;
        let mut e = [T::of(0.0); BLOCK];
        for at in (0..tile.len()).step_by(BLOCK) {
            let block = tile.part(at, BLOCK.min(tile.len() - at));
            let e = &mut e[..block.len()];
            block.each(e, |e, x| *e = Self::term(x, T::of(top)));
            sum += lanes(One { x: e, f: |x| x, ahead: 0 }, 0.0, |a, x: T| a + x.widen(), plus);
        }
        Self::merge(s, &[top, sum, 0.0, 0.0]);
    }
    #[inline(always)]
    fn push(s: &mut State, x: f64) {
        Self::merge(s, &[x, 1.0, 0.0, 0.0]);
    }
    /// In loops as long as a row: such of fixed length are unrolled before they are made vectors.
    #[inline(always)]
    fn across<T: Real>(states: &mut [&mut [f64]; 4], rows: &[T], width: usize, stride: usize) {
        let [tops, sums, ..] = states;
        for (at, (tops, sums)) in tops.chunks_mut(BLOCK).zip(sums.chunks_mut(BLOCK)).enumerate() {
            let block = at * BLOCK..at * BLOCK + tops.len();
            if stride > width {
                below(rows, stride, block.clone());
            }
            let mut top = [T::of(0.0); BLOCK];
            let top = &mut top[..tops.len()];
            for (t, &old) in top.iter_mut().zip(&*tops) {
                *t = T::of(old);
            }
            for row in rows.chunks(stride) {
                for (t, &x) in top.iter_mut().zip(&row[block.clone()]) {
                    *t = if x > *t || is_nan(x) { x } else { *t };
                }
            }
            Self::raise(tops, sums, top);
            let mut e = [T::of(0.0); BLOCK];
            for row in rows.chunks(stride) {
                for (e, (&x, &t)) in e.iter_mut().zip(row[block.clone()].iter().zip(&*top)) {
                    *e = Self::term(x, t);
                }
                for (s, e) in sums.iter_mut().zip(&e) {
                    *s += e.widen();
                }
            }
        }
    }
    #[inline(always)]
    fn merge(s: &mut State, l: &State) {
        if l[0] == f64::NEG_INFINITY {
            return;
        }
        if s[0] == f64::NEG_INFINITY {
            *s = *l;
            return;
        }
        let top = larger(s[0], l[0]);
        s[1] = Self::rescaled(s[1], s[0], top) + Self::rescaled(l[1], l[0], top);
        s[0] = top;
    }
    #[inline(always)]
    fn finish(s: &State, n: usize, _: &Attrs) -> f64 {
        // Below an infinity nothing is known: infinity less infinity.
        if n == 0 || s[0].is_finite() { s[1] } else { f64::NAN }
    }
}

#[inline(always)]
#[allow(clippy::eq_op)]
fn is_nan<T: PartialOrd>(x: T) -> bool {
    x != x
}

/// Count, mean and sum of squared deviations; states merge by Chan, Golub and LeVeque (1979).
struct Moments;

impl Moments {
    /// In one loop, about the first element: equal elements have a variance of exactly 0, and because
    /// the square of its own deviation is one of the terms, at most the number of elements is lost.
    #[inline(always)]
    fn take<T: Real>(s: &mut State, elements: impl Elements<T>) {
        if elements.len() == 0 {
            return;
        }
        let n = elements.len() as f64;
        let pivot = elements.first().widen();
        let (mut sums, mut squares) = ([0.0; LANES], [0.0; LANES]);
        let whole = elements.len() / LANES;
        for c in 0..whole {
            elements.ask(c * LANES, LANES);
            let x = elements.lanes(c);
            for i in 0..LANES {
                let d = x(i).widen() - pivot;
                sums[i] += d;
                squares[i] += d * d;
            }
        }
        let rest = elements.part(whole * LANES, elements.len() - whole * LANES);
        let mut last = [0.0; LANES];
        rest.each(&mut last, |d, x| *d = x.widen() - pivot);
        for (i, d) in last.into_iter().enumerate() {
            sums[i] += d;
            squares[i] += d * d;
        }
        let (sum, squares) = (tree(&sums, plus), tree(&squares, plus));
        let m2 = squares - sum * (sum / n);
        Self::merge(s, &[n, pivot + sum / n, if m2 < 0.0 { 0.0 } else { m2 }, 0.0]);
    }
    #[inline(always)]
    fn push(s: &mut State, x: f64) {
        s[0] += 1.0;
        let d = x - s[1];
        s[1] += d / s[0];
        s[2] += d * (x - s[1]);
    }
    #[inline(always)]
    fn merge(s: &mut State, l: &State) {
        if l[0] == 0.0 {
            return;
        }
        if s[0] == 0.0 {
            *s = *l;
            return;
        }
        let n = s[0] + l[0];
        let d = l[1] - s[1];
        s[1] += d * (l[0] / n);
        s[2] += l[2] + d * d * (s[0] * l[0] / n);
        s[0] = n;
    }
    /// As pushing, with one division for a whole row.
    #[inline(always)]
    fn columns<T: Real, const N: usize>(s: &mut [[f64; N]; 4], rows: &[T], stride: usize) {
        for row in rows.chunks(stride) {
            let n = s[0][0] + 1.0;
            let share = 1.0 / n;
            s[0] = [n; N];
            for (i, x) in row[..N].iter().enumerate() {
                let d = x.widen() - s[1][i];
                s[1][i] += d * share;
                s[2][i] += d * (x.widen() - s[1][i]);
            }
        }
    }
    fn variance(s: &State, n: usize, attrs: &Attrs) -> f64 {
        let free = n as f64 - attrs.or(1, 0.0);
        if free > 0.0 { s[2] / free } else { f64::NAN }
    }
}

/// On a device the moments are taken about the first element that a thread meets, which saves the
/// division of every step: count, pivot, sum and sum of squares of what lies above the pivot.
const fn about_a_pivot(finish: &'static str) -> CudaFold {
    CudaFold {
        places: 4,
        push: "if (s[0] == 0) s[1] = x; const double d = x - s[1]; s[0] += 1; s[2] += d; s[3] += d * d;",
        merge: "if (s[0] == 0) s[1] = t[1]; \
                const double d = t[0] == 0 ? 0 : t[1] - s[1]; \
                s[3] += t[3] + 2 * d * t[2] + t[0] * d * d; s[2] += t[2] + t[0] * d; s[0] += t[0];",
        finish,
    }
}

macro_rules! moments {
    ($name:ident, $finish:expr, $cuda:expr) => {
        pub(super) struct $name;
        impl Fold for $name {
            const CUDA: CudaFold = about_a_pivot($cuda);
            #[inline(always)]
            fn take<T: Real>(s: &mut State, elements: impl Elements<T>) {
                Moments::take(s, elements);
            }
            #[inline(always)]
            fn push(s: &mut State, x: f64) {
                Moments::push(s, x);
            }
            #[inline(always)]
            fn columns<T: Real, const N: usize>(s: &mut [[f64; N]; 4], rows: &[T], stride: usize) {
                Moments::columns(s, rows, stride);
            }
            fn merge(s: &mut State, later: &State) {
                Moments::merge(s, later);
            }
            #[inline(always)]
            fn finish(s: &State, n: usize, attrs: &Attrs) -> f64 {
                $finish(Moments::variance(s, n, attrs))
            }
        }
    };
}
moments!(Var, |v: f64| v, "n > p1 ? nonnegative(s[3] - s[2] * (s[2] / s[0])) / (n - p1) : not_a_number()");
moments!(
    Std,
    f64::sqrt,
    "n > p1 ? sqrt(nonnegative(s[3] - s[2] * (s[2] / s[0])) / (n - p1)) : not_a_number()"
);
