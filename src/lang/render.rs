//! Diagnostics as text: ariadne for ordinary sources, a compact form where a line is too long or
//! holds characters that a terminal should not get.

use super::ast::Span;
use super::diagnostic::{Diagnostic, Severity, SourceId, Sources};
use ariadne::{Config, IndexType, Label, Report, ReportKind};
use std::fmt::Write;

/// A line longer than this is not shown.
const LONGEST_LINE: usize = 400;

type Where = (String, std::ops::Range<usize>);

/// The diagnostic as text, ending with a newline.
pub fn render(d: &Diagnostic, sources: &Sources, colour: bool) -> String {
    let places = std::iter::once((d.source, d.span)).chain(d.related.iter().map(|r| (r.source, r.span)));
    if places.clone().all(|(source, span)| showable(sources, source, span))
        && let Some(text) = pretty(d, sources, colour)
    {
        return text;
    }
    compact(d, sources)
}

fn pretty(d: &Diagnostic, sources: &Sources, colour: bool) -> Option<String> {
    let kind = match d.severity {
        Severity::Error => ReportKind::Error,
        Severity::Warning => ReportKind::Warning,
    };
    let at = |source: SourceId, span: Span| -> Where { (sources.get(source).name.clone(), span.range()) };
    let config = Config::default().with_index_type(IndexType::Byte).with_color(colour);
    let mut report = Report::build(kind, at(d.source, d.span))
        .with_config(config)
        .with_code(d.code)
        .with_message(&d.message)
        .with_label(Label::new(at(d.source, d.span)).with_message(&d.label));
    for r in &d.related {
        report = report.with_label(Label::new(at(r.source, r.span)).with_message(&r.label));
    }
    if let Some(help) = &d.help {
        report = report.with_help(help);
    }
    let mut shown: Vec<(String, String)> = Vec::new();
    for source in std::iter::once(d.source).chain(d.related.iter().map(|r| r.source)) {
        let s = sources.get(source);
        if !shown.iter().any(|(name, _)| *name == s.name) {
            shown.push((s.name.clone(), s.text.clone()));
        }
    }
    let mut out = Vec::new();
    report.finish().write(ariadne::sources(shown), &mut out).ok()?;
    String::from_utf8(out).ok()
}

/// Can the lines of a span be shown as they are?
fn showable(sources: &Sources, source: SourceId, span: Span) -> bool {
    let text = &sources.get(source).text;
    if span.start > span.end || !text.is_char_boundary(span.start) || !text.is_char_boundary(span.end) {
        return false;
    }
    let from = text[..span.start].rfind('\n').map_or(0, |i| i + 1);
    let to = text[span.end..].find('\n').map_or(text.len(), |i| span.end + i);
    let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t' | '\r');
    text[from..to].split('\n').all(|line| line.len() <= LONGEST_LINE && line.chars().all(plain))
}

fn compact(d: &Diagnostic, sources: &Sources) -> String {
    let mut out = String::new();
    let place = sources.place(d.source, d.span);
    let name = &sources.get(d.source).name;
    let _ = writeln!(out, "[{}] {}: {}", d.code, d.severity.name(), d.message);
    let _ = writeln!(out, "  at {name}:{}:{}: {}", place.line, place.column, d.label);
    for r in &d.related {
        let place = sources.place(r.source, r.span);
        let _ =
            writeln!(out, "  {}:{}:{}: {}", sources.get(r.source).name, place.line, place.column, r.label);
    }
    if let Some(help) = &d.help {
        let _ = writeln!(out, "  help: {help}");
    }
    out
}
