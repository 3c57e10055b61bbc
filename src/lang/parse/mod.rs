//! Text to tree. The scanner cuts the text into items, the grammar reads each, and operators are bound
//! by the rows' precedence. Every broken item gives its own diagnostic; the others parse.
//!
//! Here is the way in; `items` and `expressions` build the tree of what the grammar found.

mod expressions;
mod items;

use super::ast::{Comment, Expr, File, Ident, Item, Span};
use super::diagnostic::{Diagnostic, SourceId};
use super::scan::{self, Chunk};
use pest::Parser;
use pest::iterators::Pair;

/// The syntax tree may be so deep; limits every recursion over it.
pub const MAX_DEPTH: usize = 1000;

/// A file may have so many bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// So many diagnostics are kept of one text.
const MAX_DIAGNOSTICS: usize = 200;

/// Room for one level of recursion, and what is added when it runs out.
pub(in crate::lang) const RED_ZONE: usize = 256 << 10;
pub(in crate::lang) const STACK: usize = 4 << 20;

#[derive(pest_derive::Parser)]
#[grammar = "../grammar/lpz.pest"]
#[allow(missing_docs)]
struct Grammar;

type Node<'a> = Pair<'a, Rule>;
type Parsed<T> = Result<T, Box<Diagnostic>>;

/// Parses a file: every item that is right, and a diagnostic for every one that is not.
pub fn parse_file(text: &str, source: SourceId) -> (File, Vec<Diagnostic>) {
    let cut = scan::scan(text, source);
    let mut diagnostics = cut.diagnostics;
    if let Some(span) = cut.stray {
        diagnostics.push(stray(source, span, &text[span.range()]));
    }
    let mut items = Vec::new();
    for chunk in cut.chunks.iter().filter(|c| !c.broken) {
        if diagnostics.len() >= MAX_DIAGNOSTICS {
            break;
        }
        match parse_chunk(text, source, chunk) {
            Ok(item) => items.push(item),
            Err(d) => diagnostics.push(*d),
        }
    }
    diagnostics.truncate(MAX_DIAGNOSTICS);
    diagnostics.sort_by_key(|d| d.span.start);
    (File { docs: cut.docs, items, comments: cut.comments }, diagnostics)
}

/// Parses a bare expression.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse_expression(text: &str, source: SourceId) -> Result<(Expr, Vec<Comment>), Box<Diagnostic>> {
    let depth = scan::expression_depth(text, source)?;
    let span = Span::new(0, text.len());
    let builder = Builder { source, offset: 0 };
    with_room(depth, || {
        let top = read(Rule::whole_expression, text, source, span)?;
        let expression = first(top).ok_or_else(|| builder.hollow(span))?;
        Ok((builder.expression(expression, 0)?, scan::comments(text)))
    })
}

/// Runs `f` with enough stack for so many nested brackets.
fn with_room<T>(depth: usize, f: impl FnOnce() -> T) -> T {
    match depth {
        0..=8 => f(),
        _ => stacker::maybe_grow(depth * (64 << 10), depth * (128 << 10), f),
    }
}

fn stray(source: SourceId, span: Span, text: &str) -> Diagnostic {
    let line = text.split('\n').next().unwrap_or("").len();
    let span = Span::new(span.start, span.start + line);
    Diagnostic::error("E003", source, span, "this is not an item")
        .label("expected `use`, `fn` or `proxy`")
        .help(crate::lang::habits::no_item(text))
}

fn parse_chunk(text: &str, source: SourceId, chunk: &Chunk) -> Parsed<Item> {
    with_room(chunk.depth, || {
        let code = &text[chunk.code.range()];
        let top = read(Rule::whole_item, code, source, chunk.code)?;
        let builder = Builder { source, offset: chunk.code.start };
        let mut attributes = Vec::new();
        for part in top.into_inner() {
            let kind = match part.as_rule() {
                Rule::attribute => {
                    attributes.push(builder.attribute(part)?);
                    continue;
                }
                Rule::import => builder.import(part),
                Rule::function => builder.function(part)?,
                Rule::proxy => builder.proxy(part)?,
                _ => continue,
            };
            let docs = chunk.docs.clone();
            return Ok(Item { docs, attributes, kind, span: chunk.span });
        }
        Err(builder.hollow(chunk.code))
    })
}

fn read(rule: Rule, code: &str, source: SourceId, span: Span) -> Parsed<Node<'_>> {
    match Grammar::parse(rule, code) {
        Ok(mut pairs) => pairs.next().ok_or_else(|| Builder { source, offset: span.start }.hollow(span)),
        Err(e) => Err(Box::new(crate::lang::syntax::explain(&e, code, source, span.start))),
    }
}

fn first(pair: Node<'_>) -> Option<Node<'_>> {
    pair.into_inner().next()
}

/// Builds the tree; `offset` is where the parsed piece starts in its source.
#[derive(Clone, Copy)]
pub(in crate::lang) struct Builder {
    pub(in crate::lang) source: SourceId,
    offset: usize,
}

impl Builder {
    pub(super) fn span(&self, pair: &Node<'_>) -> Span {
        let s = pair.as_span();
        let trimmed = s.as_str().trim_end().len();
        Span::new(self.offset + s.start(), self.offset + s.start() + trimmed)
    }
    pub(super) fn error(
        &self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> Box<Diagnostic> {
        Box::new(Diagnostic::error(code, self.source, span, message))
    }
    /// The grammar promises the parts of a rule; this says so where one is missing all the same.
    pub(super) fn hollow(&self, span: Span) -> Box<Diagnostic> {
        self.error("E003", span, "this cannot be read")
    }
    pub(super) fn part<'a>(
        &self,
        parts: &mut pest::iterators::Pairs<'a, Rule>,
        of: Span,
    ) -> Parsed<Node<'a>> {
        parts.next().ok_or_else(|| self.hollow(of))
    }
    pub(super) fn ident(&self, pair: &Node<'_>) -> Ident {
        Ident { text: pair.as_str().to_string(), span: self.span(pair) }
    }
    pub(super) fn path(&self, pair: Node<'_>) -> Vec<Ident> {
        pair.into_inner().map(|p| self.ident(&p)).collect()
    }

    fn number(&self, pair: &Node<'_>) -> Parsed<f64> {
        match pair.as_str().parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(x),
            _ => Err(Box::new(
                Diagnostic::error(
                    "E005",
                    self.source,
                    self.span(pair),
                    "this number is too large for 64 bits",
                )
                .label("larger than 1.8e308")
                .help("write `inf` if infinity is meant"),
            )),
        }
    }
}

fn unquote(pair: &Node<'_>) -> String {
    pair.as_str().trim_matches('"').to_string()
}

impl crate::lang::syntax::Named for Rule {
    fn say(&self) -> &'static str {
        match self {
            Rule::EOI => "the end of the item",
            Rule::attribute | Rule::attribute_list => "an attribute",
            Rule::attribute_entry | Rule::attribute_value | Rule::signed_number => "a value of an attribute",
            Rule::import | Rule::function | Rule::proxy => "`use`, `fn` or `proxy`",
            Rule::expression | Rule::operand | Rule::argument => "an expression",
            Rule::symbol => "an operator",
            Rule::name | Rule::parameter | Rule::pattern => "a name",
            Rule::path => "a name",
            Rule::number | Rule::range => "a number",
            Rule::block => "a block `{ ... }`",
            Rule::binding => "`let`",
            Rule::dot => "`.field`",
            Rule::arguments => "arguments `( ... )`",
            Rule::index | Rule::selectors | Rule::selector => "an index `[ ... ]`",
            Rule::string | Rule::string_text => "a path in quotes",
            _ => "something else",
        }
    }
    fn is_expression(&self) -> bool {
        let parts = [Rule::expression, Rule::operand, Rule::aggregate, Rule::call, Rule::tensor, Rule::group];
        parts.contains(self)
    }
}
