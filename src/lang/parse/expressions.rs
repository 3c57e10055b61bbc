//! Expressions and blocks.

use super::{Builder, MAX_DEPTH, Node, Parsed, RED_ZONE, Rule, STACK, first};
use crate::lang::ast::{Arg, Block, Expr, ExprKind, Let, Selector, Span};
use crate::lang::diagnostic::Diagnostic;
use crate::lang::operators::{Bound, bind};
use crate::lang::symbols;

impl Builder {
    fn deep(&self, span: Span) -> Box<Diagnostic> {
        let d = Diagnostic::error("E002", self.source, span, "this expression nests too deeply");
        Box::new(d.label(format!("more than {MAX_DEPTH} levels")).help("name parts with `let` or `fn`"))
    }

    /// `depth` is how deep the expression stands in its item.
    pub(super) fn expression(&self, pair: Node<'_>, depth: usize) -> Parsed<Expr> {
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
                    match symbols::postfix(&name.text) {
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
        let one = |s| self.selector(first(s).ok_or_else(|| self.hollow(of))?, depth);
        list.into_inner().map(one).collect()
    }

    fn selector(&self, pair: Node<'_>, depth: usize) -> Parsed<Selector> {
        let span = self.span(&pair);
        if pair.as_rule() != Rule::range {
            return self.expression(pair, depth).map(Selector::One);
        }
        let ends: Vec<_> = pair.into_inner().map(|n| n.as_str().parse::<usize>().ok()).collect();
        match ends[..] {
            [Some(a), Some(b)] => Ok(Selector::Range(a, b, span)),
            _ => Err(self.error("E019", span, "layers are whole numbers")),
        }
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
