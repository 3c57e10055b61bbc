//! Programs: proxies by name, and bare expressions, lowered into a batch.

use super::{Def, Library, Module, ModuleId};
use crate::ir::{Dag, NodeId};
use crate::lang::ast::{File, Ident, Item, ItemKind, Span};
use crate::lang::check::{CheckedProxy, Checker};
use crate::lang::diagnostic::{Diagnostic, Failure};
use crate::lang::{names, parse, scan};
use crate::ops::Shape;
use std::path::Path;
use std::sync::Arc;

impl Library {
    /// Programs by `std::name` (an item, or a module), `file.lpz` (every proxy in it) or
    /// `file.lpz::name`, lowered into `dag`.
    ///
    /// # Errors
    /// When there is no such file or proxy, or something is wrong in it.
    pub fn resolve(&mut self, spec: &str, dag: &mut Dag) -> Result<Vec<CheckedProxy>, Failure> {
        if let Some(name) = spec.strip_prefix("std::") {
            let module = self.std_module(name);
            let defs = match self.std_item(name) {
                Some(def) if self.is_proxy(def) => vec![def],
                _ => module.map(|m| self.proxies(m)).unwrap_or_default(),
            };
            return match defs.is_empty() {
                true => {
                    Err(self.no_such(spec, format!("`std::{name}` is no proxy"), self.std_proxy_hint(name)))
                }
                false => self.lower(&defs, dag),
            };
        }
        let (file, name) = match spec.rsplit_once("::") {
            Some((file, name)) if !name.contains(['/', '.']) => (file, Some(name)),
            _ => (spec, None),
        };
        if !Path::new(file).exists() {
            return Err(self.no_such(spec, format!("there is no file `{file}`"), self.file_hint(file)));
        }
        let module = self.load_file(Path::new(file))?;
        self.resolve_in(module, name, spec, dag)
    }

    /// What was meant by a file that is not there.
    fn file_hint(&self, file: &str) -> String {
        match self.std_item(file).is_some_and(|d| self.is_proxy(d)) || self.std_module(file).is_some() {
            true => format!("did you mean `std::{file}`?"),
            false => "programs are std::NAME, FILE.lpz or FILE.lpz::NAME".to_string(),
        }
    }

    fn resolve_in(
        &mut self,
        module: ModuleId,
        name: Option<&str>,
        spec: &str,
        dag: &mut Dag,
    ) -> Result<Vec<CheckedProxy>, Failure> {
        let wrong = &self.modules[module.0].diagnostics;
        if wrong.iter().any(Diagnostic::is_error) {
            return Err(self.failure(wrong.clone()));
        }
        let mut defs = self.proxies(module);
        let all: Vec<String> =
            defs.iter().filter_map(|d| self.item(*d).name()).map(|n| n.text.clone()).collect();
        if let Some(name) = name {
            defs.retain(|d| self.item(*d).name().is_some_and(|n| n.text == name));
        }
        if defs.is_empty() {
            let message = match name {
                Some(name) => format!("there is no proxy `{name}` in {}", self.modules[module.0].name),
                None => format!("there is no proxy in {}", self.modules[module.0].name),
            };
            let help = match all.is_empty() {
                true => "a program is written `proxy name = expression`".to_string(),
                false => names::hint(name.unwrap_or(""), "it has", all.iter().map(String::as_str)),
            };
            return Err(self.no_such(spec, message, help));
        }
        self.lower(&defs, dag)
    }

    fn no_such(&mut self, spec: &str, message: String, help: String) -> Failure {
        let source = self.sources.add("the command line", spec);
        let d = Diagnostic::error("E010", source, Span::new(0, spec.len()), message).label("no such program");
        self.failure(vec![d.help(help)])
    }

    fn std_proxy_hint(&self, name: &str) -> String {
        let proxies = self.std_items.iter().filter(|(_, d)| self.is_proxy(**d)).map(|(n, _)| n.as_str());
        let mut proxies: Vec<&str> = proxies.collect();
        proxies.sort_unstable();
        names::hint(name, "proxies of the standard library", proxies)
    }

    /// Is the item a proxy?
    pub fn is_proxy(&self, def: Def) -> bool {
        matches!(self.item(def).kind, ItemKind::Proxy { .. })
    }
    /// The proxies of a module, in order.
    pub fn proxies(&self, module: ModuleId) -> Vec<Def> {
        self.exports(module).into_iter().filter(|d| self.is_proxy(*d)).collect()
    }

    /// Lowers chosen proxies.
    ///
    /// # Errors
    /// Everything that is wrong in them.
    pub fn lower(&self, defs: &[Def], dag: &mut Dag) -> Result<Vec<CheckedProxy>, Failure> {
        let mut checker = Checker::new(self, dag);
        let done: Vec<_> = defs.iter().filter_map(|&d| checker.proxy(d)).collect();
        let diagnostics = checker.finish();
        match diagnostics.iter().any(Diagnostic::is_error) {
            true => Err(self.failure(diagnostics)),
            false => Ok(done),
        }
    }

    /// A program from a bare expression (or from items, the last proxy of which it is), in which
    /// all of the standard library is in scope. It is called `name`.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn expression(&mut self, name: &str, text: &str, dag: &mut Dag) -> Result<CheckedProxy, Failure> {
        if scan::has_items(text) {
            let module = self.load_text(name, text);
            let mut all = self.resolve_in(module, None, text, dag)?;
            return all.pop().ok_or_else(|| self.failure(Vec::new()));
        }
        let def = self.bare(name, text)?;
        let mut all = self.lower(&[def], dag)?;
        all.pop().ok_or_else(|| self.failure(Vec::new()))
    }

    /// A value without free names, number or tensor, from a bare expression: its node and shape.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn value(&mut self, name: &str, text: &str, dag: &mut Dag) -> Result<(NodeId, Shape), Failure> {
        let def = self.bare(name, text)?;
        let mut checker = Checker::new(self, dag);
        let value = checker.body(def);
        let diagnostics = checker.finish();
        value.ok_or_else(|| self.failure(diagnostics))
    }

    /// A module that holds a bare expression as its only proxy.
    fn bare(&mut self, name: &str, text: &str) -> Result<Def, Failure> {
        let source = self.sources.add(name, text);
        let (body, _) = parse::parse_expression(text, source).map_err(|d| self.failure(vec![*d]))?;
        let span = body.span;
        let kind = ItemKind::Proxy { name: Ident::new(name), body };
        let item = Item { docs: Vec::new(), attributes: Vec::new(), kind, span };
        let file = Arc::new(File { items: vec![item], ..File::default() });
        let module = self.push(Module::bare(name, source, file));
        Ok(Def { module, item: 0 })
    }
}
