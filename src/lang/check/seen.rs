//! Expressions that are looked at rather than scored: any shape, collections, fields of all sites.

use super::super::ast::{Expr, ExprKind, ItemKind, Span};
use super::super::diagnostic::Diagnostic;
use super::super::library::Def;
use super::shift::shift_collection;
use super::value::field_name;
use super::{Checker, Frame, Local, Val};
use crate::ir::{Collection, NodeId};
use crate::ops::Shape;
use crate::site::{self, CaptureSpec, Field, Kind};

/// What an expression stands for.
#[derive(Clone, Debug)]
pub enum Meaning {
    /// A number or tensor: its node and shape, sizes unknown.
    Value(NodeId, Shape),
    /// A collection, one kind per site that it binds.
    Sites(Collection, Vec<Kind>),
    /// A field of every site of a collection: `linear[query].weight`.
    Field(Collection, Kind, Field),
}

/// A checked expression.
pub(in crate::lang) struct Seen {
    pub meaning: Meaning,
    pub capture: CaptureSpec,
}

impl Checker<'_> {
    /// What the body of a proxy stands for, whatever it is.
    pub(in crate::lang) fn seen(&mut self, def: Def) -> Option<Seen> {
        let ItemKind::Proxy { body, .. } = &self.lib.item(def).kind else { return None };
        self.begin();
        self.work = 0;
        self.spec = self.capture_of(def);
        self.frames.push(Frame { def, call: None, locals: Vec::new() });
        let meaning = self.looked_at(body);
        self.frames.pop();
        Some(Seen { meaning: meaning?, capture: self.spec })
    }

    /// Shapes of all parts and everything that was wrong.
    pub(in crate::lang) fn finish_seen(self) -> (Vec<(Span, Shape)>, Vec<Diagnostic>) {
        (self.types, self.diagnostics)
    }

    fn looked_at(&mut self, mut e: &Expr) -> Option<Meaning> {
        while let ExprKind::Block(block) = &e.kind {
            for l in &block.lets {
                let value = self.value(&l.value);
                if let Some(frame) = self.frames.last_mut() {
                    let name = l.name.text.clone();
                    frame.locals.push(Local { name, value, used: true, binding: None });
                }
            }
            e = &block.result;
        }
        if let Some(meaning) = self.field_of_all(e) {
            return Some(meaning);
        }
        match self.value(e) {
            Val::Sites { over, kinds, level } => {
                Some(Meaning::Sites(shift_collection(&over, self.binders - level), kinds))
            }
            value => self.as_tensor(value, e.span).map(|(node, shape)| Meaning::Value(node, shape)),
        }
    }

    /// `linear[query].weight`.
    fn field_of_all(&mut self, e: &Expr) -> Option<Meaning> {
        let ExprKind::Dot { base, name } = &e.kind else { return None };
        let Val::Sites { over, kinds, level } = self.value(base) else { return None };
        let [kind] = kinds[..] else { return None };
        let row = site::KINDS.iter().find(|k| k.kind == kind)?;
        let &(field, _) = row.fields.iter().find(|(f, _)| field_name(*f) == name.text)?;
        Some(Meaning::Field(shift_collection(&over, self.binders - level), kind, field))
    }
}
