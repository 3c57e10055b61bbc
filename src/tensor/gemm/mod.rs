//! Strided matrix products through faer, over any [`Real`].
//!
//! A large destination is cut into blocks, which depend on its sizes alone, so that a product has the
//! same bits on any number of threads (held by a test).

mod block;
mod dual;
mod turn;

use super::offload::{self, Group};
use super::par;
use super::real::{Base, Real};
use block::{Block, blocks};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::marker::PhantomData;

/// Where a matrix lies in a slice: element (i, j) at `offset + i * rs + j * cs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// First element.
    pub offset: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Distance of rows.
    pub rs: usize,
    /// Distance of columns.
    pub cs: usize,
}

impl View {
    /// A contiguous row-major matrix.
    pub fn new(rows: usize, cols: usize) -> Self {
        View { offset: 0, rows, cols, rs: cols, cs: 1 }
    }
    /// Its transpose.
    pub fn t(self) -> Self {
        View { rows: self.cols, cols: self.rows, rs: self.cs, cs: self.rs, ..self }
    }
    /// Starting elsewhere.
    pub fn at(self, offset: usize) -> Self {
        View { offset, ..self }
    }
    /// One past the last element it touches.
    pub(crate) fn end(&self) -> usize {
        if self.rows == 0 || self.cols == 0 {
            return 0;
        }
        self.offset + (self.rows - 1) * self.rs + (self.cols - 1) * self.cs + 1
    }
}

/// What becomes of the old contents of the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Into {
    /// Overwritten.
    Set,
    /// Added to.
    Add,
}

/// `dst = alpha a b` or `dst += alpha a b` under the three views, on all threads of the pool where it is worth it.
pub fn product<R: Real>(dst: &mut [R], a: &[R], b: &[R], [dv, av, bv]: [View; 3], alpha: f64, into: Into) {
    check(dst.len(), dv, a.len(), av, b.len(), bv);
    if R::PARTS > 1 {
        return dual::product(dst, a, b, [dv, av, bv], alpha, into, true);
    }
    let group = [Group { views: [dv, av, bv], strides: [0; 3], count: 1 }];
    if offload::offered(dst, a, b, &group, alpha, into) {
        return;
    }
    let blocks = blocks(dv, bv.rows);
    let out = Shared(dst.as_mut_ptr());
    let run = |block: &Block| {
        let [d, x, y] = block.views([dv, av, bv]);
        // SAFETY: `check` saw that every view lies inside its slice; blocks of a destination are disjoint.
        unsafe { plain(out.ptr(), d, a.as_ptr(), x, b.as_ptr(), y, alpha, into) }
    };
    match blocks.as_slice() {
        [one] => run(one),
        several => several.par_iter().for_each(run),
    }
}

/// `dst = a b` with `bias`, where there is one, added to every row; `dst` is contiguous. Every block of a
/// product begins with the bias and is still in cache when the product is added to it, and when `after`
/// sees it: runs of final elements, each with the place of its first.
pub fn product_biased<R: Real>(
    dst: &mut [R],
    a: &[R],
    b: &[R],
    [dv, av, bv]: [View; 3],
    bias: Option<&[R]>,
    after: impl Fn(usize, &[R]) + Sync,
) {
    check(dst.len(), dv, a.len(), av, b.len(), bv);
    assert!(dv == View::new(dv.rows, dv.cols), "a contiguous destination");
    assert!(bias.is_none_or(|b| b.len() == dv.cols), "a bias for every column");
    let into = if bias.is_some() { Into::Add } else { Into::Set };
    if R::PARTS > 1 || offload::installed() {
        if let Some(bias) = bias {
            let fill = |rows: &mut [R]| rows.chunks_exact_mut(dv.cols).for_each(|r| r.copy_from_slice(bias));
            par::rows(dst, dv.cols, |_, rows| fill(rows));
        }
        product(dst, a, b, [dv, av, bv], 1.0, into);
        return par::each(dst, after);
    }
    let blocks = blocks(dv, bv.rows);
    let out = Split::new(dst);
    let run = |block: &Block| {
        let [d, x, y] = block.views([dv, av, bv]);
        let rows = (0..d.rows).map(|row| d.offset + row * d.rs).map(|at| at..at + d.cols);
        // SAFETY: `check` saw that every view lies inside its slice; blocks of a destination are disjoint,
        // and of each slice of it one is alive at a time.
        unsafe {
            if let Some(bias) = bias {
                rows.clone().for_each(|at| out.part(at).copy_from_slice(&bias[block.cols.clone()]));
            }
            plain(out.to.ptr(), d, a.as_ptr(), x, b.as_ptr(), y, 1.0, into);
            rows.for_each(|at| after(at.start, out.part(at)));
        }
    };
    match blocks.as_slice() {
        [one] => run(one),
        several => several.par_iter().for_each(run),
    }
}

/// [`product`] of dual matrices of which the tangents alone are wanted: values are 0 or left as they are.
pub fn tangent_product<R: Real>(dst: &mut [R], a: &[R], b: &[R], [dv, av, bv]: [View; 3], into: Into) {
    check(dst.len(), dv, a.len(), av, b.len(), bv);
    dual::product(dst, a, b, [dv, av, bv], 1.0, into, false);
}

/// The same as [`product`] on the calling thread alone, for callers that are parallel themselves.
pub fn product_here<R: Real>(
    dst: &mut [R],
    a: &[R],
    b: &[R],
    [dv, av, bv]: [View; 3],
    alpha: f64,
    into: Into,
) {
    check(dst.len(), dv, a.len(), av, b.len(), bv);
    // SAFETY: `check` saw that every view lies inside its slice, and `dst` is borrowed mutably.
    unsafe { here(dst.as_mut_ptr(), dv, a.as_ptr(), av, b.as_ptr(), bv, alpha, into) }
}

struct Shared<R>(*mut R);
// SAFETY: `batched` hands disjoint parts to the threads.
unsafe impl<R: Send> Send for Shared<R> {}
// SAFETY: as above.
unsafe impl<R: Send> Sync for Shared<R> {}
impl<R> Shared<R> {
    fn ptr(&self) -> *mut R {
        self.0
    }
}

/// A destination that several tasks write to.
pub struct Split<'a, R> {
    to: Shared<R>,
    len: usize,
    whole: PhantomData<&'a mut [R]>,
}

impl<R> Clone for Split<'_, R> {
    fn clone(&self) -> Self {
        Split { to: Shared(self.to.ptr()), ..*self }
    }
}

impl<'a, R: Real> Split<'a, R> {
    /// Of `whole`.
    pub fn new(whole: &'a mut [R]) -> Self {
        Split { to: Shared(whole.as_mut_ptr()), len: whole.len(), whole: PhantomData }
    }

    /// A part of it.
    ///
    /// # Safety
    /// Nobody else reads or writes that part meanwhile.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn part(&self, range: std::ops::Range<usize>) -> &mut [R] {
        assert!(range.start <= range.end && range.end <= self.len, "a part outside of the whole");
        // SAFETY: it lies inside; the rest is the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.to.ptr().add(range.start), range.len()) }
    }

    /// [`product_here`] into a part of it.
    ///
    /// # Safety
    /// Nobody else reads or writes that part meanwhile.
    pub unsafe fn product(&self, a: &[R], b: &[R], [dv, av, bv]: [View; 3], alpha: f64, into: Into) {
        check(self.len, dv, a.len(), av, b.len(), bv);
        // SAFETY: `check` saw that every view lies inside its slice; the rest is the caller's.
        unsafe { here(self.to.ptr(), dv, a.as_ptr(), av, b.as_ptr(), bv, alpha, into) }
    }
}

/// `count` products in parallel: product `i` reads `views(i)[1]` of `a`, `views(i)[2]` of `b` and
/// writes `views(i)[0]` of `dst`.
///
/// # Panics
/// When two destinations overlap or a view leaves its slice: faults of the calling code.
pub fn batched<R: Real>(
    count: usize,
    dst: &mut [R],
    a: &[R],
    b: &[R],
    views: impl Fn(usize) -> [View; 3] + Sync,
    alpha: f64,
    into: Into,
) {
    disjoint((0..count).map(|i| views(i)[0]).collect());
    if batched_away(count, dst, a, b, &views, alpha, into) {
        return;
    }
    let out = Shared(dst.as_mut_ptr());
    let len = dst.len();
    (0..count).into_par_iter().for_each(|i| {
        let [dv, av, bv] = views(i);
        check(len, dv, a.len(), av, b.len(), bv);
        // SAFETY: views lie inside their slices, and `disjoint` saw that no two destinations meet.
        unsafe { here(out.ptr(), dv, a.as_ptr(), av, b.as_ptr(), bv, alpha, into) }
    });
}

/// The products of [`batched`] on a device, where there is one and they are worth it. True when they
/// are done.
pub(crate) fn batched_away<R: Real>(
    count: usize,
    dst: &mut [R],
    a: &[R],
    b: &[R],
    views: impl Fn(usize) -> [View; 3],
    alpha: f64,
    into: Into,
) -> bool {
    if !offload::installed() {
        return false;
    }
    for [dv, av, bv] in (0..count).map(&views) {
        check(dst.len(), dv, a.len(), av, b.len(), bv);
    }
    offload::offered(dst, a, b, &offload::groups(count, &views), alpha, into)
}

/// Destinations are blocks of one grid of rows: equal row distance, unit column distance. Two of
/// them are apart when their first rows' column ranges or their row ranges are.
fn disjoint(mut views: Vec<View>) {
    views.sort_by_key(|v| v.offset);
    for pair in views.windows(2) {
        let (x, y) = (pair[0], pair[1]);
        let apart = x.end() <= y.offset
            || (x.cs == 1 && y.cs == 1 && x.rs == y.rs && {
                let (cx, cy) = (x.offset % x.rs, y.offset % x.rs);
                cx + x.cols <= cy || cy + y.cols <= cx
            });
        assert!(apart, "overlapping destinations {x:?} {y:?}");
    }
}

fn check(d: usize, dv: View, a: usize, av: View, b: usize, bv: View) {
    assert!(dv.end() <= d && av.end() <= a && bv.end() <= b, "view outside of its slice");
    assert!(
        dv.rows == av.rows && dv.cols == bv.cols && av.cols == bv.rows,
        "sizes of a product: {dv:?} = {av:?} {bv:?}"
    );
}

/// # Safety
/// Every view lies inside memory that may be read (and written, for `dst`), and `dst` meets no other.
#[allow(clippy::too_many_arguments)]
unsafe fn here<R: Real>(
    dst: *mut R,
    dv: View,
    a: *const R,
    av: View,
    b: *const R,
    bv: View,
    alpha: f64,
    into: Into,
) {
    // SAFETY: the caller's.
    unsafe {
        match R::PARTS {
            1 => plain(dst, dv, a, av, b, bv, alpha, into),
            _ => dual::here(dst, dv, a, av, b, bv, alpha, into),
        }
    }
}

/// # Safety
/// As for [`here`]; `R` is a plain number, its own base.
#[allow(clippy::too_many_arguments)]
unsafe fn plain<R: Real>(
    dst: *mut R,
    dv: View,
    a: *const R,
    av: View,
    b: *const R,
    bv: View,
    alpha: f64,
    into: Into,
) {
    debug_assert_eq!(R::PARTS, 1);
    // SAFETY: a `Real` of one part is its base; the rest is the caller's.
    unsafe {
        let (dst, a, b) = (dst as *mut R::Base, a as *const R::Base, b as *const R::Base);
        if turn::pays(dv, av) {
            turn::product(dst, a, b, [dv, av, bv], alpha, into);
        } else {
            multiply(dst, a, b, [dv, av, bv], alpha, into);
        }
    }
}

/// # Safety
/// As for [`here`].
unsafe fn multiply<T: Base>(
    dst: *mut T,
    a: *const T,
    b: *const T,
    [dv, av, bv]: [View; 3],
    alpha: f64,
    into: Into,
) {
    let s = |x: usize| x as isize;
    // SAFETY: the views lie inside what the pointers may reach.
    unsafe {
        let dst = MatMut::from_raw_parts_mut(dst.add(dv.offset), dv.rows, dv.cols, s(dv.rs), s(dv.cs));
        let a = MatRef::from_raw_parts(a.add(av.offset), av.rows, av.cols, s(av.rs), s(av.cs));
        let b = MatRef::from_raw_parts(b.add(bv.offset), bv.rows, bv.cols, s(bv.rs), s(bv.cs));
        let accum = if into == Into::Add { Accum::Add } else { Accum::Replace };
        matmul(dst, accum, a, b, T::of(alpha), Par::Seq);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::real::Dual;

    fn numbers(n: usize, seed: u64) -> Vec<f64> {
        (0..n).map(|i| (((i as u64 * 7919 + seed * 104_729) % 1009) as f64) / 504.5 - 1.0).collect()
    }

    #[test]
    fn dual_products_follow_the_product_rule() {
        let (m, k, n) = (5, 7, 3);
        let make = |len, s| -> Vec<Dual<f64>> {
            numbers(len, s).iter().zip(numbers(len, s + 1)).map(|(&v, d)| Dual { v, d }).collect()
        };
        let (a, b) = (make(m * k, 1), make(n * k, 3));
        let mut c = make(m * n, 5);
        let before = c.clone();
        let views = [View::new(m, n), View::new(m, k), View::new(n, k).t()];
        product(&mut c, &a, &b, views, 0.5, Into::Add);
        for i in 0..m {
            for j in 0..n {
                let mut want = before[i * n + j];
                for l in 0..k {
                    want += Dual::of(0.5) * a[i * k + l] * b[j * k + l];
                }
                assert!((c[i * n + j].v - want.v).abs() < 1e-12 && (c[i * n + j].d - want.d).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn same_bits_on_any_number_of_threads() {
        let (m, k, n) = (300, 517, 190);
        let a: Vec<f32> = numbers(m * k, 1).iter().map(|&x| x as f32).collect();
        let b: Vec<f32> = numbers(k * n, 2).iter().map(|&x| x as f32).collect();
        for (av, bv) in [
            (View::new(m, k), View::new(k, n)),
            (View::new(k, m).t(), View::new(k, n)),
            (View::new(m, k), View::new(n, k).t()),
        ] {
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let mut c = vec![0f32; m * n];
                    product(&mut c, &a, &b, [View::new(m, n), av, bv], 1.0, Into::Set);
                    c
                })
            };
            let one = run(1);
            for t in [2, 3, 5] {
                assert!(one.iter().zip(run(t)).all(|(x, y)| x.to_bits() == y.to_bits()), "{t} threads");
            }
        }
    }

    #[test]
    fn a_bias_is_added_to_every_row() {
        for (m, k, n) in [(3, 4, 5), (300, 517, 190), (0, 3, 2), (700, 64, 400)] {
            let a: Vec<f32> = numbers(m * k, 1).iter().map(|&x| x as f32).collect();
            let b: Vec<f32> = numbers(k * n, 2).iter().map(|&x| x as f32).collect();
            let bias: Vec<f32> = numbers(n, 3).iter().map(|&x| x as f32).collect();
            let views = [View::new(m, n), View::new(m, k), View::new(n, k).t()];
            let (mut got, mut want) = (vec![7f32; m * n], bias.repeat(m));
            let after = std::sync::Mutex::new(vec![0f32; m * n]);
            let copy =
                |at: usize, run: &[f32]| after.lock().unwrap()[at..at + run.len()].copy_from_slice(run);
            product_biased(&mut got, &a, &b, views, Some(&bias), copy);
            assert_eq!(after.into_inner().unwrap(), got, "{m} {k} {n}");
            product(&mut want, &a, &b, views, 1.0, Into::Add);
            assert!(got.iter().zip(&want).all(|(x, y)| x.to_bits() == y.to_bits()), "{m} {k} {n}");
        }
    }
}
