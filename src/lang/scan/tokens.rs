//! Words, signs and brackets of a text, with the comments and documentation between them.

use super::Scan;
use crate::lang::ast::{Comment, Span};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Word,
    Doc,
    Open(u8),
    Close(u8),
    At,
    Other,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    /// First on its line.
    pub(super) first: bool,
}

/// The tokens of `text`; comments go into `out`.
pub(super) fn tokens(text: &str, out: &mut Scan) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut tokens: Vec<Token> = Vec::new();
    let (mut at, mut first) = (0, true);
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
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
                if !comment(&text[start..at], start, tokens.is_empty(), out) {
                    continue;
                }
                tokens.push(Token { kind: Kind::Doc, start, end: at, first });
            }
            _ => {
                let (kind, length) = sign(&text[at..]);
                at += length;
                tokens.push(Token { kind, start, end: at, first });
            }
        }
        first = false;
    }
    tokens
}

/// The token that `rest` begins with, and its length.
fn sign(rest: &str) -> (Kind, usize) {
    let bytes = rest.as_bytes();
    let one = rest.chars().next().map_or(1, char::len_utf8);
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    match bytes.first() {
        Some(b'"') => {
            let end = 1 + rest[1..].find(['"', '\n']).unwrap_or(rest.len() - 1);
            (Kind::Other, end + usize::from(bytes.get(end) == Some(&b'"')))
        }
        Some(&b @ (b'(' | b'[' | b'{')) => (Kind::Open(b), one),
        Some(b')') => (Kind::Close(b'('), one),
        Some(b']') => (Kind::Close(b'['), one),
        Some(b'}') => (Kind::Close(b'{'), one),
        Some(b'@') => (Kind::At, one),
        Some(b) if word(b) => (Kind::Word, bytes.iter().take_while(|b| word(b)).count()),
        _ => (Kind::Other, one),
    }
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

/// Text of a documentation line whose marker has `marker` characters.
pub(super) fn doc_text(line: &str, marker: usize) -> String {
    let rest = &line[marker.min(line.len())..];
    rest.strip_prefix(' ').unwrap_or(rest).trim_end().to_string()
}
