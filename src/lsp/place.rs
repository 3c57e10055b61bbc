//! Bytes of a text and positions of the protocol: lines and UTF-16 code units, from 0.

use crate::lang::Span;
use lsp_types::{Position, Range};

/// The position of a byte.
pub fn position(text: &str, byte: usize) -> Position {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    let line_start = text[..byte].rfind('\n').map_or(0, |i| i + 1);
    let line = text[..byte].matches('\n').count();
    let character = text[line_start..byte].encode_utf16().count();
    Position { line: line as u32, character: character as u32 }
}

/// The byte of a position; positions beyond a line are its end.
pub fn byte(text: &str, at: Position) -> usize {
    let mut start = 0;
    for _ in 0..at.line {
        match text[start..].find('\n') {
            Some(i) => start += i + 1,
            None => return text.len(),
        }
    }
    let line = text[start..].split('\n').next().unwrap_or("");
    let mut units = 0;
    for (i, c) in line.char_indices() {
        if units >= at.character as usize {
            return start + i;
        }
        units += c.len_utf16();
    }
    start + line.len()
}

/// The range of a span.
pub fn range(text: &str, span: Span) -> Range {
    Range { start: position(text, span.start), end: position(text, span.end.max(span.start)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_utf16_units() {
        let text = "a😀b\né";
        assert_eq!(position(text, 5), Position { line: 0, character: 3 });
        assert_eq!(byte(text, Position { line: 0, character: 3 }), 5);
        assert_eq!(byte(text, Position { line: 1, character: 1 }), text.len());
        assert_eq!(byte(text, Position { line: 0, character: 99 }), 6);
        assert_eq!(byte(text, Position { line: 9, character: 0 }), text.len());
        for b in 0..=text.len() {
            assert!(byte(text, position(text, b)) <= b);
        }
    }
}
