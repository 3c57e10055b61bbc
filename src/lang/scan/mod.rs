//! Cuts a text into items before it is parsed: finds comments and documentation, checks brackets
//! and nesting, and finds where items begin. Never recurses, one pass, so hostile text costs
//! nothing and every broken item is reported by itself.
//!
//! `tokens` reads words and signs, `brackets` matches them.

mod brackets;
mod tokens;

use super::ast::{Comment, Span};
use super::diagnostic::{Diagnostic, SourceId};
use tokens::{Kind, Token, doc_text, tokens};

/// Words that begin an item.
pub const ITEM_WORDS: &[&str] = &["use", "fn", "proxy"];

/// A piece of a text that holds one item.
#[derive(Debug)]
pub struct Chunk {
    /// Lines of `///`.
    pub docs: Vec<String>,
    /// From the documentation to the last token.
    pub span: Span,
    /// From the first attribute or keyword to the last token: what the grammar reads.
    pub code: Span,
    /// Deepest nesting of brackets.
    pub depth: usize,
    /// Brackets are wrong here, so it is not parsed.
    pub broken: bool,
}

/// A text, cut.
#[derive(Debug, Default)]
pub struct Scan {
    /// Lines of `//!`.
    pub docs: Vec<String>,
    /// Comments outside documentation.
    pub comments: Vec<Comment>,
    /// Items.
    pub chunks: Vec<Chunk>,
    /// What stands in front of the first item and is none.
    pub stray: Option<Span>,
    /// Wrong brackets.
    pub diagnostics: Vec<Diagnostic>,
}

/// Cuts `text`.
pub fn scan(text: &str, source: SourceId) -> Scan {
    let mut out = Scan::default();
    let tokens = tokens(text, &mut out);
    let starts = item_starts(text, &tokens);
    let first = starts.first().copied().unwrap_or(tokens.len());
    if let (Some(a), Some(b)) = (tokens.first(), tokens.get(first.wrapping_sub(1))) {
        out.stray = Some(Span::new(a.start, b.end));
    }
    for (i, &start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(tokens.len());
        let chunk = chunk(text, &tokens[start..end], source, &mut out);
        out.chunks.push(chunk);
    }
    out.comments.sort_by_key(|c| c.span.start);
    out
}

/// Does the text hold an item, or is it a bare expression?
pub fn has_items(text: &str) -> bool {
    let tokens = tokens(text, &mut Scan::default());
    tokens.iter().any(|t| is_item_word(text, t))
}

/// The first word of a text, comments and documentation aside.
pub fn first_word(text: &str) -> Option<&str> {
    let tokens = tokens(text, &mut Scan::default());
    let first = tokens.iter().find(|t| t.kind != Kind::Doc)?;
    (first.kind == Kind::Word).then(|| &text[first.start..first.end])
}

/// Does a text ask for more: an open bracket, or an operator or `=` at its end?
pub fn incomplete(text: &str) -> bool {
    let tokens = tokens(text, &mut Scan::default());
    let mut open = Vec::new();
    for t in &tokens {
        match t.kind {
            Kind::Open(b) => open.push(b),
            Kind::Close(b) if open.pop() != Some(b) => return false,
            _ => {}
        }
    }
    let Some(last) = tokens.last() else { return false };
    let word = &text[last.start..last.end];
    let begun = last.kind == Kind::Word && matches!(word, "in" | "let" | "use" | "fn" | "proxy");
    let symbol = word.chars().all(|c| "+-*/^@<>=!&|,%".contains(c));
    !open.is_empty() || begun || symbol || last.kind == Kind::Doc || only_prefix(&tokens)
}

/// Is the text nothing but documentation and attributes, whose item is still to come?
fn only_prefix(tokens: &[Token]) -> bool {
    item_start(tokens, tokens.len(), 0) == 0
}

/// Brackets of a bare expression: its depth, or what is wrong.
pub fn expression_depth(text: &str, source: SourceId) -> Result<usize, Box<Diagnostic>> {
    let tokens = tokens(text, &mut Scan::default());
    brackets::depth(text, &tokens, source)
}

/// Comments of a bare expression.
pub fn comments(text: &str) -> Vec<Comment> {
    let mut out = Scan::default();
    tokens(text, &mut out);
    out.comments
}

fn is_item_word(text: &str, t: &Token) -> bool {
    t.kind == Kind::Word && ITEM_WORDS.contains(&&text[t.start..t.end])
}

/// Indices of the tokens where items begin: at their documentation or attributes.
fn item_starts(text: &str, tokens: &[Token]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut floor = 0;
    for i in (0..tokens.len()).filter(|&i| is_item_word(text, &tokens[i])) {
        starts.push(item_start(tokens, i, floor));
        floor = i + 1;
    }
    starts
}

/// Where the documentation and attributes begin that stand before token `word`. The first of them
/// begins a line, because `@` inside a line may be a product of the item before.
fn item_start(tokens: &[Token], word: usize, floor: usize) -> usize {
    let (mut start, mut at) = (word, word);
    while let Some(previous) = prefix_before(tokens, at, floor) {
        at = previous;
        if tokens[at].first {
            start = at;
        }
    }
    start
}

/// The documentation line or attribute that ends right before token `at`.
fn prefix_before(tokens: &[Token], at: usize, floor: usize) -> Option<usize> {
    let last = at.checked_sub(1).filter(|&i| i >= floor)?;
    if tokens[last].kind == Kind::Doc {
        return Some(last);
    }
    let mut name = last;
    if tokens[last].kind == Kind::Close(b'(') {
        let mut depth = 0usize;
        loop {
            match tokens[name].kind {
                Kind::Close(_) => depth += 1,
                Kind::Open(_) => depth = depth.saturating_sub(1),
                _ => {}
            }
            name = name.checked_sub(1).filter(|&i| i >= floor)?;
            if depth == 0 {
                break;
            }
        }
    }
    let at_sign = name.checked_sub(1).filter(|&i| i >= floor)?;
    let (a, n) = (tokens[at_sign], tokens[name]);
    (a.kind == Kind::At && a.end == n.start && n.kind == Kind::Word).then_some(at_sign)
}

fn chunk(text: &str, tokens: &[Token], source: SourceId, out: &mut Scan) -> Chunk {
    let docs_end = tokens.iter().take_while(|t| t.kind == Kind::Doc).count();
    let mut docs: Vec<String> = Vec::new();
    let mut code_start = None;
    let mut code_end = 0;
    let mut seen_word = false;
    for t in tokens {
        if t.kind == Kind::Doc {
            let line = &text[t.start..t.end];
            // Documentation inside an item's code has nothing to document: it is read as a comment.
            match seen_word {
                false => docs.push(doc_text(line, 3)),
                true => out
                    .comments
                    .push(Comment { text: line.trim_end().into(), span: Span::new(t.start, t.end) }),
            }
            continue;
        }
        seen_word |= is_item_word(text, t);
        code_start = code_start.or(Some(t.start));
        code_end = t.end;
    }
    let start = tokens.first().map_or(0, |t| t.start);
    let code = Span::new(code_start.unwrap_or(start), code_end);
    let (depth, broken) = match brackets::depth(text, &tokens[docs_end..], source) {
        Ok(depth) => (depth, false),
        Err(d) => {
            out.diagnostics.push(*d);
            (0, true)
        }
    };
    Chunk { docs, span: Span::new(start, code_end), code, depth, broken }
}
