//! Help for what people write who come from other languages: what it means here, and how it is
//! written.

use super::assist::lexer::{Lexeme, Token, tokens};

/// A mistake in the head of an item: where it is, what is there, what belongs there, how it goes.
pub struct Head {
    /// Byte of what is there.
    pub at: usize,
    /// What belongs there.
    pub belongs: &'static str,
    /// How it goes.
    pub help: &'static str,
}

const PROXY: &str = "a program is written `proxy name = expression`";
const FUNCTION: &str = "a function is written `fn name(x) = expression`";
const AGGREGATE: &str = "an aggregate is written `sum l in linear { norm(l.weight) }`";

/// What is wrong between an item's keyword and its `=`, if anything.
pub fn head(code: &str) -> Option<Head> {
    let all = tokens(code);
    let first = all.iter().position(|t| t.is(code, "proxy") || t.is(code, "fn"))?;
    let item = &all[first..];
    item.get(1).filter(|t| t.kind == Lexeme::Word)?;
    let missing = |i: usize, belongs: &'static str, help| {
        let at = item.get(i).map_or(code.len(), |t| t.span.start);
        (!item.get(i).is_some_and(|t| t.is(code, belongs))).then_some(Head { at, belongs, help })
    };
    if item[0].is(code, "proxy") {
        return missing(2, "=", PROXY);
    }
    if let Some(wrong) = missing(2, "(", FUNCTION) {
        return Some(wrong);
    }
    let close = closing(item, 2)?;
    missing(close + 1, "=", FUNCTION)
}

/// The bracket that closes token `open`.
fn closing(all: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (i, t) in all.iter().enumerate().skip(open) {
        match t.kind {
            Lexeme::Open => depth += 1,
            Lexeme::Close if depth == 1 => return Some(i),
            Lexeme::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Help for what stands at byte `at` of an item.
pub fn help(code: &str, at: usize, found: &str) -> String {
    let all = tokens(code.get(..at).unwrap_or(""));
    let word = |back: usize| all.len().checked_sub(back).map_or("", |i| all[i].text(code));
    let said = |w: &str| all.iter().any(|t| t.is(code, w));
    let first = found.chars().next();
    let text = match found {
        "" if word(1) == "." => "a decimal number needs a digit after its point",
        "" => "the expression is not finished; it ends where the next item begins",
        "}" if word(1) == "{" => "a block holds an expression",
        "}" => "a block ends with an expression; end a `let` before a sign with `;`",
        "{" => AGGREGATE,
        "let" => "`let` stands at the beginning of a block `{ let x = ... result }`",
        "in" | "use" | "fn" | "proxy" => "this is a word of the language; take another name",
        "if" | "else" => "a choice is written `where(condition, a, b)`",
        _ if said("if") => "a choice is written `where(condition, a, b)`",
        "for" => AGGREGATE,
        "," | ")" if word(1) == "," => "remove the comma",
        "'" => "paths stand in double quotes",
        "\"" => "a text is no value; only `use` takes one, the path of a file",
        ";" => "leave it out: an item ends where the next begins",
        "." if said("use") => "an item of the standard library is written `std::name`",
        "(" if word(2) == "." => "there are no methods: write `f(x)` for `x.f()`",
        "(" if word(3) == "in" => "the term of an aggregate stands in braces: `sum l in linear { ... }`",
        "of" | "over" => AGGREGATE,
        "\u{2212}" | "\u{2013}" => "this is not the minus sign of programs, which is `-`",
        _ if found.starts_with(|c: char| c.is_ascii_digit())
            && !found.bytes().all(|b| b.is_ascii_digit()) =>
        {
            "a product is written with `*`, and a name begins with a letter"
        }
        _ if first.is_some_and(|c| c.is_ascii_alphanumeric()) => {
            "between two values stands an operator; arguments stand in brackets, as in `f(x, y)`"
        }
        _ if first.is_some_and(|c| !c.is_ascii()) => {
            "outside of comments only ASCII letters, digits and signs are used"
        }
        _ => "remove it, or look at how the standard library writes it: `lpz doc std::snip`",
    };
    text.to_string()
}

/// Help for a text that stands where an item belongs.
pub fn no_item(text: &str) -> &'static str {
    let all = tokens(text);
    let word = |i: usize| all.get(i).map_or("", |t| t.text(text));
    match word(0) {
        "#" | "--" | "%" => "a comment begins with `//`",
        "let" => "`let` stands in a block; at the top write `fn name() = value`, or `proxy name = number`",
        "def" | "function" | "func" | "lambda" => FUNCTION,
        "import" | "from" | "include" => "`use std::name` and `use \"./file.lpz\"` bring items in",
        "capture" | "weight" | "role" => "an attribute begins with `@`, as in `@capture(params = abs)`",
        _ => PROXY,
    }
}
