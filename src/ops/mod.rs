//! The operators of the language: one row each, and everything iterates over the rows.
//!
//! A row holds the name or symbol, arguments, shape rule, reference meaning in f64, how the engines
//! run it, what is known of its range, rewrites, cost, evolver weight, documentation and examples.
//! The parser, the checker, the engines, the printer, `lpz doc`, completion, the evolver and the
//! language reference read [`rows`]; no operator is named anywhere else. Adding an operator is
//! adding a row to one of the tables below.

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
    /// broadcasts back along it against tensors of the shape that was reduced.
    pub reduced: Option<u8>,
}

/// A constant argument such as an axis; `None` where the argument was left out and has no default.
/// Stored as bits so that nodes hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Attrs(pub SmallVec<[Option<u64>; 2]>);

impl Attrs {
    /// No constants.
    pub fn none() -> Self {
        Attrs::default()
    }
    /// From numbers, in the order of [`OpRow::attrs`].
    pub fn of(values: &[Option<f64>]) -> Self {
        Attrs(values.iter().map(|v| v.map(f64::to_bits)).collect())
    }
    /// The `i`-th constant.
    pub fn num(&self, i: usize) -> Option<f64> {
        self.0.get(i).copied().flatten().map(f64::from_bits)
    }
}

/// A value in the reference engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Shape; every size known.
    pub shape: Shape,
    /// Elements, row-major.
    pub data: Vec<f64>,
}

/// Why operands do not fit; the text names sizes and says what would fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError {
    /// What is wrong: `mean along axis 3 of a tensor with 2 axes`.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Where a symbol stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixity {
    /// `-x`
    Prefix,
    /// `x + y`, grouping to the left.
    Left,
    /// `x ^ y`, grouping to the right.
    Right,
    /// `x.T`: a dot and a name.
    Postfix,
}

/// An operator's symbol.
#[derive(Clone, Copy, Debug)]
pub struct Symbol {
    /// The characters, `+` (the name after the dot for [`Fixity::Postfix`]).
    pub text: &'static str,
    /// Where it stands.
    pub fixity: Fixity,
    /// Binds tighter the larger it is.
    pub precedence: u8,
}

/// A constant argument of a row.
#[derive(Clone, Copy, Debug)]
pub struct AttrSpec {
    /// Name: `axis`.
    pub name: &'static str,
    /// Value when left out.
    pub default: Option<f64>,
    /// Must it be given?
    pub required: bool,
    /// Must it be a whole number?
    pub integer: bool,
}

/// One operand of a tile kernel: a run of elements or one number for all of them.
#[derive(Clone, Copy)]
pub enum Operand<'a, T> {
    /// As many elements as the output tile.
    Slice(&'a [T]),
    /// The same for every element.
    Splat(T),
}

/// Computes a tile of an elementwise operator.
pub type TileFn<T> = fn(out: &mut [T], args: &[Operand<'_, T>]);

/// A streaming reduction: fold tiles into a small f64 state, merge states, finish.
pub struct Reduce {
    /// Initial state (unused places 0).
    pub init: [f64; 4],
    /// Folds a tile in.
    pub f32: fn(state: &mut [f64; 4], tile: &[f32]),
    /// Folds a tile in.
    pub f64: fn(state: &mut [f64; 4], tile: &[f64]),
    /// Merges the state of later elements into that of earlier ones.
    pub merge: fn(state: &mut [f64; 4], later: &[f64; 4]),
    /// The result, given the number of elements.
    pub finish: fn(state: &[f64; 4], count: usize, attrs: &Attrs) -> f64,
}

/// Builds nodes; composites lower themselves through it.
pub trait Build {
    /// Name of a node.
    type Id: Copy;
    /// A number.
    fn number(&mut self, x: f64) -> Self::Id;
    /// An operator, by name and number of value arguments.
    fn op(&mut self, name: &'static str, args: &[Self::Id], attrs: Attrs) -> Self::Id;
}

/// How engines other than `reference` run a row.
pub enum Exec {
    /// Elementwise on tiles; `cuda` is the expression over `a`, `b`, `c`.
    Elementwise {
        /// f32 tiles.
        f32: TileFn<f32>,
        /// f64 tiles.
        f64: TileFn<f64>,
        /// CUDA text.
        cuda: &'static str,
    },
    /// A streaming reduction, whole or along the axis in attribute 0.
    Reduce(&'static Reduce),
    /// Expands into other rows, which are then fused.
    Lower(fn(b: &mut dyn Build<Id = usize>, args: &[usize], attrs: &Attrs) -> usize),
    /// Only the shape changes, the elements stay in order (flatten).
    Reshape,
    /// Evaluated alone, on whole tensors, by [`OpRow::eval`].
    Whole,
}

/// The meaning of a row, in f64.
#[derive(Clone, Copy)]
pub enum Eval {
    /// Elementwise, after broadcasting.
    Scalar(fn(&[f64]) -> f64),
    /// On whole values; shapes were checked.
    Whole(fn(&[&Value], &Attrs) -> Value),
}

/// What is known of the elements of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// No element is less.
    pub lo: f64,
    /// No element is more.
    pub hi: f64,
    /// Every element is finite, given finite inputs.
    pub finite: bool,
}

/// An algebraic rewrite that holds for all values (up to rounding), as patterns of the language:
/// `("neg-neg", "-(-?a)", "?a")`.
pub struct Rewrite {
    /// Name, for reports.
    pub name: &'static str,
    /// Left side; `?x` are variables.
    pub from: &'static str,
    /// Right side.
    pub to: &'static str,
}

/// Groups of the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Elementwise.
    Elementwise,
    /// Shapes.
    Shape,
    /// Reductions.
    Reduction,
    /// Normalisers.
    Normaliser,
    /// Contractions.
    Contraction,
    /// Spectral.
    Spectral,
    /// Pairs.
    Pair,
}

/// One operator.
pub struct OpRow {
    /// Name of the function form.
    pub name: &'static str,
    /// Symbol, where it has one.
    pub symbol: Option<Symbol>,
    /// Group in the documentation.
    pub group: Group,
    /// Names of the value arguments.
    pub values: &'static [&'static str],
    /// Constant arguments.
    pub attrs: &'static [AttrSpec],
    /// Shape of the result. Serves the checker (sizes [`UNKNOWN`]) and the binder (all known).
    pub shape: fn(&[Shape], &Attrs) -> Result<Shape, ShapeError>,
    /// Meaning.
    pub eval: Eval,
    /// How engines run it.
    pub exec: Exec,
    /// Range of the result.
    pub range: fn(&[Range], &Attrs) -> Range,
    /// Rewrites.
    pub rewrites: &'static [Rewrite],
    /// Cost per input element, in units of an addition; spectral rows count n·min(m,n) elements.
    pub cost: f64,
    /// Default weight in the evolver; 0 keeps it out of random programs.
    pub weight: f64,
    /// One or two sentences.
    pub doc: &'static str,
    /// Programs over literal tensors and their values: `("sum([1, 2, 3])", "6")`.
    pub examples: &'static [(&'static str, &'static str)],
}

/// Index of a row in [`rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(pub u16);
