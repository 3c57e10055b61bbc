//! Cuts a text into items before it is parsed: finds comments and documentation, checks brackets
//! and nesting, and finds where items begin. Never recurses, one pass, so hostile text costs
//! nothing and every broken item is reported by itself.

use super::ast::{Comment, Span};
use super::diagnostic::{Diagnostic, SourceId};

/// Brackets may nest so deep.
pub const MAX_BRACKETS: usize = 200;

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

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Word,
    Doc,
    Open(u8),
    Close(u8),
    At,
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
    /// First on its line.
    first: bool,
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
    brackets(text, &tokens, source)
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
    let (depth, broken) = match brackets(text, &tokens[docs_end..], source) {
        Ok(depth) => (depth, false),
        Err(d) => {
            out.diagnostics.push(*d);
            (0, true)
        }
    };
    Chunk { docs, span: Span::new(start, code_end), code, depth, broken }
}

/// Text of a documentation line whose marker has `marker` characters.
fn doc_text(line: &str, marker: usize) -> String {
    let rest = &line[marker.min(line.len())..];
    rest.strip_prefix(' ').unwrap_or(rest).trim_end().to_string()
}

fn brackets(text: &str, tokens: &[Token], source: SourceId) -> Result<usize, Box<Diagnostic>> {
    let mut open: Vec<Token> = Vec::new();
    let mut deepest = 0;
    for t in tokens {
        let span = Span::new(t.start, t.end);
        match t.kind {
            Kind::Open(_) => {
                open.push(*t);
                deepest = deepest.max(open.len());
                if open.len() > MAX_BRACKETS {
                    let message = format!("brackets nest deeper than {MAX_BRACKETS}");
                    let d = Diagnostic::error("E002", source, span, message);
                    return Err(Box::new(
                        d.label("one bracket too many").help("name parts with `let` or `fn`"),
                    ));
                }
            }
            Kind::Close(wanted) => match open.pop() {
                Some(o) if o.kind == Kind::Open(wanted) => {}
                Some(o) => {
                    let message = format!("`{}` closes `{}`", &text[span.range()], &text[o.start..o.end]);
                    let d = Diagnostic::error("E004", source, span, message).label("closed here");
                    let d = d.help("close brackets in the reverse order of opening them");
                    return Err(Box::new(d.also(source, Span::new(o.start, o.end), "opened here")));
                }
                None => {
                    let message = format!("`{}` closes nothing", &text[span.range()]);
                    return Err(Box::new(
                        Diagnostic::error("E004", source, span, message)
                            .label("nothing is open here")
                            .help("remove it, or open it before"),
                    ));
                }
            },
            _ => {}
        }
    }
    match open.pop() {
        None => Ok(deepest),
        Some(o) => {
            let span = Span::new(o.start, o.end);
            let message = format!("`{}` is never closed", &text[span.range()]);
            Err(Box::new(
                Diagnostic::error("E004", source, span, message)
                    .label("opened here")
                    .help("close it before the next item begins"),
            ))
        }
    }
}

fn tokens(text: &str, out: &mut Scan) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut tokens: Vec<Token> = Vec::new();
    let (mut at, mut first) = (0, true);
    while at < bytes.len() {
        let start = at;
        let b = bytes[at];
        let kind = match b {
            b'\n' => {
                first = true;
                at += 1;
                continue;
            }
            b' ' | b'\t' | b'\r' => {
                at += 1;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at = text[at..].find('\n').map_or(bytes.len(), |i| at + i);
                match comment(&text[start..at], start, tokens.is_empty(), out) {
                    true => Kind::Doc,
                    false => continue,
                }
            }
            b'"' => {
                let rest = &text[at + 1..];
                at += 1 + rest.find(['"', '\n']).unwrap_or(rest.len());
                at += usize::from(bytes.get(at) == Some(&b'"'));
                Kind::Other
            }
            b'(' | b'[' | b'{' => Kind::Open(b),
            b')' => Kind::Close(b'('),
            b']' => Kind::Close(b'['),
            b'}' => Kind::Close(b'{'),
            b'@' => Kind::At,
            _ if b.is_ascii_alphanumeric() || b == b'_' => {
                while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_') {
                    at += 1;
                }
                Kind::Word
            }
            _ => Kind::Other,
        };
        if at == start {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
        tokens.push(Token { kind, start, end: at, first });
        first = false;
    }
    tokens
}

/// Files a comment away; true for a `///` line, which is a token.
fn comment(line: &str, start: usize, at_top: bool, out: &mut Scan) -> bool {
    if line.starts_with("///") && !line.starts_with("////") {
        return true;
    }
    if at_top && line.starts_with("//!") {
        out.docs.push(doc_text(line, 3));
        return false;
    }
    let text = line.trim_end().to_string();
    out.comments.push(Comment { span: Span::new(start, start + text.len()), text });
    false
}
