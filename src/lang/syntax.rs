//! Says in words what the grammar missed.

use super::ast::Span;
use super::diagnostic::{Diagnostic, SourceId};
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
    Diagnostic::error("E003", source, span, message).label(label).maybe_help(help(code, at, found))
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

/// Help for the mistakes that are made often.
fn help(code: &str, at: usize, found: &str) -> Option<String> {
    let before = code.get(..at).unwrap_or("").trim_end();
    let say = |s: &str| Some(s.to_string());
    match found {
        "}" if before.ends_with('{') => say("a block holds an expression"),
        "}" => say("a block ends with an expression; end a `let` before a sign with `;`"),
        "{" => say("an aggregate is written `sum x in sites { ... }`"),
        "let" => say("`let` stands at the beginning of a block `{ let x = ... result }`"),
        "if" | "else" => say("a choice is written `where(condition, a, b)`"),
        "," | ")" if before.ends_with(',') => say("remove the comma"),
        "'" => say("paths stand in double quotes"),
        "" if before.ends_with('.') => say("a decimal number needs a digit after its point"),
        _ if found.starts_with(|c: char| c.is_ascii_digit())
            && !found.bytes().all(|b| b.is_ascii_digit()) =>
        {
            say("a product is written with `*`, and a name begins with a letter")
        }
        _ => None,
    }
}
