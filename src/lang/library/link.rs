//! Names: the scope of a module, its own items first, then what each `use` brings in.

use super::load::Unread;
use super::{Def, Library, ModuleId};
use crate::lang::ast::{Ident, Import, ItemKind, Span};
use crate::lang::diagnostic::Diagnostic;
use crate::lang::names;
use std::path::Path;

impl Library {
    /// Finds the items of the standard library; two of one name are a mistake in it.
    pub(super) fn index_std(&mut self) {
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

    /// Fills the scope of a module: own items first, then `use`s.
    pub(super) fn link(&mut self, id: ModuleId) {
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

    pub(super) fn exports(&self, module: ModuleId) -> Vec<Def> {
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
}
