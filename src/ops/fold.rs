//! Streaming reductions: how each folds tiles into four f64s.
//!
//! Within a tile, [`LANES`] partial results run side by side and are joined in a fixed tree, so that
//! loops vectorise and a result depends on the tiling alone, never on threads.

use super::attrs::Attrs;
use super::row::{CudaFold, Reduce};
use super::vecmath::Real;
use std::marker::PhantomData;

const LANES: usize = 16;

/// State of a fold.
pub type State = [f64; 4];

/// A streaming reduction.
pub trait Fold {
    /// State of no elements.
    const INIT: State = [0.0; 4];
    /// CUDA text.
    const CUDA: CudaFold;
    /// Folds a tile in.
    fn tile<T: Real>(s: &mut State, tile: &[T]);
    /// Folds an element in.
    fn push(s: &mut State, x: f64);
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
        f32_across: across::<F, f32>,
        f64_across: across::<F, f64>,
        merge: F::merge,
        finish: F::finish,
        cuda: F::CUDA,
    };
}

// For the base instruction set only: wider vectors lose to the scattered states.
fn across<F: Fold, T: Real>(states: &mut [State], row: &[T]) {
    for (s, x) in states.iter_mut().zip(row) {
        F::push(s, x.widen());
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn wide<F: Fold, T: Real>(s: &mut State, tile: &[T]) {
    F::tile(s, tile);
}

fn run<F: Fold, T: Real>(s: &mut State, tile: &[T]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the features were detected on this machine.
        return unsafe { wide::<F, T>(s, tile) };
    }
    F::tile(s, tile);
}

/// Folds a tile in lanes: `f` takes an element in, `join` joins two partial results.
#[inline(always)]
fn lanes<T: Real>(tile: &[T], init: f64, f: impl Fn(f64, f64) -> f64, join: impl Fn(f64, f64) -> f64) -> f64 {
    let mut acc = [init; LANES];
    let (chunks, rest) = tile.as_chunks::<LANES>();
    for c in chunks {
        for (a, x) in acc.iter_mut().zip(c) {
            *a = f(*a, x.widen());
        }
    }
    for (a, x) in acc.iter_mut().zip(rest) {
        *a = f(*a, x.widen());
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            acc[i] = join(acc[i], acc[i + width]);
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
            fn tile<T: Real>(s: &mut State, tile: &[T]) {
                s[0] = $join(s[0], lanes(tile, $init, $take, $join));
            }
            #[inline(always)]
            fn push(s: &mut State, x: f64) {
                s[0] = $take(s[0], x);
            }
            fn merge(s: &mut State, later: &State) {
                s[0] = $join(s[0], later[0]);
            }
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
fold!(Mean, 0.0, plus, plus, |s, n| s / n as f64, cuda("s[0] += x;", ADDED, "s[0] / n"));
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

/// Count, mean and sum of squared deviations; states merge by Chan, Golub and LeVeque (1979).
struct Moments;

impl Moments {
    #[inline(always)]
    fn tile<T: Real>(s: &mut State, tile: &[T]) {
        if tile.is_empty() {
            return;
        }
        let n = tile.len() as f64;
        // From the first element, so that equal elements have a variance of exactly 0.
        let pivot = tile[0].widen();
        let mean = pivot + lanes(tile, 0.0, |a, x| a + (x - pivot), plus) / n;
        let m2 = lanes(tile, 0.0, |a, x| a + (x - mean) * (x - mean), plus);
        Self::merge(s, &[n, mean, m2, 0.0]);
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
            fn tile<T: Real>(s: &mut State, tile: &[T]) {
                Moments::tile(s, tile);
            }
            #[inline(always)]
            fn push(s: &mut State, x: f64) {
                Moments::push(s, x);
            }
            fn merge(s: &mut State, later: &State) {
                Moments::merge(s, later);
            }
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
