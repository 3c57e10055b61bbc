//! Attributes: what `@capture` asks for, what the evolver's `@weight` and `@role` say.

use super::super::ast::{
    AttrValue, Attribute, Block, Entry, Expr, ExprKind, Ident, Item, ItemKind, Selector,
};
use super::super::diagnostic::{Diagnostic, SourceId};
use super::super::library::{Def, ModuleId};
use super::super::names;
use super::Checker;
use crate::site::{self, Batches, CaptureSpec, OptionRow};
use rustc_hash::FxHashSet;

/// An attribute: name, where it stands, documentation.
pub const ATTRIBUTES: &[(&str, &str, &str)] = &[
    ("capture", "proxy", "what has to be run: `@capture(params = abs, objective = sum_logits)`"),
    ("weight", "fn", "how often the evolver draws the function: `@weight(0.5)`; 0 never"),
    (
        "role",
        "fn",
        "what the evolver uses the function as: `@role(unary)`, `@role(binary)`, `@role(unary|binary)`",
    ),
];

/// Roles of functions in an evolver's vocabulary, and their numbers of arguments.
pub const FUNCTION_ROLES: &[(&str, usize)] = &[("unary", 1), ("binary", 2)];

/// Options of `@capture`.
pub const CAPTURE_OPTIONS: &[&str] = &["params", "inputs", "objective", "batches"];

type Wrong = Box<Diagnostic>;

impl Checker<'_> {
    /// Reports what is wrong in an item's attributes.
    pub(super) fn attributes(&mut self, source: SourceId, item: &Item) {
        let on = match item.kind {
            ItemKind::Use(_) => "use",
            ItemKind::Fn { .. } => "fn",
            ItemKind::Proxy { .. } => "proxy",
        };
        for (i, a) in item.attributes.iter().enumerate() {
            let outcome = if item.attributes[..i].iter().any(|b| b.name.text == a.name.text) {
                let message = format!("`@{}` is given twice", a.name.text);
                Err(Box::new(
                    Diagnostic::error("E040", source, a.span, message)
                        .label("again here")
                        .help("put all options into one"),
                ))
            } else {
                attribute(source, item, a, on)
            };
            if let Err(d) = outcome {
                self.report(*d);
            }
        }
    }

    /// What has to be run for a proxy: what it says, or what the proxies that it uses say.
    pub(super) fn capture_of(&mut self, def: Def) -> CaptureSpec {
        let mut found = Vec::new();
        let mut seen = FxHashSet::default();
        self.captures(def, &mut seen, &mut found);
        let Some(&(first, spec)) = found.first() else { return CaptureSpec::default() };
        let Some(&(other, _)) = found.iter().find(|(_, s)| *s != spec) else { return spec };
        let name = |d: Def| self.lib.item(d).name().map_or("", |n| n.text.as_str()).to_string();
        let place = |d: Def| {
            let item = self.lib.item(d);
            let span = item.attribute(ATTRIBUTES[0].0).map_or(item.span, |a| a.span);
            (self.lib.module(d.module).source, span)
        };
        let item = self.lib.item(def);
        let span = item.name().map_or(item.span, |n| n.span);
        let message = format!("`{}` and `{}` need different captures", name(first), name(other));
        let mut d = Diagnostic::error("E041", self.lib.module(def.module).source, span, message)
            .label("uses both")
            .help("one program is one run; write two proxies and combine their scores");
        for (source, span) in [place(first), place(other)] {
            d = d.also(source, span, "this capture");
        }
        self.report(d);
        spec
    }

    /// Captures that an item and all it uses ask for, its own first.
    fn captures(&self, def: Def, seen: &mut FxHashSet<Def>, out: &mut Vec<(Def, CaptureSpec)>) {
        if !seen.insert(def) || seen.len() > 10_000 {
            return;
        }
        let item = self.lib.item(def);
        let source = self.lib.module(def.module).source;
        let own = item.attribute(ATTRIBUTES[0].0).and_then(|a| capture(source, a).ok());
        out.extend(own.map(|spec| (def, spec)));
        let (ItemKind::Fn { body, .. } | ItemKind::Proxy { body, .. }) = &item.kind else { return };
        let mut used = Vec::new();
        paths(body, &mut used);
        for path in used {
            if let Some(d) = self.named(def.module, path) {
                stacker::maybe_grow(super::super::parse::RED_ZONE, super::super::parse::STACK, || {
                    self.captures(d, seen, out);
                });
            }
        }
    }

    fn named(&self, module: ModuleId, path: &[Ident]) -> Option<Def> {
        match path {
            [std, name] if std.text == "std" => self.lib.std_item(&name.text),
            [name] => {
                let n = name.text.as_str();
                let taken =
                    site::KINDS.iter().any(|k| k.name == n) || site::NUMBERS.iter().any(|r| r.name == n);
                let m = self.lib.module(module);
                let own = m.scope.get(n).map(|(def, _)| *def);
                own.or_else(|| self.lib.std_item(n).filter(|_| m.open)).filter(|_| !taken)
            }
            _ => None,
        }
    }
}

/// Every path in an expression, what local names hide included.
pub(in crate::lang) fn mentions(body: &Expr) -> Vec<&[Ident]> {
    let mut out = Vec::new();
    paths(body, &mut out);
    out
}

/// Every path in an expression that no local name hides, without recursion over deep trees.
fn paths<'e>(body: &'e Expr, out: &mut Vec<&'e [Ident]>) {
    let mut todo = vec![body];
    let mut locals: FxHashSet<&str> = FxHashSet::default();
    let block = |b: &'e Block, todo: &mut Vec<&'e Expr>, locals: &mut FxHashSet<&'e str>| {
        for l in &b.lets {
            locals.insert(&l.name.text);
            todo.push(&l.value);
        }
        todo.push(&b.result);
    };
    while let Some(e) = todo.pop() {
        match &e.kind {
            ExprKind::Number(_) => {}
            ExprKind::Path(path) => out.push(path),
            ExprKind::Tensor(rows) => todo.extend(rows),
            ExprKind::Call { path, args } => {
                out.push(path);
                todo.extend(args.iter().map(|a| &a.value));
            }
            ExprKind::Prefix { arg, .. } | ExprKind::Postfix { arg, .. } => todo.push(arg),
            ExprKind::Infix { lhs, rhs, .. } => todo.extend([&**lhs, &**rhs]),
            ExprKind::Dot { base, .. } => todo.push(base),
            ExprKind::Index { base, selectors } => {
                todo.push(base);
                todo.extend(selectors.iter().filter_map(|s| match s {
                    Selector::One(e) if !matches!(e.kind, ExprKind::Path(_)) => Some(e),
                    _ => None,
                }));
            }
            ExprKind::Block(b) => block(b, &mut todo, &mut locals),
            ExprKind::Fold { pattern, over, body, .. } => {
                locals.extend(pattern.iter().map(|p| p.text.as_str()));
                todo.push(over);
                block(body, &mut todo, &mut locals);
            }
        }
    }
    out.retain(|p| p.len() > 1 || !p.iter().any(|i| locals.contains(i.text.as_str())));
}

fn attribute(source: SourceId, item: &Item, a: &Attribute, on: &str) -> Result<(), Wrong> {
    let Some(&(name, place, _)) = ATTRIBUTES.iter().find(|r| r.0 == a.name.text) else {
        let legal = ATTRIBUTES.iter().map(|r| r.0);
        let help = names::hint(&a.name.text, "attributes are", legal);
        let message = format!("there is no attribute `@{}`", a.name.text);
        let d = Diagnostic::error("E040", source, a.name.span, message);
        return Err(Box::new(d.label("unknown attribute").help(help)));
    };
    if place != on {
        let message = format!("`@{name}` belongs to a `{place}`, and this is a `{on}`");
        let d = Diagnostic::error("E040", source, a.span, message).label("wrong place");
        return Err(Box::new(d.help(format!("move it before a `{place}`, or remove it"))));
    }
    match name {
        "capture" => capture(source, a).map(|_| ()),
        "weight" => weight(source, a),
        _ => role(source, item, a),
    }
}

fn weight(source: SourceId, a: &Attribute) -> Result<(), Wrong> {
    match &a.entries[..] {
        [Entry { name: None, value: AttrValue::Number(x), .. }] if *x >= 0.0 && x.is_finite() => Ok(()),
        _ => {
            let d =
                Diagnostic::error("E040", source, a.span, "`@weight` takes one number that is not negative");
            Err(Box::new(d.label("here").help("write `@weight(0.5)`")))
        }
    }
}

fn role(source: SourceId, item: &Item, a: &Attribute) -> Result<(), Wrong> {
    let ItemKind::Fn { params, .. } = &item.kind else { return Ok(()) };
    let [Entry { name: None, value: AttrValue::Names(roles), .. }] = &a.entries[..] else {
        let d = Diagnostic::error("E040", source, a.span, "`@role` takes names");
        return Err(Box::new(d.label("here").help("write `@role(unary)` or `@role(unary|binary)`")));
    };
    for r in roles {
        let Some(&(name, arity)) = FUNCTION_ROLES.iter().find(|f| f.0 == r.text) else {
            let help = names::hint(&r.text, "roles are", FUNCTION_ROLES.iter().map(|f| f.0));
            let d = Diagnostic::error("E040", source, r.span, format!("there is no role `{}`", r.text));
            return Err(Box::new(d.label("unknown role").help(help)));
        };
        let required = params.iter().filter(|p| p.default.is_none()).count();
        if arity < required || arity > params.len() {
            let message = format!("a {name} function takes {arity} values, and this one {required}");
            let d = Diagnostic::error("E040", source, r.span, message).label("does not fit");
            return Err(Box::new(d.help("change the role, or the function's parameters")));
        }
    }
    Ok(())
}

/// What `@capture(...)` asks for.
pub(super) fn capture(source: SourceId, a: &Attribute) -> Result<CaptureSpec, Wrong> {
    let mut spec = CaptureSpec::default();
    for (i, e) in a.entries.iter().enumerate() {
        let Some(name) = &e.name else {
            let d = Diagnostic::error("E040", source, e.span, "a capture option has a name");
            return Err(Box::new(d.label("name missing").help("write `objective = loss`")));
        };
        if a.entries[..i].iter().any(|f| f.name.as_ref().is_some_and(|n| n.text == name.text)) {
            let d = Diagnostic::error("E040", source, name.span, format!("`{}` is given twice", name.text));
            return Err(Box::new(d.label("again here")));
        }
        match name.text.as_str() {
            "params" => spec.params = chosen(source, name, e, site::PARAMS_MODES)?,
            "inputs" => spec.inputs = chosen(source, name, e, site::INPUTS)?,
            "objective" => spec.objective = Some(chosen(source, name, e, site::OBJECTIVES)?),
            "batches" => spec.batches = batches(source, e)?,
            other => {
                let help = names::hint(other, "options are", CAPTURE_OPTIONS.iter().copied());
                let d = Diagnostic::error("E040", source, name.span, format!("`@capture` has no `{other}`"));
                return Err(Box::new(d.label("unknown option").help(help)));
            }
        }
    }
    Ok(spec)
}

fn chosen<T: Copy>(source: SourceId, name: &Ident, e: &Entry, rows: &[OptionRow<T>]) -> Result<T, Wrong> {
    let given = match &e.value {
        AttrValue::Names(names) if names.len() == 1 => names[0].text.as_str(),
        _ => "",
    };
    site::option(rows, given).ok_or_else(|| {
        let message = match given {
            "" => format!("`{}` is one name", name.text),
            _ => format!("`{}` cannot be `{given}`", name.text),
        };
        let help = names::hint(given, "it can be", rows.iter().map(|r| r.1));
        Box::new(Diagnostic::error("E040", source, e.span, message).label("unknown value").help(help))
    })
}

fn batches(source: SourceId, e: &Entry) -> Result<Batches, Wrong> {
    match &e.value {
        AttrValue::Number(x) if *x == 1.0 => Ok(Batches::One),
        AttrValue::Number(x) if *x >= 2.0 && *x <= 65536.0 && x.fract() == 0.0 => {
            Ok(Batches::Many(*x as usize))
        }
        AttrValue::Names(n) if n.len() == 1 && n[0].text == "each_sample" => Ok(Batches::EachSample),
        _ => {
            let d = Diagnostic::error(
                "E040",
                source,
                e.span,
                "`batches` is a number from 1 to 65536, or `each_sample`",
            );
            Err(Box::new(d.label("not that")))
        }
    }
}
