//! Texts typed one after another: each sees what was defined before it, all of the standard library
//! is in scope, later definitions hide earlier ones. An expression may be anything that can be looked
//! at: a number, a tensor, a collection of sites, one field of all its sites.

use super::ast::{Block, Expr, ExprKind, File, Ident, Item, ItemKind, Let, Param, Span};
pub use super::check::Meaning;
use super::check::{Checker, Seen, mentions};
use super::diagnostic::{Diagnostic, Failure, SourceId};
use super::library::{Def, Library, Module, ModuleId};
use super::{parse, scan};
use crate::ir::Dag;
use crate::ops::Shape;
use crate::site::CaptureSpec;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// What a session has defined so far.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    items: FxHashMap<String, Def>,
    lets: Vec<Let>,
}

/// A checked expression.
#[derive(Clone, Debug)]
pub struct Typed {
    /// What it stands for.
    pub meaning: Meaning,
    /// What has to be run for it, where it or what it uses says so.
    pub capture: CaptureSpec,
    /// Shape of every part, in the order they were checked.
    pub types: Vec<(Span, Shape)>,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

/// What was typed, as its first words show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    /// `use`, `fn`, `proxy`, attributes, documentation.
    Items,
    /// `let name = value`.
    Let,
    /// Anything else.
    Expression,
}

/// A state of a [`Library`] to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    modules: usize,
    sources: usize,
}

impl Scope {
    /// Brings the items of a module in, and what it uses; they hide earlier ones.
    pub fn define(&mut self, library: &Library, module: ModuleId) {
        for (name, (def, by)) in &library.module(module).scope {
            if def.module == module || by.is_some() {
                self.items.insert(name.clone(), *def);
                self.lets.retain(|l| l.name.text != *name);
            }
        }
    }

    /// Gives a value a name; it hides earlier ones.
    pub fn bind(&mut self, value: Let) {
        self.items.remove(&value.name.text);
        self.lets.push(value);
    }

    /// Names of items and values, sorted.
    pub fn names(&self) -> Vec<&str> {
        let lets = self.lets.iter().map(|l| l.name.text.as_str());
        let mut all: Vec<&str> = self.items.keys().map(String::as_str).chain(lets).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The item of a name.
    pub fn item(&self, name: &str) -> Option<Def> {
        self.items.get(name).copied()
    }

    /// Values by name, in order; later ones hide earlier ones.
    pub fn lets(&self) -> &[Let] {
        &self.lets
    }

    /// Puts the values that a body needs in front of it.
    fn put_in(&self, body: &mut Expr, params: &[Param]) {
        let lets = self.needed(body, params);
        if !lets.is_empty() {
            let span = body.span;
            let result = std::mem::replace(body, Expr::new(ExprKind::Number(0.0)));
            *body = Expr { kind: ExprKind::Block(Block { lets, result: Box::new(result), span }), span };
        }
    }

    /// The values that an expression needs, in order; parameters hide them.
    fn needed(&self, body: &Expr, params: &[Param]) -> Vec<Let> {
        let mut names: FxHashSet<String> = heads(body);
        for p in params {
            names.remove(&p.name.text);
        }
        let mut out = Vec::new();
        for l in self.lets.iter().rev() {
            if names.remove(&l.name.text) {
                names.extend(heads(&l.value));
                out.push(l.clone());
            }
        }
        out.reverse();
        out
    }
}

/// The single names that an expression mentions.
fn heads(e: &Expr) -> FxHashSet<String> {
    mentions(e).into_iter().filter(|p| p.len() == 1).map(|p| p[0].text.clone()).collect()
}

/// What a text is.
pub fn typing(text: &str) -> Typing {
    match scan::first_word(text) {
        Some("let") => Typing::Let,
        _ if scan::has_items(text) => Typing::Items,
        _ => Typing::Expression,
    }
}

impl Library {
    /// A state to go back to with [`Library::forget`].
    pub fn mark(&self) -> Mark {
        let (modules, sources) = self.sizes();
        Mark { modules, sources }
    }

    /// Forgets texts read since `mark`; only for texts that used no files.
    pub fn forget(&mut self, mark: Mark) {
        self.shrink(mark.modules, mark.sources);
    }

    /// Reads items that see `scope`. What is wrong stands in [`Module::diagnostics`] and in what
    /// [`Library::check`] reports.
    pub fn items_in(&mut self, name: &str, text: &str, scope: &Scope) -> ModuleId {
        let id = self.load_text(name, text);
        self.open_up(id, scope);
        let module = self.module_mut(id);
        let mut file = File::clone(&module.file);
        for item in &mut file.items {
            match &mut item.kind {
                ItemKind::Proxy { body, .. } => scope.put_in(body, &[]),
                ItemKind::Fn { params, body, .. } => scope.put_in(body, params),
                ItemKind::Use(_) => {}
            }
        }
        module.file = Arc::new(file);
        id
    }

    /// Reads a bare expression that sees `scope`.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn expression_in(&mut self, name: &str, text: &str, scope: &Scope) -> Result<Def, Failure> {
        let source = self.add_source(name, text);
        let (body, _) = parse::parse_expression(text, source).map_err(|d| self.failed(*d))?;
        Ok(self.bare_in(name, source, body, scope))
    }

    /// Reads `let name = value`, which sees `scope`: the binding, and its value as an expression.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn let_in(&mut self, name: &str, text: &str, scope: &Scope) -> Result<(Let, Def), Failure> {
        let source = self.add_source(name, text);
        let block = format!("{{ {text}\n0 }}");
        let wrong = |span, message: &str| {
            Diagnostic::error("E003", source, span, message)
                .label("expected `let name = value`")
                .help("write `let w = first l in linear { l.weight }`")
        };
        let shift = |s: Span| {
            let back = |x: usize| x.saturating_sub(2).min(text.len());
            Span::new(back(s.start), back(s.end))
        };
        let parsed = parse::parse_expression(&block, source);
        let body = match parsed {
            Ok((Expr { kind: ExprKind::Block(body), .. }, _)) if body.lets.len() == 1 => body,
            Ok(_) => return Err(self.failed(wrong(Span::new(0, text.len()), "this is not one `let`"))),
            Err(mut d) => {
                d.span = shift(d.span);
                d.related.iter_mut().filter(|r| r.source == source).for_each(|r| r.span = shift(r.span));
                return Err(self.failed(*d));
            }
        };
        let Some(found) = body.lets.into_iter().next() else {
            return Err(self.failed(wrong(Span::new(0, text.len()), "this is not one `let`")));
        };
        // The value is read again by itself, so that its places are those of the text.
        let at = shift(found.value.span);
        let before = text[..at.start].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' });
        let padded = before.collect::<String>() + &text[at.range()];
        let (value, _) = parse::parse_expression(&padded, source).map_err(|d| self.failed(*d))?;
        let def = self.bare_in(name, source, value.clone(), scope);
        Ok((Let { value, ..found }, def))
    }

    /// Checks what [`Library::expression_in`] read.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn meaning(&self, def: Def, dag: &mut Dag) -> Result<Typed, Failure> {
        let mut checker = Checker::new(self, dag);
        let seen: Option<Seen> = checker.seen(def);
        let (types, diagnostics) = checker.finish_seen();
        let errors = diagnostics.iter().any(Diagnostic::is_error);
        match seen {
            Some(s) if !errors => {
                Ok(Typed { meaning: s.meaning, capture: s.capture, types, warnings: diagnostics })
            }
            _ => Err(Failure { diagnostics, sources: self.sources().clone() }),
        }
    }

    fn failed(&self, d: Diagnostic) -> Failure {
        Failure { diagnostics: vec![d], sources: self.sources().clone() }
    }

    fn bare_in(&mut self, name: &str, source: SourceId, body: Expr, scope: &Scope) -> Def {
        let (span, mut body) = (body.span, body);
        scope.put_in(&mut body, &[]);
        let kind = ItemKind::Proxy { name: Ident::new(name), body };
        let item = Item { docs: Vec::new(), attributes: Vec::new(), kind, span };
        let file = Arc::new(File { items: vec![item], ..File::default() });
        let module = self.push(Module::bare(name, source, file));
        self.open_up(module, scope);
        Def { module, item: 0 }
    }

    fn open_up(&mut self, id: ModuleId, scope: &Scope) {
        let module = self.module_mut(id);
        module.open = true;
        for (name, def) in &scope.items {
            module.scope.entry(name.clone()).or_insert((*def, None));
        }
    }
}
