//! Parallel loops over slices with a partition that does not depend on the number of threads.

use super::real::Real;
use super::simd::{sum1, sum2, wide};
use super::tile::{self, TILE};
use rayon::prelude::*;

/// Elements of one task.
const CHUNK: usize = 1 << 14;

/// `f(out, a)` on matching chunks.
pub fn map1<R: Real>(out: &mut [R], a: &[R], f: impl Fn(&mut [R], &[R]) + Sync) {
    debug_assert_eq!(out.len(), a.len());
    out.par_chunks_mut(CHUNK).zip(a.par_chunks(CHUNK)).for_each(|(o, a)| f(o, a));
}

/// `f(out, a, b)` on matching chunks.
pub fn map2<R: Real>(out: &mut [R], a: &[R], b: &[R], f: impl Fn(&mut [R], &[R], &[R]) + Sync) {
    debug_assert!(out.len() == a.len() && out.len() == b.len());
    out.par_chunks_mut(CHUNK)
        .zip(a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK)))
        .for_each(|(o, (a, b))| f(o, a, b));
}

/// `f(first element, elements)` on chunks.
pub fn each<R: Real>(x: &[R], f: impl Fn(usize, &[R]) + Sync) {
    x.par_chunks(CHUNK).enumerate().for_each(|(i, x)| f(i * CHUNK, x));
}

/// Copies `a`.
pub fn copy<R: Real>(out: &mut [R], a: &[R]) {
    map1(out, a, |o, a| o.copy_from_slice(a));
}

/// The transpose of `[rows, cols]`, in square tiles, which stay in cache.
pub fn transpose<T: bytemuck::Pod + Send + Sync>(x: &[T], rows: usize, cols: usize) -> Vec<T> {
    let turn = tile::turn::<T>();
    let mut y = vec![T::zeroed(); x.len()];
    // Each task writes TILE rows of the result.
    y.par_chunks_mut((TILE * rows).max(1)).enumerate().with_min_len(4).for_each(|(k, y)| {
        let j0 = k * TILE;
        let width = TILE.min(cols - j0);
        for i0 in (0..rows).step_by(TILE) {
            let height = TILE.min(rows - i0);
            if height == TILE && width == TILE {
                // SAFETY: the tile lies inside of both.
                unsafe { turn(x.as_ptr().add(i0 * cols + j0), cols, y.as_mut_ptr().add(i0), rows) };
                continue;
            }
            for j in 0..width {
                for (i, o) in y[j * rows + i0..][..height].iter_mut().enumerate() {
                    *o = x[(i0 + i) * cols + j0 + j];
                }
            }
        }
    });
    y
}

/// Adds `b` to `a`.
pub fn add<R: Real>(a: &mut [R], b: &[R]) {
    map1(a, b, |a, b| {
        for (x, &y) in a.iter_mut().zip(b) {
            *x += y;
        }
    });
}

/// How many rows of `width` make one task; depends on the width alone.
pub fn rows_per_task(width: usize) -> usize {
    (CHUNK / width.max(1)).clamp(1, 64)
}

/// `f(first row, rows of out)` on blocks of rows.
pub fn rows<R: Real>(out: &mut [R], width: usize, f: impl Fn(usize, &mut [R]) + Sync) {
    if out.is_empty() {
        return;
    }
    let block = rows_per_task(width);
    out.par_chunks_mut(block * width).enumerate().for_each(|(i, o)| f(i * block, o));
}

/// Sums `f(first row, end row, partial)` over blocks of rows into a vector of `width` numbers;
/// partial sums are joined in order.
pub fn fold_rows<R: Real>(
    n: usize,
    cost: usize,
    width: usize,
    f: impl Fn(std::ops::Range<usize>, &mut [R]) + Sync,
) -> Vec<R> {
    let block = summed_rows(cost);
    let parts = (0..n.div_ceil(block)).into_par_iter().map(|i| {
        let mut part = vec![R::default(); width];
        f(i * block..((i + 1) * block).min(n), &mut part);
        part
    });
    rows_in_order(parts.collect(), width)
}

/// How many rows make one partial sum.
fn summed_rows(width: usize) -> usize {
    rows_per_task(width).max(16)
}

fn rows_in_order<R: Real>(parts: Vec<Vec<R>>, width: usize) -> Vec<R> {
    let mut total = vec![R::default(); width];
    parts.iter().for_each(|part| add_row(&mut total, part));
    total
}

/// Sums over rows of a `[n, width]` matrix.
pub fn column_sums<R: Real>(x: &[R], width: usize) -> Vec<R> {
    if width == 0 {
        return Vec::new();
    }
    fold_rows(x.len() / width, width, width, |range, part| {
        for row in x[range.start * width..range.end * width].chunks_exact(width) {
            add_row(part, row);
        }
    })
}

/// `f(out, a)` on matching rows of `width`, and the [`column_sums`] of what comes out, of the same bits.
pub fn map1_summed<R: Real>(
    out: &mut [R],
    a: &[R],
    width: usize,
    f: impl Fn(&mut [R], &[R]) + Sync,
) -> Vec<R> {
    debug_assert_eq!(out.len(), a.len());
    let block = (summed_rows(width) * width).max(1);
    let parts = out.par_chunks_mut(block).zip(a.par_chunks(block)).map(|(out, a)| {
        let mut part = vec![R::default(); width];
        for (out, a) in out.chunks_exact_mut(width).zip(a.chunks_exact(width)) {
            f(out, a);
            add_row(&mut part, out);
        }
        part
    });
    rows_in_order(parts.collect(), width)
}

/// The inner product, accumulated in chunks that are joined in order.
pub fn dot<R: Real>(a: &[R], b: &[R]) -> R {
    let parts = a.par_chunks(DOT).zip(b.par_chunks(DOT)).with_min_len(8);
    in_order(parts.map(|(a, b)| dot_here(a, b)).collect())
}

/// The sum, accumulated as [`dot`] is.
pub fn sum<R: Real>(a: &[R]) -> R {
    in_order(a.par_chunks(DOT).with_min_len(8).map(sum_here).collect())
}

/// Elements of a partial sum.
const DOT: usize = 1 << 11;

wide! {
    fn dot_here<R: Real>(a: &[R], b: &[R]) -> R {
        sum2(a, b, |x, y| x * y)
    }
    fn sum_here<R: Real>(a: &[R]) -> R {
        sum1(a, |x| x)
    }
    fn add_row<R: Real>(total: &mut [R], row: &[R]) {
        for (t, &v) in total.iter_mut().zip(row) {
            *t += v;
        }
    }
}

fn in_order<R: Real>(parts: Vec<R>) -> R {
    let mut s = R::default();
    for p in parts {
        s += p;
    }
    s
}
