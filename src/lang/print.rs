//! The canonical form: minimal parentheses from the rows' precedence, documentation and comments
//! kept, lines of at most 100 characters where that is possible. Printing what was printed changes
//! nothing, and parsing it gives the same tree.

use super::ast::{
    Arg, AttrValue, Attribute, Block, Comment, Expr, ExprKind, File, Ident, Import, Item, ItemKind, Selector,
    Span,
};
use super::layout::{Doc, cat, group, join, nest, text};
use super::parse::{RED_ZONE, STACK};
use crate::ops::{self, Fixity, OpId};

/// Lines have at most so many characters, where they can be broken.
pub const WIDTH: usize = 100;

/// Binds tighter than every operator.
const TIGHT: u8 = u8::MAX;

/// A file in canonical form; `source` is the text it was parsed from.
pub fn print_file(file: &File, source: &str) -> String {
    let mut p = Printer { comments: &file.comments, next: 0, source };
    let mut out: String = file.docs.iter().map(|d| marked("//!", d) + "\n").collect();
    let mut previous: Option<&Item> = None;
    for item in &file.items {
        let lead = p.lead(item);
        if !out.is_empty() && (!lead.is_empty() || p.separate(previous, item)) {
            out.push('\n');
        }
        out.push_str(&lead);
        out.push_str(&p.item(item).render(WIDTH));
        out.push('\n');
        previous = Some(item);
    }
    let rest = p.rest();
    if !out.is_empty() && !rest.is_empty() {
        out.push('\n');
    }
    out + &rest
}

/// An item in canonical form, without comments.
pub fn print_item(item: &Item) -> String {
    Printer { comments: &[], next: 0, source: "" }.item(item).render(WIDTH) + "\n"
}

/// An expression in canonical form, without comments.
pub fn print_expr(e: &Expr) -> String {
    Printer { comments: &[], next: 0, source: "" }.expr(e, 0).render(WIDTH)
}

/// A number as the language writes it: the shortest text that gives the same number.
pub fn number(x: f64) -> String {
    let s = format!("{x:?}");
    s.strip_suffix(".0").map(str::to_string).unwrap_or(s)
}

fn marked(marker: &str, line: &str) -> String {
    format!("{marker} {line}").trim_end().to_string()
}

fn path(path: &[Ident]) -> String {
    path.iter().map(|i| i.text.as_str()).collect::<Vec<_>>().join("::")
}

struct Printer<'a> {
    comments: &'a [Comment],
    next: usize,
    source: &'a str,
}

impl Printer<'_> {
    fn between(&self, a: usize, b: usize) -> &str {
        self.source.get(a..b).unwrap_or("")
    }

    fn blank_between(&self, a: usize, b: usize) -> bool {
        self.between(a, b).matches('\n').count() > 1
    }

    /// Comments that start before `end` and were not printed yet.
    fn take(&mut self, end: usize) -> Vec<Comment> {
        let from = self.next;
        while self.comments.get(self.next).is_some_and(|c| c.span.start < end) {
            self.next += 1;
        }
        self.comments[from..self.next].to_vec()
    }

    /// A comment on the line that ends at `end`.
    fn trailing(&mut self, end: usize) -> Doc {
        match self.comments.get(self.next) {
            Some(c)
                if c.span.start >= end
                    && self.between(end, c.span.start).trim_matches([' ', '\t', ';']).is_empty() =>
            {
                self.next += 1;
                text(format!("  {}", c.text))
            }
            _ => text(""),
        }
    }

    fn lead(&mut self, item: &Item) -> String {
        let end = item_body(item).map_or(item.span.start, head_end);
        let comments = self.take(end.max(item.span.start));
        let mut out = String::new();
        for (i, c) in comments.iter().enumerate() {
            out.push_str(&c.text);
            out.push('\n');
            let follows = comments.get(i + 1).map_or(item.span.start, |n| n.span.start);
            if follows > c.span.end && self.blank_between(c.span.end, follows) {
                out.push('\n');
            }
        }
        out
    }

    fn rest(&mut self) -> String {
        let comments = self.take(usize::MAX);
        let mut out = String::new();
        for (i, c) in comments.iter().enumerate() {
            out.push_str(&c.text);
            out.push('\n');
            if comments.get(i + 1).is_some_and(|n| self.blank_between(c.span.end, n.span.start)) {
                out.push('\n');
            }
        }
        out
    }

    /// A blank line between items, unless both are short and stood together.
    fn separate(&self, previous: Option<&Item>, item: &Item) -> bool {
        let Some(previous) = previous else { return true };
        let plain = |i: &Item| i.docs.is_empty() && i.attributes.is_empty();
        let is_use = |i: &Item| matches!(i.kind, ItemKind::Use(_));
        let together = !self.blank_between(previous.span.end, item.span.start);
        let flat = !self.between(item.span.start, item.span.end).contains('\n');
        match (is_use(previous), is_use(item)) {
            (true, true) => !together,
            (false, false) => !(together && flat && plain(item) && !self.source.is_empty()),
            _ => true,
        }
    }

    fn item(&mut self, item: &Item) -> Doc {
        let mut lines: Vec<Doc> = item.docs.iter().map(|d| text(marked("///", d))).collect();
        lines.extend(item.attributes.iter().map(|a| text(attribute(a))));
        lines.push(match &item.kind {
            ItemKind::Use(Import::File(file, _)) => text(format!("use \"{file}\"")),
            ItemKind::Use(Import::Path(p)) => text(format!("use {}", path(p))),
            ItemKind::Proxy { name, body } => self.definition(format!("proxy {} =", name.text), body),
            ItemKind::Fn { name, params, body } => {
                let params: Vec<String> = params
                    .iter()
                    .map(|p| match &p.default {
                        None => p.name.text.clone(),
                        Some(d) => format!("{} = {}", p.name.text, print_expr(d)),
                    })
                    .collect();
                self.definition(format!("fn {}({}) =", name.text, params.join(", ")), body)
            }
        });
        lines.push(self.trailing(item.span.end));
        let last = lines.pop();
        cat([join(lines, &Doc::Hard)].into_iter().chain(last))
    }

    fn definition(&mut self, head: String, body: &Expr) -> Doc {
        let doc = self.expr(body, 0);
        given(head, body, doc)
    }

    /// An expression, in parentheses if it binds looser than `least`.
    fn expr(&mut self, e: &Expr, least: u8) -> Doc {
        stacker::maybe_grow(RED_ZONE, STACK, || {
            let doc = self.bare(e);
            match precedence(e) < least {
                true => group(cat([text("("), doc, text(")")])),
                false => doc,
            }
        })
    }

    fn bare(&mut self, e: &Expr) -> Doc {
        match &e.kind {
            ExprKind::Number(x) => text(number(*x)),
            ExprKind::Path(p) => text(path(p)),
            ExprKind::Tensor(rows) => {
                let rows: Vec<Doc> = rows.iter().map(|r| self.expr(r, 0)).collect();
                list("[".into(), rows, "]")
            }
            ExprKind::Call { path: p, args } => {
                let args: Vec<Doc> = args.iter().map(|a| self.arg(a)).collect();
                list(path(p) + "(", args, ")")
            }
            ExprKind::Prefix { op, arg } => {
                let arg = self.expr(arg, symbol_precedence(*op));
                cat([text(symbol_text(*op)), arg])
            }
            ExprKind::Postfix { op, arg } => {
                cat([self.expr(arg, TIGHT), text(format!(".{}", symbol_text(*op)))])
            }
            ExprKind::Dot { base, name } => cat([self.expr(base, TIGHT), text(format!(".{}", name.text))]),
            ExprKind::Index { base, selectors } => {
                let base = self.expr(base, TIGHT);
                let selectors: Vec<Doc> = selectors
                    .iter()
                    .map(|s| match s {
                        Selector::Range(a, b, _) => text(format!("{a}..{b}")),
                        Selector::One(e) => self.expr(e, 0),
                    })
                    .collect();
                cat([base, text("["), join(selectors, &text(", ")), text("]")])
            }
            ExprKind::Infix { .. } => self.chain(e),
            ExprKind::Block(block) => self.block(block),
            ExprKind::Fold { reducer, pattern, over, body } => {
                let names: Vec<&str> = pattern.iter().map(|p| p.text.as_str()).collect();
                let pattern = match &names[..] {
                    [one] => (*one).to_string(),
                    many => format!("({})", many.join(", ")),
                };
                let over = self.expr(over, TIGHT);
                cat([text(format!("{} {pattern} in ", reducer.text)), over, text(" "), self.block(body)])
            }
        }
    }

    fn arg(&mut self, a: &Arg) -> Doc {
        let value = self.expr(&a.value, 0);
        match &a.name {
            None => value,
            Some(n) => cat([text(format!("{} = ", n.text)), value]),
        }
    }

    /// Operators of one precedence that group to one side, set as one group: `a + b - c`.
    fn chain(&mut self, e: &Expr) -> Doc {
        let level = precedence(e);
        let right = fixity(e) == Some(Fixity::Right);
        let same =
            |e: &Expr| precedence(e) == level && fixity(e).is_some_and(|f| (f == Fixity::Right) == right);
        let mut ops: Vec<OpId> = Vec::new();
        let mut operands: Vec<&Expr> = Vec::new();
        let mut at = e;
        while let ExprKind::Infix { op, lhs, rhs } = &at.kind {
            if !same(at) {
                break;
            }
            ops.push(*op);
            operands.push(if right { lhs } else { rhs });
            at = if right { rhs } else { lhs };
        }
        operands.push(at);
        if !right {
            ops.reverse();
            operands.reverse();
        }
        // The operand at the open end may bind as tightly as the chain itself would.
        let docs: Vec<Doc> = operands.iter().map(|o| self.expr(o, level.saturating_add(1))).collect();
        let mut docs = docs.into_iter();
        let first = docs.next().unwrap_or_else(|| text(""));
        let tail =
            ops.iter().zip(docs).flat_map(|(op, d)| [Doc::Line, text(format!("{} ", symbol_text(*op))), d]);
        group(cat([first, nest(cat(tail))]))
    }

    fn block(&mut self, b: &Block) -> Doc {
        let commented = self.comments.iter().any(|c| b.span.start < c.span.start && c.span.end < b.span.end);
        if b.lets.is_empty() && !commented {
            let result = self.expr(&b.result, 0);
            return group(cat([text("{"), nest(cat([Doc::Line, result])), Doc::Line, text("}")]));
        }
        let mut lines = Vec::new();
        for l in &b.lets {
            lines.extend(self.comment_lines(head_end(&l.value)));
            let value = self.expr(&l.value, 0);
            let head = format!("let {} =", l.name.text);
            lines.push(given(head, &l.value, value));
            let trailing = self.trailing(l.span.end);
            lines.extend([trailing, Doc::Hard]);
        }
        let last_let = lines.len().checked_sub(2);
        lines.extend(self.comment_lines(head_end(&b.result)));
        let result = self.expr(&b.result, 0);
        if let (Some(at), Some(c)) = (last_let, result.first_char()) {
            // A sign would be read as going on with the `let` above.
            if !(c.is_ascii_alphanumeric() || matches!(c, '_' | '(' | '[' | '{')) {
                lines.insert(at, text(";"));
            }
        }
        lines.push(result);
        let trailing = self.trailing(b.result.span.end);
        lines.push(trailing);
        for c in self.take(b.span.end) {
            lines.extend([Doc::Hard, text(c.text)]);
        }
        cat([text("{"), nest(cat([Doc::Hard].into_iter().chain(lines))), Doc::Hard, text("}")])
    }

    fn comment_lines(&mut self, end: usize) -> Vec<Doc> {
        self.take(end).into_iter().flat_map(|c| [text(c.text), Doc::Hard]).collect()
    }
}

/// `head` and a value: on the line of the head where the value opens lines of its own.
fn given(head: String, value: &Expr, doc: Doc) -> Doc {
    let opens = match &value.kind {
        ExprKind::Fold { body, .. } => !body.lets.is_empty(),
        kind => matches!(kind, ExprKind::Block(_) | ExprKind::Call { .. } | ExprKind::Tensor(_)),
    };
    match opens {
        true => cat([text(head + " "), doc]),
        false => group(cat([text(head), nest(cat([Doc::Line, doc]))])),
    }
}

fn list(open: String, items: Vec<Doc>, close: &str) -> Doc {
    let items = join(items, &cat([text(","), Doc::Line]));
    group(cat([text(open), nest(cat([Doc::Soft, items])), Doc::Soft, text(close)]))
}

fn symbol_text(op: OpId) -> &'static str {
    ops::row(op).symbol.map_or("", |s| s.text)
}

fn symbol_precedence(op: OpId) -> u8 {
    ops::row(op).symbol.map_or(TIGHT, |s| s.precedence)
}

fn fixity(e: &Expr) -> Option<Fixity> {
    match &e.kind {
        ExprKind::Infix { op, .. } => ops::row(*op).symbol.map(|s| s.fixity),
        _ => None,
    }
}

fn precedence(e: &Expr) -> u8 {
    match &e.kind {
        ExprKind::Infix { op, .. } | ExprKind::Prefix { op, .. } => symbol_precedence(*op),
        _ => TIGHT,
    }
}

fn item_body(item: &Item) -> Option<&Expr> {
    match &item.kind {
        ItemKind::Use(_) => None,
        ItemKind::Fn { body, .. } | ItemKind::Proxy { body, .. } => Some(body),
    }
}

/// Where the first block in an expression opens, or the expression ends: comments up to there
/// belong above the statement.
fn head_end(e: &Expr) -> usize {
    let mut end = e.span.end;
    let mut todo = vec![e];
    let meet = |span: Span, end: &mut usize| *end = (*end).min(span.start + 1);
    while let Some(e) = todo.pop() {
        match &e.kind {
            ExprKind::Number(_) | ExprKind::Path(_) => {}
            ExprKind::Tensor(rows) => todo.extend(rows),
            ExprKind::Call { args, .. } => todo.extend(args.iter().map(|a| &a.value)),
            ExprKind::Prefix { arg, .. } | ExprKind::Postfix { arg, .. } => todo.push(arg),
            ExprKind::Infix { lhs, rhs, .. } => todo.extend([&**lhs, &**rhs]),
            ExprKind::Dot { base, .. } | ExprKind::Index { base, .. } => todo.push(base),
            ExprKind::Block(b) => meet(b.span, &mut end),
            ExprKind::Fold { over, body, .. } => {
                meet(body.span, &mut end);
                todo.push(over);
            }
        }
    }
    end
}

fn attribute(a: &Attribute) -> String {
    let value = |v: &AttrValue| match v {
        AttrValue::Number(x) => number(*x),
        AttrValue::Text(s) => format!("\"{s}\""),
        AttrValue::Names(n) => n.iter().map(|i| i.text.as_str()).collect::<Vec<_>>().join("|"),
    };
    let entries: Vec<String> = a
        .entries
        .iter()
        .map(|e| match &e.name {
            Some(n) => format!("{} = {}", n.text, value(&e.value)),
            None => value(&e.value),
        })
        .collect();
    match entries.is_empty() {
        true => format!("@{}", a.name.text),
        false => format!("@{}({})", a.name.text, entries.join(", ")),
    }
}
