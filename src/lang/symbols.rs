//! Symbols as the operator rows have them: splitting runs, the row of negation.

use crate::ops::{self, Eval, Fixity, OpId, OpRow, Position, Symbol};

/// The row with the longest symbol that `run` begins with, of those that `keep` keeps.
fn longest(run: &str, keep: impl Fn(Fixity) -> bool) -> Option<(OpId, Symbol)> {
    with_symbols()
        .filter(|(_, s)| keep(s.fixity) && run.starts_with(s.text))
        .max_by_key(|(_, s)| s.text.len())
}

fn with_symbols() -> impl Iterator<Item = (OpId, Symbol)> {
    ops::rows().iter().enumerate().filter_map(|(i, r)| r.symbol.map(|s| (OpId(i as u16), s)))
}

fn is_infix(f: Fixity) -> bool {
    matches!(f, Fixity::Left | Fixity::Right)
}

/// The infix operator that a run of symbol characters begins with.
pub fn infix(run: &str) -> Option<(OpId, Symbol)> {
    longest(run, is_infix)
}

/// The prefix operator that a run of symbol characters begins with.
pub fn prefix(run: &str) -> Option<(OpId, Symbol)> {
    longest(run, |f| f == Fixity::Prefix)
}

/// The operator written as a dot and `name`.
pub fn postfix(name: &str) -> Option<OpId> {
    ops::by_symbol(name, Position::Postfix)
}

/// The operator written with brackets after its operand: one index of the leading axis.
pub fn indexing() -> Option<OpId> {
    ops::by_symbol("[]", Position::Index)
}

/// Symbols of infix operators, for suggestions.
pub fn infixes() -> Vec<&'static str> {
    with_symbols().filter(|(_, s)| is_infix(s.fixity)).map(|(_, s)| s.text).collect()
}

/// What a prefix operator makes of a number; a sign belongs to the number it stands before.
pub fn apply(row: &OpRow, x: f64) -> Option<f64> {
    match row.eval {
        Eval::Scalar(f) if row.values.len() == 1 && row.attrs.is_empty() => Some(f(&[x])),
        _ => None,
    }
}

/// The prefix operator that turns `-x` into `x`, for printing negative numbers.
pub fn negation() -> Option<OpId> {
    let negates = |op: OpId| apply(ops::row(op), 2.0) == Some(-2.0);
    with_symbols().find(|(op, s)| s.fixity == Fixity::Prefix && negates(*op)).map(|(op, _)| op)
}
