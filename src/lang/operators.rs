//! Binds a flat list of operands and runs of symbols into a tree, by the rows' precedence. Within
//! a run the longest registered symbol wins: `*-` is `*` and a sign.

use super::ast::{Expr, ExprKind, Span};
use super::diagnostic::{Diagnostic, SourceId};
use super::names;
use super::symbols;
use crate::ops::{self, Fixity, OpId};
use std::iter::Peekable;

/// A part of a flat expression.
pub enum Bound {
    /// A run of symbol characters.
    Run(String, Span),
    /// An operand.
    Operand(Expr),
}

enum Token {
    Prefix(OpId, Span),
    Infix(OpId),
    Operand(Expr),
}

type Parsed<T> = Result<T, Box<Diagnostic>>;

/// Binds.
///
/// # Errors
/// A run that is no operator.
pub fn bind(mut parts: Vec<Bound>, source: SourceId, span: Span) -> Parsed<Expr> {
    if parts.len() == 1
        && let Some(Bound::Operand(e)) = parts.pop()
    {
        return Ok(e);
    }
    let mut tokens = Vec::new();
    let mut after_operand = false;
    for part in parts {
        match part {
            Bound::Operand(e) => {
                tokens.push(Token::Operand(e));
                after_operand = true;
            }
            Bound::Run(run, at) => split(&run, at, source, &mut after_operand, &mut tokens)?,
        }
    }
    let missing = || Box::new(Diagnostic::error("E003", source, span, "an operand is missing"));
    climb(&mut tokens.into_iter().peekable(), 0).ok_or_else(missing)
}

/// What a sign makes of a number.
pub fn signed(run: &str, x: f64) -> Option<f64> {
    let (op, symbol) = symbols::prefix(run)?;
    (symbol.text == run).then(|| symbols::apply(ops::row(op), x)).flatten()
}

fn split(run: &str, at: Span, source: SourceId, after: &mut bool, out: &mut Vec<Token>) -> Parsed<()> {
    let mut from = 0;
    while from < run.len() {
        let rest = &run[from..];
        let found = if *after { symbols::infix(rest) } else { symbols::prefix(rest) };
        let Some((op, symbol)) = found else {
            return Err(Box::new(unknown(rest, Span::new(at.start + from, at.end), source, *after)));
        };
        let span = Span::new(at.start + from, at.start + from + symbol.text.len());
        out.push(if *after { Token::Infix(op) } else { Token::Prefix(op, span) });
        *after = false;
        from += symbol.text.len();
    }
    Ok(())
}

fn unknown(run: &str, span: Span, source: SourceId, after_operand: bool) -> Diagnostic {
    let (message, label) = match after_operand {
        true => (format!("no operator is written `{run}`"), "unknown operator"),
        false => (format!("`{run}` needs a value in front of it"), "a value is missing before this"),
    };
    let help = match run {
        "&&" | "&" | "||" | "|" => {
            Some("comparisons give 0 or 1: their product is `and`, the larger of them `or`".to_string())
        }
        "=" => Some("`==` compares; a name is given with `let name = value` in a block".to_string()),
        _ if after_operand => Some(match names::suggest(run, symbols::infixes()) {
            Some(s) => format!("did you mean `{s}`?"),
            None => format!("operators are {}", names::list(symbols::infixes())),
        }),
        _ => Some(format!(
            "a value stands on both sides of it; operators are {}",
            names::list(symbols::infixes())
        )),
    };
    Diagnostic::error("E006", source, span, message).label(label).maybe_help(help)
}

/// Precedence climbing; `None` where an operand is missing.
fn climb(tokens: &mut Peekable<impl Iterator<Item = Token>>, least: u8) -> Option<Expr> {
    stacker::maybe_grow(super::parse::RED_ZONE, super::parse::STACK, || {
        let mut lhs = unary(tokens)?;
        while let Some(&Token::Infix(op)) = tokens.peek() {
            let symbol = ops::row(op).symbol?;
            if symbol.precedence < least {
                break;
            }
            tokens.next();
            let tighter = u8::from(symbol.fixity == Fixity::Left);
            let rhs = climb(tokens, symbol.precedence.saturating_add(tighter))?;
            let span = lhs.span.to(rhs.span);
            lhs = Expr { kind: ExprKind::Infix { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }, span };
        }
        Some(lhs)
    })
}

fn unary(tokens: &mut Peekable<impl Iterator<Item = Token>>) -> Option<Expr> {
    match tokens.next()? {
        Token::Operand(e) => Some(e),
        Token::Infix(_) => None,
        Token::Prefix(op, at) => {
            let arg = climb(tokens, ops::row(op).symbol?.precedence)?;
            let span = at.to(arg.span);
            Some(Expr { kind: ExprKind::Prefix { op, arg: Box::new(arg) }, span })
        }
    }
}
