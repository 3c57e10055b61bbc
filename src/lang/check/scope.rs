//! What names stand for: locals, site kinds, model numbers, constants, items, the standard library.

use super::super::ast::{Expr, Ident, ItemKind, Span};
use super::super::diagnostic::Diagnostic;
use super::super::library::{Def, ModuleId};
use super::super::names;
use super::{Checker, Frame, MAX_CALLS, MAX_WORK, Val};
use crate::ir::{Collection, Filter, Node};
use crate::ops::{self, Shape};
use crate::site;

/// Names of numbers, and what they are.
pub const CONSTANTS: &[(&str, f64, &str)] = &[
    ("inf", f64::INFINITY, "infinity"),
    ("nan", f64::NAN, "not a number"),
    ("pi", std::f64::consts::PI, "half of a full turn"),
];

pub(super) fn join(path: &[Ident]) -> String {
    path.iter().map(|i| i.text.as_str()).collect::<Vec<_>>().join("::")
}

pub(super) fn span_of(path: &[Ident]) -> Span {
    path.iter().fold(path.first().map_or(Span::default(), |i| i.span), |a, i| a.to(i.span))
}

impl Checker<'_> {
    fn module_id(&self) -> ModuleId {
        self.frames.last().map_or(ModuleId(0), |f| f.def.module)
    }

    pub(super) fn level_value(&mut self, node: Node, shape: Shape) -> Val {
        let node = self.dag.add(node);
        Val::Value { node, shape, level: self.binders }
    }

    pub(super) fn constant(&mut self, x: f64) -> Val {
        self.level_value(Node::Number(x.to_bits()), Shape::default())
    }

    pub(super) fn local(&mut self, name: &str) -> Option<Val> {
        let locals = &mut self.frames.last_mut()?.locals;
        let found = locals.iter_mut().rev().find(|l| l.name == name)?;
        found.used = true;
        Some(found.value.clone())
    }

    /// An item by path, as the innermost body sees it; `use`s that it came by count as used.
    pub(super) fn item_in_scope(&mut self, path: &[Ident]) -> Option<Def> {
        match path {
            [std, name] if std.text == "std" => self.lib.std_item(&name.text),
            [name] => {
                let id = self.module_id();
                let &(def, by) = self.lib.module(id).scope.get(&name.text)?;
                self.used.extend(by.map(|at| (id, at)));
                Some(def)
            }
            _ => None,
        }
    }

    /// An item that is in scope without `use`; operators and own names come first.
    pub(super) fn open_item(&self, path: &[Ident]) -> Option<Def> {
        match path {
            [name] if self.lib.module(self.module_id()).open => self.lib.std_item(&name.text),
            _ => None,
        }
    }

    pub(super) fn path(&mut self, path: &[Ident], span: Span) -> Val {
        if let [name] = path
            && let Some(value) = self.local(&name.text).or_else(|| self.builtin(&name.text))
        {
            return value;
        }
        let def = self.item_in_scope(path).or_else(|| self.open_item(path));
        match def {
            Some(def) if self.lib.is_proxy(def) => self.proxy_value(def, span),
            Some(def) => {
                let name = join(path);
                let message = format!("`{name}` is a function");
                let mut d = self.error("E017", span, message).label("needs arguments");
                d = d.help(format!("call it: `{name}(...)`"));
                if let Some(n) = self.lib.item(def).name() {
                    d = d.also(self.lib.module(def.module).source, n.span, "defined here");
                }
                self.report(d)
            }
            None => self.unknown(path, span),
        }
    }

    /// Site kinds, model numbers, constants.
    fn builtin(&mut self, name: &str) -> Option<Val> {
        if let Some(row) = site::KINDS.iter().find(|k| k.name == name) {
            let over = Collection::Sites { kind: row.kind, filter: Filter::default(), block: None };
            return Some(Val::Sites { over, kinds: vec![row.kind], level: self.binders });
        }
        if let Some(row) = site::NUMBERS.iter().find(|n| n.name == name) {
            return Some(self.level_value(Node::Model(row.name, None), Shape::default()));
        }
        let &(_, x, _) = CONSTANTS.iter().find(|c| c.0 == name)?;
        Some(self.constant(x))
    }

    fn unknown(&mut self, path: &[Ident], span: Span) -> Val {
        let name = join(path);
        let bare = path.last().map_or("", |i| i.text.as_str());
        let help = if path.len() > 1 {
            self.lib.std_hint(bare)
        } else if self.lib.std_item(bare).is_some() {
            format!("the standard library has it: add `use std::{bare}` at the top")
        } else if ops::rows().iter().any(|r| r.name == bare) {
            format!("`{bare}` is an operator: call it with arguments, `{bare}(...)`")
        } else if site::FIELDS.iter().any(|f| f.name == bare) {
            format!("`{bare}` is a field of a site: write it after a bound site, as in `l.{bare}`")
        } else {
            names::hint(bare, "names here are", self.legal().iter().map(String::as_str))
        };
        let d = self.error("E010", span, format!("there is no `{name}`")).label("unknown name").help(help);
        self.report(d)
    }

    /// Names that could stand where a value or collection is expected.
    fn legal(&self) -> Vec<String> {
        let locals = self.frames.last().map(|f| f.locals.iter().map(|l| l.name.clone()));
        let kinds = site::KINDS.iter().map(|k| k.name.to_string());
        let numbers = site::NUMBERS.iter().map(|n| n.name.to_string());
        let mut all: Vec<String> = locals.into_iter().flatten().chain(kinds).chain(numbers).collect();
        let mut items: Vec<String> = self.lib.module(self.module_id()).scope.keys().cloned().collect();
        items.sort_unstable();
        all.extend(items);
        all
    }

    /// The value of a proxy that another uses.
    fn proxy_value(&mut self, def: Def, span: Span) -> Val {
        if let Some(done) = self.proxies.get(&(def, self.spec)) {
            return done.clone();
        }
        let item = self.lib.item(def);
        let ItemKind::Proxy { body, .. } = &item.kind else { return Val::Poison };
        if let Some(d) = self.circle(def, span) {
            return self.report(d);
        }
        let outer = std::mem::replace(&mut self.binders, 0);
        let call = Some((self.here(), span));
        self.frames.push(Frame { def, call, locals: Vec::new() });
        let node = self.number(body, "the body of a proxy");
        self.frames.pop();
        self.binders = outer;
        let value = match node {
            // A proxy's body is closed: it means the same under any binder.
            Some(node) => Val::Value { node, shape: Shape::default(), level: usize::MAX },
            None => Val::Poison,
        };
        self.proxies.insert((def, self.spec), value.clone());
        value
    }

    /// An error if `def` is being lowered already, or calls nest too deeply.
    pub(super) fn circle(&mut self, def: Def, span: Span) -> Option<Diagnostic> {
        let name = |d: Def| self.lib.item(d).name().map_or("", |n| n.text.as_str());
        if let Some(start) = self.frames.iter().position(|f| f.def == def) {
            let mut chain: Vec<&str> = self.frames[start..].iter().map(|f| name(f.def)).collect();
            chain.push(name(def));
            let message = format!("`{}` is defined by itself: {}", name(def), chain.join(" → "));
            let d = self.error("E034", span, message).label("leads back to it");
            return Some(d.help("the language has no recursion; every definition must end"));
        }
        self.work += 1;
        if self.work > MAX_WORK {
            let message = format!("there are more than {MAX_WORK} calls once functions are put in");
            let d = self.error("E002", span, message).label("reached here");
            return Some(d.help("call fewer functions in functions"));
        }
        if self.frames.len() >= MAX_CALLS {
            let message = format!("calls nest deeper than {MAX_CALLS}");
            return Some(self.error("E002", span, message).label("one call too many"));
        }
        None
    }

    /// An error if the program has grown too large.
    pub(super) fn too_large(&mut self, e: &Expr) -> Option<Diagnostic> {
        if self.dag.nodes().len() - self.first_node < super::MAX_NODES {
            return None;
        }
        let message =
            format!("the program has more than {} parts once functions are put in", super::MAX_NODES);
        Some(
            self.error("E002", e.span, message)
                .label("reached here")
                .help("call fewer functions in functions"),
        )
    }
}
