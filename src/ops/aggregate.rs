//! Reducers of aggregates, one row each: how the terms of `sum l in linear { ... }` are joined.
//! Terms are numbers or tensors of one shape, joined element by element in the order of the sites.

use super::range::Range;
use super::reduce::{largest, smallest, variance};
use super::shape::Shape;
use super::value::Value;

/// How an aggregate joins its terms; an index into [`reducers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReducerId(pub u8);

/// One reducer.
pub struct ReducerRow {
    /// Name in the language.
    pub name: &'static str,
    /// The value over no sites, where there is one; otherwise the program degenerates.
    pub empty: Option<f64>,
    /// May the terms be tensors?
    pub tensors: bool,
    /// Joins the terms of one element.
    pub join: fn(&[f64]) -> f64,
    /// Range of the result, given that of the terms.
    pub range: fn(Range) -> Range,
    /// Default weight in the evolver.
    pub weight: f64,
    /// One line of documentation.
    pub doc: &'static str,
}

impl ReducerRow {
    /// Joins terms of one shape, in f64 and in order. Over no terms: [`ReducerRow::empty`], or NaN.
    pub fn fold(&self, terms: &[Value]) -> Value {
        let Some(first) = terms.first() else { return Value::number(self.empty.unwrap_or(f64::NAN)) };
        if !self.tensors {
            return Value::number((self.join)(&vec![0.0; terms.len()]));
        }
        let mut column = vec![0.0; terms.len()];
        let data = (0..first.data.len())
            .map(|i| {
                for (c, t) in column.iter_mut().zip(terms) {
                    *c = t.data.get(i).copied().unwrap_or(f64::NAN);
                }
                (self.join)(&column)
            })
            .collect();
        Value { shape: first.shape.clone(), data }
    }
    /// Shape of the result over terms of this shape.
    pub fn shape(&self, term: &Shape) -> Shape {
        if self.tensors { term.clone() } else { Shape::number() }
    }
}

const fn row(
    name: &'static str,
    empty: Option<f64>,
    join: fn(&[f64]) -> f64,
    range: fn(Range) -> Range,
    doc: &'static str,
) -> ReducerRow {
    ReducerRow { name, empty, tensors: true, join, range, weight: 1.0, doc }
}

fn summed(r: Range) -> Range {
    super::range_rules::sum(&[r], &super::attrs::Attrs::none())
}
fn same(r: Range) -> Range {
    r
}

static ROWS: &[ReducerRow] = &[
    row("sum", Some(0.0), |x| x.iter().sum(), summed, "sum of the terms; 0 over no sites"),
    row(
        "mean",
        None,
        |x| x.iter().sum::<f64>() / x.len() as f64,
        |r| super::range_rules::mean(&[r], &super::attrs::Attrs::none()),
        "mean of the terms",
    ),
    row("max", None, largest, same, "largest term"),
    row("min", None, smallest, same, "smallest term"),
    row(
        "prod",
        Some(1.0),
        |x| x.iter().product(),
        |r| super::range_rules::prod(&[r], &super::attrs::Attrs::none()),
        "product of the terms; 1 over no sites",
    ),
    row(
        "std",
        None,
        |x| variance(x, 0.0).sqrt(),
        |_| Range::new(0.0, f64::INFINITY, false),
        "standard deviation of the terms (ddof 0)",
    ),
    ReducerRow {
        tensors: false,
        weight: 0.1,
        ..row(
            "count",
            Some(0.0),
            |x| x.len() as f64,
            |_| Range::new(0.0, f64::INFINITY, true),
            "number of sites",
        )
    },
    ReducerRow {
        weight: 0.1,
        ..row("first", None, |x| x.first().copied().unwrap_or(f64::NAN), same, "term of the first site")
    },
    ReducerRow {
        weight: 0.1,
        ..row("last", None, |x| x.last().copied().unwrap_or(f64::NAN), same, "term of the last site")
    },
];

/// All reducers.
pub fn reducers() -> &'static [ReducerRow] {
    ROWS
}

/// A reducer. `id` comes from a look-up or an index into [`reducers`].
pub fn reducer(id: ReducerId) -> &'static ReducerRow {
    &ROWS[usize::from(id.0)]
}

/// The reducer called `name`.
pub fn reducer_by_name(name: &str) -> Option<ReducerId> {
    ROWS.iter().position(|r| r.name == name).and_then(|i| u8::try_from(i).ok()).map(ReducerId)
}
