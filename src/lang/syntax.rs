//! Says in words what the grammar missed.

use super::ast::Span;
use super::diagnostic::{Diagnostic, SourceId};
use super::habits;
use pest::RuleType;
use pest::error::{Error, ErrorVariant, InputLocation};

/// What a grammar rule is called in an error.
pub trait Named {
    /// In words.
    fn say(&self) -> &'static str;
    /// Does it only say that an expression was expected?
    fn is_expression(&self) -> bool;
}

/// A diagnostic for a failed parse of `code`, which starts at `offset` in its source.
pub fn explain<R: RuleType + Named>(e: &Error<R>, code: &str, source: SourceId, offset: usize) -> Diagnostic {
    let at = match e.location {
        InputLocation::Pos(p) | InputLocation::Span((p, _)) => p,
    };
    if let Some(head) = habits::head(code) {
        let found = found(code, head.at);
        let span = Span::new(offset + head.at, offset + head.at + found.len());
        let message = match found {
            "" => format!("`{}` is missing at the end", head.belongs),
            text => format!("`{text}` stands where `{}` belongs", head.belongs),
        };
        let label = format!("expected `{}`", head.belongs);
        return Diagnostic::error("E003", source, span, message).label(label).help(head.help);
    }
    let expected = match &e.variant {
        ErrorVariant::ParsingError { positives, .. } => words(positives),
        ErrorVariant::CustomError { .. } => Vec::new(),
    };
    let found = found(code, at);
    let span = Span::new(offset + at, offset + at + found.len());
    let message = match found {
        "" => "the item ends too early".to_string(),
        text => format!("`{text}` was not expected here"),
    };
    let label = match &expected[..] {
        [] => "not expected".to_string(),
        [one] => format!("expected {one}"),
        [rest @ .., last] => format!("expected {} or {last}", rest.join(", ")),
    };
    Diagnostic::error("E003", source, span, message).label(label).help(habits::help(code, at, found))
}

fn words<R: Named>(rules: &[R]) -> Vec<&'static str> {
    let expression = rules.iter().any(Named::is_expression);
    let mut words = Vec::new();
    for rule in rules {
        let part = expression && matches!(rule.say(), "a name" | "a number" | "an operator");
        let word = if part || rule.is_expression() { "an expression" } else { rule.say() };
        if !words.contains(&word) && word != "something else" {
            words.push(word);
        }
    }
    words
}

/// The word or character at a place.
fn found(code: &str, at: usize) -> &str {
    let rest = code.get(at..).unwrap_or("");
    let word = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_').len();
    match (word, rest.chars().next()) {
        (0, None) => "",
        (0, Some(c)) => &rest[..c.len_utf8()],
        (n, _) => &rest[..n.min(40)],
    }
}
