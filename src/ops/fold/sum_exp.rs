//! The sum of exponentials below the largest element, which softmax and its logarithm lower to.

use super::tiles::{below, lanes, larger, plus};
use super::{Fold, State};
use crate::ops::attrs::Attrs;
use crate::ops::row::CudaFold;
use crate::ops::take::{Elements, One};
use crate::ops::vecmath::Real;

/// Exponentials that are computed before they are added up.
const BLOCK: usize = 256;

/// Columns whose largest elements are found side by side, in registers.
const COLUMNS: usize = 32;

/// The largest element and the sum of exponentials of what lies below it, in one pass (Milakov and
/// Gimelshein, 2018).
pub(in crate::ops) struct SumExp;

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
    /// Takes the largest of each column in, or a NaN that is there: such are looked for apart, for a choice
    /// with two conditions is slow without AVX-512, and so is one that goes to memory (a masked store).
    #[inline(always)]
    fn largest<T: Real>(tops: &mut [T], rows: &[T], stride: usize) {
        let mut most = [T::Bits::default(); COLUMNS];
        let (groups, rest) = tops.as_chunks_mut::<COLUMNS>();
        let after = groups.len() * COLUMNS;
        for (at, group) in groups.iter_mut().enumerate() {
            let mut top = *group;
            for row in rows.chunks(stride) {
                let row = &row[at * COLUMNS..][..COLUMNS];
                for i in 0..COLUMNS {
                    most[i] = most[i].max(row[i].exp_key());
                    top[i] = if row[i] > top[i] { row[i] } else { top[i] };
                }
            }
            *group = top;
        }
        for row in rows.chunks(stride) {
            for (t, &x) in rest.iter_mut().zip(&row[after..]) {
                most[0] = most[0].max(x.exp_key());
                *t = if x > *t { x } else { *t };
            }
        }
        if most.iter().any(|m| *m > T::of(f64::INFINITY).exp_key()) {
            for row in rows.chunks(stride) {
                for (t, &x) in tops.iter_mut().zip(row).filter(|(_, x)| is_nan(**x)) {
                    *t = x;
                }
            }
        }
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
            Self::largest(top, &rows[block.start.min(rows.len())..], stride);
            Self::raise(tops, sums, top);
            let mut e = [[T::of(0.0); BLOCK]; 2];
            // Two rows at a time, so that sums are loaded and stored half as often.
            for pair in rows.chunks(2 * stride) {
                for (e, row) in e.iter_mut().zip(pair.chunks(stride)) {
                    for (e, (&x, &t)) in e.iter_mut().zip(row[block.clone()].iter().zip(&*top)) {
                        *e = Self::term(x, t);
                    }
                }
                let [first, second] = &e;
                if pair.len() > stride {
                    for (s, (a, b)) in sums.iter_mut().zip(first.iter().zip(second)) {
                        *s += a.widen() + b.widen();
                    }
                } else {
                    for (s, e) in sums.iter_mut().zip(first) {
                        *s += e.widen();
                    }
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
