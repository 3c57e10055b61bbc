//! Checks trees and lowers them into an [`ir::Dag`](crate::ir::Dag): names, ranks, shapes, captures.
//!
//! Functions and proxies are put in where they are used, so a function is checked for the values
//! it gets; sites and collections can be arguments too. Everything wrong in a module is reported:
//! what depends on a wrong part is poisoned and stays silent.

mod call;
mod capture;
mod collection;
mod scope;
mod seen;
mod shift;
mod value;

pub use call::signature;
pub(super) use capture::mentions;
pub use capture::{ATTRIBUTES, CAPTURE_OPTIONS, FUNCTION_ROLES};
pub use collection::JOINS;
pub use scope::CONSTANTS;
pub use seen::Meaning;
pub(super) use seen::Seen;
pub(super) use value::field_name;

use super::ast::{Expr, Item, ItemKind, Param, Span};
use super::diagnostic::{Diagnostic, SourceId};
use super::library::{Def, Library, ModuleId};
use crate::ir::{Collection, Dag, NodeId, Program};
use crate::ops::Shape;
use crate::site::{CaptureSpec, Kind, Objective};
use rustc_hash::{FxHashMap, FxHashSet};

/// So many nodes may a single program add to its graph.
const MAX_NODES: usize = 200_000;
/// So many calls may a single program make, and all functions of a file together.
const MAX_WORK: usize = 20_000;
/// So deep may functions call functions.
const MAX_CALLS: usize = 200;

/// A proxy that is right, lowered.
#[derive(Clone, Debug)]
pub struct CheckedProxy {
    /// Its program; [`Program::name`] is the bare name.
    pub program: Program,
    /// As the command line names it: `std::snip`, `mine.lpz::p`.
    pub origin: String,
    /// Its documentation, one line each.
    pub docs: Vec<String>,
    /// Where it was defined.
    pub def: Def,
    /// Text it stands in.
    pub source: SourceId,
    /// Place of the whole item.
    pub span: Span,
    /// Shape of every expression in it, sizes unknown, in the order they were checked.
    pub types: Vec<(Span, Shape)>,
}

/// A checked module.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Proxies that are right, in order.
    pub proxies: Vec<CheckedProxy>,
    /// What is wrong, syntax included, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl Checked {
    /// Is there no error?
    pub fn is_ok(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// What a name or an expression stands for.
#[derive(Clone, Debug)]
enum Val {
    /// A number or tensor; `level` binders were open where the node was made.
    Value { node: NodeId, shape: Shape, level: usize },
    /// A bound site; binders are counted from the outside.
    Site { level: usize, kind: Kind },
    /// A collection, one kind per site that it binds.
    Sites { over: Collection, kinds: Vec<Kind>, level: usize },
    /// Something wrong was reported already.
    Poison,
}

struct Local {
    name: String,
    value: Val,
    used: bool,
    /// Where a `let` gave the name; only those are expected to be used.
    binding: Option<Span>,
}

/// A body that is being lowered: a proxy, or a function put in.
struct Frame {
    def: Def,
    call: Option<(SourceId, Span)>,
    locals: Vec<Local>,
}

type Key = (&'static str, SourceId, usize, usize, String);

/// Checks and lowers; one for everything that is checked together.
pub(super) struct Checker<'a> {
    lib: &'a Library,
    dag: &'a mut Dag,
    diagnostics: Vec<Diagnostic>,
    reported: FxHashSet<Key>,
    frames: Vec<Frame>,
    binders: usize,
    spec: CaptureSpec,
    noisy: bool,
    types: Vec<(Span, Shape)>,
    used: FxHashSet<(ModuleId, usize)>,
    proxies: FxHashMap<(Def, CaptureSpec), Val>,
    first_node: usize,
    work: usize,
}

impl<'a> Checker<'a> {
    pub(super) fn new(lib: &'a Library, dag: &'a mut Dag) -> Self {
        let first_node = dag.nodes().len();
        Checker {
            lib,
            dag,
            diagnostics: Vec::new(),
            reported: FxHashSet::default(),
            frames: Vec::new(),
            binders: 0,
            spec: CaptureSpec::default(),
            noisy: false,
            types: Vec::new(),
            used: FxHashSet::default(),
            proxies: FxHashMap::default(),
            first_node,
            work: 0,
        }
    }

    /// Everything in a module.
    pub(super) fn module(mut self, id: ModuleId) -> Checked {
        let module = self.lib.module(id);
        let mut proxies = Vec::new();
        for (item, i) in module.file.items.iter().enumerate() {
            self.attributes(module.source, i);
            if let ItemKind::Fn { params, body, .. } = &i.kind {
                self.function(Def { module: id, item }, params, body);
            }
        }
        for def in self.lib.proxies(id) {
            proxies.extend(self.proxy(def));
        }
        if module.diagnostics.is_empty() {
            self.unused_uses(id);
        }
        let mut diagnostics = module.diagnostics.clone();
        diagnostics.extend(self.finish());
        diagnostics.sort_by_key(|d| (d.source != module.source, d.span.start));
        Checked { proxies, diagnostics }
    }

    /// What was wrong.
    pub(super) fn finish(self) -> Vec<Diagnostic> {
        self.diagnostics
    }

    /// Names and operators of a function, whatever its arguments are.
    fn function(&mut self, def: Def, params: &[Param], body: &Expr) {
        self.begin();
        let mut locals = Vec::new();
        for (i, p) in params.iter().enumerate() {
            if params[..i].iter().any(|q| q.name.text == p.name.text) {
                let message = format!("two parameters are called `{}`", p.name.text);
                let d = Diagnostic::error("E030", self.lib.module(def.module).source, p.name.span, message);
                self.diagnostics.push(d.label("again here").help("rename one of them"));
            }
            locals.push(Local { name: p.name.text.clone(), value: Val::Poison, used: false, binding: None });
        }
        self.frames.push(Frame { def, call: None, locals });
        for default in params.iter().filter_map(|p| p.default.as_ref()) {
            self.value(default);
        }
        self.value(body);
        self.frames.pop();
    }

    fn begin(&mut self) {
        self.frames.clear();
        self.types.clear();
        self.binders = 0;
        self.noisy = false;
        self.spec = CaptureSpec::default();
        self.first_node = self.dag.nodes().len();
    }

    /// A proxy, if it is right.
    pub(super) fn proxy(&mut self, def: Def) -> Option<CheckedProxy> {
        let item = self.lib.item(def);
        let ItemKind::Proxy { name, body } = &item.kind else { return None };
        let module = self.lib.module(def.module);
        let errors = self.errors();
        self.begin();
        self.work = 0;
        self.spec = self.capture_of(def);
        self.attributes(module.source, item);
        self.frames.push(Frame { def, call: None, locals: Vec::new() });
        let root = self.number(body, "the body of a proxy");
        self.frames.pop();
        self.warn_noise(module.source, item);
        let (root, false) = (root?, self.errors() > errors) else { return None };
        let origin = match module.is_std {
            true => format!("std::{}", name.text),
            false => format!("{}::{}", module.name, name.text),
        };
        Some(CheckedProxy {
            program: Program { name: name.text.clone(), root, capture: self.spec },
            origin,
            docs: item.docs.clone(),
            def,
            source: module.source,
            span: item.span,
            types: std::mem::take(&mut self.types),
        })
    }

    /// The body of a proxy, whatever its shape.
    pub(super) fn body(&mut self, def: Def) -> Option<(NodeId, Shape)> {
        let ItemKind::Proxy { body, .. } = &self.lib.item(def).kind else { return None };
        self.begin();
        self.spec = self.capture_of(def);
        self.frames.push(Frame { def, call: None, locals: Vec::new() });
        let value = self.tensor(body);
        self.frames.pop();
        value
    }

    fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|d| d.is_error()).count()
    }

    fn warn_noise(&mut self, source: SourceId, item: &Item) {
        if !self.noisy || self.spec.objective != Some(Objective::Ones) {
            return;
        }
        let span = item.attributes.first().map_or(item.span, |a| a.span);
        let message = "on an encoder at initialisation these gradients are rounding noise";
        let d = Diagnostic::warning("W004", source, span, message)
            .label("the sum of a LayerNorm's output does not depend on what enters it")
            .help("leave the objective out for the family's own, or take `projection`");
        self.report(d);
    }

    fn unused_uses(&mut self, id: ModuleId) {
        let module = self.lib.module(id);
        for (at, item) in module.file.items.iter().enumerate() {
            if matches!(item.kind, ItemKind::Use(_)) && !self.used.contains(&(id, at)) {
                let d = Diagnostic::warning("W002", module.source, item.span, "nothing of this is used");
                self.report(d.label("brought in here").help("remove it"));
            }
        }
    }

    /// The text that the innermost body stands in.
    fn here(&self) -> SourceId {
        self.frames.last().map_or(SourceId(0), |f| self.lib.module(f.def.module).source)
    }

    fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, self.here(), span, message)
    }

    /// Reports once, with the calls that led there. A place in another text is shown as belonging
    /// to the call in this one.
    fn report(&mut self, mut d: Diagnostic) -> Val {
        if !self.reported.insert((d.code, d.source, d.span.start, d.span.end, d.message.clone())) {
            return Val::Poison;
        }
        let own = self.frames.first().map(|f| self.lib.module(f.def.module).source);
        let calls: Vec<_> = self.frames.iter().filter_map(|f| f.call).collect();
        let outside = own.is_some_and(|own| own != d.source);
        if let (true, Some(&(source, span))) = (outside, calls.first()) {
            let label = std::mem::replace(&mut d.label, "in this call".into());
            let inner = (std::mem::replace(&mut d.source, source), std::mem::replace(&mut d.span, span));
            d = d.also(inner.0, inner.1, label);
        }
        let skip = usize::from(outside);
        for &(source, span) in calls.iter().skip(skip).rev().take(4) {
            d = d.also(source, span, "called here");
        }
        self.diagnostics.push(d);
        Val::Poison
    }

    /// Lowers what must be a number.
    fn number(&mut self, e: &Expr, what: &str) -> Option<NodeId> {
        let (node, shape) = self.tensor(e)?;
        if shape.dims.is_empty() {
            return Some(node);
        }
        let message = format!("{what} must be a number, and this is a {}", value::say(&shape));
        let help = format!("reduce it, for example with {}", value::reductions());
        let d = self.error("E016", e.span, message).label(value::say(&shape)).help(help);
        self.report(d);
        None
    }
}
