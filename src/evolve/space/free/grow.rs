//! Random typed expressions.

use super::super::super::expr::{Expr, Head};
use super::FreeSpace;
use super::menu::Entry;
use super::types::{field_rank, kind_at};
use crate::ir::{Collection, Filter, ReducerId};
use crate::ops;
use crate::random::Stream;
use crate::site::{Kind, SiteNumber};

/// Constants that programs start with; mutation moves them.
const CONSTANTS: [f64; 8] = [0.5, 1.0, 2.0, 3.0, 10.0, 0.1, 1e-3, 100.0];

/// One draw in so many takes a field whose tensors are too large to be kept: it costs a run of every model.
const DEAR: usize = 200;

impl FreeSpace {
    /// A random number-valued expression without free sites.
    pub(super) fn program(&self, s: &mut Stream) -> Option<Expr> {
        match s.below(10) {
            0..=3 => self.term(s, &mut Vec::new()),
            4..=7 => self.sum_of_terms(s),
            _ => self.grow(0, &mut Vec::new(), self.depth, s),
        }
    }

    /// A few terms joined by operators over numbers.
    fn sum_of_terms(&self, s: &mut Stream) -> Option<Expr> {
        let mut all = self.factor(s)?;
        for _ in 0..=s.below(3) {
            let next = self.factor(s)?;
            let join = self.menu.draw(0, s, |e| e.args == [0, 0])?;
            all = op(join, vec![all, next]);
        }
        Some(all)
    }

    fn factor(&self, s: &mut Stream) -> Option<Expr> {
        let term = if s.below(4) == 0 { self.model_number(s)? } else { self.term(s, &mut Vec::new())? };
        if s.below(3) == 0 {
            let wrap = self.menu.draw(0, s, |e| e.args == [0])?;
            return Some(op(wrap, vec![term]));
        }
        Some(term)
    }

    /// An aggregate over sites.
    pub(super) fn term(&self, s: &mut Stream, scope: &mut Vec<Kind>) -> Option<Expr> {
        let (over, kinds) = self.collection(s, scope)?;
        let reducer = self.reducer(s);
        let depth = scope.len();
        scope.extend(&kinds);
        let levels = 1 + s.below(4);
        let body = self.grow(0, scope, levels, s);
        scope.truncate(depth);
        Some(Expr { head: Head::Fold { reducer, over }, args: vec![body?] })
    }

    pub(super) fn reducer(&self, s: &mut Stream) -> ReducerId {
        // The first reducer, the sum, carries depth into the score: half of all aggregates use it.
        if s.below(2) == 0 {
            return ReducerId(0);
        }
        let rows = ops::reducers();
        let total: f64 = rows.iter().map(|r| r.weight).sum();
        let mut left = s.uniform() * total;
        for (i, r) in rows.iter().enumerate() {
            left -= r.weight;
            if left < 0.0 {
                return ReducerId(i as u8);
            }
        }
        ReducerId(0)
    }

    /// A collection and the kinds it binds; within a block mostly the block's own.
    pub(super) fn collection(&self, s: &mut Stream, scope: &[Kind]) -> Option<(Collection, Vec<Kind>)> {
        let block = (0..scope.len()).find(|&b| kind_at(scope, b) == Some(Kind::Block));
        let choice = &self.sites[self.site(s, !scope.is_empty())?];
        let mut filter = Filter::default();
        if !choice.roles.is_empty() && s.below(2) == 0 {
            filter.roles.push(choice.roles[s.below(choice.roles.len())]);
        }
        let one = |kind: Kind, filter: Filter| Collection::Sites { kind, filter, block };
        if s.below(10) > 0 {
            return Some((one(choice.kind, filter), vec![choice.kind]));
        }
        let other = self.sites[self.site(s, true)?].kind;
        let zip = Collection::Zip(vec![one(choice.kind, filter), one(other, Filter::default())]);
        Some((zip, vec![choice.kind, other]))
    }

    fn site(&self, s: &mut Stream, not_block: bool) -> Option<usize> {
        let usable = |i: &usize| !(not_block && self.sites[*i].kind == Kind::Block);
        let all: Vec<usize> = (0..self.sites.len()).filter(usable).collect();
        (!all.is_empty()).then(|| all[s.below(all.len())])
    }

    /// An expression of `rank` axes within `scope`, at most about `levels` deep.
    pub(super) fn grow(
        &self,
        rank: usize,
        scope: &mut Vec<Kind>,
        levels: usize,
        s: &mut Stream,
    ) -> Option<Expr> {
        if levels == 0 || (rank > 0 && s.below(3) == 0) {
            return self.leaf(rank, scope, s);
        }
        if rank == 0 && (scope.is_empty() || (scope.last() == Some(&Kind::Block) && s.below(2) == 0)) {
            match s.below(10) {
                0..=5 => return self.term(s, scope),
                6 => return self.leaf(rank, scope, s),
                _ => {}
            }
        }
        let reachable = |r: usize| r == 0 || self.has_field(r, scope);
        let fits = |e: &Entry| e.args.iter().all(|&r| reachable(r));
        // In the body of an aggregate numbers come from tensors.
        let inside = rank == 0 && !scope.is_empty() && s.below(4) > 0;
        let entry = self
            .menu
            .draw(rank, s, |e| fits(e) && (!inside || e.args.iter().any(|&r| r > 0)))
            .or_else(|| self.menu.draw(rank, s, fits))?
            .clone();
        let args: Option<Vec<Expr>> =
            entry.args.iter().map(|&r| self.grow(r, scope, levels - 1, s)).collect();
        Some(op(&entry, args?))
    }

    /// A chain over one kind of sites: a field, an operator at times, a reduction; the number that comes
    /// of it at times under an operator and beside where the site stands.
    pub(super) fn chain(&self, s: &mut Stream) -> Option<Expr> {
        let (over, mut scope) = self.collection(s, &[])?;
        if scope.len() != 1 {
            return None;
        }
        let mut body = match s.below(8) {
            0 => self.standing(&scope, s)?,
            _ => self.reduced(&mut scope, s)?,
        };
        if s.below(2) == 0 {
            body = op(self.menu.draw(0, s, |m| m.args == [0])?, vec![body]);
        }
        if s.below(3) == 0 {
            let beside = self.standing(&scope, s)?;
            let join = self.menu.draw(0, s, |m| m.args == [0, 0])?;
            let args = if s.below(2) == 0 { vec![body, beside] } else { vec![beside, body] };
            body = op(join, args);
        }
        Some(Expr { head: Head::Fold { reducer: self.reducer(s), over }, args: vec![body] })
    }

    /// A number of the site, at times joined with a constant or a number of the model.
    fn standing(&self, scope: &[Kind], s: &mut Stream) -> Option<Expr> {
        let here = site_number(s, scope);
        if s.below(2) == 0 {
            return Some(here);
        }
        let other = match s.below(2) {
            0 => self.model_number(s)?,
            _ => Expr::number(CONSTANTS[s.below(CONSTANTS.len())]),
        };
        let join = self.menu.draw(0, s, |m| m.args == [0, 0])?;
        Some(op(join, if s.below(2) == 0 { vec![here, other] } else { vec![other, here] }))
    }

    fn reduced(&self, scope: &mut Vec<Kind>, s: &mut Stream) -> Option<Expr> {
        let ranks: Vec<usize> = (1..=super::menu::MAX_RANK).filter(|&r| self.has_field(r, scope)).collect();
        let rank = *ranks.get(s.below(ranks.len()))?;
        let mut x = self.leaf(rank, scope, s)?;
        if s.below(3) == 0 {
            x = op(self.menu.draw(rank, s, |m| m.args == [rank])?, vec![x]);
        }
        Some(op(self.menu.draw(0, s, |m| m.args == [rank])?, vec![x]))
    }

    fn has_field(&self, rank: usize, scope: &[Kind]) -> bool {
        scope.iter().any(|&k| self.fields(k).iter().any(|&f| field_rank(k, f) == Some(rank)))
    }

    fn dear(&self, head: &Head) -> bool {
        let Head::Field { kind, field, .. } = head else { return false };
        self.sites.iter().any(|c| c.kind == *kind && c.dear.contains(field))
    }

    fn fields(&self, kind: Kind) -> &[crate::site::Field] {
        self.sites.iter().find(|c| c.kind == kind).map_or(&[], |c| &c.fields)
    }

    /// Something without operands, or, for a number within a body, a reduction of a field.
    pub(super) fn leaf(&self, rank: usize, scope: &mut Vec<Kind>, s: &mut Stream) -> Option<Expr> {
        if rank > 0 {
            let all: Vec<Head> = (0..scope.len())
                .filter_map(|b| Some((b, kind_at(scope, b)?)))
                .flat_map(|(binder, kind)| {
                    let fields = self.fields(kind).iter().copied();
                    fields.map(move |field| Head::Field { binder, kind, field })
                })
                .filter(|h| matches!(h, Head::Field { kind, field, .. } if field_rank(*kind, *field) == Some(rank)))
                .collect();
            let cheap: Vec<&Head> = all.iter().filter(|h| !self.dear(h)).collect();
            if !cheap.is_empty() && s.below(DEAR) > 0 {
                return Some(Expr::leaf(cheap[s.below(cheap.len())].clone()));
            }
            return (!all.is_empty()).then(|| Expr::leaf(all[s.below(all.len())].clone()));
        }
        match s.below(8) {
            0..=3 if !scope.is_empty() => {
                let fits = |e: &Entry| e.args.len() == 1 && e.args[0] > 0 && self.has_field(e.args[0], scope);
                let entry = self.menu.draw(0, s, fits)?.clone();
                let field = self.leaf(entry.args[0], scope, s)?;
                Some(op(&entry, vec![field]))
            }
            4 if !scope.is_empty() => Some(site_number(s, scope)),
            5 => self.model_number(s),
            _ => Some(Expr::number(CONSTANTS[s.below(CONSTANTS.len())])),
        }
    }

    pub(super) fn model_number(&self, s: &mut Stream) -> Option<Expr> {
        if self.numbers.is_empty() {
            return None;
        }
        let (name, role) = self.numbers[s.below(self.numbers.len())];
        Some(Expr::leaf(Head::Model(name, role)))
    }
}

/// A number of the innermost site.
fn site_number(s: &mut Stream, scope: &[Kind]) -> Expr {
    let linear = scope.last() == Some(&Kind::Linear);
    let all = [SiteNumber::Rows, SiteNumber::Cols, SiteNumber::Layer];
    let number = if linear { all[s.below(3)] } else { SiteNumber::Layer };
    Expr::leaf(Head::SiteNumber { binder: 0, number })
}

/// An entry applied.
pub(super) fn op(entry: &Entry, args: Vec<Expr>) -> Expr {
    Expr { head: Head::Op { op: entry.op, attrs: entry.attrs.clone() }, args }
}
