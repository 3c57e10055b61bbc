//! Products whose left factor has contiguous columns, as gradients of weights do. The kernels read four of
//! its rows at a time, which then lie in as many cache lines as there are inner elements; so a stretch of
//! the factor is turned into rows first, small enough to stay in cache.

use super::dual::with_scratch;
use super::{Into, View, multiply};
use crate::tensor::real::Base;
use crate::tensor::tile::{self, TILE};

/// Inner elements of a stretch.
const STRETCH: usize = 256;
/// Distance of the rows of a stretch, which keeps them out of each other's cache sets.
const DISTANCE: usize = STRETCH + 16;
/// Rows that are turned together.
const ROWS: usize = 256;

/// Is turning the left factor worth it? A short one stays in cache as it is, and a narrow product does not
/// read it often.
pub(super) fn pays(d: View, a: View) -> bool {
    let columns = a.rs == 1 && a.cs >= 128;
    let large = a.cols >= 256 && d.rows.min(d.cols) >= 64 && d.rows * d.cols >= 1 << 15;
    columns && (large || a.cols >= 2048 && d.rows.min(d.cols) >= 32)
}

/// `dst = alpha a b` or `dst += alpha a b` on the calling thread.
///
/// # Safety
/// Every view lies inside memory that may be read (and written, for `dst`), and `dst` meets no other.
pub(super) unsafe fn product<T: Base>(
    dst: *mut T,
    a: *const T,
    b: *const T,
    [dv, av, bv]: [View; 3],
    alpha: f64,
    into: Into,
) {
    let height = av.rows.div_ceil(av.rows.div_ceil(ROWS)).next_multiple_of(8);
    with_scratch::<T, ()>(height * DISTANCE, |rows| {
        for r in (0..av.rows).step_by(height) {
            let n = height.min(av.rows - r);
            for k in (0..av.cols).step_by(STRETCH) {
                let inner = STRETCH.min(av.cols - k);
                let from = av.offset + r + k * av.cs;
                let d = View { offset: dv.offset + r * dv.rs, rows: n, ..dv };
                let x = View { offset: 0, rows: n, cols: inner, rs: DISTANCE, cs: 1 };
                let y = View { offset: bv.offset + k * bv.rs, rows: inner, ..bv };
                let into = if k == 0 { into } else { Into::Add };
                // SAFETY: parts of the caller's views.
                unsafe {
                    turn(a.add(from), av.cs, [inner, n], rows);
                    multiply(dst, rows.as_ptr(), b, [d, x, y], alpha, into);
                }
            }
        }
    });
}

/// Turns `inner` rows of `n` elements, `far` apart, into `n` rows of `inner` elements.
///
/// # Safety
/// The rows may be read.
unsafe fn turn<T: Base>(x: *const T, far: usize, [inner, n]: [usize; 2], y: &mut [T]) {
    debug_assert!(y.len() >= n.saturating_sub(1) * DISTANCE + inner);
    let (whole_inner, whole) = (inner / TILE * TILE, n / TILE * TILE);
    let tile = tile::turn::<T>();
    for k in (0..whole_inner).step_by(TILE) {
        for r in (0..whole).step_by(TILE) {
            // SAFETY: the tile lies inside the rows of both.
            unsafe { tile(x.add(k * far + r), far, y.as_mut_ptr().add(r * DISTANCE + k), DISTANCE) }
        }
    }
    for r in 0..n {
        for k in if r < whole { whole_inner } else { 0 }..inner {
            // SAFETY: the caller's.
            y[r * DISTANCE + k] = unsafe { *x.add(k * far + r) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned<T: Base>(inner: usize, n: usize) {
        let x: Vec<T> = (0..inner * n).map(|i| T::of(i as f64)).collect();
        let mut y = vec![T::default(); n * DISTANCE];
        // SAFETY: `x` has so many rows.
        unsafe { turn(x.as_ptr(), n, [inner, n], &mut y) };
        for r in 0..n {
            for k in 0..inner {
                assert!(y[r * DISTANCE + k] == x[k * n + r], "{inner} {n}: {r} {k}");
            }
        }
    }

    #[test]
    fn rows_become_columns() {
        for (inner, n) in [(1, 1), (8, 8), (16, 24), (19, 37), (256, 9)] {
            turned::<f32>(inner, n);
            turned::<f64>(inner, n);
        }
    }

    #[test]
    fn turned_products_are_products() {
        let (m, k, n) = (300, 700, 130);
        let number = |i: usize| ((i * 7919) % 1009) as f64 / 504.5 - 1.0;
        let a: Vec<f64> = (0..m * k).map(number).collect();
        let b: Vec<f64> = (0..k * n).map(|i| number(i + 5)).collect();
        let views = [View::new(m, n), View::new(k, m).t(), View::new(k, n)];
        assert!(pays(views[0], views[1]));
        let mut got = vec![1.0; m * n];
        // SAFETY: views lie inside the slices.
        unsafe { product(got.as_mut_ptr(), a.as_ptr(), b.as_ptr(), views, 0.5, Into::Add) };
        for (i, j) in [(0, 0), (299, 129), (17, 64), (256, 3)] {
            let sum: f64 = (0..k).map(|l| a[l * m + i] * b[l * n + j]).sum();
            assert!((got[i * n + j] - 1.0 - 0.5 * sum).abs() < 1e-10);
        }
    }
}
