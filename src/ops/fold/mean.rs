//! The mean, held between the smallest and the largest element.

use super::tiles::{lanes, larger, plus, smaller};
use super::{Fold, State};
use crate::ops::attrs::Attrs;
use crate::ops::row::CudaFold;
use crate::ops::take::Elements;
use crate::ops::vecmath::Real;

/// Sum, and for elements of double precision the smallest and the largest: a mean lies between them,
/// so that equal elements have exactly that mean. Sums of shorter elements are exact enough.
pub(in crate::ops) struct Mean;

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
pub(in crate::ops) fn within(mean: f64, least: f64, most: f64) -> f64 {
    if mean < least {
        least
    } else if mean > most {
        most
    } else {
        mean
    }
}
