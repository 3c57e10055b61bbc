//! Variance and standard deviation.

use super::tiles::{plus, tree};
use super::{Fold, State};
use crate::ops::attrs::Attrs;
use crate::ops::row::CudaFold;
use crate::ops::take::{Elements, LANES};
use crate::ops::vecmath::Real;

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
        pub(in crate::ops) struct $name;
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
