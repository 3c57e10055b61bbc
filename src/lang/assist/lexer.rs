//! Tokens of a text that may be wrong or unfinished: every byte outside blanks is in one.

use super::super::ast::Span;

/// What a token is, by its letters alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lexeme {
    /// A name or keyword.
    Word,
    /// A number.
    Number,
    /// `// ...`, documentation included.
    Comment,
    /// `"..."`, closed or not.
    Text,
    /// An opening bracket.
    Open,
    /// A closing bracket.
    Close,
    /// Anything else, one character.
    Symbol,
}

/// A token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: Lexeme,
    /// Where.
    pub span: Span,
}

impl Token {
    /// Its letters.
    pub fn text(self, of: &str) -> &str {
        &of[self.span.range()]
    }
    /// Is it this symbol or word?
    pub fn is(self, of: &str, what: &str) -> bool {
        self.text(of) == what
    }
}

/// Cuts a text into tokens.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((start, c)) = rest.next() {
        let mut take = |keep: &dyn Fn(char) -> bool| {
            while rest.next_if(|(_, c)| keep(*c)).is_some() {}
            rest.peek().map_or(text.len(), |(i, _)| *i)
        };
        let (kind, end) = match c {
            c if c.is_whitespace() => continue,
            '/' if text[start..].starts_with("//") => (Lexeme::Comment, take(&|c| c != '\n')),
            '"' => {
                let end = take(&|c| c != '"' && c != '\n');
                let closed = rest.next_if(|(_, c)| *c == '"').is_some();
                (Lexeme::Text, end + usize::from(closed))
            }
            c if c.is_alphabetic() || c == '_' => (Lexeme::Word, take(&|c| c.is_alphanumeric() || c == '_')),
            c if c.is_ascii_digit() => (Lexeme::Number, number(text, start, &mut rest)),
            '(' | '[' | '{' => (Lexeme::Open, start + 1),
            ')' | ']' | '}' => (Lexeme::Close, start + 1),
            c => (Lexeme::Symbol, start + c.len_utf8()),
        };
        out.push(Token { kind, span: Span::new(start, end) });
    }
    out
}

type Chars<'a> = std::iter::Peekable<std::str::CharIndices<'a>>;

/// Digits, a point with digits after it, an exponent. `0..2` are two numbers.
fn number(text: &str, start: usize, rest: &mut Chars<'_>) -> usize {
    let bytes = text.as_bytes();
    let digits = |mut i: usize| {
        while bytes.get(i).is_some_and(u8::is_ascii_digit) {
            i += 1;
        }
        i
    };
    let mut end = digits(start);
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
            end = digits(end + 1 + sign);
        }
    }
    while rest.next_if(|(i, _)| *i < end).is_some() {}
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_everything_and_never_fails() {
        let text = "sum l in linear[0..2] { 1.5e-3*é.weight } // x\n\"open";
        let all = tokens(text);
        let words: Vec<&str> = all.iter().map(|t| t.text(text)).collect();
        let want = [
            "sum", "l", "in", "linear", "[", "0", ".", ".", "2", "]", "{", "1.5e-3", "*", "é", ".", "weight",
            "}", "// x", "\"open",
        ];
        assert_eq!(words, want);
        for text in ["", "\u{0}", "1e", "1.", "\"", "//", "日本 \u{1F600}"] {
            tokens(text);
        }
    }
}
