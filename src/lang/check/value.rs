//! Expressions to nodes: numbers, tensors, operators, fields, indexing, blocks.

use super::super::ast::{Block, Expr, ExprKind, Ident, Selector, Span};
use super::super::diagnostic::Diagnostic;
use super::super::parse::{RED_ZONE, STACK};
use super::super::{names, symbols};
use super::scope::CONSTANTS;
use super::shift::shift;
use super::{Checker, Local, Val};
use crate::ir::{Node, NodeId};
use crate::ops::{self, Attrs, Eval, OpId, Shape, UNKNOWN};
use crate::site::{self, Batches, Field, Kind, Pass};
use smallvec::SmallVec;

/// `number`, `tensor with 2 axes`.
pub(super) fn say(shape: &Shape) -> String {
    match shape.dims.len() {
        0 => "number".into(),
        1 => "tensor with 1 axis".into(),
        n => format!("tensor with {n} axes"),
    }
}

/// A few reductions, for help lines.
pub(super) fn reductions() -> String {
    let rows = ops::rows().iter().filter(|r| r.group == ops::Group::Reduction && r.values.len() == 1);
    names::list(rows.map(|r| r.name).take(3))
}

impl Checker<'_> {
    /// What an expression stands for.
    pub(super) fn value(&mut self, e: &Expr) -> Val {
        if let Some(d) = self.too_large(e) {
            return self.report(d);
        }
        let value = stacker::maybe_grow(RED_ZONE, STACK, || self.value_here(e));
        if let (Val::Value { shape, .. }, 1) = (&value, self.frames.len()) {
            self.types.push((e.span, shape.clone()));
        }
        value
    }

    fn value_here(&mut self, e: &Expr) -> Val {
        match &e.kind {
            ExprKind::Number(x) => self.constant(*x),
            ExprKind::Path(path) => self.path(path, e.span),
            ExprKind::Tensor(rows) => self.literal(rows, e.span),
            ExprKind::Call { path, args } => self.call(path, args, e.span),
            ExprKind::Prefix { op, arg } => match self.signed_name(e).or_else(|| signed(e)) {
                Some(x) => self.constant(x),
                None => self.symbol(*op, &[arg], e.span),
            },
            ExprKind::Infix { op, lhs, rhs } => self.symbol(*op, &[lhs, rhs], e.span),
            ExprKind::Postfix { op, arg } => self.symbol(*op, &[arg], e.span),
            ExprKind::Dot { base, name } => self.dot(base, name),
            ExprKind::Index { base, selectors } => self.index(base, selectors, e.span),
            ExprKind::Block(block) => self.block(block),
            ExprKind::Fold { reducer, pattern, over, body } => {
                self.fold(reducer, pattern, over, body, e.span)
            }
        }
    }

    /// Lowers what must be a number or tensor, for the binders open here.
    pub(super) fn tensor(&mut self, e: &Expr) -> Option<(NodeId, Shape)> {
        let value = self.value(e);
        self.as_tensor(value, e.span)
    }

    pub(super) fn as_tensor(&mut self, value: Val, span: Span) -> Option<(NodeId, Shape)> {
        let (message, help) = match value {
            Val::Value { node, shape, level } => {
                return Some((shift(self.dag, node, self.binders.saturating_sub(level)), shape));
            }
            Val::Poison => return None,
            Val::Site { kind, .. } => {
                let row = site::KINDS.iter().find(|k| k.kind == kind);
                let names = row.map(|r| r.fields.iter().map(|(f, _)| field_name(*f)).collect::<Vec<_>>());
                let fields = names::list(names.unwrap_or_default());
                ("this is a site, not a value".to_string(), format!("take one of its fields: {fields}"))
            }
            Val::Sites { .. } => (
                "this is a collection of sites, not a value".to_string(),
                "walk over it with an aggregate: `sum x in sites { ... }`".to_string(),
            ),
        };
        let d = self.error("E017", span, message).label("a value is needed here").help(help);
        self.report(d);
        None
    }

    /// An operator written as a symbol.
    fn symbol(&mut self, op: OpId, operands: &[&Expr], span: Span) -> Val {
        // All operands first, so that all that is wrong is reported.
        let lowered: Vec<_> = operands.iter().map(|e| self.tensor(e)).collect();
        let Some(lowered) = lowered.into_iter().collect::<Option<Vec<_>>>() else { return Val::Poison };
        let attrs = Attrs::of(&ops::row(op).attrs.iter().map(|a| a.default).collect::<Vec<_>>());
        self.operator(op, lowered, attrs, span)
    }

    /// An operator on lowered operands: its shape rule decides.
    pub(super) fn operator(&mut self, op: OpId, args: Vec<(NodeId, Shape)>, attrs: Attrs, span: Span) -> Val {
        let (args, shapes): (SmallVec<[NodeId; 3]>, Vec<Shape>) = args.into_iter().unzip();
        match (ops::row(op).shape)(&shapes, &attrs) {
            Ok(shape) => self.level_value(Node::Op { op, attrs, args }, shape),
            Err(e) => {
                let label = shapes.iter().map(say).collect::<Vec<_>>().join(" and ");
                let d = self.error("E015", span, e.message).label(label).maybe_help(e.help);
                self.report(d)
            }
        }
    }

    /// A number known without running anything.
    pub(super) fn constant_of(&self, node: NodeId) -> Option<f64> {
        match self.dag.node(node) {
            Node::Number(bits) => Some(f64::from_bits(*bits)),
            Node::Op { op, args, .. } => {
                let Eval::Scalar(f) = ops::row(*op).eval else { return None };
                let args: Option<SmallVec<[f64; 3]>> = stacker::maybe_grow(RED_ZONE, STACK, || {
                    args.iter().map(|&a| self.constant_of(a)).collect()
                });
                Some(f(&args?))
            }
            _ => None,
        }
    }

    /// A named constant with its sign: `-inf`.
    fn signed_name(&mut self, e: &Expr) -> Option<f64> {
        let ExprKind::Prefix { op, arg } = &e.kind else { return None };
        let ExprKind::Path(path) = &arg.kind else { return None };
        let [name] = &path[..] else { return None };
        let &(_, x, _) = CONSTANTS.iter().find(|c| c.0 == name.text)?;
        let free = self.local(&name.text).is_none();
        free.then(|| symbols::apply(ops::row(*op), x)).flatten()
    }

    fn literal(&mut self, rows: &[Expr], span: Span) -> Val {
        let mut bits = Vec::new();
        let mut dims: SmallVec<[usize; 4]> = SmallVec::new();
        match literal_into(rows, span, 0, &mut dims, &mut bits) {
            Ok(()) => {
                let shape = Shape { dims: dims.clone(), reduced: None };
                self.level_value(Node::Literal { dims, bits }, shape)
            }
            Err((span, message)) => {
                let d = self.error("E015", span, message).label("in this tensor");
                self.report(d.help("a tensor is written `[1, 2]` or `[[1, 2], [3, 4]]`, with numbers only"))
            }
        }
    }

    fn dot(&mut self, base: &Expr, name: &Ident) -> Val {
        match self.value(base) {
            Val::Poison => Val::Poison,
            Val::Site { level, kind } => self.site_part(level, kind, name),
            Val::Sites { .. } => {
                let message = format!("a collection has no `{}`", name.text);
                let d = self.error("E018", name.span, message).label("not of a collection");
                self.report(d.help("bind its sites in an aggregate: `sum x in sites { ... }`"))
            }
            Val::Value { shape, .. } => {
                let message = format!("a {} has no `{}`", say(&shape), name.text);
                let d = self.error("E018", name.span, message).label("only sites have fields");
                self.report(
                    d.help("write the field after the site, as in `l.grad`; functions are called: `f(x)`"),
                )
            }
        }
    }

    fn site_part(&mut self, level: usize, kind: Kind, name: &Ident) -> Val {
        let Some(row) = site::KINDS.iter().find(|k| k.kind == kind) else { return Val::Poison };
        let binder = self.binders - 1 - level;
        if let Some(&(field, rank)) = row.fields.iter().find(|(f, _)| field_name(*f) == name.text) {
            let pass = site::FIELDS.iter().find(|r| r.field == field).map_or(Pass::Weights, |r| r.pass);
            let backward = pass >= Pass::Backward;
            self.noisy |= backward;
            let axes = rank + usize::from(backward && self.spec.batches != Batches::One);
            let dims = SmallVec::from_elem(UNKNOWN, axes);
            return self.level_value(Node::Field { binder, kind, field }, Shape { dims, reduced: None });
        }
        let matrix = row.fields.contains(&(Field::Weight, 2));
        let numbers = site::SITE_NUMBERS.iter().filter(|(n, _, _)| *n == site::SiteNumber::Layer || matrix);
        if let Some(&(number, _, _)) = numbers.clone().find(|(_, n, _)| *n == name.text) {
            return self.level_value(Node::SiteNumber { binder, number }, Shape::default());
        }
        if kind == Kind::Block
            && let Some(inner) = self.block_part(binder, name)
        {
            return inner;
        }
        let fields = row.fields.iter().map(|(f, _)| field_name(*f)).chain(numbers.map(|(_, n, _)| *n));
        let kinds = site::KINDS.iter().map(|k| k.name).filter(|_| kind == Kind::Block);
        let help = names::hint(&name.text, "it has", fields.chain(kinds));
        let message = format!("a `{}` site has no `{}`", row.name, name.text);
        let d = self.error("E018", name.span, message).label("unknown field").help(help);
        self.report(d)
    }

    fn index(&mut self, base: &Expr, selectors: &[Selector], span: Span) -> Val {
        if let Some(value) = self.count_of_role(base, selectors) {
            return value;
        }
        match self.value(base) {
            Val::Sites { over, kinds, level } => self.filtered(over, kinds, level, selectors, span),
            value => match self.as_tensor(value, base.span) {
                Some(tensor) => self.element(tensor, selectors, span),
                None => Val::Poison,
            },
        }
    }

    fn element(&mut self, mut tensor: (NodeId, Shape), selectors: &[Selector], span: Span) -> Val {
        let Some(op) = symbols::indexing() else { return Val::Poison };
        let mut value = Val::Poison;
        for s in selectors {
            let Some(at) = self.index_number(s) else { return Val::Poison };
            value = self.operator(op, vec![tensor], Attrs::of(&[Some(at)]), span);
            match &value {
                Val::Value { node, shape, .. } => tensor = (*node, shape.clone()),
                _ => return Val::Poison,
            }
        }
        value
    }

    fn index_number(&mut self, s: &Selector) -> Option<f64> {
        let (span, found) = match s {
            Selector::Range(_, _, span) => (*span, None),
            Selector::One(e) => {
                let node = self.tensor(e)?.0;
                (e.span, self.constant_of(node).filter(|x| x.fract() == 0.0))
            }
        };
        if found.is_none() {
            let d = self
                .error("E019", span, "an index of a tensor is a whole number")
                .label("not a whole number");
            self.report(d.help("ranges and roles filter collections, as in `linear[ffn, 0..2]`"));
        }
        found
    }

    pub(super) fn block(&mut self, block: &Block) -> Val {
        let start = self.frames.last().map_or(0, |f| f.locals.len());
        for l in &block.lets {
            let value = self.value(&l.value);
            if let Some(frame) = self.frames.last_mut() {
                let name = l.name.text.clone();
                frame.locals.push(Local { name, value, used: false, binding: Some(l.name.span) });
            }
        }
        let value = self.value(&block.result);
        self.close(start);
        value
    }

    /// Forgets locals; a `let` that nothing used is worth a warning.
    pub(super) fn close(&mut self, start: usize) {
        let Some(frame) = self.frames.last_mut() else { return };
        let gone: Vec<Local> = frame.locals.drain(start.min(frame.locals.len())..).collect();
        if self.frames.len() > 1 {
            return;
        }
        for l in gone {
            if let (Some(span), false, false) = (l.binding, l.used, l.name.starts_with('_')) {
                let d = Diagnostic::warning("W001", self.here(), span, format!("`{}` is not used", l.name));
                self.report(d.label("given here").help("remove the `let`, or begin its name with `_`"));
            }
        }
    }
}

pub(in crate::lang) fn field_name(field: Field) -> &'static str {
    site::FIELDS.iter().find(|r| r.field == field).map_or("", |r| r.name)
}

/// A number with its signs.
fn signed(e: &Expr) -> Option<f64> {
    match &e.kind {
        ExprKind::Number(x) => Some(*x),
        ExprKind::Prefix { op, arg } => symbols::apply(ops::row(*op), signed(arg)?),
        _ => None,
    }
}

/// An element of a literal tensor: a number or a named constant, with signs.
fn element(e: &Expr) -> Option<f64> {
    match &e.kind {
        ExprKind::Path(path) if path.len() == 1 => {
            CONSTANTS.iter().find(|c| c.0 == path[0].text).map(|c| c.1)
        }
        ExprKind::Prefix { op, arg } => symbols::apply(ops::row(*op), element(arg)?),
        _ => signed(e),
    }
}

type Misfit = (Span, String);

fn literal_into(
    rows: &[Expr],
    span: Span,
    axis: usize,
    dims: &mut SmallVec<[usize; 4]>,
    bits: &mut Vec<u64>,
) -> Result<(), Misfit> {
    if rows.is_empty() {
        return Err((span, "a tensor needs an element".into()));
    }
    match dims.get(axis) {
        // The first row of each depth says how long rows are; no element may have come before.
        None if bits.is_empty() => dims.push(rows.len()),
        Some(&n) if n == rows.len() => {}
        _ => {
            return Err((
                span,
                format!("rows of a tensor are equally long, and this one has {}", rows.len()),
            ));
        }
    }
    for row in rows {
        match (&row.kind, element(row)) {
            (_, Some(x)) if dims.len() == axis + 1 => bits.push(x.to_bits()),
            (ExprKind::Tensor(inner), _) => literal_into(inner, row.span, axis + 1, dims, bits)?,
            (_, Some(_)) => return Err((row.span, "a number where a row is needed".into())),
            _ => return Err((row.span, "an element of a tensor is a number".into())),
        }
    }
    Ok(())
}
