//! Rows on whole spectra: squared singular values by the Gram matrix of the smaller side, leading
//! eigenvalues, how many of them matter; and the distinct rows of a matrix.

use super::attrs::{AttrSpec, Attrs, whole};
use super::linalg;
use super::range_rules as r;
use super::row::{Eval, Group, OpRow, ROW, rw};
use super::shape::{Shape, ShapeError, UNKNOWN, matrix, square};
use super::value::Value;
use rustc_hash::FxHashSet;

fn smaller(rows: usize, cols: usize) -> usize {
    if rows == UNKNOWN || cols == UNKNOWN { UNKNOWN } else { rows.min(cols) }
}

fn spectrum_shape(s: &[Shape], _: &Attrs) -> Result<Shape, ShapeError> {
    let x = s.first().cloned().unwrap_or_default();
    let (rows, cols) = matrix(&x, "spectrum")?;
    Ok(if x.is_number() { x } else { Shape::of(&[smaller(rows, cols)]) })
}

fn spectrum(v: &[&Value], _: &Attrs) -> Value {
    let (rows, cols) = matrix(&v[0].shape, "").unwrap_or((0, 0));
    let n = smaller(rows, cols);
    let shape = if v[0].shape.is_number() { Shape::number() } else { Shape::of(&[n]) };
    let data = linalg::spectrum(&v[0].data, rows, cols).unwrap_or_else(|| vec![f64::NAN; n]);
    Value { shape, data }
}

/// The constant `k`, at least 1, at most what there is.
fn leading(a: &Attrs, n: usize) -> Result<usize, ShapeError> {
    let k = a.or(0, 1.0);
    if k >= 1.0 {
        return Ok(n.min(k as usize));
    }
    Err(ShapeError::new(format!("the {k} largest eigenvalues"), "`k` counts from 1"))
}

fn leading_shape(s: &[Shape], a: &Attrs) -> Result<Shape, ShapeError> {
    let x = s.first().cloned().unwrap_or_default();
    let k = leading(a, square(&x, "leading_eigvals")?)?;
    Ok(if x.is_number() { x } else { Shape::of(&[k]) })
}

fn leading_eigvals(v: &[&Value], a: &Attrs) -> Value {
    let n = v[0].shape.dims.first().copied().unwrap_or(1);
    let k = leading(a, n).unwrap_or(0);
    let shape = if v[0].shape.is_number() { Shape::number() } else { Shape::of(&[k]) };
    let found = linalg::eigenvalues(&v[0].data, n).map(|e| e.into_iter().rev().take(k).collect());
    Value { shape, data: found.unwrap_or_else(|| vec![f64::NAN; k]) }
}

/// Elements in decreasing order until their sum reaches the share `eta` of the total; elements below
/// 0 count as 0.
fn spectral_dim(x: &[f64], eta: f64) -> f64 {
    let mut s: Vec<f64> = x.iter().map(|&v| if v < 0.0 { 0.0 } else { v }).collect();
    s.sort_by(|a, b| b.total_cmp(a));
    let total: f64 = s.iter().sum();
    if !total.is_finite() {
        return f64::NAN;
    }
    if total == 0.0 {
        return 0.0;
    }
    let mut sum = 0.0;
    let reached = s.iter().position(|v| {
        sum += v;
        sum / total >= eta
    });
    reached.map_or(s.len(), |i| i + 1) as f64
}

fn unique_shape(s: &[Shape], _: &Attrs) -> Result<Shape, ShapeError> {
    matrix(&s.first().cloned().unwrap_or_default(), "unique_rows").map(|_| Shape::number())
}

/// Zeros of either sign are equal, and so are all NaN.
fn unique_rows(v: &[&Value], _: &Attrs) -> Value {
    let (rows, cols) = matrix(&v[0].shape, "").unwrap_or((1, 1));
    let bits: Vec<u64> =
        v[0].data.iter().map(|x| if x.is_nan() { u64::MAX } else { (x + 0.0).to_bits() }).collect();
    let distinct =
        if cols == 0 { rows.min(1) } else { bits.chunks_exact(cols).collect::<FxHashSet<_>>().len() };
    Value::number(distinct as f64)
}

const ETA: AttrSpec =
    AttrSpec { name: "eta", default: Some(0.99), required: false, integer: false, negative: false };
const BASE: OpRow = OpRow { group: Group::Spectral, cost: 20.0, weight: 0.5, ..ROW };

pub(super) const ROWS: &[OpRow] = &[
    OpRow {
        name: "spectrum",
        shape: spectrum_shape,
        eval: Eval::Whole(spectrum),
        range: r::non_negative,
        domain: Some("overflow of a square"),
        rewrites: &[rw("spectrum-transpose", "spectrum(transpose(?a))", "spectrum(?a)")],
        cost: 12.0,
        doc: "Squared singular values of a matrix, not increasing: the eigenvalues of the Gram matrix of its smaller side, exact to the rounding of the largest.",
        examples: &[("spectrum([[3, 0], [0, -4]])", "[16, 9]"), ("spectrum([[3, 4]])", "[25]")],
        ..BASE
    },
    OpRow {
        name: "leading_eigvals",
        attrs: &[whole("k", 1.0)],
        shape: leading_shape,
        eval: Eval::Whole(leading_eigvals),
        weight: 0.2,
        doc: "The k largest eigenvalues of a symmetric matrix (its lower triangle counts), not increasing; all where there are fewer.",
        examples: &[
            ("leading_eigvals([[2, 1], [1, 2]], k = 1)", "[3]"),
            ("leading_eigvals([[2, 1], [1, 2]], 5)", "[3, 1]"),
        ],
        ..BASE
    },
    OpRow {
        name: "spectral_dim",
        values: &["s"],
        attrs: &[ETA],
        shape: |_, _| Ok(Shape::number()),
        eval: Eval::Whole(|v, a| Value::number(spectral_dim(&v[0].data, a.or(0, 0.99)))),
        range: r::non_negative,
        domain: Some("overflow of a sum"),
        cost: 8.0,
        weight: 0.2,
        doc: "Number of leading elements of a spectrum whose sum reaches the share `eta` of the total: of `spectrum(x)` the principal components that explain so much of the variance; 0 of zeros.",
        examples: &[("spectral_dim([1, 6, 3], eta = 0.9)", "2"), ("spectral_dim([5, 5], 0.4)", "1")],
        ..BASE
    },
    OpRow {
        name: "unique_rows",
        group: Group::Reduction,
        shape: unique_shape,
        eval: Eval::Whole(unique_rows),
        range: r::count,
        cost: 4.0,
        weight: 0.2,
        doc: "Number of distinct rows of a matrix.",
        examples: &[("unique_rows([[1, 0], [0, 1], [1, 0]])", "2")],
        ..BASE
    },
];
