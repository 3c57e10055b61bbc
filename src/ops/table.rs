//! All rows in one table, and look-ups in it.

use super::row::{Fixity, OpId, OpRow, Position};
use super::{contract, elementwise, normalise, pair, reduce, shapes, spectral, spectrum};
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

static ROWS: LazyLock<Vec<OpRow>> = LazyLock::new(|| {
    [
        elementwise::ROWS,
        shapes::ROWS,
        reduce::ROWS,
        normalise::ROWS,
        contract::ROWS,
        spectral::ROWS,
        spectrum::ROWS,
        pair::ROWS,
    ]
    .concat()
});

static BY_NAME: LazyLock<FxHashMap<&'static str, Vec<OpId>>> = LazyLock::new(|| {
    let mut map: FxHashMap<&'static str, Vec<OpId>> = FxHashMap::default();
    for (i, row) in ROWS.iter().enumerate() {
        map.entry(row.name).or_default().push(OpId(i as u16));
    }
    map
});

/// All operators, in the order of the documentation.
pub fn rows() -> &'static [OpRow] {
    &ROWS
}

/// A row. `id` comes from a look-up or an index into [`rows`].
pub fn row(id: OpId) -> &'static OpRow {
    &ROWS[usize::from(id.0)]
}

/// All names, each once, in the order of the table.
pub fn names() -> impl Iterator<Item = &'static str> {
    let first = |(i, r): &(usize, &OpRow)| BY_NAME.get(r.name).is_some_and(|ids| ids[0].0 as usize == *i);
    ROWS.iter().enumerate().filter(first).map(|(_, r)| r.name)
}

/// Why no operator was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No operator has this name.
    #[error("no operator is called `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names that look alike, the closest first.
        similar: Vec<&'static str>,
    },
    /// Operators of this name take other numbers of arguments.
    #[error("`{name}` does not take {given} positional arguments")]
    Arity {
        /// What was asked for.
        name: &'static str,
        /// Positional arguments given.
        given: usize,
        /// The rows of this name.
        rows: Vec<OpId>,
    },
}

/// The operator called `name` that takes `positional` arguments: the one with exactly so many
/// values, or else one whose first constants may be given by position (`quantile(x, 0.5)`).
///
/// # Errors
/// When no operator has the name (with those that look alike), or none takes so many arguments.
pub fn lookup(name: &str, positional: usize) -> Result<OpId, LookupError> {
    lookup_named(name, positional, &[])
}

/// As [`lookup`], where some arguments are named (`clamp(x, lo = 0, hi = 1)`).
///
/// # Errors
/// As [`lookup`].
pub fn lookup_named(name: &str, positional: usize, named: &[&str]) -> Result<OpId, LookupError> {
    let Some(ids) = BY_NAME.get(name) else {
        return Err(LookupError::Unknown { name: name.to_owned(), similar: similar(name) });
    };
    let values = |id: &OpId| {
        let r = row(*id);
        positional + named.iter().filter(|n| r.values.iter().skip(positional).any(|v| v == *n)).count()
    };
    let exact = ids.iter().find(|&id| values(id) == row(*id).values.len());
    let spill = || {
        ids.iter().find(|&id| {
            let r = row(*id);
            (r.values.len()..=r.values.len() + r.attrs.len()).contains(&positional)
        })
    };
    exact.or_else(spill).copied().ok_or_else(|| LookupError::Arity {
        name: row(ids[0]).name,
        given: positional,
        rows: ids.clone(),
    })
}

fn similar(name: &str) -> Vec<&'static str> {
    let mut close: Vec<(f64, &'static str)> =
        names().map(|n| (strsim::jaro_winkler(name, n), n)).filter(|(s, _)| *s > 0.75).collect();
    close.sort_by(|a, b| b.0.total_cmp(&a.0));
    close.into_iter().take(3).map(|(_, n)| n).collect()
}

/// The operator with this symbol in this position.
pub fn by_symbol(text: &str, position: Position) -> Option<OpId> {
    let fits = |f: Fixity| match f {
        Fixity::Prefix => position == Position::Prefix,
        Fixity::Left | Fixity::Right => position == Position::Infix,
        Fixity::Postfix => position == Position::Postfix,
        Fixity::Index => position == Position::Index,
    };
    let found = |r: &OpRow| r.symbol.is_some_and(|s| s.text == text && fits(s.fixity));
    ROWS.iter().position(found).map(|i| OpId(i as u16))
}
