//! Collections of sites: filters, `b.attn`, zip and chain, and the aggregates that walk them.

use super::super::ast::{Arg, Block, Expr, ExprKind, Ident, Selector, Span};
use super::super::diagnostic::Diagnostic;
use super::super::names;
use super::scope::span_of;
use super::shift::shift_collection;
use super::value::say;
use super::{Checker, Local, Val};
use crate::ir::{Collection, Filter, Node};
use crate::ops::{self, Shape};
use crate::site::{self, Kind};

/// The model number that can be taken of a role.
const PARAMS: &str = "params";

/// Ways to join collections: name, documentation.
pub const JOINS: &[(&str, &str)] = &[
    ("zip", "walks several collections in step, up to the shortest; `(a, b)` binds one site of each"),
    ("chain", "one collection after another; all of one kind"),
];

fn kind_name(kind: Kind) -> &'static str {
    site::KINDS.iter().find(|k| k.kind == kind).map_or("", |k| k.name)
}

impl Checker<'_> {
    /// `params[ffn]`.
    pub(super) fn count_of_role(&mut self, base: &Expr, selectors: &[Selector]) -> Option<Val> {
        let ExprKind::Path(path) = &base.kind else { return None };
        let [name] = &path[..] else { return None };
        if name.text != PARAMS || self.local(PARAMS).is_some() {
            return None;
        }
        let number = site::NUMBERS.iter().find(|n| n.name == PARAMS)?;
        let legal = || site::ROLES.iter().filter(|r| r.params).map(|r| r.name);
        let (span, role) = match selectors {
            [Selector::One(e)] => (e.span, bare_name(e)),
            _ => (base.span, None),
        };
        let found = role.as_deref().and_then(|r| site::ROLES.iter().find(|row| row.params && row.name == r));
        if let Some(row) = found {
            return Some(self.level_value(Node::Model(number.name, Some(row.name)), Shape::default()));
        }
        let (message, help) = match role {
            Some(r) => (format!("no parameters are counted as `{r}`"), names::hint(&r, "roles are", legal())),
            None => {
                (format!("`{PARAMS}[...]` takes one role"), format!("roles are: {}", names::list(legal())))
            }
        };
        let d = self.error("E019", span, message).label("not a role of parameters").help(help);
        Some(self.report(d))
    }

    /// `b.attn`, where `b` is a block.
    pub(super) fn block_part(&mut self, binder: usize, name: &Ident) -> Option<Val> {
        let row = site::KINDS.iter().find(|k| k.name == name.text && k.kind != Kind::Block)?;
        let over = Collection::Sites { kind: row.kind, filter: Filter::default(), block: Some(binder) };
        Some(Val::Sites { over, kinds: vec![row.kind], level: self.binders })
    }

    pub(super) fn filtered(
        &mut self,
        over: Collection,
        kinds: Vec<Kind>,
        level: usize,
        selectors: &[Selector],
        span: Span,
    ) -> Val {
        let (kind, block) = match over {
            Collection::Sites { kind, filter, block } if filter == Filter::default() => (kind, block),
            _ => {
                let d = self
                    .error("E019", span, "this collection cannot be filtered")
                    .label("filtered or joined already");
                return self.report(d.help("filter the parts, with one pair of brackets each"));
            }
        };
        let mut filter = Filter::default();
        for s in selectors {
            if let Err(d) = self.selector(s, &mut filter) {
                return self.report(*d);
            }
        }
        filter.roles.dedup();
        Val::Sites { over: Collection::Sites { kind, filter, block }, kinds, level }
    }

    fn selector(&mut self, s: &Selector, filter: &mut Filter) -> Result<(), Box<Diagnostic>> {
        let e = match s {
            Selector::Range(a, b, _) if a < b => {
                filter.layers.push(*a..*b);
                return Ok(());
            }
            Selector::Range(a, b, span) => {
                let d = self.error("E019", *span, format!("`{a}..{b}` holds no layer")).label("empty");
                return Err(Box::new(d.help("the second number is the first layer that is left out")));
            }
            Selector::One(e) => e,
        };
        if let ExprKind::Number(x) = e.kind
            && x.fract() == 0.0
            && x < 1e9
        {
            let layer = x as usize;
            filter.layers.push(layer..layer + 1);
            return Ok(());
        }
        let legal = || site::ROLES.iter().filter(|r| r.sites).map(|r| r.name);
        let name = bare_name(e);
        if let Some(row) = site::ROLES.iter().find(|r| r.sites && Some(r.name) == name.as_deref()) {
            filter.roles.push(row.name);
            return Ok(());
        }
        let message = match &name {
            Some(n) => format!("no site has the role `{n}`"),
            None => "a filter is a role, a layer or a range of layers".to_string(),
        };
        let help = names::hint(name.as_deref().unwrap_or(""), "roles are", legal());
        Err(Box::new(self.error("E019", e.span, message).label("not a role or layer").help(help)))
    }

    /// `zip(a, b)` and `chain(a, b)`; `None` where the name is another.
    pub(super) fn join(&mut self, name: &str, args: &[Arg], span: Span) -> Option<Val> {
        let &(name, _) = JOINS.iter().find(|j| j.0 == name)?;
        let is_zip = name == JOINS[0].0;
        let mut parts = Vec::new();
        let mut poisoned = false;
        for a in args {
            match self.part(a, name) {
                Some(part) => parts.push(part),
                None => poisoned = true,
            }
        }
        if poisoned {
            return Some(Val::Poison);
        }
        if parts.len() < 2 {
            let d = self.error("E022", span, format!("`{name}` joins two or more collections"));
            return Some(
                self.report(d.label(format!("{} given", parts.len())).help(format!("write `{name}(a, b)`"))),
            );
        }
        let (overs, kinds): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let mixed = kinds.iter().any(|k| *k != kinds[0]);
        if is_zip {
            if mixed {
                let kinds = names::list(kinds.iter().map(|&k| kind_name(k)));
                let d =
                    Diagnostic::warning("W003", self.here(), span, "these collections may differ in length");
                let d = d.label(format!("walks {kinds} up to the shortest"));
                self.report(d.help("fine where that is meant; two aggregates walk each to its end"));
            }
            return Some(Val::Sites { over: Collection::Zip(overs), kinds, level: self.binders });
        }
        if mixed {
            let message = format!("`{name}` joins collections of one kind");
            let label = names::list(kinds.iter().map(|&k| kind_name(k)));
            let d = self.error("E022", span, message).label(label);
            return Some(self.report(d.help("add two aggregates instead")));
        }
        Some(Val::Sites { over: Collection::Chain(overs), kinds: vec![kinds[0]], level: self.binders })
    }

    fn part(&mut self, a: &Arg, join: &str) -> Option<(Collection, Kind)> {
        let (over, kinds) = self.collection(&a.value)?;
        let d = if let Some(n) = &a.name {
            self.error("E013", n.span, format!("`{join}` has no argument `{}`", n.text))
                .label("unknown")
                .help("collections are given by place, one after another")
        } else if let ([kind], false) = (&kinds[..], matches!(over, Collection::Zip(_))) {
            return Some((over, *kind));
        } else {
            self.error("E022", a.value.span, format!("a zip cannot stand in `{join}`"))
                .label("binds several sites")
                .help("join plain collections; filters go into brackets: `linear[ffn]`")
        };
        self.report(d);
        None
    }

    /// What must be a collection, for the binders open here.
    fn collection(&mut self, e: &Expr) -> Option<(Collection, Vec<Kind>)> {
        let what = match self.value(e) {
            Val::Poison => return None,
            Val::Sites { over, kinds, level } => {
                return Some((shift_collection(&over, self.binders - level), kinds));
            }
            Val::Site { .. } => "a site".to_string(),
            Val::Value { shape, .. } => format!("a {}", say(&shape)),
        };
        let kinds = names::list(site::KINDS.iter().map(|k| k.name));
        let d = self.error("E017", e.span, format!("this is {what}, not a collection of sites"));
        self.report(d.label("a collection is needed here").help(format!("collections are {kinds}")));
        None
    }

    pub(super) fn fold(
        &mut self,
        name: &Ident,
        pattern: &[Ident],
        over: &Expr,
        body: &Block,
        span: Span,
    ) -> Val {
        let reducer = ops::reducer_by_name(&name.text);
        if reducer.is_none() {
            let legal = ops::reducers().iter().map(|r| r.name);
            let help = names::hint(&name.text, "reducers are", legal);
            let d = self.error("E020", name.span, format!("`{}` does not aggregate", name.text));
            self.report(d.label("unknown reducer").help(help));
        }
        let collection = self.collection(over);
        if let Some((_, kinds)) = &collection
            && kinds.len() != pattern.len()
        {
            let message =
                format!("the collection gives {} and the pattern binds {}", kinds.len(), pattern.len());
            let d = self.error("E021", span_of(pattern), message).label("this pattern");
            let names = (0..kinds.len()).map(|i| format!("x{i}")).collect::<Vec<_>>().join(", ");
            self.report(d.help(match kinds.len() {
                1 => "bind one name: `sum x in sites { ... }`".to_string(),
                _ => format!("bind one name of each: `({names})`"),
            }));
            return Val::Poison;
        }
        let term = self.term(pattern, collection.as_ref().map(|(_, kinds)| &kinds[..]), body);
        let (Some(id), Some((over, _)), Some((node, shape))) = (reducer, collection, term) else {
            return Val::Poison;
        };
        let row = ops::reducer(id);
        if !row.tensors && !shape.dims.is_empty() {
            let message = format!("the terms of `{}` are numbers, and this is a {}", row.name, say(&shape));
            let d = self.error("E016", body.result.span, message).label(say(&shape));
            return self.report(d.also(self.here(), span, "of this aggregate"));
        }
        self.level_value(Node::Fold { reducer: id, over, body: node }, row.shape(&shape))
    }

    /// The body of an aggregate, its sites bound.
    fn term(&mut self, pattern: &[Ident], kinds: Option<&[Kind]>, body: &Block) -> Option<(usize, Shape)> {
        let start = self.frames.last()?.locals.len();
        let width = kinds.map_or(0, <[Kind]>::len);
        for (i, name) in pattern.iter().enumerate() {
            let value = match kinds.and_then(|k| k.get(i)) {
                Some(&kind) => Val::Site { level: self.binders + i, kind },
                None => Val::Poison,
            };
            let local = Local { name: name.text.clone(), value, used: false, binding: None };
            self.frames.last_mut()?.locals.push(local);
        }
        self.binders += width;
        let value = self.block(body);
        let term = self.as_tensor(value, body.result.span);
        self.binders -= width;
        self.close(start);
        term
    }
}

fn bare_name(e: &Expr) -> Option<String> {
    match &e.kind {
        ExprKind::Path(path) if path.len() == 1 => Some(path[0].text.clone()),
        _ => None,
    }
}
