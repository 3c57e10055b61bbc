//! The operators of the language: one row each, and everything iterates over the rows.
//!
//! A row holds the name or symbol, arguments, shape rule, reference meaning in f64, how the engines
//! run it, what is known of its range, rewrites, cost, evolver weight, documentation and examples.
//! The parser, the checker, the engines, the printer, `lpz doc`, completion, the evolver and the
//! language reference read [`rows`]; no operator is named anywhere else. Adding an operator is
//! adding a row to one of the tables below. Reducers of aggregates are rows too, see [`reducers`].

mod aggregate;
mod attrs;
mod contract;
mod convert;
mod elementwise;
mod fold;
mod kernel;
mod linalg;
mod normalise;
mod pair;
mod range;
mod range_rules;
mod reduce;
mod row;
mod shape;
mod shapes;
mod spectral;
mod spectrum;
mod table;
mod take;
mod value;
mod vecmath;

pub use aggregate::{ReducerId, ReducerRow, reducer, reducer_by_name, reducers};
pub use attrs::{AttrSpec, Attrs};
pub use convert::{convert, widen_bf16};
pub use range::Range;
pub use row::{
    Build, CudaFold, Eval, Exec, Fixity, FromShapes, Group, OpId, OpRow, Operand, Position, Reduce, Rewrite,
    Symbol, TakenFn, TileFn,
};
pub use shape::{Placement, Shape, ShapeError, UNKNOWN, axis_of, broadcast, placement};
pub use table::{LookupError, by_symbol, lookup, lookup_named, names, row, rows};
pub use take::{Cheap, Join, Taken};
pub use value::Value;
