//! Products of dual matrices: values and tangents are taken apart into matrices of their own, for
//! which there are fast products; then `v = a.v b.v` and `d = a.v b.d + a.d b.v`.

use super::{Into, Shared, View};
use crate::tensor::real::{Base, Real};
use rayon::prelude::*;
use std::cell::RefCell;

/// Elements of one task.
const CHUNK: usize = 1 << 14;

thread_local! {
    static SCRATCH: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with `n` numbers of arbitrary contents, which the thread keeps for the next call.
pub(super) fn with_scratch<T: Base, O>(n: usize, f: impl FnOnce(&mut [T]) -> O) -> O {
    // The cell is left empty meanwhile: work stolen while `f` waits may come here again.
    let mut held = SCRATCH.take();
    let words = (n * size_of::<T>()).div_ceil(8);
    if held.len() < words {
        held.resize(words, 0);
    }
    let out = f(&mut bytemuck::cast_slice_mut(&mut held)[..n]);
    SCRATCH.set(held);
    out
}

/// A matrix as values followed by tangents, each contiguous, and the view of both.
struct Planes {
    view: View,
    /// Is a column contiguous?
    turned: bool,
}

impl Planes {
    fn of(v: View) -> Self {
        let turned = v.cs > v.rs;
        let view = if turned { View::new(v.cols, v.rows).t() } else { View::new(v.rows, v.cols) };
        Planes { view, turned }
    }

    fn len(&self) -> usize {
        self.view.rows * self.view.cols
    }

    /// Lines that are contiguous, their length, and how far apart they are in `v`.
    fn lines(&self, v: View) -> (usize, usize, usize, usize) {
        if self.turned { (v.cols, v.rows, v.cs, v.rs) } else { (v.rows, v.cols, v.rs, v.cs) }
    }

    /// Takes `x` under `v` apart.
    ///
    /// # Safety
    /// The view lies inside what may be read.
    unsafe fn fill<R: Real>(&self, x: &Shared<R>, v: View, out: &mut [R::Base], parallel: bool) {
        let (_, width, far, near) = self.lines(v);
        let (value, tangent) = out.split_at_mut(self.len());
        let line = |i: usize, value: &mut [R::Base], tangent: &mut [R::Base]| {
            for (j, (value, tangent)) in value.iter_mut().zip(tangent).enumerate() {
                // SAFETY: the caller's.
                let x = unsafe { *x.ptr().add(v.offset + i * far + j * near) };
                (*value, *tangent) = (x.value(), x.tangent());
            }
        };
        let width = width.max(1);
        if parallel {
            let lines = value.par_chunks_mut(width).zip(tangent.par_chunks_mut(width));
            lines.with_min_len((CHUNK / width).max(1)).enumerate().for_each(|(i, (v, t))| line(i, v, t));
        } else {
            value
                .chunks_mut(width)
                .zip(tangent.chunks_mut(width))
                .enumerate()
                .for_each(|(i, (v, t))| line(i, v, t));
        }
    }

    /// Puts a product together.
    ///
    /// # Safety
    /// The view lies inside what may be written, and nobody else does.
    unsafe fn put<R: Real>(&self, from: &[R::Base], dst: &Shared<R>, v: View, into: Into, parallel: bool) {
        let (_, width, far, near) = self.lines(v);
        let (value, tangent) = from.split_at(self.len());
        let line = |i: usize, value: &[R::Base], tangent: &[R::Base]| {
            for (j, (&value, &tangent)) in value.iter().zip(tangent).enumerate() {
                // SAFETY: the caller's.
                let to = unsafe { &mut *dst.ptr().add(v.offset + i * far + j * near) };
                let x = R::dual(value, tangent);
                *to = if into == Into::Add { *to + x } else { x };
            }
        };
        let width = width.max(1);
        if parallel {
            let lines = value.par_chunks(width).zip(tangent.par_chunks(width));
            lines.with_min_len((CHUNK / width).max(1)).enumerate().for_each(|(i, (v, t))| line(i, v, t));
        } else {
            value.chunks(width).zip(tangent.chunks(width)).enumerate().for_each(|(i, (v, t))| line(i, v, t));
        }
    }
}

/// The product on all threads; without `values` of tangents alone.
pub(super) fn product<R: Real>(
    dst: &mut [R],
    a: &[R],
    b: &[R],
    views: [View; 3],
    alpha: f64,
    into: Into,
    values: bool,
) {
    // SAFETY: the caller checked the views; `dst` is borrowed mutably.
    unsafe { run(dst.as_mut_ptr(), a.as_ptr(), b.as_ptr(), views, alpha, into, [true, values]) }
}

/// The product on the calling thread.
///
/// # Safety
/// Every view lies inside memory that may be read (and written, for `dst`), and `dst` meets no other.
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn here<R: Real>(
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
    unsafe { run(dst, a, b, [dv, av, bv], alpha, into, [false, true]) }
}

/// # Safety
/// As for [`here`].
unsafe fn run<R: Real>(
    dst: *mut R,
    a: *const R,
    b: *const R,
    [dv, av, bv]: [View; 3],
    alpha: f64,
    into: Into,
    [parallel, values]: [bool; 2],
) {
    let (pd, pa, pb) = (Planes::of(dv), Planes::of(av), Planes::of(bv));
    let (nd, na, nb) = (pd.len(), pa.len(), pb.len());
    with_scratch::<R::Base, ()>(2 * (nd + na + nb), |all| {
        let (d, rest) = all.split_at_mut(2 * nd);
        let (x, y) = rest.split_at_mut(2 * na);
        // SAFETY: the caller's.
        unsafe {
            pa.fill(&Shared(a.cast_mut()), av, x, parallel);
            pb.fill(&Shared(b.cast_mut()), bv, y, parallel);
        }
        let multiply = |d: &mut [R::Base], x: &[R::Base], y: &[R::Base], into: Into| {
            let views = [pd.view, pa.view, pb.view];
            if parallel {
                super::product(d, x, y, views, alpha, into);
            } else {
                super::product_here(d, x, y, views, alpha, into);
            }
        };
        let (value, tangent) = d.split_at_mut(nd);
        if values {
            multiply(value, &x[..na], &y[..nb], Into::Set);
        } else {
            value.fill(R::Base::default());
        }
        multiply(tangent, &x[..na], &y[nb..], Into::Set);
        multiply(tangent, &x[na..], &y[..nb], Into::Add);
        // SAFETY: the caller's.
        unsafe { pd.put(d, &Shared(dst), dv, into, parallel) };
    });
}
