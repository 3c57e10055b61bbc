//! Contractions: matrix products and the matrices of similarities between rows.

use super::attrs::Attrs;
use super::elementwise::MUL;
use super::linalg;
use super::range_rules as r;
use super::reduce::norm;
use super::row::{Eval, Fixity, Group, OpRow, ROW, Symbol, rw};
use super::shape::{Shape, ShapeError, matrix, same};
use super::value::Value;

/// Sizes of a product: how many, rows, inner, columns, and the shape of the result.
struct Sizes {
    batch: usize,
    m: usize,
    k: usize,
    n: usize,
    /// Is the right operand one matrix for the whole batch?
    shared: bool,
}

fn mismatch(a: &Shape, b: &Shape, help: impl Into<String>) -> ShapeError {
    ShapeError::new(format!("matrix product of {a} and {b}"), help)
}

fn matmul_shape(args: &[Shape], _: &Attrs) -> Result<Shape, ShapeError> {
    let [a, b] = args else { return Ok(Shape::number()) };
    let (ad, bd) = (a.dims.as_slice(), b.dims.as_slice());
    let (Some((&ak, lead)), false) = (ad.split_last(), bd.is_empty()) else {
        return if ad.is_empty() && bd.is_empty() {
            Ok(Shape::number())
        } else {
            Err(mismatch(a, b, "scale by a number with `*`"))
        };
    };
    let bk = bd[bd.len().saturating_sub(2)];
    if !same(ak, bk) {
        return Err(mismatch(
            a,
            b,
            format!(
                "the last axis of the left ({ak}) meets the rows of the right ({bk}); transpose with `.T`"
            ),
        ));
    }
    let mut out: Vec<usize> = lead.to_vec();
    if let [batch @ .., _, n] = bd {
        if !batch.is_empty() {
            let ours = &lead[..lead.len().saturating_sub(1)];
            if ours.len() != batch.len() || !ours.iter().zip(batch).all(|(&x, &y)| same(x, y)) {
                return Err(mismatch(
                    a,
                    b,
                    "the axes before the last two have to be equal, or the right a matrix",
                ));
            }
        }
        out.push(*n);
    }
    Ok(Shape::of(&out))
}

fn sizes(a: &Shape, b: &Shape) -> Sizes {
    let k = a.dims.last().copied().unwrap_or(1);
    let n = if b.rank() >= 2 { b.dims[b.rank() - 1] } else { 1 };
    if b.rank() > 2 {
        let (batch, m) = (&a.dims[..a.rank() - 2], a.dims[a.rank() - 2]);
        return Sizes { batch: batch.iter().product(), m, k, n, shared: false };
    }
    let rows = a.dims.split_last().map_or(1, |(_, lead)| lead.iter().product());
    Sizes { batch: 1, m: rows, k, n, shared: true }
}

fn matmul(v: &[&Value], attrs: &Attrs) -> Value {
    let (a, b) = (v[0], v[1]);
    let Ok(shape) = matmul_shape(&[a.shape.clone(), b.shape.clone()], attrs) else {
        return Value::number(f64::NAN);
    };
    let Sizes { batch, m, k, n, shared } = sizes(&a.shape, &b.shape);
    let mut data = Vec::with_capacity(batch * m * n);
    for i in 0..batch {
        let right = if shared { &b.data[..] } else { &b.data[i * k * n..(i + 1) * k * n] };
        data.extend(linalg::product(&a.data[i * m * k..(i + 1) * m * k], right, m, k, n));
    }
    Value { shape, data }
}

fn rows_shape(args: &[Shape], what: &str) -> Result<Shape, ShapeError> {
    let x = args.first().cloned().unwrap_or_default();
    let (rows, _) = matrix(&x, what)?;
    Ok(if x.is_number() { x } else { Shape::of(&[rows, rows]) })
}

/// The products of rows after `prepare` has changed each.
fn similarity(x: &Value, prepare: impl Fn(&mut [f64])) -> Value {
    let (rows, cols) = matrix(&x.shape, "").unwrap_or((1, 1));
    let mut data = x.data.clone();
    data.chunks_exact_mut(cols.max(1)).for_each(prepare);
    let shape = if x.shape.is_number() { Shape::number() } else { Shape::of(&[rows, rows]) };
    Value { shape, data: linalg::gram(&data, rows, cols) }
}
fn unit(row: &mut [f64]) {
    let n = norm(row);
    row.iter_mut().for_each(|x| *x /= n);
}
fn standard(row: &mut [f64]) {
    let pivot = row[0];
    let mean = pivot + row.iter().map(|x| x - pivot).sum::<f64>() / row.len() as f64;
    row.iter_mut().for_each(|x| *x -= mean);
    unit(row);
}

const BASE: OpRow = OpRow { group: Group::Contraction, cost: 64.0, ..ROW };

pub(super) const ROWS: &[OpRow] = &[
    OpRow {
        name: "matmul",
        symbol: Some(Symbol { text: "@", fixity: Fixity::Left, precedence: MUL }),
        values: &["x", "y"],
        shape: matmul_shape,
        eval: Eval::Whole(matmul),
        domain: Some("overflow of a matrix product"),
        rewrites: &[rw("matmul-self", "?a @ transpose(?a)", "gram(?a)")],
        doc: "Matrix product; of vectors the inner product, of numbers the product. Axes before the last two run along.",
        examples: &[
            ("[[1, 2], [3, 4]] @ [[1, 0], [1, 1]]", "[[3, 2], [7, 4]]"),
            ("[[1, 2], [3, 4]] @ [1, 1]", "[3, 7]"),
            ("[1, 2] @ [3, 4]", "11"),
        ],
        ..BASE
    },
    OpRow {
        name: "gram",
        shape: |s, _| rows_shape(s, "gram"),
        eval: Eval::Whole(|v, _| similarity(v[0], |_| ())),
        domain: Some("overflow of a matrix product"),
        doc: "Products of the rows of a matrix, x @ x.T.",
        examples: &[("gram([[1, 2], [3, 4]])", "[[5, 11], [11, 25]]")],
        ..BASE
    },
    OpRow {
        name: "corr",
        shape: |s, _| rows_shape(s, "corr"),
        eval: Eval::Whole(|v, _| similarity(v[0], standard)),
        range: r::correlation,
        domain: Some("correlation of a row of equal values"),
        doc: "Pearson correlations of the rows of a matrix.",
        examples: &[("corr([[1, 2, 3], [3, 2, 1]])", "[[1, -1], [-1, 1]]")],
        ..BASE
    },
    OpRow {
        name: "cosine",
        shape: |s, _| rows_shape(s, "cosine"),
        eval: Eval::Whole(|v, _| similarity(v[0], unit)),
        range: r::correlation,
        domain: Some("cosine of a zero row"),
        doc: "Cosine similarities of the rows of a matrix, without centring.",
        examples: &[("cosine([[1, 0], [3, 4]])", "[[1, 0.6], [0.6, 1]]")],
        ..BASE
    },
];
