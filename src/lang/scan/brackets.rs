//! Brackets: that each is closed by its own kind, and how deep they nest.

use super::tokens::{Kind, Token};
use crate::lang::ast::Span;
use crate::lang::diagnostic::{Diagnostic, SourceId};

/// Brackets may nest so deep.
const MAX_BRACKETS: usize = 200;

type Wrong = Box<Diagnostic>;

/// How deep brackets nest, or what is wrong with them.
pub(super) fn depth(text: &str, tokens: &[Token], source: SourceId) -> Result<usize, Wrong> {
    let mut open: Vec<Token> = Vec::new();
    let mut deepest = 0;
    for t in tokens {
        match t.kind {
            Kind::Open(_) => {
                open.push(*t);
                deepest = deepest.max(open.len());
                if open.len() > MAX_BRACKETS {
                    return Err(too_deep(source, t));
                }
            }
            Kind::Close(wanted) => match open.pop() {
                Some(o) if o.kind == Kind::Open(wanted) => {}
                opened => return Err(closes_wrong(text, source, t, opened)),
            },
            _ => {}
        }
    }
    match open.pop() {
        None => Ok(deepest),
        Some(o) => Err(never_closed(text, source, &o)),
    }
}

fn span(t: &Token) -> Span {
    Span::new(t.start, t.end)
}

fn too_deep(source: SourceId, t: &Token) -> Wrong {
    let message = format!("brackets nest deeper than {MAX_BRACKETS}");
    let d = Diagnostic::error("E002", source, span(t), message);
    Box::new(d.label("one bracket too many").help("name parts with `let` or `fn`"))
}

/// `t` closes nothing, or what was opened with another bracket.
fn closes_wrong(text: &str, source: SourceId, t: &Token, opened: Option<Token>) -> Wrong {
    let closing = &text[t.start..t.end];
    let error = |message: String| Diagnostic::error("E004", source, span(t), message);
    Box::new(match opened {
        Some(o) => error(format!("`{closing}` closes `{}`", &text[o.start..o.end]))
            .label("closed here")
            .help("close brackets in the reverse order of opening them")
            .also(source, span(&o), "opened here"),
        None => error(format!("`{closing}` closes nothing"))
            .label("nothing is open here")
            .help("remove it, or open it before"),
    })
}

fn never_closed(text: &str, source: SourceId, o: &Token) -> Wrong {
    let message = format!("`{}` is never closed", &text[o.start..o.end]);
    let d = Diagnostic::error("E004", source, span(o), message);
    Box::new(d.label("opened here").help("close it before the next item begins"))
}
