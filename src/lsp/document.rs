//! One open text: what is wrong in it, what its words mean, where they are defined.

use super::place::{byte, position, range};
use crate::ir::Dag;
use crate::lang::assist::complete::{Candidate, Own, complete, signature};
use crate::lang::assist::context::{Context, Place};
use crate::lang::assist::lexer::{Lexeme, Token, tokens};
use crate::lang::assist::vocabulary::{Class, Word, vocabulary};
use crate::lang::{Checked, Def, Library, ModuleId, Severity, Span, parse_file, print_file, print_item};
use crate::ops::{Shape, UNKNOWN};
use lsp_types::{
    CompletionItem, CompletionItemKind, CompletionTextEdit, DiagnosticRelatedInformation, DiagnosticSeverity,
    Documentation, Hover, HoverContents, Location, MarkupContent, MarkupKind, NumberOrString, Position,
    Range, SignatureHelp, SignatureInformation, TextEdit, Uri,
};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// An open text.
pub struct Document {
    /// Its text.
    pub text: String,
    uri: Uri,
    library: Library,
    module: ModuleId,
    checked: Checked,
}

/// The file of a `file://` address.
fn file_of(uri: &Uri) -> Option<PathBuf> {
    let path = uri.as_str().strip_prefix("file://")?;
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = |b: &[u8]| u8::from_str_radix(std::str::from_utf8(b).ok()?, 16).ok();
        match (first, tail.get(..2).and_then(hex)) {
            (b'%', Some(b)) => {
                bytes.push(b);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

/// The address of a file.
fn uri_of(path: &Path) -> Option<Uri> {
    let mut out = String::from("file://");
    for b in path.to_str()?.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => out.push(b as char),
            b => out += &format!("%{b:02X}"),
        }
    }
    Uri::from_str(&out).ok()
}

impl Document {
    /// Reads and checks a text.
    pub fn new(uri: Uri, text: String) -> Self {
        let mut library = Library::new();
        let module = match file_of(&uri) {
            Some(path) => library.load_text_at(&path, &text),
            None => library.load_text(uri.as_str(), &text),
        };
        let checked = library.check(module, &mut Dag::default());
        Document { text, uri, library, module, checked }
    }

    /// Everything wrong in it.
    pub fn diagnostics(&self) -> Vec<lsp_types::Diagnostic> {
        let own = self.library.module(self.module).source;
        let mut out = Vec::new();
        for d in &self.checked.diagnostics {
            // What is wrong in a used file is shown where it is used.
            let span = if d.source == own { d.span } else { Span::new(0, 0) };
            let help = d.help.as_ref().map_or(String::new(), |h| format!("\nhelp: {h}"));
            let related =
                d.related.iter().filter(|r| r.source == own).map(|r| DiagnosticRelatedInformation {
                    location: Location { uri: self.uri.clone(), range: range(&self.text, r.span) },
                    message: r.label.clone(),
                });
            let severity = match d.severity {
                Severity::Error => DiagnosticSeverity::ERROR,
                Severity::Warning => DiagnosticSeverity::WARNING,
            };
            out.push(lsp_types::Diagnostic {
                range: range(&self.text, span),
                severity: Some(severity),
                code: Some(NumberOrString::String(d.code.into())),
                source: Some("lpz".into()),
                message: format!("{}: {}{help}", d.message, d.label),
                related_information: Some(related.collect()),
                ..lsp_types::Diagnostic::default()
            });
        }
        out
    }

    /// The word at a byte.
    fn word(&self, at: usize) -> Option<Token> {
        let all = tokens(&self.text);
        all.into_iter().find(|t| t.kind == Lexeme::Word && t.span.start <= at && at <= t.span.end)
    }

    /// The item that a name stands for here.
    fn item(&self, name: &str, std: bool) -> Option<Def> {
        if std {
            return self.library.std_item(name);
        }
        self.library.module(self.module).scope.get(name).map(|(def, _)| *def)
    }

    fn after(&self, word: Token, what: &str) -> bool {
        self.text[..word.span.start].trim_end().ends_with(what)
    }

    /// What the word at a position is: documentation and type.
    pub fn hover(&self, at: Position) -> Option<Hover> {
        let at = byte(&self.text, at);
        let word = self.word(at)?;
        let name = word.text(&self.text);
        let mut parts: Vec<String> = Vec::new();
        if let Some(def) = self.item(name, self.after(word, "::")) {
            let item = self.library.item(def);
            parts.push(format!("```lpz\n{}\n```", print_item(item).trim_end()));
        } else if let Some(w) = self.meaning(word, name) {
            parts.push(format!("```lpz\n{}\n```\n{}", w.signature, w.doc));
        }
        parts.extend(self.type_at(at).map(|t| format!("type: {t}")));
        if parts.is_empty() {
            return None;
        }
        let contents = MarkupContent { kind: MarkupKind::Markdown, value: parts.join("\n\n") };
        let range = Some(range(&self.text, word.span));
        Some(Hover { contents: HoverContents::Markup(contents), range })
    }

    /// The meaning of a word where it stands.
    fn meaning(&self, word: Token, name: &str) -> Option<&'static Word> {
        let place = Context::new(&self.text, word.span.end).place;
        let called = self.text[word.span.end..].trim_start().starts_with('(');
        let order: &[Class] = match place {
            Place::Part(_) => &[Class::Field, Class::Site],
            Place::Attribute => &[Class::Attribute],
            Place::Options(_) | Place::OptionValue(..) => &[Class::Option],
            Place::Roles | Place::ParameterRoles => &[Class::Role],
            Place::Collection => &[Class::Site, Class::Join],
            _ if called => &[Class::Operator, Class::Join, Class::Reducer, Class::Keyword],
            _ => &[Class::Keyword, Class::Reducer, Class::Site, Class::Number, Class::Operator, Class::Role],
        };
        order.iter().find_map(|c| vocabulary().find(name, *c))
    }

    /// The type of the smallest expression around a byte.
    fn type_at(&self, at: usize) -> Option<String> {
        let own = self.library.module(self.module).source;
        let all = self.checked.proxies.iter().filter(|p| p.source == own).flat_map(|p| &p.types);
        let around = all.filter(|(s, _)| s.start <= at && at <= s.end);
        let (_, shape) = around.min_by_key(|(s, _)| s.end - s.start)?;
        Some(say(shape))
    }

    /// What may stand at a position.
    pub fn completion(&self, at: Position) -> Vec<CompletionItem> {
        let at = byte(&self.text, at);
        let own = Own::of_module(&self.library, self.module);
        let found = complete(&self.text, at, &own);
        let span = range(&self.text, Span::new(found.start, at));
        found.candidates.into_iter().enumerate().map(|(i, c)| entry(i, c, span)).collect()
    }

    /// How the call around a position is written.
    pub fn signature(&self, at: Position) -> Option<SignatureHelp> {
        let own = Own::of_module(&self.library, self.module);
        let (label, doc, argument) = signature(&self.text, byte(&self.text, at), &own)?;
        let documentation = Some(Documentation::String(doc));
        let info = SignatureInformation { label, documentation, parameters: None, active_parameter: None };
        Some(SignatureHelp {
            signatures: vec![info],
            active_signature: Some(0),
            active_parameter: Some(argument as u32),
        })
    }

    /// The canonical form, where it parses.
    pub fn formatted(&self) -> Option<Vec<TextEdit>> {
        let source = self.library.module(self.module).source;
        let (file, diagnostics) = parse_file(&self.text, source);
        if !diagnostics.is_empty() {
            return None;
        }
        let new_text = print_file(&file, &self.text);
        if new_text == self.text {
            return Some(Vec::new());
        }
        let end = position(&self.text, self.text.len());
        Some(vec![TextEdit { range: Range { start: Position::new(0, 0), end }, new_text }])
    }

    /// Where the name at a position is defined.
    pub fn definition(&self, at: Position) -> Option<Location> {
        let word = self.word(byte(&self.text, at))?;
        let name = word.text(&self.text);
        if !self.after(word, "::") && !self.after(word, ".") {
            let names = Context::new(&self.text, word.span.end).names;
            let items = self.library.module(self.module).file.items.iter();
            let start = items.map(|i| i.span).find(|s| s.start <= word.span.start && word.span.end <= s.end);
            let local = |at: &Span| start.is_some_and(|s| s.start <= at.start) && at.start < word.span.start;
            if let Some(b) = names.iter().rev().find(|b| b.name == name && local(&b.at)) {
                return Some(Location { uri: self.uri.clone(), range: range(&self.text, b.at) });
            }
        }
        let def = self.item(name, self.after(word, "::"))?;
        let span = self.library.item(def).name()?.span;
        let module = self.library.module(def.module);
        let source = self.library.sources().get(module.source);
        let uri = match (def.module == self.module, module.path()) {
            (true, _) => self.uri.clone(),
            (false, Some(path)) => uri_of(path)?,
            (false, None) => uri_of(&unpacked(&module.name, &source.text)?)?,
        };
        Some(Location { uri, range: range(&source.text, span) })
    }
}

/// A module of the standard library as a file that an editor can open.
fn unpacked(name: &str, text: &str) -> Option<PathBuf> {
    let folder = std::env::temp_dir().join(format!("lpz-std-{}", env!("CARGO_PKG_VERSION")));
    std::fs::create_dir_all(&folder).ok()?;
    let path = folder.join(format!("{name}.lpz"));
    if std::fs::read_to_string(&path).is_ok_and(|t| t == text) {
        return Some(path);
    }
    crate::files::write_atomic(&path, text.as_bytes()).ok()?;
    Some(path)
}

/// `number`, `tensor [_, _]`.
fn say(shape: &Shape) -> String {
    let dim = |&d: &usize| if d == UNKNOWN { "_".to_string() } else { d.to_string() };
    match shape.dims.is_empty() {
        true => "number".into(),
        false => format!("tensor [{}]", shape.dims.iter().map(dim).collect::<Vec<_>>().join(", ")),
    }
}

fn entry(rank: usize, c: Candidate, range: Range) -> CompletionItem {
    let kind = match c.class {
        Class::Keyword => CompletionItemKind::KEYWORD,
        Class::Operator | Class::Join => CompletionItemKind::FUNCTION,
        Class::Reducer => CompletionItemKind::METHOD,
        Class::Site => CompletionItemKind::CLASS,
        Class::Field => CompletionItemKind::FIELD,
        Class::Number => CompletionItemKind::CONSTANT,
        Class::Role => CompletionItemKind::ENUM_MEMBER,
        Class::Attribute | Class::Option => CompletionItemKind::PROPERTY,
        Class::Std => CompletionItemKind::MODULE,
        Class::Name => CompletionItemKind::VARIABLE,
    };
    CompletionItem {
        label: c.text,
        kind: Some(kind),
        detail: Some(c.signature),
        documentation: Some(Documentation::String(c.doc)),
        sort_text: Some(format!("{rank:05}")),
        text_edit: Some(CompletionTextEdit::Edit(TextEdit { range, new_text: c.insert })),
        ..CompletionItem::default()
    }
}
