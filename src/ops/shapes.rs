//! Rows that rearrange: transpose, flatten, indexing, the diagonal.

use super::attrs::{Attrs, required, whole};
use super::elementwise::POSTFIX;
use super::range_rules as r;
use super::row::{Eval, Exec, Fixity, Group, OpRow, ROW, Symbol, rw};
use super::shape::{Shape, ShapeError, UNKNOWN, axis_of, matrix};
use super::value::Value;

fn transpose_shape(args: &[Shape], _: &Attrs) -> Result<Shape, ShapeError> {
    let Some(x) = args.first() else { return Ok(Shape::number()) };
    let mut dims = x.dims.clone();
    match dims.len() {
        0 => {}
        1 => {
            return Err(ShapeError::new(
                format!("transpose of a vector {x}"),
                "a vector has one axis; `x @ y` of two vectors is their inner product",
            ));
        }
        n => dims.swap(n - 2, n - 1),
    }
    Ok(Shape::of(&dims))
}
fn transpose(v: &[&Value], a: &Attrs) -> Value {
    let x = v[0];
    let Ok(shape) = transpose_shape(std::slice::from_ref(&x.shape), a) else { return x.clone() };
    let [.., rows, cols] = *x.shape.dims.as_slice() else { return x.clone() };
    let mut data = Vec::with_capacity(x.data.len());
    for m in x.data.chunks_exact((rows * cols).max(1)) {
        for c in 0..cols {
            data.extend((0..rows).map(|r| m[r * cols + c]));
        }
    }
    Value { shape, data }
}

fn flatten_shape(args: &[Shape], a: &Attrs) -> Result<Shape, ShapeError> {
    let Some(x) = args.first() else { return Ok(Shape::number()) };
    let from = axis_of(Some(a.or(0, 0.0)), x.rank())?;
    let to = axis_of(Some(a.or(1, -1.0)), x.rank())?;
    let (Some(from), Some(to)) = (from, to) else { return Ok(Shape::number()) };
    if from > to {
        return Err(ShapeError::new(
            format!("flatten from axis {from} to axis {to}"),
            "`from` does not come after `to`",
        ));
    }
    let merged = Shape::of(&x.dims[from..=to]).numel();
    let mut dims = Shape::of(&x.dims[..from]).dims;
    dims.push(merged);
    dims.extend_from_slice(&x.dims[to + 1..]);
    Ok(Shape::of(&dims))
}
fn flatten(v: &[&Value], a: &Attrs) -> Value {
    let shape = flatten_shape(std::slice::from_ref(&v[0].shape), a).unwrap_or_else(|_| v[0].shape.clone());
    Value { shape, data: v[0].data.clone() }
}

fn index_shape(args: &[Shape], a: &Attrs) -> Result<Shape, ShapeError> {
    let Some(x) = args.first() else { return Ok(Shape::number()) };
    let i = a.or(0, 0.0);
    let Some(&size) = x.dims.first() else {
        return Err(ShapeError::new(format!("[{i}] of a number"), "only tensors have axes to index"));
    };
    if size != UNKNOWN && position(i, size).is_none() {
        let help = if size == 0 {
            "the axis is empty".to_owned()
        } else {
            format!("positions count from 0 to {}, or from the end as -1 to -{size}", size - 1)
        };
        return Err(ShapeError::new(format!("[{i}] of an axis of size {size}"), help));
    }
    Ok(Shape::of(&x.dims[1..]))
}
fn position(i: f64, size: usize) -> Option<usize> {
    let at = if i < 0.0 { i + size as f64 } else { i };
    (at.fract() == 0.0 && (0.0..size as f64).contains(&at)).then_some(at as usize)
}
fn index(v: &[&Value], a: &Attrs) -> Value {
    let x = v[0];
    let Some((&size, rest)) = x.shape.dims.split_first() else { return x.clone() };
    let n: usize = rest.iter().product();
    let shape = Shape::of(rest);
    match position(a.or(0, 0.0), size) {
        Some(i) => Value { shape, data: x.data[i * n..(i + 1) * n].to_vec() },
        None => Value::filled(shape, f64::NAN),
    }
}

fn zero_diag_shape(args: &[Shape], _: &Attrs) -> Result<Shape, ShapeError> {
    let x = args.first().cloned().unwrap_or_default();
    matrix(&x, "zero_diag").map(|_| x.plain())
}
fn zero_diag(v: &[&Value], _: &Attrs) -> Value {
    let mut out = v[0].clone();
    out.shape = out.shape.plain();
    let cols = out.shape.dims.last().copied().unwrap_or(1);
    out.data.iter_mut().take(cols * cols).step_by(cols + 1).for_each(|x| *x = 0.0);
    out
}

const BASE: OpRow = OpRow { group: Group::Shape, range: r::same, ..ROW };

pub(super) const ROWS: &[OpRow] = &[
    OpRow {
        name: "transpose",
        symbol: Some(Symbol { text: "T", fixity: Fixity::Postfix, precedence: POSTFIX }),
        shape: transpose_shape,
        eval: Eval::Whole(transpose),
        rewrites: &[rw("transpose-transpose", "transpose(transpose(?a))", "?a")],
        doc: "Swaps the last two axes.",
        examples: &[
            ("[[1, 2], [3, 4]].T", "[[1, 3], [2, 4]]"),
            ("transpose([[1, 2, 3]])", "[[1], [2], [3]]"),
        ],
        ..BASE
    },
    OpRow {
        name: "flatten",
        attrs: &[whole("from", 0.0), whole("to", -1.0)],
        shape: flatten_shape,
        eval: Eval::Whole(flatten),
        exec: Exec::Reshape,
        rewrites: &[rw("flatten-flatten", "flatten(flatten(?a))", "flatten(?a)")],
        cost: 0.0,
        doc: "Merges the axes `from` to `to` (both included) into one.",
        examples: &[
            ("flatten([[1, 2], [3, 4]])", "[1, 2, 3, 4]"),
            ("flatten([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], from = 1)", "[[1, 2, 3, 4], [5, 6, 7, 8]]"),
            ("flatten([[[1, 2]], [[3, 4]]], to = 1)", "[[1, 2], [3, 4]]"),
        ],
        ..BASE
    },
    OpRow {
        name: "index",
        symbol: Some(Symbol { text: "[]", fixity: Fixity::Index, precedence: POSTFIX }),
        attrs: &[required("i", true)],
        shape: index_shape,
        eval: Eval::Whole(index),
        weight: 0.0,
        doc: "The part at position i of the leading axis; negative positions count from the end.",
        examples: &[("[[1, 2], [3, 4]][1]", "[3, 4]"), ("[5, 6, 7][-1]", "7")],
        ..BASE
    },
    OpRow {
        name: "zero_diag",
        shape: zero_diag_shape,
        eval: Eval::Whole(zero_diag),
        range: r::with_zero,
        weight: 0.0,
        doc: "A matrix with its diagonal set to 0.",
        examples: &[("zero_diag([[1, 2], [3, 4]])", "[[0, 2], [3, 0]]")],
        ..BASE
    },
];
