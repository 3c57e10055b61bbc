//! Text to tree. The scanner cuts the text into items, the grammar reads each, and this file binds
//! operators by the rows' precedence. Every broken item gives its own diagnostic; the others parse.

use super::ast::{
    Arg, AttrValue, Attribute, Block, Comment, Entry, Expr, ExprKind, File, Ident, Import, Item, ItemKind,
    Let, Param, Selector, Span,
};
use super::diagnostic::{Diagnostic, SourceId};
use super::operators::{Bound, bind};
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
pub(super) const RED_ZONE: usize = 256 << 10;
pub(super) const STACK: usize = 4 << 20;

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
        .help(super::habits::no_item(text))
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
        Err(e) => Err(Box::new(super::syntax::explain(&e, code, source, span.start))),
    }
}

impl super::syntax::Named for Rule {
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

fn first(pair: Node<'_>) -> Option<Node<'_>> {
    pair.into_inner().next()
}

/// Builds the tree; `offset` is where the parsed piece starts in its source.
#[derive(Clone, Copy)]
pub(super) struct Builder {
    pub(super) source: SourceId,
    offset: usize,
}

impl Builder {
    fn span(&self, pair: &Node<'_>) -> Span {
        let s = pair.as_span();
        let trimmed = s.as_str().trim_end().len();
        Span::new(self.offset + s.start(), self.offset + s.start() + trimmed)
    }
    fn error(&self, code: &'static str, span: Span, message: impl Into<String>) -> Box<Diagnostic> {
        Box::new(Diagnostic::error(code, self.source, span, message))
    }
    /// The grammar promises the parts of a rule; this says so where one is missing all the same.
    fn hollow(&self, span: Span) -> Box<Diagnostic> {
        self.error("E003", span, "this cannot be read")
    }
    fn part<'a>(&self, parts: &mut pest::iterators::Pairs<'a, Rule>, of: Span) -> Parsed<Node<'a>> {
        parts.next().ok_or_else(|| self.hollow(of))
    }
    fn ident(&self, pair: &Node<'_>) -> Ident {
        Ident { text: pair.as_str().to_string(), span: self.span(pair) }
    }
    fn path(&self, pair: Node<'_>) -> Vec<Ident> {
        pair.into_inner().map(|p| self.ident(&p)).collect()
    }

    fn import(&self, pair: Node<'_>) -> ItemKind {
        let mut import = Import::Path(Vec::new());
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::string => import = Import::File(unquote(&part), self.span(&part)),
                Rule::path => import = Import::Path(self.path(part)),
                _ => {}
            }
        }
        ItemKind::Use(import)
    }

    fn function(&self, pair: Node<'_>) -> Parsed<ItemKind> {
        let of = self.span(&pair);
        let (mut name, mut params, mut body) = (None, Vec::new(), None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(self.ident(&part)),
                Rule::parameter => params.push(self.parameter(part)?),
                Rule::expression => body = Some(self.expression(part, 0)?),
                _ => {}
            }
        }
        match (name, body) {
            (Some(name), Some(body)) => Ok(ItemKind::Fn { name, params, body }),
            _ => Err(self.hollow(of)),
        }
    }

    fn parameter(&self, pair: Node<'_>) -> Parsed<Param> {
        let of = self.span(&pair);
        let mut parts = pair.into_inner();
        let name = self.ident(&self.part(&mut parts, of)?);
        let default = parts.next().map(|p| self.expression(p, 0)).transpose()?;
        Ok(Param { name, default })
    }

    fn proxy(&self, pair: Node<'_>) -> Parsed<ItemKind> {
        let of = self.span(&pair);
        let mut parts = pair.into_inner().filter(|p| matches!(p.as_rule(), Rule::name | Rule::expression));
        match (parts.next(), parts.next()) {
            (Some(name), Some(body)) => {
                Ok(ItemKind::Proxy { name: self.ident(&name), body: self.expression(body, 0)? })
            }
            _ => Err(self.hollow(of)),
        }
    }

    fn attribute(&self, pair: Node<'_>) -> Parsed<Attribute> {
        let span = self.span(&pair);
        let mut parts = pair.into_inner();
        let name = self.ident(&self.part(&mut parts, span)?);
        let list = parts.next().map(|p| p.into_inner().map(|e| self.entry(e)).collect::<Parsed<Vec<_>>>());
        Ok(Attribute { name, entries: list.transpose()?.unwrap_or_default(), span })
    }

    fn entry(&self, pair: Node<'_>) -> Parsed<Entry> {
        let of = self.span(&pair);
        let mut name = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(self.ident(&part)),
                _ => {
                    let span = self.span(&part);
                    return Ok(Entry { name, value: self.attribute_value(part)?, span });
                }
            }
        }
        Err(self.hollow(of))
    }

    fn attribute_value(&self, pair: Node<'_>) -> Parsed<AttrValue> {
        let of = self.span(&pair);
        let mut names = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::string => return Ok(AttrValue::Text(unquote(&part))),
                Rule::signed_number => return self.signed(part).map(AttrValue::Number),
                _ => names.push(self.ident(&part)),
            }
        }
        match names.is_empty() {
            true => Err(self.hollow(of)),
            false => Ok(AttrValue::Names(names)),
        }
    }

    fn signed(&self, pair: Node<'_>) -> Parsed<f64> {
        let of = self.span(&pair);
        let mut sign = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::symbol => sign = Some((part.as_str().to_string(), self.span(&part))),
                _ => {
                    let x = self.number(&part)?;
                    return match &sign {
                        None => Ok(x),
                        Some((run, at)) => super::operators::signed(run, x)
                            .ok_or_else(|| self.error("E006", *at, format!("`{run}` is no sign"))),
                    };
                }
            }
        }
        Err(self.hollow(of))
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

    fn deep(&self, span: Span) -> Box<Diagnostic> {
        let d = Diagnostic::error("E002", self.source, span, "this expression nests too deeply");
        Box::new(d.label(format!("more than {MAX_DEPTH} levels")).help("name parts with `let` or `fn`"))
    }

    /// `depth` is how deep the expression stands in its item.
    fn expression(&self, pair: Node<'_>, depth: usize) -> Parsed<Expr> {
        stacker::maybe_grow(RED_ZONE, STACK, || self.expression_here(pair, depth))
    }

    fn expression_here(&self, pair: Node<'_>, depth: usize) -> Parsed<Expr> {
        let span = self.span(&pair);
        let symbols: usize =
            pair.clone().into_inner().filter(|p| p.as_rule() == Rule::symbol).map(|p| p.as_str().len()).sum();
        let depth = depth + symbols + 1;
        if depth > MAX_DEPTH {
            return Err(self.deep(span));
        }
        let mut parts = Vec::new();
        for part in pair.into_inner() {
            let at = self.span(&part);
            parts.push(match part.as_rule() {
                Rule::symbol => Bound::Run(part.as_str().to_string(), at),
                _ => Bound::Operand(self.operand(part, depth)?),
            });
        }
        bind(parts, self.source, span)
    }

    fn operand(&self, pair: Node<'_>, depth: usize) -> Parsed<Expr> {
        let of = self.span(&pair);
        let mut parts = pair.into_inner();
        let mut base = self.primary(self.part(&mut parts, of)?, depth)?;
        for (i, part) in parts.enumerate() {
            let span = base.span.to(self.span(&part));
            if depth + i > MAX_DEPTH {
                return Err(self.deep(span));
            }
            let kind = match part.as_rule() {
                Rule::dot => {
                    let name = self.ident(&first(part).ok_or_else(|| self.hollow(span))?);
                    match super::symbols::postfix(&name.text) {
                        Some(op) => ExprKind::Postfix { op, arg: Box::new(base) },
                        None => ExprKind::Dot { base: Box::new(base), name },
                    }
                }
                _ => ExprKind::Index { base: Box::new(base), selectors: self.selectors(part, depth)? },
            };
            base = Expr { kind, span };
        }
        Ok(base)
    }

    fn selectors(&self, pair: Node<'_>, depth: usize) -> Parsed<Vec<Selector>> {
        let of = self.span(&pair);
        let list =
            pair.into_inner().find(|p| p.as_rule() == Rule::selectors).ok_or_else(|| self.hollow(of))?;
        list.into_inner()
            .map(|s| {
                let inner = first(s).ok_or_else(|| self.hollow(of))?;
                let span = self.span(&inner);
                if inner.as_rule() != Rule::range {
                    return self.expression(inner, depth).map(Selector::One);
                }
                let ends: Vec<_> = inner.into_inner().map(|n| n.as_str().parse::<usize>().ok()).collect();
                match ends[..] {
                    [Some(a), Some(b)] => Ok(Selector::Range(a, b, span)),
                    _ => Err(self.error("E019", span, "layers are whole numbers")),
                }
            })
            .collect()
    }

    fn primary(&self, pair: Node<'_>, depth: usize) -> Parsed<Expr> {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::number => ExprKind::Number(self.number(&pair)?),
            Rule::path => ExprKind::Path(self.path(pair)),
            Rule::tensor => {
                let rows = pair.into_inner().map(|e| self.expression(e, depth));
                ExprKind::Tensor(rows.collect::<Parsed<_>>()?)
            }
            Rule::group => {
                let inner = first(pair).ok_or_else(|| self.hollow(span))?;
                // The parentheses belong to the place, not to the tree.
                return self.expression(inner, depth).map(|e| Expr { span, ..e });
            }
            Rule::block => {
                let block = self.block(pair, depth)?;
                match block.lets.is_empty() {
                    true => return Ok(Expr { span, ..*block.result }),
                    false => ExprKind::Block(block),
                }
            }
            Rule::call => self.call(pair, depth)?,
            Rule::aggregate => self.aggregate(pair, depth)?,
            _ => return Err(self.hollow(span)),
        };
        Ok(Expr { kind, span })
    }

    fn call(&self, pair: Node<'_>, depth: usize) -> Parsed<ExprKind> {
        let (mut path, mut args) = (Vec::new(), Vec::new());
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::path => path = self.path(part),
                Rule::arguments => {
                    for a in part.into_inner() {
                        args.push(self.argument(a, depth)?);
                    }
                }
                _ => {}
            }
        }
        Ok(ExprKind::Call { path, args })
    }

    fn argument(&self, pair: Node<'_>, depth: usize) -> Parsed<Arg> {
        let of = self.span(&pair);
        let mut name = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(self.ident(&part)),
                _ => return Ok(Arg { name, value: self.expression(part, depth)? }),
            }
        }
        Err(self.hollow(of))
    }

    fn aggregate(&self, pair: Node<'_>, depth: usize) -> Parsed<ExprKind> {
        let of = self.span(&pair);
        let (mut reducer, mut pattern, mut over, mut body) = (None, Vec::new(), None, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => reducer = Some(self.ident(&part)),
                Rule::pattern => pattern = self.path(part),
                Rule::operand => over = Some(Box::new(self.operand(part, depth)?)),
                Rule::block => body = Some(self.block(part, depth)?),
                _ => {}
            }
        }
        match (reducer, over, body) {
            (Some(reducer), Some(over), Some(body)) => Ok(ExprKind::Fold { reducer, pattern, over, body }),
            _ => Err(self.hollow(of)),
        }
    }

    fn block(&self, pair: Node<'_>, depth: usize) -> Parsed<Block> {
        let span = self.span(&pair);
        let (mut lets, mut result) = (Vec::new(), None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::binding => lets.push(self.binding(part, depth)?),
                Rule::expression => result = Some(Box::new(self.expression(part, depth)?)),
                _ => {}
            }
        }
        let result = result.ok_or_else(|| self.hollow(span))?;
        Ok(Block { lets, result, span })
    }

    fn binding(&self, pair: Node<'_>, depth: usize) -> Parsed<Let> {
        let span = self.span(&pair);
        let mut parts = pair.into_inner().filter(|p| matches!(p.as_rule(), Rule::name | Rule::expression));
        match (parts.next(), parts.next()) {
            (Some(name), Some(value)) => {
                let value = self.expression(value, depth)?;
                // The rule's own span runs on over blanks and comments.
                let span = Span::new(span.start, value.span.end);
                Ok(Let { name: self.ident(&name), value, span })
            }
            _ => Err(self.hollow(span)),
        }
    }
}

fn unquote(pair: &Node<'_>) -> String {
    pair.as_str().trim_matches('"').to_string()
}
