//! Calls: functions are put in, operators are looked up by name and number of arguments.

use super::super::ast::{Arg, Expr, Ident, ItemKind, Param, Span};
use super::super::diagnostic::Diagnostic;
use super::super::library::Def;
use super::super::names;
use super::scope::{join, span_of};
use super::{Checker, Frame, Local, Val};
use crate::ops::{self, Attrs, LookupError, OpId, OpRow};

/// `f(x, axis)`.
pub fn signature(row: &OpRow) -> String {
    let attrs = row.attrs.iter().map(|a| match a.default {
        Some(d) => format!("{} = {d}", a.name),
        None if a.required => format!("{} = ...", a.name),
        None => format!("[{} = ...]", a.name),
    });
    let args: Vec<String> = row.values.iter().map(|v| (*v).to_string()).chain(attrs).collect();
    format!("{}({})", row.name, args.join(", "))
}

impl Checker<'_> {
    pub(super) fn call(&mut self, path: &[Ident], args: &[Arg], span: Span) -> Val {
        if let [name] = path
            && let Some(value) = self.join(&name.text, args, span)
        {
            return value;
        }
        let named: Vec<&str> = args.iter().filter_map(|a| a.name.as_ref()).map(|n| n.text.as_str()).collect();
        let positional = args.len() - named.len();
        let operator = match path {
            [name] => ops::lookup_named(&name.text, positional, &named),
            _ => Err(LookupError::Unknown { name: join(path), similar: Vec::new() }),
        };
        let known = !matches!(operator, Err(LookupError::Unknown { .. }));
        // A function may be called like the operator that it wraps: inside, the name is the operator.
        let current = self.frames.last().map(|f| f.def);
        let item = self.item_in_scope(path).filter(|&def| !known || current != Some(def));
        let item = if item.is_none() && !known { self.open_item(path) } else { item };
        match (item, operator) {
            (Some(def), _) => self.function_call(def, args, span),
            (None, Ok(op)) => self.operator_call(op, args, span),
            (None, Err(LookupError::Arity { rows, given, .. })) => self.wrong_arity(&rows, given, args, span),
            (None, Err(LookupError::Unknown { .. })) => self.unknown_call(path, args),
        }
    }

    fn lower_all(&mut self, args: &[Arg]) {
        for a in args {
            self.value(&a.value);
        }
    }

    fn wrong_arity(&mut self, rows: &[OpId], given: usize, args: &[Arg], span: Span) -> Val {
        self.lower_all(args);
        let forms =
            rows.iter().map(|&r| format!("`{}`", signature(ops::row(r)))).collect::<Vec<_>>().join(" or ");
        let name = rows.first().map_or("", |&r| ops::row(r).name);
        let message = format!("`{name}` does not take {given} values");
        let d = self
            .error("E012", span, message)
            .label("wrong number of arguments")
            .help(format!("it is {forms}"));
        self.report(d)
    }

    fn unknown_call(&mut self, path: &[Ident], args: &[Arg]) -> Val {
        self.lower_all(args);
        let name = path.last().map_or("", |i| i.text.as_str());
        let lib = self.lib;
        let module = self.frames.last().map(|f| lib.module(f.def.module));
        let mut legal: Vec<&str> = ops::names().collect();
        if let Some(module) = module {
            legal.extend(module.scope.keys().map(String::as_str));
        }
        legal.sort_unstable();
        let help = if path.len() > 1 {
            self.lib.std_hint(name)
        } else if self.lib.std_item(name).is_some() {
            format!("the standard library has it: add `use std::{name}` at the top")
        } else if let Some(s) = names::suggest(name, legal) {
            format!("did you mean `{s}`?")
        } else if let Some(s) = names::suggest(name, self.lib.std_names()) {
            format!("did you mean `{s}` of the standard library?")
        } else {
            "`lpz doc` lists operators and functions".to_string()
        };
        let message = format!("there is no function or operator `{}`", join(path));
        let d = self.error("E011", span_of(path), message).label("unknown function").help(help);
        self.report(d)
    }

    fn operator_call(&mut self, op: OpId, args: &[Arg], span: Span) -> Val {
        let row = ops::row(op);
        let mut slots: Vec<Option<&Expr>> = vec![None; row.values.len() + row.attrs.len()];
        let mut wrong = false;
        for (i, a) in args.iter().enumerate() {
            let slot = match &a.name {
                None => Some(i),
                Some(n) => row
                    .values
                    .iter()
                    .copied()
                    .chain(row.attrs.iter().map(|s| s.name))
                    .position(|known| known == n.text),
            };
            wrong |= !self.fill(row, a, slot, &mut slots);
        }
        let (values, attrs) = slots.split_at(row.values.len());
        let lowered: Vec<_> =
            values.iter().zip(row.values).map(|(e, n)| self.operand(row, *e, n, span)).collect();
        let attrs = self.constants(row, attrs, span);
        match (lowered.into_iter().collect::<Option<Vec<_>>>(), attrs, wrong) {
            (Some(lowered), Some(attrs), false) => self.operator(op, lowered, attrs, span),
            _ => Val::Poison,
        }
    }

    fn operand(
        &mut self,
        row: &OpRow,
        e: Option<&Expr>,
        name: &str,
        span: Span,
    ) -> Option<(usize, crate::ops::Shape)> {
        if let Some(e) = e {
            return self.tensor(e);
        }
        let message = format!("`{}` needs `{name}`", row.name);
        let help = format!("it is `{}`", signature(row));
        let d = self.error("E012", span, message).label("a value is missing").help(help);
        self.report(d);
        None
    }

    /// Puts an argument into its slot; false where that is wrong.
    fn fill<'e>(
        &mut self,
        row: &OpRow,
        a: &'e Arg,
        slot: Option<usize>,
        slots: &mut [Option<&'e Expr>],
    ) -> bool {
        let at = a.name.as_ref().map_or(a.value.span, |n| n.span);
        let name = a.name.as_ref().map_or("", |n| n.text.as_str());
        match slot.and_then(|i| slots.get_mut(i)) {
            Some(empty @ None) => {
                *empty = Some(&a.value);
                return true;
            }
            Some(Some(_)) => {
                let d = self.error("E013", at, format!("`{name}` is given twice")).label("again here");
                self.report(d.help("leave one of them out"));
            }
            None => {
                let legal = row.values.iter().copied().chain(row.attrs.iter().map(|s| s.name));
                let help = names::hint(name, "its arguments are", legal);
                let d = self.error("E013", at, format!("`{}` has no argument `{name}`", row.name));
                self.report(d.label("unknown argument").help(help));
            }
        }
        self.value(&a.value);
        false
    }

    fn constants(&mut self, row: &OpRow, given: &[Option<&Expr>], span: Span) -> Option<Attrs> {
        let mut values = Vec::new();
        let mut wrong = false;
        for (spec, e) in row.attrs.iter().zip(given) {
            let value = match e {
                None if spec.required => {
                    let d = self.error("E012", span, format!("`{}` needs `{} = ...`", row.name, spec.name));
                    self.report(d.label("a constant is missing").help(format!("it is `{}`", signature(row))));
                    wrong = true;
                    None
                }
                None => spec.default,
                Some(e) => {
                    let x = self.constant_argument(spec, e);
                    wrong |= x.is_none();
                    x
                }
            };
            values.push(value);
        }
        (!wrong).then(|| Attrs::of(&values))
    }

    fn constant_argument(&mut self, spec: &ops::AttrSpec, e: &Expr) -> Option<f64> {
        let node = self.tensor(e)?.0;
        let what = if spec.integer { "a whole number" } else { "a number" };
        let message = match self.constant_of(node) {
            Some(x) if !spec.integer || x.fract() == 0.0 => return Some(x),
            Some(x) => format!("`{}` is {what}, not {x}", spec.name),
            None => format!("`{}` must be a constant", spec.name),
        };
        let d = self.error("E014", e.span, message).label(format!("{what} is needed"));
        self.report(d.help("write the number itself; it cannot depend on a model"));
        None
    }

    fn function_call(&mut self, def: Def, args: &[Arg], span: Span) -> Val {
        let item = self.lib.item(def);
        let ItemKind::Fn { name, params, body } = &item.kind else {
            self.lower_all(args);
            let n = item.name().map_or("", |n| n.text.as_str());
            let d = self
                .error("E011", span, format!("`{n}` is a proxy, not a function"))
                .label("takes no arguments");
            return self.report(d.help(format!("write `{n}`")));
        };
        if let Some(d) = self.circle(def, span) {
            return self.report(d);
        }
        let Some(slots) = self.arguments(def, &name.text, params, args, span) else { return Val::Poison };
        let call = Some((self.here(), span));
        self.frames.push(Frame { def, call, locals: Vec::new() });
        let mut locals = Vec::new();
        for (p, slot) in params.iter().zip(slots) {
            let value = match (slot, &p.default) {
                (Some(value), _) => value,
                (None, Some(default)) => self.value(default),
                (None, None) => Val::Poison,
            };
            locals.push(Local { name: p.name.text.clone(), value, used: false, binding: None });
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.locals = locals;
        }
        let value = self.value(body);
        self.frames.pop();
        value
    }

    fn arguments(
        &mut self,
        def: Def,
        f: &str,
        params: &[Param],
        args: &[Arg],
        span: Span,
    ) -> Option<Vec<Option<Val>>> {
        let values: Vec<Val> = args.iter().map(|a| self.value(&a.value)).collect();
        let mut slots: Vec<Option<Val>> = vec![None; params.len()];
        let mut problem: Option<Diagnostic> = None;
        for (i, (a, value)) in args.iter().zip(values).enumerate() {
            let slot = match &a.name {
                None => Some(i).filter(|&i| i < params.len()),
                Some(n) => params.iter().position(|p| p.name.text == n.text),
            };
            match slot.map(|s| slots[s].replace(value)) {
                Some(None) => {}
                Some(Some(_)) => {
                    let d = self.error("E013", a.value.span, "this argument is given twice");
                    problem = Some(d.label("again here").help("leave one of them out"));
                }
                None => problem = problem.or(Some(self.no_parameter(f, params, a, args, span))),
            }
        }
        let missing = params.iter().zip(&slots).find(|(p, s)| s.is_none() && p.default.is_none());
        if let (None, Some((p, _))) = (&problem, missing) {
            let message = format!("`{f}` needs `{}`", p.name.text);
            problem = Some(self.error("E012", span, message).label("an argument is missing"));
        }
        let Some(mut d) = problem else { return Some(slots) };
        let names: Vec<&str> = params.iter().map(|p| p.name.text.as_str()).collect();
        d = d.help(format!("it is `{f}({})`", names.join(", ")));
        if let Some(n) = self.lib.item(def).name() {
            d = d.also(self.lib.module(def.module).source, n.span, "defined here");
        }
        self.report(d);
        None
    }

    fn no_parameter(&mut self, f: &str, params: &[Param], a: &Arg, args: &[Arg], span: Span) -> Diagnostic {
        match &a.name {
            Some(n) => {
                self.error("E013", n.span, format!("`{f}` has no argument `{}`", n.text)).label("unknown")
            }
            None => {
                let n = params.len();
                let plural = if n == 1 { "" } else { "s" };
                let message = format!("`{f}` takes {n} argument{plural}, not {}", args.len());
                self.error("E012", span, message).label("too many arguments")
            }
        }
    }
}
