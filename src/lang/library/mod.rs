//! Modules: the embedded standard library, files, and texts; what each defines and what `use`
//! brings into it. Everything that wants a program goes through [`Library`].
//!
//! `load` reads modules, `link` fills their scopes, `programs` finds and lowers proxies.

mod link;
mod load;
mod programs;

use super::ast::{File, Item};
use super::check::{Checked, Checker};
use super::diagnostic::{Diagnostic, Failure, SourceId, Sources};
use super::parse;
use crate::ir::Dag;
use rustc_hash::FxHashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// Index of a module in its [`Library`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleId(pub(in crate::lang) usize);

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
    pub(in crate::lang) fn bare(name: &str, source: SourceId, file: Arc<File>) -> Self {
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

    pub(in crate::lang) fn push(&mut self, module: Module) -> ModuleId {
        self.modules.push(module);
        ModuleId(self.modules.len() - 1)
    }
    pub(in crate::lang) fn module_mut(&mut self, id: ModuleId) -> &mut Module {
        &mut self.modules[id.0]
    }
    pub(in crate::lang) fn add_source(&mut self, name: &str, text: &str) -> SourceId {
        self.sources.add(name, text)
    }
    /// Numbers of modules and of texts.
    pub(in crate::lang) fn sizes(&self) -> (usize, usize) {
        (self.modules.len(), self.sources.len())
    }
    /// Forgets modules and texts that were read later.
    pub(in crate::lang) fn shrink(&mut self, modules: usize, sources: usize) {
        self.modules.truncate(modules);
        self.sources.truncate(sources);
        self.by_path.retain(|_, m| m.0 < modules);
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
    pub(in crate::lang) fn std_module(&self, name: &str) -> Option<ModuleId> {
        self.std_modules().find(|(_, m)| m.name == name).map(|(id, _)| id)
    }

    /// Checks a module whole and lowers every proxy of it that is right into `dag`. Reports
    /// everything that is wrong, in the order of the text.
    pub fn check(&self, module: ModuleId, dag: &mut Dag) -> Checked {
        Checker::new(self, dag).module(module)
    }

    pub(in crate::lang) fn failure(&self, diagnostics: Vec<Diagnostic>) -> Failure {
        Failure { diagnostics, sources: self.sources.clone() }
    }
}
