//! Where in a text the cursor stands: after a dot, between which brackets, in which attribute; and
//! which names are bound there.

use super::lexer::{Lexeme, Token, tokens};
use super::vocabulary::{Class, vocabulary};
use crate::lang::ast::Span;
use crate::site::{KINDS, Kind};

/// A name that the text binds.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The name.
    pub name: String,
    /// Where it is bound.
    pub at: Span,
    /// The kind of site, where it is one.
    pub kind: Option<Kind>,
}

/// Where the cursor stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a comment.
    Comment,
    /// In quotes: a path begins at this byte.
    Path(usize),
    /// After `base.`: its kind, where known.
    Part(Option<Kind>),
    /// After `std::`.
    Std,
    /// After `@`.
    Attribute,
    /// Among the options of an attribute.
    Options(String),
    /// After `name =` in an attribute.
    OptionValue(String, String),
    /// Between the brackets after a collection.
    Roles,
    /// Between the brackets after `params`.
    ParameterRoles,
    /// Where an aggregate names its collection.
    Collection,
    /// Where a new name is given.
    NewName,
    /// In an expression; the call that encloses it and the number of its argument.
    Expression(Option<(String, usize)>),
}

/// A cursor in a text.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where it stands.
    pub place: Place,
    /// Where the word that is being typed begins.
    pub start: usize,
    /// What is typed of it.
    pub prefix: String,
    /// Names bound before it, the nearest last.
    pub names: Vec<Bound>,
}

fn kind_of(name: &str) -> Option<Kind> {
    KINDS.iter().find(|k| k.name == name).map(|k| k.kind)
}

impl Context {
    /// Looks at `text` up to the byte `at`.
    pub fn new(text: &str, at: usize) -> Self {
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let text = &text[..at];
        let mut all = tokens(text);
        let last = all.last().copied().filter(|t| t.span.end == at);
        if let Some(t) = last.filter(|t| matches!(t.kind, Lexeme::Comment | Lexeme::Text)) {
            let open = t.kind == Lexeme::Text && (t.span.end - t.span.start < 2 || !text.ends_with('"'));
            if open || t.kind == Lexeme::Comment {
                let start = t.span.start + 1;
                let place = if open { Place::Path(start) } else { Place::Comment };
                let prefix = text[start..].to_string();
                return Context { place, start, prefix, names: Vec::new() };
            }
        }
        let word = last.filter(|t| matches!(t.kind, Lexeme::Word));
        if word.is_some() {
            all.pop();
        }
        all.retain(|t| t.kind != Lexeme::Comment);
        let start = word.map_or(at, |t| t.span.start);
        let names = bound(text, &all);
        let place = place(text, &all, &names);
        Context { place, start, prefix: text[start..].to_string(), names }
    }
}

fn place(text: &str, all: &[Token], names: &[Bound]) -> Place {
    let word = |back: usize| all.len().checked_sub(back).map_or("", |i| all[i].text(text));
    match word(1) {
        "." if word(2) != "." => return Place::Part(kind_before(text, &all[..all.len() - 1], names)),
        ":" if word(2) == ":" && word(3) == "std" => return Place::Std,
        "@" if all.len() < 2 || !value_ends(text, all[all.len() - 2]) || first_on_line(text, all) => {
            return Place::Attribute;
        }
        "in" => return Place::Collection,
        "let" | "fn" | "proxy" => return Place::NewName,
        _ => {}
    }
    let Some(open) = enclosing(all, all.len()) else { return Place::Expression(None) };
    let before = |back: usize| open.checked_sub(back).map_or("", |i| all[i].text(text));
    match all[open].text(text) {
        "(" if before(2) == "@" => {
            let name = before(1).to_string();
            match word(1) {
                "=" => Place::OptionValue(name, word(2).to_string()),
                _ => Place::Options(name),
            }
        }
        "[" if before(1) == "params" => Place::ParameterRoles,
        "[" if kind_of(before(1)).is_some() => Place::Roles,
        "(" if open > 0 && all[open - 1].kind == Lexeme::Word && before(1) != "in" => {
            let commas = argument(text, &all[open + 1..]);
            Place::Expression(Some((before(1).to_string(), commas)))
        }
        _ => Place::Expression(None),
    }
}

fn value_ends(text: &str, t: Token) -> bool {
    matches!(t.kind, Lexeme::Word | Lexeme::Number | Lexeme::Close) && !t.is(text, "in")
}

fn first_on_line(text: &str, all: &[Token]) -> bool {
    let Some(t) = all.last() else { return false };
    let line = text[..t.span.start].rfind('\n').map_or(0, |i| i + 1);
    text[line..t.span.start].trim().is_empty()
}

/// The bracket that is open before token `end`.
fn enclosing(all: &[Token], end: usize) -> Option<usize> {
    let mut depth = 0usize;
    for i in (0..end).rev() {
        match all[i].kind {
            Lexeme::Close => depth += 1,
            Lexeme::Open if depth == 0 => return Some(i),
            Lexeme::Open => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Which argument stands after these tokens: commas outside of inner brackets.
fn argument(text: &str, inside: &[Token]) -> usize {
    let (mut depth, mut commas) = (0i32, 0);
    for t in inside {
        match t.kind {
            Lexeme::Open => depth += 1,
            Lexeme::Close => depth -= 1,
            _ if depth == 0 && t.is(text, ",") => commas += 1,
            _ => {}
        }
    }
    commas
}

/// The kind of what ends with these tokens: a bound name, `linear[ffn]`, `b.attn`.
fn kind_before(text: &str, all: &[Token], names: &[Bound]) -> Option<Kind> {
    let mut end = all.len();
    if all.last().is_some_and(|t| t.is(text, "]")) {
        end = enclosing(all, end - 1)?;
    }
    let t = all.get(end.checked_sub(1)?)?;
    let name = t.text(text);
    let after_dot = end >= 2 && all[end - 2].is(text, ".");
    let bound = names.iter().rev().find(|b| b.name == name).filter(|_| !after_dot);
    bound.and_then(|b| b.kind).or_else(|| kind_of(name))
}

/// Names that the text binds: patterns of aggregates, `let`s, parameters, items.
fn bound(text: &str, all: &[Token]) -> Vec<Bound> {
    let mut out: Vec<Bound> = Vec::new();
    let word = |i: usize| all.get(i).filter(|t| t.kind == Lexeme::Word).map(|t| named(text, *t, None));
    for i in 0..all.len() {
        let t = all[i].text(text);
        match t {
            "let" | "proxy" => out.extend(word(i + 1)),
            "fn" => {
                out.extend(word(i + 1));
                out.extend(parameters(text, &all[(i + 2).min(all.len())..]));
            }
            _ if vocabulary().find(t, Class::Reducer).is_some() => {
                let (names, rest) = pattern(text, &all[i + 1..]);
                let kinds = collection(text, rest, &out);
                for (n, t) in names.into_iter().enumerate() {
                    out.push(named(text, t, kinds.get(n).copied().flatten()));
                }
            }
            _ => {}
        }
    }
    out
}

fn named(text: &str, t: Token, kind: Option<Kind>) -> Bound {
    Bound { name: t.text(text).into(), at: t.span, kind }
}

fn parameters(text: &str, rest: &[Token]) -> Vec<Bound> {
    let end = rest.iter().position(|t| t.kind == Lexeme::Close).unwrap_or(rest.len());
    let words = rest[..end].iter().filter(|t| t.kind == Lexeme::Word);
    words.map(|t| named(text, *t, None)).collect()
}

/// `l in` or `(a, b) in`: the names and what follows.
fn pattern<'t>(text: &str, rest: &'t [Token]) -> (Vec<Token>, &'t [Token]) {
    let Some(end) = rest.iter().take(24).position(|t| t.is(text, "in")) else { return (Vec::new(), &[]) };
    let plain = |t: &&Token| t.kind == Lexeme::Word || ["(", ")", ","].contains(&t.text(text));
    if !rest[..end].iter().all(|t| plain(&t)) {
        return (Vec::new(), &[]);
    }
    let names = rest[..end].iter().filter(|t| t.kind == Lexeme::Word);
    (names.copied().collect(), &rest[end + 1..])
}

/// The kinds that a collection binds.
fn collection(text: &str, rest: &[Token], names: &[Bound]) -> Vec<Option<Kind>> {
    let end = rest.iter().position(|t| t.is(text, "{")).unwrap_or(rest.len());
    let rest = &rest[..end];
    let zip = rest.first().is_some_and(|t| vocabulary().find(t.text(text), Class::Join).is_some());
    if !zip {
        return vec![kind_before(text, rest, names)];
    }
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0i32, 2);
    for i in 2..rest.len() {
        match rest[i].kind {
            Lexeme::Open => depth += 1,
            Lexeme::Close if depth == 0 => {
                parts.push(kind_before(text, &rest[from.min(i)..i], names));
                break;
            }
            Lexeme::Close => depth -= 1,
            _ if depth == 0 && rest[i].is(text, ",") => {
                parts.push(kind_before(text, &rest[from..i], names));
                from = i + 1;
            }
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place_of(text: &str) -> Place {
        Context::new(text, text.len()).place
    }

    #[test]
    fn knows_where_the_cursor_stands() {
        assert_eq!(place_of("sum l in linear { l.wei"), Place::Part(Some(Kind::Linear)));
        assert_eq!(place_of("mean (h, a) in zip(head[query], act) { a."), Place::Part(Some(Kind::Act)));
        assert_eq!(place_of("sum b in block { sum m in b.attn { m."), Place::Part(Some(Kind::Attn)));
        assert_eq!(place_of("linear[ffn, 0]."), Place::Part(Some(Kind::Linear)));
        assert_eq!(place_of("linear["), Place::Roles);
        assert_eq!(place_of("params[f"), Place::ParameterRoles);
        assert_eq!(place_of("sum l in "), Place::Collection);
        assert_eq!(place_of("use std::sn"), Place::Std);
        assert_eq!(place_of("use \"./my"), Place::Path(5));
        assert_eq!(place_of("// sum l in"), Place::Comment);
        assert_eq!(place_of("@cap"), Place::Attribute);
        assert_eq!(place_of("@capture(par"), Place::Options("capture".into()));
        let value = Place::OptionValue("capture".into(), "params".into());
        assert_eq!(place_of("@capture(inputs = data, params = a"), value);
        let call = Place::Expression(Some(("softmax".into(), 1)));
        assert_eq!(place_of("softmax(f(x, y), ax"), call);
        assert_eq!(place_of("x.weight @ y"), Place::Expression(None));
    }
}
