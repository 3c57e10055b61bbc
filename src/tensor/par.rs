//! Parallel loops over slices with a partition that does not depend on the number of threads.

use super::real::Real;
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
    let block = rows_per_task(cost).max(16);
    let parts: Vec<Vec<R>> = (0..n.div_ceil(block))
        .into_par_iter()
        .map(|i| {
            let mut part = vec![R::default(); width];
            f(i * block..((i + 1) * block).min(n), &mut part);
            part
        })
        .collect();
    let mut total = vec![R::default(); width];
    for part in &parts {
        for (t, &p) in total.iter_mut().zip(part) {
            *t += p;
        }
    }
    total
}

/// Sums over rows of a `[n, width]` matrix.
pub fn column_sums<R: Real>(x: &[R], width: usize) -> Vec<R> {
    if width == 0 {
        return Vec::new();
    }
    fold_rows(x.len() / width, width, width, |range, part| {
        for row in x[range.start * width..range.end * width].chunks_exact(width) {
            for (p, &v) in part.iter_mut().zip(row) {
                *p += v;
            }
        }
    })
}

/// The inner product, accumulated in chunks that are joined in order.
pub fn dot<R: Real>(a: &[R], b: &[R]) -> R {
    let parts: Vec<R> = a
        .par_chunks(1024)
        .zip(b.par_chunks(1024))
        .map(|(a, b)| {
            let mut s = R::default();
            for (&x, &y) in a.iter().zip(b) {
                s += x * y;
            }
            s
        })
        .collect();
    let mut s = R::default();
    for p in parts {
        s += p;
    }
    s
}
