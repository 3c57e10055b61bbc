//! Reading: files once, by their canonical paths, and texts.

use super::{Library, Module, ModuleId};
use crate::lang::ast::{File, Span};
use crate::lang::diagnostic::{Diagnostic, Failure};
use crate::lang::parse;
use rustc_hash::FxHashMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a file was not read.
pub(super) enum Unread {
    /// What is wrong, and what to do.
    Message(String, Option<String>),
    /// It uses itself; the way round.
    Cycle(String),
}

impl Library {
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

    pub(super) fn try_load(&mut self, path: &Path) -> Result<ModuleId, Unread> {
        let canonical = path.canonicalize().map_err(|e| unreadable(path, &e))?;
        if let Some(chain) = self.circle(&canonical) {
            return Err(Unread::Cycle(format!("files use each other in a circle: {chain}")));
        }
        if let Some(&id) = self.by_path.get(&canonical) {
            return Ok(id);
        }
        let text = read(&canonical, path)?;
        let name = path.display().to_string();
        self.loading.push((canonical.clone(), name.clone()));
        let id = self.load(&name, &text, Some(canonical.clone()));
        self.loading.pop();
        self.by_path.insert(canonical, id);
        Ok(id)
    }

    /// The way from a file that is being read back to itself.
    fn circle(&self, canonical: &Path) -> Option<String> {
        let start = self.loading.iter().position(|(p, _)| p == canonical)?;
        let mut chain: Vec<&str> = self.loading[start..].iter().map(|(_, n)| n.as_str()).collect();
        chain.push(&self.loading[start].1);
        Some(chain.join(" → "))
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
                let span = Span::new(at, at + 1);
                let d = Diagnostic::error("E001", source, span, "there is a NUL byte in the text");
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
}

fn unreadable(path: &Path, why: &dyn Display) -> Unread {
    Unread::Message(format!("cannot read {}: {why}", path.display()), None)
}

/// The text of a file, called `path` in messages.
fn read(file: &Path, path: &Path) -> Result<String, Unread> {
    let size = std::fs::metadata(file).map_err(|e| unreadable(path, &e))?;
    if size.is_dir() {
        return Err(unreadable(path, &"it is a folder"));
    }
    if size.len() > parse::MAX_BYTES as u64 {
        let (has, most) = (size.len(), parse::MAX_BYTES);
        return Err(unreadable(path, &format!("it has {has} bytes, and a program file at most {most}")));
    }
    decode(std::fs::read(file).map_err(|e| unreadable(path, &e))?, path)
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
