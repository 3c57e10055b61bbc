//! Folds whose state is one number.

use super::tiles::{lanes, larger, plus, smaller};
use super::{Fold, State};
use crate::ops::attrs::Attrs;
use crate::ops::row::CudaFold;
use crate::ops::take::Elements;
use crate::ops::vecmath::Real;

#[inline(always)]
fn times(a: f64, b: f64) -> f64 {
    a * b
}
/// -p log p, 0 at 0.
#[inline(always)]
pub(in crate::ops) fn information(p: f64) -> f64 {
    if p == 0.0 { 0.0 } else { -p * Real::ln(p) }
}

/// A fold whose state is one number.
macro_rules! fold {
    ($name:ident, $init:expr, $take:expr, $join:expr, |$s:ident, $n:ident| $finish:expr, $cuda:expr) => {
        pub(in crate::ops) struct $name;
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
