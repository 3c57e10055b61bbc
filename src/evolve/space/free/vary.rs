//! Mutation and crossover of expressions.

use super::super::super::expr::{Expr, Head};
use super::FreeSpace;
use super::types::{Place, field_rank, moves, places};
use crate::ir::Collection;
use crate::random::Stream;

impl FreeSpace {
    /// A changed copy; may be ill-typed or too large.
    pub(super) fn change(&self, e: &Expr, s: &mut Stream) -> Option<Expr> {
        let all = places(e);
        match s.below(8) {
            0 => self.regrow(e, &all, s),
            1 => self.point(e, &all, s),
            2 => self.hoist(e, &all, s),
            3 => self.jitter(e, &all, s),
            4 => self.swap_reducer(e, &all, s),
            5 => self.swap_sites(e, &all, s),
            6 => self.swap_field(e, &all, s),
            _ => self.wrap(e, &all, s),
        }
    }

    /// A new subtree.
    fn regrow(&self, e: &Expr, all: &[Place], s: &mut Stream) -> Option<Expr> {
        let at = &all[s.below(all.len())];
        let levels = 1 + s.below(3);
        let new = self.grow(at.rank, &mut at.scope.clone(), levels, s)?;
        replaced(e, at.index, new)
    }

    /// Another operator over the same operands.
    fn point(&self, e: &Expr, all: &[Place], s: &mut Stream) -> Option<Expr> {
        let at = pick(e, all, s, |h| matches!(h, Head::Op { .. }))?;
        let node = e.get(at.index)?;
        let ranks: Vec<usize> = operand_ranks(e, all, at)?;
        let entry = self.menu.draw(at.rank, s, |m| m.args == ranks)?;
        let head = Head::Op { op: entry.op, attrs: entry.attrs.clone() };
        replaced(e, at.index, Expr { head, args: node.args.clone() })
    }

    /// A node is replaced by one below it.
    fn hoist(&self, e: &Expr, all: &[Place], s: &mut Stream) -> Option<Expr> {
        let at = &all[s.below(all.len())];
        let below: Vec<&Place> = all
            .iter()
            .filter(|p| p.index > at.index && p.index < at.index + at.size && p.rank == at.rank)
            .collect();
        let from = *below.get(s.below(below.len()))?;
        let part = e.get(from.index)?;
        if !moves(part, &from.scope, &at.scope) || from.scope.len() != at.scope.len() {
            return None;
        }
        replaced(e, at.index, part.clone())
    }

    /// A constant moves a little, or by a factor.
    fn jitter(&self, e: &Expr, all: &[Place], s: &mut Stream) -> Option<Expr> {
        let at = pick(e, all, s, |h| matches!(h, Head::Number(_)))?;
        let Head::Number(x) = e.get(at.index)?.head else { return None };
        let new = match s.below(3) {
            0 => -x,
            1 => x * (0.5 * s.normal()).exp(),
            _ => round(x, 1),
        };
        replaced(e, at.index, Expr::number(new))
    }

    fn swap_reducer(&self, e: &Expr, all: &[Place], s: &mut Stream) -> Option<Expr> {
        let at = pick(e, all, s, |h| matches!(h, Head::Fold { .. }))?;
        let mut new = e.clone();
        if let Head::Fold { reducer, .. } = &mut new.get_mut(at.index)?.head {
            *reducer = self.reducer(s);
        }
        Some(new)
    }

    /// Other sites; where the kind changes, the body's fields follow if they can.
    fn swap_sites(&self, e: &Expr, all: &[Place], s: &mut Stream) -> Option<Expr> {
        let at = pick(e, all, s, |h| matches!(h, Head::Fold { over: Collection::Sites { .. }, .. }))?;
        let (over, kinds) = self.collection(s, &at.scope)?;
        let mut new = e.clone();
        let node = new.get_mut(at.index)?;
        let Head::Fold { over: old, .. } = &mut node.head else { return None };
        if kinds.len() != 1 {
            return None;
        }
        *old = over;
        for a in &mut node.args {
            retarget(a, 0, kinds[0]);
        }
        Some(new)
    }

    fn swap_field(&self, e: &Expr, all: &[Place], s: &mut Stream) -> Option<Expr> {
        let at = pick(e, all, s, |h| matches!(h, Head::Field { .. }))?;
        let leaf = self.leaf(at.rank, &mut at.scope.clone(), s)?;
        replaced(e, at.index, leaf)
    }

    /// An operator around a node.
    fn wrap(&self, e: &Expr, all: &[Place], s: &mut Stream) -> Option<Expr> {
        let at = &all[s.below(all.len())];
        let entry = self.menu.draw(at.rank, s, |m| m.args.contains(&at.rank))?.clone();
        let slot = entry.args.iter().position(|&r| r == at.rank)?;
        let mut args = Vec::new();
        for (i, &r) in entry.args.iter().enumerate() {
            let part =
                if i == slot { e.get(at.index)?.clone() } else { self.grow(r, &mut at.scope.clone(), 1, s)? };
            args.push(part);
        }
        replaced(e, at.index, super::grow::op(&entry, args))
    }

    /// A subtree of `b` in the place of one of `a`.
    pub(super) fn graft(&self, a: &Expr, b: &Expr, s: &mut Stream) -> Option<Expr> {
        let (pa, pb) = (places(a), places(b));
        let at = &pa[s.below(pa.len())];
        let fits = |p: &&Place| {
            p.rank == at.rank && b.get(p.index).is_some_and(|part| moves(part, &p.scope, &at.scope))
        };
        let from: Vec<&Place> = pb.iter().filter(fits).collect();
        let part = b.get(from.get(s.below(from.len()))?.index)?;
        replaced(a, at.index, part.clone())
    }
}

/// A copy with another node at `index`.
pub(super) fn replaced(e: &Expr, index: usize, new: Expr) -> Option<Expr> {
    let mut out = e.clone();
    *out.get_mut(index)? = new;
    Some(out)
}

fn pick<'a>(e: &Expr, all: &'a [Place], s: &mut Stream, which: impl Fn(&Head) -> bool) -> Option<&'a Place> {
    let fits: Vec<&Place> = all.iter().filter(|p| e.get(p.index).is_some_and(|n| which(&n.head))).collect();
    fits.get(s.below(fits.len())).copied()
}

fn operand_ranks(e: &Expr, all: &[Place], at: &Place) -> Option<Vec<usize>> {
    let mut index = at.index + 1;
    let mut out = Vec::new();
    for a in &e.get(at.index)?.args {
        out.push(all.get(index)?.rank);
        index += a.size();
    }
    Some(out)
}

/// Fields of the binder become the new kind's: the same field where it has one, else its first of the
/// same rank.
fn retarget(e: &mut Expr, binder: usize, to: crate::site::Kind) {
    if let Head::Field { binder: b, kind, field } = &mut e.head
        && *b == binder
    {
        let rank = field_rank(*kind, *field);
        if field_rank(to, *field).is_none() {
            let row = crate::site::KINDS.iter().find(|k| k.kind == to);
            let same = row.and_then(|r| r.fields.iter().find(|(_, n)| Some(*n) == rank));
            if let Some((f, _)) = same {
                *field = *f;
            }
        }
        *kind = to;
    }
    let inside = e.binds();
    for a in &mut e.args {
        retarget(a, binder + inside, to);
    }
}

/// `x` with so many significant digits.
pub fn round(x: f64, digits: usize) -> f64 {
    format!("{x:.*e}", digits.saturating_sub(1)).parse().unwrap_or(x)
}
