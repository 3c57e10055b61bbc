//! Modules: the embedded standard library, files, and texts; what each defines and what `use`
//! brings into it. Everything that wants a program goes through [`Library`].

use super::ast::{File, Ident, Import, Item, ItemKind, Span};
use super::check::{Checked, CheckedProxy, Checker};
use super::diagnostic::{Diagnostic, Failure, SourceId, Sources};
use super::{names, parse};
use crate::ir::{Dag, NodeId};
use crate::ops::Shape;
use rustc_hash::FxHashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// Index of a module in its [`Library`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleId(pub(super) usize);

/// An item: its module and its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Def {
    /// Module.
    pub module: ModuleId,
    /// Index in the module's items.
    pub item: usize,
}

/// A file or text, parsed, with its names resolved.
#[derive(Debug)]
pub struct Module {
    /// Its text.
    pub source: SourceId,
    /// `snip` for `stdlib/snip.lpz`; the file's path otherwise.
    pub name: String,
    /// Part of the standard library?
    pub is_std: bool,
    /// What was parsed.
    pub file: Arc<File>,
    /// Names in scope: own items and what `use` brings in, with the `use` that does.
    pub scope: FxHashMap<String, (Def, Option<usize>)>,
    /// Is all of the standard library in scope without `use`? So in its own modules and in bare
    /// expressions; operators win over such names.
    pub open: bool,
    /// What is wrong with its text and its `use`s.
    pub diagnostics: Vec<Diagnostic>,
    path: Option<PathBuf>,
}

impl Module {
    /// A module of one expression, all of the standard library in scope.
    pub(super) fn bare(name: &str, source: SourceId, file: Arc<File>) -> Self {
        Module {
            source,
            name: name.to_string(),
            is_std: false,
            open: true,
            file,
            scope: FxHashMap::default(),
            diagnostics: Vec::new(),
            path: None,
        }
    }

    /// The file it was read from.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

struct Embedded {
    name: &'static str,
    text: &'static str,
    file: Arc<File>,
    diagnostics: Vec<Diagnostic>,
}

/// Name and text of every module of the standard library.
pub const STDLIB: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/stdlib.rs"));

static EMBEDDED: LazyLock<Vec<Embedded>> = LazyLock::new(|| {
    let parsed = |(i, &(name, text)): (usize, &(&'static str, &'static str))| {
        let (file, diagnostics) = parse::parse_file(text, SourceId(i));
        Embedded { name, text, file: Arc::new(file), diagnostics }
    };
    STDLIB.iter().enumerate().map(parsed).collect()
});

/// All modules that programs can come from. A new one holds the standard library.
#[derive(Debug)]
pub struct Library {
    sources: Sources,
    modules: Vec<Module>,
    by_path: FxHashMap<PathBuf, ModuleId>,
    std_items: FxHashMap<String, Def>,
    loading: Vec<(PathBuf, String)>,
}

impl Default for Library {
    fn default() -> Self {
        Library::new()
    }
}

impl Library {
    /// The standard library and nothing else.
    pub fn new() -> Self {
        let mut library = Library {
            sources: Sources::default(),
            modules: Vec::new(),
            by_path: FxHashMap::default(),
            std_items: FxHashMap::default(),
            loading: Vec::new(),
        };
        for e in EMBEDDED.iter() {
            let source = library.sources.add(format!("std/{}.lpz", e.name), e.text);
            library.push(Module {
                source,
                name: e.name.to_string(),
                is_std: true,
                open: true,
                file: e.file.clone(),
                scope: FxHashMap::default(),
                diagnostics: e.diagnostics.clone(),
                path: None,
            });
        }
        library.index_std();
        for m in 0..library.modules.len() {
            library.link(ModuleId(m));
        }
        library
    }

    pub(super) fn push(&mut self, module: Module) -> ModuleId {
        self.modules.push(module);
        ModuleId(self.modules.len() - 1)
    }
    pub(super) fn module_mut(&mut self, id: ModuleId) -> &mut Module {
        &mut self.modules[id.0]
    }
    pub(super) fn add_source(&mut self, name: &str, text: &str) -> SourceId {
        self.sources.add(name, text)
    }
    /// Numbers of modules and of texts.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.modules.len(), self.sources.len())
    }
    /// Forgets modules and texts that were read later.
    pub(super) fn shrink(&mut self, modules: usize, sources: usize) {
        self.modules.truncate(modules);
        self.sources.truncate(sources);
        self.by_path.retain(|_, m| m.0 < modules);
    }

    fn index_std(&mut self) {
        for m in 0..self.modules.len() {
            let module = ModuleId(m);
            for (item, i) in self.modules[m].file.items.clone().iter().enumerate() {
                let Some(name) = i.name() else { continue };
                let def = Def { module, item };
                let first = *self.std_items.entry(name.text.clone()).or_insert(def);
                if first.module != module {
                    let d = self.twice(name, module, first);
                    self.modules[m].diagnostics.push(d);
                }
            }
        }
    }

    fn twice(&self, name: &Ident, module: ModuleId, first: Def) -> Diagnostic {
        let source = self.modules[module.0].source;
        let d = Diagnostic::error("E030", source, name.span, format!("`{}` is defined twice", name.text));
        let d = d.label("defined again here").help("rename one of them");
        match self.item(first).name() {
            Some(n) => d.also(self.modules[first.module.0].source, n.span, "first defined here"),
            None => d,
        }
    }

    /// All texts that were read, for rendering diagnostics.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }
    /// A module.
    pub fn module(&self, id: ModuleId) -> &Module {
        &self.modules[id.0]
    }
    /// An item.
    pub fn item(&self, def: Def) -> &Item {
        &self.modules[def.module.0].file.items[def.item]
    }
    /// The modules of the standard library, by name.
    pub fn std_modules(&self) -> impl Iterator<Item = (ModuleId, &Module)> {
        self.modules.iter().enumerate().filter(|(_, m)| m.is_std).map(|(i, m)| (ModuleId(i), m))
    }
    /// An item of the standard library.
    pub fn std_item(&self, name: &str) -> Option<Def> {
        self.std_items.get(name).copied()
    }
    /// Names of all items of the standard library, sorted.
    pub fn std_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.std_items.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
    pub(super) fn std_module(&self, name: &str) -> Option<ModuleId> {
        self.std_modules().find(|(_, m)| m.name == name).map(|(id, _)| id)
    }

    /// Reads a file and what it uses. A file that was read before is not read again. What is wrong
    /// inside stands in [`Module::diagnostics`].
    ///
    /// # Errors
    /// When the file cannot be read or is not text.
    pub fn load_file(&mut self, path: &Path) -> Result<ModuleId, Failure> {
        match self.try_load(path) {
            Ok(id) => Ok(id),
            Err(Unread::Message(message, help)) => {
                let source = self.sources.add(path.display().to_string(), "");
                let span = Span::default();
                let d = Diagnostic::error("E001", source, span, message).label("this file").maybe_help(help);
                Err(self.failure(vec![d]))
            }
            Err(Unread::Cycle(chain)) => {
                let source = self.sources.add(path.display().to_string(), "");
                Err(self.failure(vec![Diagnostic::error("E032", source, Span::default(), chain)]))
            }
        }
    }

    /// Reads a file that may have changed since it was read.
    ///
    /// # Errors
    /// As [`Library::load_file`].
    pub fn reload_file(&mut self, path: &Path) -> Result<ModuleId, Failure> {
        // What it uses may have changed too.
        self.by_path.clear();
        self.load_file(path)
    }

    fn try_load(&mut self, path: &Path) -> Result<ModuleId, Unread> {
        let say =
            |e: &dyn std::fmt::Display| Unread::Message(format!("cannot read {}: {e}", path.display()), None);
        let canonical = path.canonicalize().map_err(|e| say(&e))?;
        if let Some(start) = self.loading.iter().position(|(p, _)| *p == canonical) {
            let mut chain: Vec<&str> = self.loading[start..].iter().map(|(_, n)| n.as_str()).collect();
            chain.push(&self.loading[start].1);
            return Err(Unread::Cycle(format!("files use each other in a circle: {}", chain.join(" → "))));
        }
        if let Some(&id) = self.by_path.get(&canonical) {
            return Ok(id);
        }
        let size = std::fs::metadata(&canonical).map_err(|e| say(&e))?;
        if size.is_dir() {
            return Err(say(&"it is a folder"));
        }
        if size.len() > parse::MAX_BYTES as u64 {
            return Err(say(&format!(
                "it has {} bytes, and a program file at most {}",
                size.len(),
                parse::MAX_BYTES
            )));
        }
        let text = decode(std::fs::read(&canonical).map_err(|e| say(&e))?, path)?;
        let name = path.display().to_string();
        self.loading.push((canonical.clone(), name.clone()));
        let id = self.load(&name, &text, Some(canonical.clone()));
        self.loading.pop();
        self.by_path.insert(canonical, id);
        Ok(id)
    }

    /// Reads a text as a module called `name`; `use "file"` is relative to the current folder.
    pub fn load_text(&mut self, name: &str, text: &str) -> ModuleId {
        self.load(name, text, None)
    }

    /// Reads a text as what the file `path` holds: its `use "file"` is relative to that.
    pub fn load_text_at(&mut self, path: &Path, text: &str) -> ModuleId {
        self.load(&path.display().to_string(), text, Some(path.to_path_buf()))
    }

    fn load(&mut self, name: &str, text: &str, path: Option<PathBuf>) -> ModuleId {
        let source = self.sources.add(name, text);
        let (file, diagnostics) = match text.find('\0') {
            None => parse::parse_file(text, source),
            Some(at) => {
                let d = Diagnostic::error(
                    "E001",
                    source,
                    Span::new(at, at + 1),
                    "there is a NUL byte in the text",
                );
                (File::default(), vec![d.label("not text").help("save the file as UTF-8 text")])
            }
        };
        let file = Arc::new(file);
        let name = name.to_string();
        let scope = FxHashMap::default();
        let id =
            self.push(Module { source, name, is_std: false, open: false, file, scope, diagnostics, path });
        self.link(id);
        id
    }

    /// Fills the scope of a module: own items first, then `use`s.
    fn link(&mut self, id: ModuleId) {
        let file = self.modules[id.0].file.clone();
        for (item, i) in file.items.iter().enumerate() {
            let Some(name) = i.name() else { continue };
            let def = Def { module: id, item };
            match self.modules[id.0].scope.get(&name.text) {
                Some(&(first, _)) => {
                    let d = self.twice(name, id, first);
                    self.modules[id.0].diagnostics.push(d);
                }
                None => {
                    self.modules[id.0].scope.insert(name.text.clone(), (def, None));
                }
            }
        }
        for (at, item) in file.items.iter().enumerate() {
            let ItemKind::Use(import) = &item.kind else { continue };
            let outcome = match import {
                Import::Path(path) => self.import_std(id, path),
                Import::File(file, span) => self.import_file(id, file, *span),
            };
            match outcome {
                Ok(defs) => self.bring_in(id, at, &defs),
                Err(d) => self.modules[id.0].diagnostics.push(*d),
            }
        }
    }

    fn import_std(&self, id: ModuleId, path: &[Ident]) -> Result<Vec<Def>, Box<Diagnostic>> {
        let source = self.modules[id.0].source;
        let span = path.iter().fold(path[0].span, |a, i| a.to(i.span));
        let [root, name] = path else {
            let d = Diagnostic::error("E031", source, span, "`use` takes `std::name` or a file in quotes");
            return Err(Box::new(d.help("write `use std::snip` or `use \"./mine.lpz\"`")));
        };
        if root.text != "std" {
            let d =
                Diagnostic::error("E031", source, root.span, format!("there is no library `{}`", root.text));
            return Err(Box::new(d.help("the only one is `std`; a file is used by its path in quotes")));
        }
        if let Some(module) = self.std_module(&name.text) {
            return Ok(self.exports(module));
        }
        self.std_item(&name.text).map(|d| vec![d]).ok_or_else(|| {
            let message = format!("the standard library has no `{}`", name.text);
            let help = self.std_hint(&name.text);
            Box::new(Diagnostic::error("E031", source, name.span, message).label("unknown name").help(help))
        })
    }

    /// What the standard library has that looks like `name`.
    pub fn std_hint(&self, name: &str) -> String {
        let modules = self.std_modules().map(|(_, m)| m.name.as_str());
        names::hint(name, "it has", self.std_names().into_iter().chain(modules))
    }

    fn import_file(&mut self, id: ModuleId, file: &str, span: Span) -> Result<Vec<Def>, Box<Diagnostic>> {
        let source = self.modules[id.0].source;
        let folder = self.modules[id.0].path.as_deref().and_then(Path::parent).map(Path::to_path_buf);
        let path = folder.unwrap_or_default().join(file);
        let module = self.try_load(&path).map_err(|unread| {
            Box::new(match unread {
                Unread::Message(message, help) => {
                    let d = Diagnostic::error("E031", source, span, message).label("used here");
                    d.help("a path is relative to the file that names it").maybe_help(help)
                }
                Unread::Cycle(chain) => Diagnostic::error("E032", source, span, chain)
                    .label("closes the circle")
                    .help("move what both need into a third file"),
            })
        })?;
        let first = self.modules[module.0].diagnostics.iter().find(|d| d.is_error());
        match first {
            None => Ok(self.exports(module)),
            Some(d) => {
                let message = format!("\"{file}\" has errors: {}", d.message);
                let code = if d.code == "E032" { d.code } else { "E031" };
                let e = Diagnostic::error(code, source, span, message).label("used here");
                Err(Box::new(e.also(d.source, d.span, d.label.clone())))
            }
        }
    }

    fn exports(&self, module: ModuleId) -> Vec<Def> {
        let items = self.modules[module.0].file.items.iter().enumerate();
        items.filter(|(_, i)| i.name().is_some()).map(|(item, _)| Def { module, item }).collect()
    }

    fn bring_in(&mut self, id: ModuleId, at: usize, defs: &[Def]) {
        for &def in defs {
            let Some(name) = self.item(def).name().cloned() else { continue };
            match self.modules[id.0].scope.get(&name.text) {
                Some(&(other, _)) if other == def => {}
                Some(&(other, _)) => {
                    let d = self.clash(id, at, &name, def, other);
                    self.modules[id.0].diagnostics.push(d);
                }
                None => {
                    self.modules[id.0].scope.insert(name.text, (def, Some(at)));
                }
            }
        }
    }

    fn clash(&self, id: ModuleId, at: usize, name: &Ident, def: Def, other: Def) -> Diagnostic {
        let module = &self.modules[id.0];
        let span = module.file.items[at].span;
        let message = format!("`{}` is brought in here and defined elsewhere too", name.text);
        let mut d = Diagnostic::error("E033", module.source, span, message).label("brings it in");
        d = d.also(self.modules[def.module.0].source, name.span, "this one");
        if let Some(n) = self.item(other).name() {
            d = d.also(self.modules[other.module.0].source, n.span, "and this one");
        }
        d.help("use single items, as in `use std::name`, or rename one")
    }

    pub(super) fn failure(&self, diagnostics: Vec<Diagnostic>) -> Failure {
        Failure { diagnostics, sources: self.sources.clone() }
    }

    /// Checks a module whole and lowers every proxy of it that is right into `dag`. Reports
    /// everything that is wrong, in the order of the text.
    pub fn check(&self, module: ModuleId, dag: &mut Dag) -> Checked {
        Checker::new(self, dag).module(module)
    }

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
        let module = self.load_file(Path::new(file))?;
        self.resolve_in(module, name, spec, dag)
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
            let help = names::hint(name.unwrap_or(""), "it has", all.iter().map(String::as_str));
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
        if super::scan::has_items(text) {
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

enum Unread {
    Message(String, Option<String>),
    Cycle(String),
}

fn decode(bytes: Vec<u8>, path: &Path) -> Result<String, Unread> {
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..at].iter().filter(|&&b| b == b'\n').count() + 1;
        let message =
            format!("cannot read {}: it is not UTF-8 text (byte {at}, line {line})", path.display());
        Unread::Message(message, Some("save the file as UTF-8".into()))
    })
}
