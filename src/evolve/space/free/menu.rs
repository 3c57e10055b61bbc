//! What can stand where: found out by asking the shape rule of every operator row, so that no
//! operator is named here.

use crate::ops::{self, Attrs, OpId, OpRow, Shape, UNKNOWN};
use crate::random::Stream;

/// Most axes that a captured tensor has.
pub const MAX_RANK: usize = 4;

/// An operator with constants, for operands of certain ranks.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Row.
    pub op: OpId,
    /// Constants.
    pub attrs: Attrs,
    /// Ranks of the operands.
    pub args: Vec<usize>,
    /// Rank of the result.
    pub rank: usize,
    /// How often it is drawn, relative to others of the same rank.
    pub weight: f64,
}

/// All entries, by rank of the result.
#[derive(Clone, Debug)]
pub struct Menu {
    by_rank: Vec<Vec<Entry>>,
}

/// Values that constants of operators are tried with.
const WHOLE: [f64; 4] = [0.0, 1.0, -1.0, 8.0];
const REAL: [f64; 3] = [0.5, 0.1, 0.9];

impl Menu {
    /// Asks every row with a positive weight.
    pub fn new() -> Self {
        let mut by_rank = vec![Vec::new(); MAX_RANK + 1];
        for (i, row) in ops::rows().iter().enumerate().filter(|(_, r)| r.weight > 0.0) {
            for e in entries(OpId(i as u16), row) {
                if let Some(list) = by_rank.get_mut(e.rank) {
                    list.push(e);
                }
            }
        }
        Menu { by_rank }
    }

    /// Entries with a result of this rank.
    pub fn of_rank(&self, rank: usize) -> &[Entry] {
        self.by_rank.get(rank).map_or(&[], Vec::as_slice)
    }

    /// A weighted draw among the entries of a rank that `keep` allows.
    pub fn draw(&self, rank: usize, s: &mut Stream, keep: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        let total: f64 = self.of_rank(rank).iter().filter(|e| keep(e)).map(|e| e.weight).sum();
        let mut left = s.uniform() * total;
        let mut last = None;
        for e in self.of_rank(rank).iter().filter(|e| keep(e)) {
            last = Some(e);
            left -= e.weight;
            if left < 0.0 {
                break;
            }
        }
        last
    }
}

impl Default for Menu {
    fn default() -> Self {
        Menu::new()
    }
}

fn entries(op: OpId, row: &OpRow) -> Vec<Entry> {
    let constants = constants(row);
    let mut out = Vec::new();
    for ranks in operand_ranks(row.values.len()) {
        let shapes: Vec<Shape> = ranks.iter().map(|&r| Shape::of(&vec![UNKNOWN; r])).collect();
        let fits: Vec<(&Attrs, usize)> = constants
            .iter()
            .filter_map(|a| (row.shape)(&shapes, a).ok().map(|s| (a, s.rank())))
            .filter(|(_, rank)| *rank <= MAX_RANK)
            .collect();
        // The variants of a row share its weight.
        let weight = row.weight / fits.len().max(1) as f64;
        let entry = |(attrs, rank): (&Attrs, usize)| Entry {
            op,
            attrs: attrs.clone(),
            args: ranks.clone(),
            rank,
            weight,
        };
        out.extend(fits.into_iter().map(entry));
    }
    out
}

fn operand_ranks(values: usize) -> Vec<Vec<usize>> {
    let same = |n: usize| (0..=MAX_RANK).map(move |r| vec![r; n]);
    let with_number = |n: usize| {
        (1..=MAX_RANK).flat_map(move |r| {
            let mut right = vec![0; n];
            right[0] = r;
            let mut left = vec![r; n];
            left[0] = 0;
            [right, left]
        })
    };
    match values {
        1 => same(1).collect(),
        2 => same(2).chain(with_number(2)).collect(),
        n @ 3..=4 => same(n).collect(),
        _ => Vec::new(),
    }
}

/// The defaults, and every constant changed alone; constants that have to be given are tried all.
fn constants(row: &OpRow) -> Vec<Attrs> {
    let mut base: Vec<Option<f64>> = row.attrs.iter().map(|a| a.default).collect();
    let choices = |i: usize| -> &'static [f64] { if row.attrs[i].integer { &WHOLE } else { &REAL } };
    for (i, spec) in row.attrs.iter().enumerate() {
        if spec.required && base[i].is_none() {
            base[i] = Some(choices(i)[0]);
        }
    }
    let mut out = vec![Attrs::of(&base)];
    for i in 0..row.attrs.len() {
        let negative = row.attrs[i].negative;
        for &x in choices(i).iter().filter(|x| negative || **x >= 0.0) {
            let mut changed = base.clone();
            changed[i] = Some(x);
            let attrs = Attrs::of(&changed);
            if !out.contains(&attrs) {
                out.push(attrs);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weighted_row_is_on_the_menu() {
        let menu = Menu::new();
        for (i, row) in ops::rows().iter().enumerate().filter(|(_, r)| r.weight > 0.0) {
            let found = (0..=MAX_RANK).any(|r| menu.of_rank(r).iter().any(|e| usize::from(e.op.0) == i));
            assert!(found, "{} is on no menu", row.name);
        }
    }
}
