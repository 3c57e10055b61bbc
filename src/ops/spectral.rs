//! Spectral rows, in f64. Elements that are not finite give NaN; a number is a matrix of one element.

use super::attrs::{AttrSpec, Attrs};
use super::fold::information;
use super::linalg;
use super::range_rules as r;
use super::reduce::norm;
use super::row::{Eval, Group, OpRow, ROW, rw};
use super::shape::{Shape, ShapeError, matrix, square};
use super::value::Value;

/// The shape rule of a row that takes any matrix, or a square one, to a number.
macro_rules! takes {
    ($check:ident, $name:literal) => {
        |s, _| {
            let x = s.first().cloned().unwrap_or_default();
            $check(&x, $name).map(|_| Shape::number())
        }
    };
}

fn singular(x: &Value, f: impl Fn(&[f64]) -> f64) -> Value {
    let (rows, cols) = matrix(&x.shape, "").unwrap_or((0, 0));
    Value::number(linalg::singular_values(&x.data, rows, cols).map_or(f64::NAN, |s| f(&s)))
}
fn summed(x: &Value, f: impl Fn(&[f64]) -> f64) -> Value {
    let (rows, cols) = matrix(&x.shape, "").unwrap_or((0, 0));
    Value::number(linalg::singular_values_for_sums(&x.data, rows, cols).map_or(f64::NAN, |s| f(&s)))
}
fn side(x: &Value) -> usize {
    x.shape.dims.first().copied().unwrap_or(1)
}
fn eigen(x: &Value, f: impl Fn(&[f64]) -> Option<f64>) -> Value {
    let found = linalg::eigenvalues(&x.data, side(x)).and_then(|e| f(&e));
    Value::number(found.unwrap_or(f64::NAN))
}
fn determinant(x: &Value, f: impl Fn(f64, f64) -> f64) -> Value {
    Value::number(linalg::sign_log_det(&x.data, side(x)).map_or(f64::NAN, |(s, l)| f(s, l)))
}

fn eigvals_shape(s: &[Shape], _: &Attrs) -> Result<Shape, ShapeError> {
    let x = s.first().cloned().unwrap_or_default();
    let n = square(&x, "eigvals")?;
    Ok(if x.is_number() { x } else { Shape::of(&[n]) })
}
fn eigvals(v: &[&Value], _: &Attrs) -> Value {
    let n = side(v[0]);
    let shape = if v[0].shape.is_number() { Shape::number() } else { Shape::of(&[n]) };
    let data = linalg::eigenvalues(&v[0].data, n).unwrap_or_else(|| vec![f64::NAN; n]);
    Value { shape, data }
}

/// Singular values above the tolerance; by default NumPy's, max(m, n) ε σ₁.
fn rank(v: &[&Value], a: &Attrs) -> Value {
    let (rows, cols) = matrix(&v[0].shape, "").unwrap_or((0, 0));
    singular(v[0], |s| {
        let top = s.first().copied().unwrap_or(0.0);
        let tol = a.or(0, rows.max(cols) as f64 * f64::EPSILON * top);
        s.iter().filter(|&&x| x > tol).count() as f64
    })
}
fn condition(s: &[f64]) -> f64 {
    match (s.first(), s.last()) {
        (Some(a), Some(b)) => a / b,
        _ => f64::NAN,
    }
}
fn svd_entropy(s: &[f64]) -> f64 {
    let sum: f64 = s.iter().sum();
    if s.is_empty() { f64::NAN } else { s.iter().map(|x| information(x / sum)).sum() }
}

const TOL: AttrSpec =
    AttrSpec { name: "tol", default: None, required: false, integer: false, negative: false };
const BASE: OpRow = OpRow { group: Group::Spectral, cost: 20.0, weight: 0.5, ..ROW };

pub(super) const ROWS: &[OpRow] = &[
    OpRow {
        name: "nuc",
        shape: takes!(matrix, "nuc"),
        eval: Eval::Whole(|v, _| summed(v[0], |s| s.iter().sum())),
        range: r::non_negative,
        rewrites: &[
            rw("nuc-neg", "nuc(-?a)", "nuc(?a)"),
            rw("nuc-transpose", "nuc(transpose(?a))", "nuc(?a)"),
        ],
        doc: "Nuclear norm: the sum of the singular values.",
        examples: &[("nuc([[3, 0], [0, -4]])", "7")],
        ..BASE
    },
    OpRow {
        name: "fro",
        shape: takes!(matrix, "fro"),
        eval: Eval::Whole(|v, _| Value::number(norm(&v[0].data))),
        range: r::size,
        rewrites: &[rw("fro-norm", "fro(?a)", "norm(?a)")],
        exec: super::row::Exec::Lower(|b, x, _| b.op("norm", x, Attrs::none())),
        domain: Some("overflow of a norm"),
        cost: 2.0,
        weight: 0.0,
        doc: "Frobenius norm of a matrix.",
        examples: &[("fro([[1, 2], [2, 4]])", "5")],
        ..BASE
    },
    OpRow {
        name: "slogdet",
        shape: takes!(square, "slogdet"),
        eval: Eval::Whole(|v, _| determinant(v[0], |_, l| l)),
        domain: Some("log determinant of a singular matrix"),
        doc: "Logarithm of the absolute determinant of a square matrix; -inf where it is 0.",
        examples: &[
            ("slogdet([[0, 2], [3, 0]])", "1.791759469228055"),
            ("slogdet([[1, 2], [2, 4]]) < -30", "1"),
        ],
        ..BASE
    },
    OpRow {
        name: "logdet",
        shape: takes!(square, "logdet"),
        eval: Eval::Whole(|v, _| determinant(v[0], |s, l| if s < 0.0 { f64::NAN } else { l })),
        domain: Some("log of a determinant that is not positive"),
        doc: "Logarithm of the determinant of a square matrix; NaN where it is negative.",
        examples: &[("logdet([[2, 0], [0, 3]])", "1.791759469228055")],
        ..BASE
    },
    OpRow {
        name: "eigvals",
        shape: eigvals_shape,
        eval: Eval::Whole(eigvals),
        doc: "Eigenvalues of a symmetric matrix (its lower triangle counts), not decreasing.",
        examples: &[("eigvals([[2, 1], [1, 2]])", "[1, 3]")],
        ..BASE
    },
    OpRow {
        name: "eig_min",
        shape: takes!(square, "eig_min"),
        eval: Eval::Whole(|v, _| eigen(v[0], |e| e.first().copied())),
        domain: Some("eigenvalue of an empty matrix"),
        doc: "Smallest eigenvalue of a symmetric matrix (its lower triangle counts).",
        examples: &[("eig_min([[2, 1], [1, 2]])", "1")],
        ..BASE
    },
    OpRow {
        name: "eig_max",
        shape: takes!(square, "eig_max"),
        eval: Eval::Whole(|v, _| eigen(v[0], |e| e.last().copied())),
        domain: Some("eigenvalue of an empty matrix"),
        doc: "Largest eigenvalue of a symmetric matrix (its lower triangle counts).",
        examples: &[("eig_max([[2, 1], [1, 2]])", "3")],
        ..BASE
    },
    OpRow {
        name: "cond",
        shape: takes!(matrix, "cond"),
        eval: Eval::Whole(|v, _| singular(v[0], condition)),
        range: r::condition,
        domain: Some("condition of a singular matrix"),
        doc: "Condition number: the largest singular value over the smallest.",
        examples: &[("cond([[4, 0], [0, -0.5]])", "8")],
        ..BASE
    },
    OpRow {
        name: "rank",
        attrs: &[TOL],
        shape: takes!(matrix, "rank"),
        eval: Eval::Whole(rank),
        range: r::non_negative,
        doc: "Number of singular values above `tol`, by default max(m, n) ε σ₁.",
        examples: &[("rank([[1, 2], [2, 4]])", "1"), ("rank([[1, 0], [0, 0.1]], tol = 0.5)", "1")],
        ..BASE
    },
    OpRow {
        name: "svd_entropy",
        shape: takes!(matrix, "svd_entropy"),
        eval: Eval::Whole(|v, _| summed(v[0], svd_entropy)),
        range: r::non_negative,
        domain: Some("entropy of the spectrum of a zero matrix"),
        doc: "Entropy in nats of the singular values divided by their sum (Roy and Vetterli, EUSIPCO 2007, without the exponential).",
        examples: &[("svd_entropy([[1, 0], [0, 1]])", "0.6931471805599453")],
        ..BASE
    },
];
