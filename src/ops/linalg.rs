//! Dense linear algebra in f64 through faer, on one thread so that results do not depend on how
//! many there are. Matrices are row-major slices.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::tridiag::{tridiag_in_place, tridiag_in_place_scratch};
use faer::linalg::lu::partial_pivoting::factor::{lu_in_place, lu_in_place_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::qr::no_pivoting::factor::recommended_block_size;
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Accum, Mat, MatMut, MatRef, Par};
use memo::Kind;

mod memo;
mod tridiagonal;

fn view(x: &[f64], rows: usize, cols: usize) -> MatRef<'_, f64> {
    MatRef::from_row_major_slice(x, rows, cols)
}

/// `a [m, k]` times `b [k, n]`.
pub(super) fn product(a: &[f64], b: &[f64], m: usize, k: usize, n: usize) -> Vec<f64> {
    multiply(view(a, m, k), view(b, k, n))
}

/// `a aᵀ` of `a [rows, cols]`, exactly symmetric.
pub(super) fn gram(a: &[f64], rows: usize, cols: usize) -> Vec<f64> {
    let a = view(a, rows, cols);
    let mut out = multiply(a, a.transpose());
    for i in 0..rows {
        for j in 0..i {
            out[j * rows + i] = out[i * rows + j];
        }
    }
    out
}

/// The lower triangle of `a aᵀ`, which is all that eigenvalues read; zeros above.
fn lower_gram(a: MatRef<'_, f64>) -> Vec<f64> {
    let n = a.nrows();
    let mut out = vec![0.0; n * n];
    if n * a.ncols() > 0 {
        let dst: MatMut<'_, f64> = MatMut::from_row_major_slice_mut(&mut out, n, n);
        let (lower, all) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
        triangular::matmul(dst, lower, Accum::Replace, a, all, a.transpose(), all, 1.0, Par::Seq);
    }
    out
}

fn multiply(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Vec<f64> {
    let (m, n) = (a.nrows(), b.ncols());
    let mut out = vec![0.0; m * n];
    let dst: MatMut<'_, f64> = MatMut::from_row_major_slice_mut(&mut out, m, n);
    if m * n * a.ncols() > 0 {
        matmul(dst, Accum::Replace, a, b, 1.0, Par::Seq);
    }
    out
}

/// The matrix times a power of two that keeps squares of its elements in range, and the inverse of
/// that power; `None` where an element is not finite.
fn scaled(x: &[f64]) -> Option<(Vec<f64>, f64)> {
    if !x.iter().all(|v| v.is_finite()) {
        return None;
    }
    let top = x.iter().fold(0.0f64, |a, v| a.max(v.abs()));
    if top == 0.0 || (1e-120..1e120).contains(&top) {
        return Some((x.to_vec(), 1.0));
    }
    let (factor, inverse) =
        if top > 1.0 { (2f64.powi(-700), 2f64.powi(700)) } else { (2f64.powi(700), 2f64.powi(-700)) };
    Some((x.iter().map(|v| v * factor).collect(), inverse))
}

/// Singular values, not increasing; `None` where elements are not finite or iterations ran out.
pub(super) fn singular_values(x: &[f64], rows: usize, cols: usize) -> Option<Vec<f64>> {
    memo::remembered(Kind::Singular, x, (rows, cols), || svd_values(x, rows, cols))
}

fn svd_values(x: &[f64], rows: usize, cols: usize) -> Option<Vec<f64>> {
    if symmetric(x, rows, cols) {
        let mut values: Vec<f64> = evd_values(x, rows)?.into_iter().map(f64::abs).collect();
        values.sort_by(|a, b| b.total_cmp(a));
        return Some(values);
    }
    let (x, scale) = scaled(x)?;
    if rows * cols == 0 {
        return Some(Vec::new());
    }
    let no = ComputeSvdVectors::No;
    let scratch = svd_scratch::<f64>(rows, cols, no, no, Par::Seq, Default::default());
    let mut buffer = MemBuffer::new(scratch);
    let mut s = Diag::<f64>::zeros(rows.min(cols));
    let stack = MemStack::new(&mut buffer);
    svd(view(&x, rows, cols), s.as_mut(), None, None, Par::Seq, stack, Default::default()).ok()?;
    Some(s.column_vector().iter().map(|v| v * scale).collect())
}

/// Singular values are then the sizes of eigenvalues, which are found far sooner.
fn symmetric(x: &[f64], rows: usize, cols: usize) -> bool {
    rows == cols && (0..rows).all(|i| (0..i).all(|j| x[i * cols + j] == x[j * cols + i]))
}

/// Eigenvalues of a symmetric matrix (its lower triangle), not decreasing; `None` as above.
pub(super) fn eigenvalues(x: &[f64], n: usize) -> Option<Vec<f64>> {
    memo::remembered(Kind::Eigen, x, (n, n), || evd_values(x, n))
}

fn evd_values(x: &[f64], n: usize) -> Option<Vec<f64>> {
    let (x, scale) = scaled(x)?;
    if n < 2 {
        return Some(x.iter().map(|v| v * scale).collect());
    }
    let mut a = Mat::<f64>::zeros(n, n);
    a.copy_from_triangular_lower(view(&x, n, n));
    let mut householder = Mat::<f64>::zeros(recommended_block_size::<f64>(n, n), n - 1);
    let mut buffer = MemBuffer::new(tridiag_in_place_scratch::<f64>(n, Par::Seq, Default::default()));
    let stack = MemStack::new(&mut buffer);
    tridiag_in_place(a.as_mut(), householder.as_mut(), Par::Seq, stack, Default::default());
    let diagonal = (0..n).map(|i| a[(i, i)]).collect();
    let beside = (0..n - 1).map(|i| a[(i + 1, i)]).collect();
    Some(tridiagonal::eigenvalues(diagonal, beside)?.into_iter().map(|v| v * scale).collect())
}

/// Squared singular values, not increasing, as eigenvalues of the Gram matrix of the smaller side: far
/// faster than singular values, and exact to the rounding of the largest; `None` as above.
pub(super) fn spectrum(x: &[f64], rows: usize, cols: usize) -> Option<Vec<f64>> {
    memo::remembered(Kind::Spectrum, x, (rows, cols), || gram_spectrum(x, rows, cols))
}

fn gram_spectrum(x: &[f64], rows: usize, cols: usize) -> Option<Vec<f64>> {
    let (x, scale) = scaled(x)?;
    let a = view(&x, rows, cols);
    let gram = if rows <= cols { lower_gram(a) } else { lower_gram(a.transpose()) };
    let found = evd_values(&gram, rows.min(cols))?;
    Some(found.into_iter().rev().map(|v| v.max(0.0) * scale * scale).collect())
}

/// Singular values for sums over them: from [`spectrum`], several times as fast, where the error that this
/// can bring into their sum is below 1e-12 of it, or below what the elements' own rounding brings in; else
/// by bidiagonalisation; `None` as above.
pub(super) fn singular_values_for_sums(x: &[f64], rows: usize, cols: usize) -> Option<Vec<f64>> {
    let squares = spectrum(x, rows, cols)?;
    let top = squares.first().copied().unwrap_or(0.0);
    let values: Vec<f64> = squares.iter().map(|v| v.sqrt()).collect();
    // An eigenvalue is off by a few roundings of the largest, its root by that over twice the root.
    let error: f64 = values.iter().map(|s| 4.0 * f64::EPSILON * top / s).sum();
    let exact = error <= 1e-12 * values.iter().sum::<f64>() || rounded(x, rows.min(cols));
    if exact && (1e-200..1e200).contains(&top) { Some(values) } else { singular_values(x, rows, cols) }
}

/// Is this a large matrix of single-precision elements? Rounding them moved every singular value by up to
/// 2^-24 of the largest, more than the roots of eigenvalues that are off by a few roundings in f64.
fn rounded(x: &[f64], side: usize) -> bool {
    const LARGE: usize = 64;
    side >= LARGE && x.iter().all(|&v| f64::from(v as f32) == v)
}

/// Sign and logarithm of the absolute value of the determinant, by LU with partial pivoting; the
/// sign is 0 where a pivot is. `None` where elements are not finite.
pub(super) fn sign_log_det(x: &[f64], n: usize) -> Option<(f64, f64)> {
    let (x, scale) = scaled(x)?;
    let mut lu: Mat<f64> = view(&x, n, n).to_owned();
    let (mut perm, mut inverse) = (vec![0usize; n], vec![0usize; n]);
    let mut buffer = MemBuffer::new(lu_in_place_scratch::<usize, f64>(n, n, Par::Seq, Default::default()));
    let stack = MemStack::new(&mut buffer);
    let (info, _) = lu_in_place(lu.as_mut(), &mut perm, &mut inverse, Par::Seq, stack, Default::default());
    let mut sign = if info.transposition_count % 2 == 0 { 1.0 } else { -1.0 };
    let mut log = 0.0;
    for i in 0..n {
        let pivot = lu[(i, i)];
        if pivot == 0.0 || pivot.is_nan() {
            return Some((0.0, f64::NEG_INFINITY));
        }
        sign *= pivot.signum();
        log += pivot.abs().ln() + scale.ln();
    }
    Some((sign, log))
}
