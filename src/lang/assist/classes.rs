//! Classes of the tokens of a text, for highlighting.

use super::lexer::{Lexeme, Token, tokens};
use super::vocabulary::{Class, vocabulary};
use crate::lang::ast::Span;

/// How a token is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shown {
    /// A word of the grammar, an attribute.
    Keyword,
    /// An operator's name or a symbol.
    Operator,
    /// What joins terms.
    Reducer,
    /// A kind of site.
    Site,
    /// A part of a site.
    Field,
    /// A number of the model, or a constant.
    Number,
    /// An item of the standard library.
    Std,
    /// Digits.
    Literal,
    /// A text in quotes.
    Text,
    /// A comment.
    Comment,
    /// Anything else.
    Plain,
}

/// Every token and how it is shown.
pub fn classes(text: &str) -> Vec<(Span, Shown)> {
    let all = tokens(text);
    (0..all.len()).map(|i| (all[i].span, shown(text, &all, i))).collect()
}

fn shown(text: &str, all: &[Token], i: usize) -> Shown {
    let t = all[i];
    let near = |at: Option<usize>, what: &str| at.and_then(|i| all.get(i)).is_some_and(|t| t.is(text, what));
    match t.kind {
        Lexeme::Comment => Shown::Comment,
        Lexeme::Text => Shown::Text,
        Lexeme::Number => Shown::Literal,
        Lexeme::Open | Lexeme::Close => Shown::Plain,
        Lexeme::Symbol if t.is(text, "@") => match all.get(i + 1).map(|n| n.text(text)) {
            Some(next) if vocabulary().find(next, Class::Attribute).is_some() => Shown::Keyword,
            _ => Shown::Operator,
        },
        Lexeme::Symbol if [",", ".", ":", ";"].contains(&t.text(text)) => Shown::Plain,
        Lexeme::Symbol => Shown::Operator,
        Lexeme::Word => {
            let dotted = near(i.checked_sub(1), ".");
            let called = near(Some(i + 1), "(");
            let attribute = near(i.checked_sub(1), "@");
            word(t.text(text), dotted, called, attribute)
        }
    }
}

fn word(text: &str, dotted: bool, called: bool, attribute: bool) -> Shown {
    let is = |class| vocabulary().find(text, class).is_some();
    match () {
        () if dotted && (is(Class::Field) || is(Class::Site)) => Shown::Field,
        () if attribute && is(Class::Attribute) => Shown::Keyword,
        () if is(Class::Keyword) => Shown::Keyword,
        () if called && (is(Class::Operator) || is(Class::Join)) => Shown::Operator,
        () if is(Class::Reducer) && !called => Shown::Reducer,
        () if is(Class::Site) => Shown::Site,
        () if is(Class::Number) => Shown::Number,
        () if is(Class::Std) => Shown::Std,
        () => Shown::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_the_class_of_their_place() {
        let text = "sum l in linear { sum(l.weight @ x) + 1.5 } // snip";
        let found: Vec<(&str, Shown)> =
            classes(text).into_iter().map(|(s, c)| (&text[s.range()], c)).collect();
        let class =
            |word: &str| found.iter().filter(|(w, _)| *w == word).map(|(_, c)| *c).collect::<Vec<_>>();
        assert_eq!(class("sum"), [Shown::Reducer, Shown::Operator]);
        assert_eq!(class("in"), [Shown::Keyword]);
        assert_eq!(class("linear"), [Shown::Site]);
        assert_eq!(class("weight"), [Shown::Field]);
        assert_eq!(class("@"), [Shown::Operator]);
        assert_eq!(class("1.5"), [Shown::Literal]);
        assert_eq!(class("// snip"), [Shown::Comment]);
        let attribute = "@capture(params = abs)";
        assert_eq!(classes(attribute)[0].1, Shown::Keyword);
        assert_eq!(classes(attribute)[1].1, Shown::Keyword);
    }
}
