//! The state of a session, and what it does with a line.

use super::command;
use super::job;
use super::resident::Resident;
use super::settings::{Host, Settings};
use crate::ir::Dag;
use crate::lang::assist::complete::Own;
use crate::lang::session::{Scope, Typing, typing};
use crate::lang::{Diagnostic, Failure, Library, ModuleId};
use crate::score::ReductionCache;
use crate::site::{CaptureSpec, SourceError};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// So long may a line be, in bytes.
pub const LONGEST: usize = 1 << 20;
/// Bytes for numbers that are known from earlier lines.
pub(super) const CACHE: usize = 64 << 20;
/// So many diagnostics of one line are shown.
const SHOWN: usize = 5;

/// What a line gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// Results.
    pub out: String,
    /// Remarks: what was run, warnings.
    pub notes: String,
    /// What is wrong; empty when nothing is.
    pub error: String,
    /// The session is over.
    pub quit: bool,
}

impl Reply {
    pub(super) fn of(out: impl Into<String>) -> Self {
        Reply { out: out.into(), ..Reply::default() }
    }
    pub(super) fn error(error: impl Into<String>) -> Self {
        Reply { error: error.into(), ..Reply::default() }
    }
}

/// Why a line gave nothing.
#[derive(Debug)]
pub(super) enum Wrong {
    /// Something is wrong in the text.
    Text(Box<Failure>),
    /// Anything else: what, and what to do.
    Other(String, Option<String>),
}

impl From<Failure> for Wrong {
    fn from(f: Failure) -> Self {
        Wrong::Text(Box::new(f))
    }
}

impl From<SourceError> for Wrong {
    fn from(e: SourceError) -> Self {
        Wrong::Other(e.message, e.help)
    }
}

impl From<job::Ended> for Wrong {
    fn from(e: job::Ended) -> Self {
        match e {
            job::Ended::Interrupted => Wrong::Other("interrupted".into(), None),
            job::Ended::Fault(what) => {
                let help = "this is a fault of lpz itself; the session goes on";
                Wrong::Other(format!("internal error: {what}"), Some(help.into()))
            }
        }
    }
}

pub(super) fn wrong(what: impl Into<String>, help: impl Into<String>) -> Wrong {
    Wrong::Other(what.into(), Some(help.into()))
}

/// A session.
pub struct Session {
    pub(super) library: Library,
    pub(super) scope: Scope,
    pub(super) settings: Settings,
    pub(super) capture: CaptureSpec,
    pub(super) host: Box<dyn Host>,
    pub(super) resident: Option<Resident>,
    /// Numbers per site that are known of the opened model.
    pub(super) cache: Arc<ReductionCache>,
    /// Batches that the opened model has.
    pub(super) batches: usize,
    /// Bytes of tensors that stay.
    pub(super) memory: usize,
    pub(super) stop: Arc<AtomicBool>,
    /// Canonical texts of what was defined, by name.
    pub(super) defined: Vec<(String, String)>,
    lines: usize,
    colour: bool,
}

impl Session {
    /// A new session; setting `stop` interrupts the line that is being evaluated.
    pub fn new(host: Box<dyn Host>, settings: Settings, stop: Arc<AtomicBool>) -> Self {
        Session {
            library: Library::new(),
            scope: Scope::default(),
            settings,
            capture: CaptureSpec::default(),
            host,
            resident: None,
            cache: Arc::new(ReductionCache::new(CACHE)),
            batches: 1,
            memory: 4 << 30,
            stop,
            defined: Vec::new(),
            lines: 0,
            colour: false,
        }
    }

    /// Diagnostics in colour?
    pub fn colour(mut self, yes: bool) -> Self {
        self.colour = yes;
        self
    }

    /// Keeps at most so many bytes of tensors between lines.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// What was defined, for completion.
    pub fn own(&self) -> Own {
        Own::of_scope(&self.library, &self.scope)
    }

    /// Is `text` begun but not finished, so that another line belongs to it?
    pub fn incomplete(text: &str) -> bool {
        let command = text.trim_start().starts_with(':');
        !command && text.len() <= LONGEST && crate::lang::incomplete(text)
    }

    /// Does what a line says. Never fails: what is wrong stands in the reply.
    pub fn line(&mut self, text: &str) -> Reply {
        self.lines += 1;
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Reply::default();
        }
        if text.len() > LONGEST {
            let (has, most) = (text.len(), LONGEST);
            let help = "put it into a file and `:load` it";
            return Reply::error(format!(
                "error: the line has {has} bytes, and at most {most}\n  help: {help}\n"
            ));
        }
        let outcome = match trimmed.strip_prefix(':') {
            Some(rest) => command::run(self, rest),
            None => self.language(text),
        };
        outcome.unwrap_or_else(|w| Reply::error(self.say(w)))
    }

    pub(super) fn name(&self) -> String {
        format!("line {}", self.lines)
    }

    fn language(&mut self, text: &str) -> Result<Reply, Wrong> {
        match typing(text) {
            Typing::Items => self.items(text),
            Typing::Let => self.bind(text),
            Typing::Expression => self.ask(text),
        }
    }

    /// Items: checked, and in scope from now on.
    fn items(&mut self, text: &str) -> Result<Reply, Wrong> {
        let module = self.library.items_in(&self.name(), text, &self.scope);
        self.take_in(module, true)
    }

    /// Takes a checked module in, or says what is wrong with it.
    pub(super) fn take_in(&mut self, module: ModuleId, keep: bool) -> Result<Reply, Wrong> {
        let mut dag = Dag::default();
        let checked = self.library.check(module, &mut dag);
        let sources = self.library.sources().clone();
        if !checked.is_ok() {
            return Err(Failure { diagnostics: checked.diagnostics, sources }.into());
        }
        self.scope.define(&self.library, module);
        let file = self.library.module(module).file.clone();
        let mut names = Vec::new();
        for item in &file.items {
            let text = crate::lang::print_item(item);
            let name = item.name().map_or_else(|| text.clone(), |n| n.text.clone());
            if item.name().is_some() {
                names.push(name.clone());
            }
            if keep {
                self.defined.retain(|(n, _)| *n != name);
                self.defined.push((name, text));
            }
        }
        // What is used on the next line is not known yet.
        let warnings = checked.diagnostics.iter().filter(|d| d.code != "W002");
        let notes = warnings.map(|d| d.render(&sources, self.colour)).collect();
        let out = match names.is_empty() {
            true => "in scope\n".to_string(),
            false => format!("defined {}\n", names.join(", ")),
        };
        Ok(Reply { out, notes, ..Reply::default() })
    }

    /// `let name = value`.
    fn bind(&mut self, text: &str) -> Result<Reply, Wrong> {
        let (binding, def) = self.library.let_in(&self.name(), text, &self.scope)?;
        let typed = self.library.meaning(def, &mut Dag::default())?;
        let out = format!("{}: {}\n", binding.name.text, super::show::meaning(&typed.meaning));
        self.scope.bind(binding);
        Ok(Reply::of(out))
    }

    pub(super) fn say(&self, wrong: Wrong) -> String {
        match wrong {
            Wrong::Text(failure) => {
                let more = failure.diagnostics.len().saturating_sub(SHOWN);
                let shown = failure.diagnostics.iter().take(SHOWN);
                let mut out: String = shown.map(|d| self.rendered(d, &failure)).collect();
                if more > 0 {
                    out += &format!("... and {more} more\n");
                }
                out
            }
            Wrong::Other(message, help) => {
                let help = help.map_or(String::new(), |h| format!("  help: {h}\n"));
                format!("error: {message}\n{help}")
            }
        }
    }

    fn rendered(&self, d: &Diagnostic, failure: &Failure) -> String {
        d.render(&failure.sources, self.colour)
    }

    /// The type of a whole line, for a hint; nothing where it is not finished or not right.
    pub fn type_of(&mut self, text: &str) -> Option<String> {
        if text.len() > 4096 || text.trim_start().starts_with(':') || typing(text) != Typing::Expression {
            return None;
        }
        let mark = self.library.mark();
        let found = self
            .library
            .expression_in("hint", text, &self.scope)
            .ok()
            .and_then(|def| self.library.meaning(def, &mut Dag::default()).ok());
        self.library.forget(mark);
        found.map(|t| super::show::meaning(&t.meaning))
    }
}
