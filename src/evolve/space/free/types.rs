//! Ranks and places of an expression, and what may be put where.

use super::super::super::expr::{Expr, Head, bound_kinds};
use crate::ops::{self, Shape, UNKNOWN};
use crate::site::{Field, KINDS, Kind, SiteNumber};

/// A node, what is bound around it (the outermost first) and its rank.
#[derive(Clone, Debug)]
pub struct Place {
    /// Index in preorder.
    pub index: usize,
    /// Kinds bound around it.
    pub scope: Vec<Kind>,
    /// Rank.
    pub rank: usize,
    /// Nodes below and itself.
    pub size: usize,
}

/// Rank of a field.
pub fn field_rank(kind: Kind, field: Field) -> Option<usize> {
    let row = KINDS.iter().find(|k| k.kind == kind)?;
    row.fields.iter().find(|(f, _)| *f == field).map(|(_, r)| *r)
}

/// Kind bound `binder` binders outwards.
pub fn kind_at(scope: &[Kind], binder: usize) -> Option<Kind> {
    scope.len().checked_sub(1 + binder).map(|i| scope[i])
}

/// Shape of an expression within `scope`, sizes unknown; `None` where it does not fit.
pub fn shape(expr: &Expr, scope: &mut Vec<Kind>) -> Option<Shape> {
    match &expr.head {
        Head::Number(x) => x.is_finite().then(Shape::number),
        Head::Model(..) => Some(Shape::number()),
        Head::Field { binder, kind, field } => {
            let rank = field_rank(*kind, *field)?;
            (kind_at(scope, *binder)? == *kind).then(|| Shape::of(&vec![UNKNOWN; rank]))
        }
        Head::SiteNumber { binder, number } => {
            let kind = kind_at(scope, *binder)?;
            (*number == SiteNumber::Layer || kind == Kind::Linear).then(Shape::number)
        }
        Head::Literal { dims, .. } => Some(Shape::of(dims)),
        Head::Op { op, attrs } => {
            let args: Option<Vec<Shape>> = expr.args.iter().map(|a| shape(a, scope)).collect();
            let row = ops::row(*op);
            let args = args?;
            if args.len() != row.values.len() {
                return None;
            }
            (row.shape)(&args, attrs).ok()
        }
        Head::Fold { over, .. } => {
            if !blocks_bound(over, scope) {
                return None;
            }
            let kinds = bound_kinds(over);
            let depth = scope.len();
            scope.extend(&kinds);
            let body = shape(expr.args.first()?, scope);
            scope.truncate(depth);
            // Terms that are tensors are for people: their shapes differ from site to site.
            body.filter(Shape::is_number)
        }
    }
}

fn blocks_bound(over: &crate::ir::Collection, scope: &[Kind]) -> bool {
    use crate::ir::Collection;
    match over {
        Collection::Sites { block: Some(b), .. } => kind_at(scope, *b) == Some(Kind::Block),
        Collection::Sites { .. } => true,
        Collection::Zip(parts) | Collection::Chain(parts) => parts.iter().all(|p| blocks_bound(p, scope)),
    }
}

/// Is it a number-valued closed expression?
pub fn well_typed(expr: &Expr) -> bool {
    shape(expr, &mut Vec::new()).is_some_and(|s| s.is_number())
}

/// All places of a well-typed expression, in preorder.
pub fn places(expr: &Expr) -> Vec<Place> {
    let mut out = Vec::new();
    let mut index = 0;
    visit(expr, &mut Vec::new(), &mut index, &mut out);
    out
}

fn visit(expr: &Expr, scope: &mut Vec<Kind>, index: &mut usize, out: &mut Vec<Place>) {
    let rank = shape(expr, scope).map_or(0, |s| s.rank());
    out.push(Place { index: *index, scope: scope.clone(), rank, size: expr.size() });
    *index += 1;
    let depth = scope.len();
    if let Head::Fold { over, .. } = &expr.head {
        scope.extend(bound_kinds(over));
    }
    for a in &expr.args {
        visit(a, scope, index, out);
    }
    scope.truncate(depth);
}

/// May `expr`, which stood in `from`, stand in `to`? Every site it mentions must be of the same kind
/// there.
pub fn moves(expr: &Expr, from: &[Kind], to: &[Kind]) -> bool {
    free(expr, 0).into_iter().all(|b| kind_at(from, b).is_some() && kind_at(from, b) == kind_at(to, b))
}

/// Binders that an expression mentions and does not bind, counted from outside it.
fn free(expr: &Expr, inside: usize) -> Vec<usize> {
    use crate::ir::Collection;
    let mut out = Vec::new();
    let mut mention = |b: usize| {
        if b >= inside {
            out.push(b - inside);
        }
    };
    match &expr.head {
        Head::Field { binder, .. } | Head::SiteNumber { binder, .. } => mention(*binder),
        Head::Fold { over: Collection::Sites { block: Some(b), .. }, .. } => mention(*b),
        _ => {}
    }
    for a in &expr.args {
        out.extend(free(a, inside + expr.binds()));
    }
    out
}
