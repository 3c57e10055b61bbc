//! What is wrong, where, and what to do: diagnostics with code, span, label and help; the sources
//! they point into; their rendering for a person (ariadne) and as plain records for JSON.

use super::ast::Span;
use std::fmt;
use std::sync::Arc;

/// A text that diagnostics point into.
#[derive(Debug)]
pub struct Source {
    /// Path or name, as shown.
    pub name: String,
    /// Text.
    pub text: String,
}

/// Index of a source in [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub usize);

/// All texts that were read; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Arc<Source>>);

impl Sources {
    /// Adds a text.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        self.0.push(Arc::new(Source { name: name.into(), text: text.into() }));
        SourceId(self.0.len() - 1)
    }
    /// Number of texts.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
    /// Forgets texts that were added later.
    pub(super) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
    /// A text.
    pub fn get(&self, id: SourceId) -> &Source {
        &self.0[id.0]
    }
    /// Line and column (from 1, in characters) and length in characters of a span.
    pub fn place(&self, id: SourceId, span: Span) -> Place {
        let text = &self.get(id).text;
        let start = floor(text, span.start);
        let end = floor(text, span.end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        Place {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            length: text[start..end].chars().count(),
        }
    }
}

/// The last character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A place for people: line and column from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Characters.
    pub length: usize,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The program is not usable.
    Error,
    /// The program runs, but perhaps not as meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A second place that belongs to a diagnostic.
#[derive(Clone, Debug)]
pub struct Related {
    /// Where.
    pub source: SourceId,
    /// Where.
    pub span: Span,
    /// What is there.
    pub label: String,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Code, one of [`CODES`].
    pub code: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Where.
    pub source: SourceId,
    /// Where.
    pub span: Span,
    /// Said at the place.
    pub label: String,
    /// What to do.
    pub help: Option<String>,
    /// Other places.
    pub related: Vec<Related>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, source: SourceId, span: Span, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, source, span, message)
    }
    /// A warning.
    pub fn warning(code: &'static str, source: SourceId, span: Span, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, source, span, message)
    }
    fn new(
        code: &'static str,
        severity: Severity,
        source: SourceId,
        span: Span,
        message: impl Into<String>,
    ) -> Self {
        let message = message.into();
        let label = "here".to_string();
        Diagnostic { code, severity, message, source, span, label, help: None, related: Vec::new() }
    }
    /// Says something at the place.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }
    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
    /// Says what to do, where something is known.
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
    /// Points at another place.
    pub fn also(mut self, source: SourceId, span: Span, label: impl Into<String>) -> Self {
        self.related.push(Related { source, span, label: label.into() });
        self
    }
    /// Is it an error?
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
    /// For people, on a terminal or not.
    pub fn render(&self, sources: &Sources, colour: bool) -> String {
        super::render::render(self, sources, colour)
    }
}

/// Diagnostics with the texts they point into; what the library returns when something is wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// At least one error; warnings too.
    pub diagnostics: Vec<Diagnostic>,
    /// Texts.
    pub sources: Sources,
}

impl Failure {
    /// For people.
    pub fn render(&self, colour: bool) -> String {
        self.diagnostics.iter().map(|d| d.render(&self.sources, colour)).collect()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Failure {}

/// Every code and what it stands for.
pub const CODES: &[(&str, &str)] = &[
    ("E001", "the file cannot be read as text"),
    ("E002", "nested too deeply, or too large once functions are put in"),
    ("E003", "syntax error"),
    ("E004", "a bracket is not closed, or closes nothing"),
    ("E005", "a number is out of range"),
    ("E006", "no operator is written so"),
    ("E010", "unknown name"),
    ("E011", "unknown function or operator"),
    ("E012", "wrong number of arguments"),
    ("E013", "unknown or repeated named argument"),
    ("E014", "an argument must be a constant"),
    ("E015", "shapes do not fit"),
    ("E016", "a number is needed"),
    ("E017", "a site or collection is used as a value, or the other way round"),
    ("E018", "a site has no such field or collection"),
    ("E019", "a filter or an index is wrong"),
    ("E020", "unknown reducer"),
    ("E021", "a pattern binds another number of sites than the collection gives"),
    ("E022", "collections cannot be joined so"),
    ("E030", "a name is defined twice"),
    ("E031", "what `use` asks for cannot be found or read"),
    ("E032", "files use each other in a circle"),
    ("E033", "a name is brought in from two places"),
    ("E034", "a function or proxy is defined by itself"),
    ("E040", "an attribute is unknown or wrong"),
    ("E041", "proxies used together need different captures"),
    ("W001", "a `let` is not used"),
    ("W002", "a `use` is not used"),
    ("W003", "zip stops with the shorter collection"),
    ("W004", "gradients may be rounding noise"),
];
