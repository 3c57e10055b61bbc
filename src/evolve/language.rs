//! The language, as the evolver uses it: compiling genomes, printing expressions, reading a
//! vocabulary.

use super::space::free::Text;
use super::space::vocab::{Compile, Function, Vocabulary};
use crate::ir::{Dag, NodeId};
use crate::lang::ast::{AttrValue, Item, ItemKind};
use crate::lang::{Diagnostic, Library};
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

/// Texts that a library holds before it is exchanged for a fresh one.
const TEXTS: usize = 2000;

/// A library that does not grow without bound.
pub struct Language {
    state: RefCell<(Library, usize)>,
}

impl Language {
    /// The language with its standard library.
    pub fn new() -> Self {
        Language { state: RefCell::new((Library::new(), 0)) }
    }

    fn compile(&self, text: &str, dag: &mut Dag) -> Result<NodeId, String> {
        let mut state = self.state.borrow_mut();
        if state.1 >= TEXTS {
            *state = (Library::new(), 0);
        }
        state.1 += 1;
        let checked = state.0.expression("program", text, dag).map_err(|f| f.to_string())?;
        Ok(checked.program.root)
    }
}

impl Default for Language {
    fn default() -> Self {
        Language::new()
    }
}

impl Text for Language {
    fn print(&self, dag: &Dag, root: NodeId) -> String {
        crate::lang::print_node(dag, root)
    }

    fn parse(&self, text: &str, dag: &mut Dag) -> Result<NodeId, String> {
        self.compile(text, dag)
    }
}

/// Compiles expressions in which the items of `import` are in scope besides the standard library.
pub fn compiler(language: Rc<Language>, import: String) -> Compile {
    Rc::new(move |text, dag| {
        if import.is_empty() {
            return language.compile(text, dag);
        }
        language.compile(&format!("{import}\nproxy program = {text}\n"), dag)
    })
}

/// Reads a vocabulary: a module's functions with positive weights. `import` is how programs bring it
/// in.
///
/// # Errors
/// When the module is wrong, or holds no usable function of one argument; the text says what to do.
pub fn vocabulary(path: Option<&Path>, import: String, joins: bool) -> Result<Vocabulary, String> {
    let mut library = Library::new();
    let module = match path {
        Some(p) => library.load_file(p).map_err(|f| f.render(false))?,
        None => match library.std_modules().find(|(_, m)| m.name == DEFAULT) {
            Some((id, _)) => id,
            None => return Err("the standard library has no LPZero vocabulary".into()),
        },
    };
    let checked = library.check(module, &mut Dag::default());
    if checked.diagnostics.iter().any(Diagnostic::is_error) {
        return Err(checked.diagnostics.iter().map(|d| d.render(library.sources(), false)).collect());
    }
    let mut v = Vocabulary { import, ..Vocabulary::default() };
    for item in &library.module(module).file.items {
        add(item, &mut v);
    }
    let name = path.map_or_else(|| format!("std::{DEFAULT}"), |p| p.display().to_string());
    if v.unary.is_empty() {
        return Err(format!(
            "vocabulary {name}: no function of one argument with a positive weight\n  help: write one, such as `fn double(x) = 2 * x`, with a line `@role(unary)` before it"
        ));
    }
    if joins && v.join.is_empty() {
        return Err(format!(
            "vocabulary {name}: no function of two arguments with a positive weight\n  help: write one, such as `fn plus(x, y) = x + y`, with a line `@role(binary)` before it, or use `--space linear`"
        ));
    }
    Ok(v)
}

/// The module that is the vocabulary when none is named.
pub const DEFAULT: &str = "lpzero";

/// Functions with a role or weight take part; in a module that gives neither, all do.
fn add(item: &Item, v: &mut Vocabulary) {
    let ItemKind::Fn { name, params, .. } = &item.kind else { return };
    let required = params.iter().filter(|p| p.default.is_none()).count();
    let weight = match item.attribute("weight").and_then(|a| a.entries.first()).map(|e| &e.value) {
        Some(AttrValue::Number(x)) => *x,
        _ => 1.0,
    };
    if weight <= 0.0 {
        return;
    }
    let roles: Vec<&str> = match item.attribute("role").and_then(|a| a.entries.first()).map(|e| &e.value) {
        Some(AttrValue::Names(names)) => names.iter().map(|n| n.text.as_str()).collect(),
        _ => Vec::new(),
    };
    let is = |role: &str, arity: usize| roles.contains(&role) || (roles.is_empty() && required == arity);
    let function = || Function { name: name.text.clone(), weight };
    if is("unary", 1) {
        v.unary.push(function());
    }
    if is("binary", 2) {
        v.join.push(function());
    }
}
