//! The rewrites of the operator rows as patterns for equality saturation.
//!
//! A row writes its rewrites in the language, `("neg-neg", "-(-?a)", "?a")`. They are compiled by the
//! language itself, with numbers of the model in the place of the variables, or tensors of a site
//! where the operators need axes.

use super::expr::{Expr, Head};
use crate::ir::Dag;
use crate::ir::key::key_of;
use crate::lang::Library;
use crate::ops::{self, Attrs, OpId};
use egg::{Pattern, Rewrite, SymbolLang};
use std::fmt::Write;
use std::sync::LazyLock;

/// The symbol of a head: operators by name, so that patterns can name them, everything else by its
/// identity.
pub fn symbol(head: &Head, operands: usize) -> String {
    match head {
        Head::Op { op, attrs } => {
            let row = ops::row(*op);
            format!("{}/{operands}/{:x}", row.name, key_of(&(op.0, attrs)).0)
        }
        Head::Number(x) => format!("number/{:x}", x.to_bits()),
        other => format!("leaf/{:x}", key_of(&format!("{other:?}")).0),
    }
}

/// What stands for a variable, and how an expression over it becomes a program.
struct Frame {
    variables: [&'static str; 3],
    before: &'static str,
    after: &'static str,
    /// Levels from the program's root to the expression.
    levels: usize,
}

const FRAMES: &[Frame] = &[
    Frame { variables: ["params", "flops", "vocab"], before: "", after: "", levels: 0 },
    Frame {
        variables: ["l.weight", "l.grad", "l.hvp"],
        before: "sum l in linear { ",
        after: " }",
        levels: 1,
    },
    Frame {
        variables: ["l.weight", "l.grad", "l.hvp"],
        before: "sum l in linear { sum(",
        after: ") }",
        levels: 2,
    },
];

/// Heads that occur in a right side only, by symbol.
static HEADS: LazyLock<Vec<(String, Head)>> = LazyLock::new(|| {
    let mut out = Vec::new();
    for row in ops::rows() {
        for r in row.rewrites {
            if let Some(e) = compiled(r.from, r.to).map(|(_, to, _)| to) {
                heads(&e, &mut out);
            }
        }
    }
    out
});

fn heads(e: &Expr, out: &mut Vec<(String, Head)>) {
    out.push((symbol(&e.head, e.args.len()), e.head.clone()));
    e.args.iter().for_each(|a| heads(a, out));
}

/// The head of a symbol that a rewrite brought in.
pub fn head(name: &str) -> Option<Head> {
    HEADS.iter().find(|(n, _)| n == name).map(|(_, h)| h.clone())
}

/// All rewrites, and the exchange of operands where an operator commutes.
pub fn rewrites() -> Vec<Rewrite<SymbolLang, ()>> {
    let mut out = Vec::new();
    for (i, row) in ops::rows().iter().enumerate() {
        for r in row.rewrites {
            out.extend(rewrite(r.name, r.from, r.to));
        }
        if row.commutes && row.values.len() == 2 {
            let defaults: Vec<Option<f64>> = row.attrs.iter().map(|a| a.default).collect();
            let head = Head::Op { op: OpId(i as u16), attrs: Attrs::of(&defaults) };
            let name = symbol(&head, 2);
            let (from, to) = (format!("({name} ?a ?b)"), format!("({name} ?b ?a)"));
            out.extend(rule(&format!("{}-commutes", row.name), &from, &to));
        }
    }
    out
}

fn rewrite(name: &str, from: &str, to: &str) -> Option<Rewrite<SymbolLang, ()>> {
    let (left, right, frame) = compiled(from, to)?;
    rule(name, &pattern(&left, frame)?, &pattern(&right, frame)?)
}

fn rule(name: &str, from: &str, to: &str) -> Option<Rewrite<SymbolLang, ()>> {
    let parse = |text: &str| text.parse::<Pattern<SymbolLang>>().ok();
    Rewrite::new(name, parse(from)?, parse(to)?).ok()
}

/// Both sides in the first frame in which both type-check.
fn compiled(from: &str, to: &str) -> Option<(Expr, Expr, &'static Frame)> {
    FRAMES.iter().find_map(|f| Some((side(from, f)?, side(to, f)?, f)))
}

fn side(text: &str, frame: &Frame) -> Option<Expr> {
    let mut text = text.to_owned();
    for (variable, stand_in) in ["?a", "?b", "?c"].iter().zip(frame.variables) {
        text = text.replace(variable, stand_in);
    }
    let program = format!("{}{text}{}", frame.before, frame.after);
    let mut dag = Dag::default();
    let root = Library::new().expression("rewrite", &program, &mut dag).ok()?.program.root;
    let mut e = Expr::lift(&dag, root);
    for _ in 0..frame.levels {
        e = e.args.into_iter().next()?;
    }
    Some(e)
}

/// The expression with its stand-ins made variables, as egg writes it.
fn pattern(e: &Expr, frame: &Frame) -> Option<String> {
    if let Some(variable) = variable(e, frame) {
        return Some(variable.to_owned());
    }
    let name = symbol(&e.head, e.args.len());
    if e.args.is_empty() {
        return Some(name);
    }
    let mut out = format!("({name}");
    for a in &e.args {
        let _ = write!(out, " {}", pattern(a, frame)?);
    }
    Some(out + ")")
}

fn variable(e: &Expr, frame: &Frame) -> Option<&'static str> {
    let name = match &e.head {
        Head::Model(name, None) => (*name).to_owned(),
        Head::Field { field, .. } => {
            let row = crate::site::FIELDS.iter().find(|f| f.field == *field)?;
            format!("l.{}", row.name)
        }
        _ => return None,
    };
    let at = frame.variables.iter().position(|v| *v == name)?;
    ["?a", "?b", "?c"].get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rewrite_of_the_rows_is_understood() {
        for row in ops::rows() {
            for r in row.rewrites {
                assert!(rewrite(r.name, r.from, r.to).is_some(), "{}: {} to {}", r.name, r.from, r.to);
            }
        }
    }
}
