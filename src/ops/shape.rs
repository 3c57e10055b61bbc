//! Shapes, the broadcasting rule, and the shape rules that several rows share.
//!
//! A reduction along an axis removes it and remembers which ([`Shape::reduced`]), so that its result
//! broadcasts back against tensors of the shape that was reduced. Unknown sizes (at `check` time)
//! equal anything.

use super::attrs::Attrs;
use smallvec::SmallVec;
use std::fmt;

/// Size of an axis that is not known yet (at `check` time, before an architecture is bound).
pub const UNKNOWN: usize = usize::MAX;

/// Shape of a value. Rank 0 is a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    /// Sizes, outermost first; [`UNKNOWN`] where not known.
    pub dims: SmallVec<[usize; 4]>,
    /// Set on the result of a reduction along an axis: the axis that was removed. Such a value
    /// broadcasts back along it against tensors of the shape that was reduced. Never set on numbers.
    pub reduced: Option<u8>,
}

impl Shape {
    /// A tensor of these sizes.
    pub fn of(dims: &[usize]) -> Self {
        Shape { dims: dims.into(), reduced: None }
    }
    /// A number.
    pub fn number() -> Self {
        Shape::default()
    }
    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }
    /// Is it a number (no axes)?
    pub fn is_number(&self) -> bool {
        self.dims.is_empty()
    }
    /// Are all sizes known?
    pub fn is_known(&self) -> bool {
        self.dims.iter().all(|&d| d != UNKNOWN)
    }
    /// Number of elements; [`UNKNOWN`] while a size is.
    pub fn numel(&self) -> usize {
        if self.is_known() { self.dims.iter().product() } else { UNKNOWN }
    }
    /// The result of a reduction along `axis`.
    pub fn without(&self, axis: usize) -> Self {
        let mut dims = self.dims.clone();
        if axis < dims.len() {
            dims.remove(axis);
        }
        let reduced = if dims.is_empty() { None } else { u8::try_from(axis).ok() };
        Shape { dims, reduced }
    }
    /// The same sizes, without the memory of a reduction.
    pub fn plain(&self) -> Self {
        Shape::of(&self.dims)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_number() {
            return f.write_str("a number");
        }
        let sizes: Vec<String> =
            self.dims.iter().map(|&d| if d == UNKNOWN { "?".into() } else { d.to_string() }).collect();
        write!(f, "[{}]", sizes.join(", "))
    }
}

/// Why operands do not fit; the text names sizes and says what would fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError {
    /// What is wrong: `axis 3 of a tensor with 2 axes`.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl ShapeError {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        ShapeError { message: message.into(), help: Some(help.into()) }
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ShapeError {}

/// Are two sizes equal, as far as known?
pub(super) fn same(a: usize, b: usize) -> bool {
    a == b || a == UNKNOWN || b == UNKNOWN
}

fn all_same(a: &[usize], b: &[usize]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(&x, &y)| same(x, y))
}

/// The axis that a constant means for a tensor of `rank` axes, counted from the end when negative;
/// `None` where it was left out, or for a number (which has no axes to reduce).
///
/// # Errors
/// When the tensor has no such axis.
pub fn axis_of(constant: Option<f64>, rank: usize) -> Result<Option<usize>, ShapeError> {
    let Some(a) = constant else { return Ok(None) };
    if rank == 0 {
        return Ok(None);
    }
    let at = if a < 0.0 { a + rank as f64 } else { a };
    if a.fract() != 0.0 || !(0.0..rank as f64).contains(&at) {
        let axes = if rank == 1 { "1 axis".into() } else { format!("{rank} axes") };
        return Err(ShapeError::new(
            format!("axis {a} of a tensor with {axes}"),
            format!("axes count from 0 to {}, or from the end as -1 to -{rank}", rank - 1),
        ));
    }
    Ok(Some(at as usize))
}

/// How an operand stands against the result of an elementwise operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Element for element.
    Same,
    /// One number for all elements.
    Number,
    /// Without this axis of the result, along which it repeats.
    Along(usize),
}

/// How `operand` broadcasts to `out`, if it does.
pub fn placement(operand: &Shape, out: &Shape) -> Option<Placement> {
    if operand.is_number() {
        return Some(Placement::Number);
    }
    if operand.rank() == out.rank() {
        return all_same(&operand.dims, &out.dims).then_some(Placement::Same);
    }
    let axis = usize::from(operand.reduced?);
    if operand.rank() + 1 != out.rank() || axis >= out.rank() {
        return None;
    }
    all_same(&operand.dims, &out.without(axis).dims).then_some(Placement::Along(axis))
}

/// Shape of an elementwise operator's result: tensors of equal shape, numbers with anything, and
/// results of an axis reduction with tensors of the shape that was reduced.
///
/// # Errors
/// When two operands do not fit.
pub fn broadcast(args: &[Shape]) -> Result<Shape, ShapeError> {
    let mut out = Shape::number();
    for a in args {
        if a.rank() > out.rank() {
            out = a.clone();
        } else if a.rank() == out.rank() {
            for (o, &d) in out.dims.iter_mut().zip(&a.dims) {
                if *o == UNKNOWN {
                    *o = d;
                }
            }
            if a.reduced != out.reduced {
                out.reduced = None;
            }
        }
    }
    for a in args {
        if placement(a, &out).is_none() {
            return Err(mismatch(a, &out, args));
        }
    }
    Ok(out)
}

fn mismatch(a: &Shape, out: &Shape, args: &[Shape]) -> ShapeError {
    let other = args.iter().find(|s| s.rank() == out.rank() && *s != a).unwrap_or(out);
    let help = if a.rank() == out.rank() {
        "tensors combine element by element: all sizes have to be equal"
    } else if a.reduced.is_some() {
        "the result of a reduction along an axis combines with tensors of the shape that was reduced"
    } else {
        "combine equal shapes, a number with anything, or a tensor with a reduction of it along one axis"
    };
    ShapeError::new(format!("shapes {other} and {a} do not combine"), help)
}

// Rules of rows.

/// The operand's shape.
pub(super) fn like(args: &[Shape], _: &Attrs) -> Result<Shape, ShapeError> {
    Ok(args.first().cloned().unwrap_or_default())
}

/// Elementwise.
pub(super) fn elementwise(args: &[Shape], _: &Attrs) -> Result<Shape, ShapeError> {
    broadcast(args)
}

/// Elementwise, then reduced to a number.
pub(super) fn pair(args: &[Shape], _: &Attrs) -> Result<Shape, ShapeError> {
    broadcast(args).map(|_| Shape::number())
}

/// Reduced along the axis in attribute 0, or wholly.
pub(super) fn reduction(args: &[Shape], attrs: &Attrs) -> Result<Shape, ShapeError> {
    reduced(args, attrs.num(0))
}

/// Reduced along `axis`, or wholly.
pub(super) fn reduced(args: &[Shape], axis: Option<f64>) -> Result<Shape, ShapeError> {
    let Some(x) = args.first() else { return Ok(Shape::number()) };
    Ok(axis_of(axis, x.rank())?.map_or_else(Shape::number, |k| x.without(k)))
}

/// The operand's shape, checked for the axis in attribute 0.
pub(super) fn normaliser(args: &[Shape], attrs: &Attrs) -> Result<Shape, ShapeError> {
    reduced(args, attrs.num(0))?;
    like(args, attrs)
}

/// Rows and columns of a matrix; a number is a matrix of one element.
pub(super) fn matrix(x: &Shape, what: &str) -> Result<(usize, usize), ShapeError> {
    match *x.dims.as_slice() {
        [] => Ok((1, 1)),
        [r, c] => Ok((r, c)),
        [_] => Err(ShapeError::new(
            format!("{what} of a vector {x}"),
            "it needs a matrix, a tensor with two axes",
        )),
        _ => Err(ShapeError::new(
            format!("{what} of a tensor {x} with {} axes", x.rank()),
            format!(
                "it needs a matrix: merge axes (`flatten(x, to={})`) or pick one (`x[0]`)",
                x.rank() as isize - 2
            ),
        )),
    }
}

/// Rows of a square matrix.
pub(super) fn square(x: &Shape, what: &str) -> Result<usize, ShapeError> {
    let (r, c) = matrix(x, what)?;
    if same(r, c) {
        return Ok(if r == UNKNOWN { c } else { r });
    }
    Err(ShapeError::new(
        format!("{what} of a matrix {x}"),
        "it needs a square matrix, such as `gram(x)` or `corr(x)`",
    ))
}
