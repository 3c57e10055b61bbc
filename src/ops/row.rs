//! What a row is: the types every table, engine and tool shares.

use super::attrs::{AttrSpec, Attrs};
use super::range::Range;
use super::shape::{Shape, ShapeError, like};
use super::take::{Cheap, Taken};
use super::value::Value;

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
    /// `x[0]`: the constant argument in brackets.
    Index,
}

/// Where the parser is when it meets a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Before an operand.
    Prefix,
    /// Between operands.
    Infix,
    /// After an operand and a dot.
    Postfix,
    /// After an operand, in brackets.
    Index,
}

/// An operator's symbol.
#[derive(Clone, Copy, Debug)]
pub struct Symbol {
    /// The characters, `+` (the name after the dot for [`Fixity::Postfix`], `[]` for [`Fixity::Index`]).
    pub text: &'static str,
    /// Where it stands.
    pub fixity: Fixity,
    /// Binds tighter the larger it is.
    pub precedence: u8,
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

/// Computes a tile of an elementwise operator of one operand, with steps taken in passing.
pub type TakenFn = fn(out: &mut [f32], operand: &Taken<'_>);

/// A streaming reduction: fold tiles into a small f64 state, merge states, finish.
pub struct Reduce {
    /// Initial state (unused places 0).
    pub init: [f64; 4],
    /// Folds a tile in.
    pub f32: fn(state: &mut [f64; 4], tile: &[f32]),
    /// Folds a tile in.
    pub f64: fn(state: &mut [f64; 4], tile: &[f64]),
    /// Folds a tile in, with steps taken in passing; `None` where nothing is gained.
    pub taken: Option<fn(state: &mut [f64; 4], tile: &Taken<'_>)>,
    /// Folds rows of `width` elements, each into the state of its column: a part of a reduction along
    /// an outer axis. States lie place by place, as many as a row has elements, and of the places only those
    /// that [`CudaFold::places`] counts; a row begins `stride` elements behind the one before.
    pub f32_across: fn(states: &mut [&mut [f64]; 4], rows: &[f32], width: usize, stride: usize),
    /// As above.
    pub f64_across: fn(states: &mut [&mut [f64]; 4], rows: &[f64], width: usize, stride: usize),
    /// Merges the state of later elements into that of earlier ones.
    pub merge: fn(state: &mut [f64; 4], later: &[f64; 4]),
    /// The result, given the number of elements.
    pub finish: fn(state: &[f64; 4], count: usize, attrs: &Attrs) -> f64,
    /// The results of states that lie place by place.
    pub finish_across: fn(states: &[&[f64]; 4], count: usize, attrs: &Attrs, results: &mut [f64]),
    /// The reduction whose result the first place of the state is too.
    pub first: Option<&'static str>,
    /// The same in CUDA C++.
    pub cuda: CudaFold,
}

/// CUDA text of a streaming reduction, over doubles: `s` is the state, `x` an element.
#[derive(Clone, Copy, Debug)]
pub struct CudaFold {
    /// Number of places that the state takes, at most 4; they start as [`Reduce::init`] says.
    pub places: usize,
    /// Statements that fold `x` in.
    pub push: &'static str,
    /// Statements that merge the state `t` of later elements in.
    pub merge: &'static str,
    /// The result of `n` elements; `p0`, `p1` are the constant arguments.
    pub finish: &'static str,
}

/// The value of a row that follows from the operands' shapes alone, where these are known.
pub type FromShapes = fn(&[Shape], &Attrs) -> Option<f64>;

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
#[derive(Clone, Copy)]
pub enum Exec {
    /// Elementwise on tiles; `cuda` is the expression over `a`, `b`, `c` of element type `T`.
    Elementwise {
        /// f32 tiles.
        f32: TileFn<f32>,
        /// f64 tiles.
        f64: TileFn<f64>,
        /// CUDA text.
        cuda: &'static str,
        /// f32 tiles with steps taken in passing, where the operator is worth it.
        taken: Option<TakenFn>,
        /// The step that it is in passing, where it is cheap.
        cheap: Option<Cheap>,
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

/// An algebraic rewrite that holds for all values (up to rounding and the sign of zero), as patterns
/// of the language: `("neg-neg", "-(-?a)", "?a")`.
#[derive(Clone, Copy, Debug)]
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

impl Group {
    /// Heading in the documentation.
    pub fn title(self) -> &'static str {
        match self {
            Group::Elementwise => "Elementwise",
            Group::Shape => "Shapes",
            Group::Reduction => "Reductions",
            Group::Normaliser => "Normalisers",
            Group::Contraction => "Contractions",
            Group::Spectral => "Spectral",
            Group::Pair => "Pairs",
        }
    }
}

/// One operator.
#[derive(Clone, Copy)]
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
    /// Shape of the result. Serves the checker (sizes unknown) and the binder (all known).
    pub shape: fn(&[Shape], &Attrs) -> Result<Shape, ShapeError>,
    /// The value, where it follows from the shapes alone (a number of elements); known sizes only.
    pub from_shapes: Option<FromShapes>,
    /// Meaning.
    pub eval: Eval,
    /// How engines run it.
    pub exec: Exec,
    /// Range of the result.
    pub range: fn(&[Range], &Attrs) -> Range,
    /// The first operand chooses one of the other two (0: the third). Where it is known before anything
    /// runs, the other one is not asked for.
    pub selects: bool,
    /// Why the result can be non-finite although the operands are finite; `{n}` stands for how many
    /// elements were reduced (`one element`).
    pub domain: Option<&'static str>,
    /// Swapping the two operands changes no bit of the result.
    pub commutes: bool,
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

impl OpRow {
    /// How it reduces, where it is a streaming reduction.
    pub fn reduce(&self) -> Option<&'static Reduce> {
        match self.exec {
            Exec::Reduce(reduce) => Some(reduce),
            _ => None,
        }
    }
    /// Evaluates on whole values, in f64; `out` is the shape that the shape rule gives.
    pub fn evaluate(&self, out: &Shape, args: &[&Value], attrs: &Attrs) -> Value {
        match self.eval {
            Eval::Scalar(f) => Value::zip(out, args, f),
            Eval::Whole(f) => f(args, attrs),
        }
    }
    /// Position of the constant argument `name`.
    pub fn attr(&self, name: &str) -> Option<usize> {
        self.attrs.iter().position(|a| a.name == name)
    }
}

fn first(args: &[&Value], _: &Attrs) -> Value {
    args.first().map_or_else(|| Value::number(f64::NAN), |&v| v.clone())
}
fn anything(_: &[Range], _: &Attrs) -> Range {
    Range::ANY
}

/// The row that tables start from: one value, evaluated whole, nothing known.
pub(super) const ROW: OpRow = OpRow {
    name: "",
    symbol: None,
    group: Group::Elementwise,
    values: &["x"],
    attrs: &[],
    shape: like,
    from_shapes: None,
    eval: Eval::Whole(first),
    exec: Exec::Whole,
    range: anything,
    selects: false,
    domain: None,
    commutes: false,
    rewrites: &[],
    cost: 1.0,
    weight: 1.0,
    doc: "",
    examples: &[],
};

/// A rewrite.
pub(super) const fn rw(name: &'static str, from: &'static str, to: &'static str) -> Rewrite {
    Rewrite { name, from, to }
}

/// Index of a row in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(pub u16);
