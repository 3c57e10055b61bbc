//! Canonical forms: programs that differ only by exact algebra have the same one.
//!
//! The rewrites are those of the operator rows, applied by equality saturation (Willsey et al.,
//! "egg: fast and extensible equality saturation", POPL 2021); operands of operators that commute may
//! change places. Of all equal expressions the smallest is taken, of several the one that comes first
//! in a fixed order.

use super::expr::{Expr, Head};
use super::patterns::{self, symbol};
use super::terms::identity;
use crate::ir::key::{Key, key_of};
use crate::ir::{Dag, NodeId};
use crate::ops::{self, Shape, Value};
use egg::{CostFunction, Extractor, Id, Language, RecExpr, Rewrite, Runner, SymbolLang};
use rustc_hash::FxHashMap;
use std::time::Duration;

/// Rounds and nodes of saturation: programs are small, and what is missed is only a duplicate.
const ROUNDS: usize = 6;
const NODES: usize = 2000;

/// A canonical form.
#[derive(Clone)]
pub struct Form {
    /// The expression.
    pub expr: Expr,
    /// Its identity.
    pub key: Key,
    /// Nodes of the expression as it was, minus those of the canonical one.
    pub saved: usize,
}

/// Canonical forms of the nodes of one growing [`Dag`], each computed once. Aggregates are simplified
/// on their own: an operator never reaches into one, and programs share most of theirs.
pub struct Canon {
    rules: Vec<Rewrite<SymbolLang, ()>>,
    forms: FxHashMap<NodeId, Form>,
    aggregates: FxHashMap<Key, Expr>,
}

impl Default for Canon {
    fn default() -> Self {
        Canon { rules: patterns::rewrites(), forms: FxHashMap::default(), aggregates: FxHashMap::default() }
    }
}

impl Canon {
    /// The canonical form of a node.
    pub fn of(&mut self, dag: &Dag, node: NodeId) -> &Form {
        if !self.forms.contains_key(&node) {
            let form = self.simplify(&Expr::lift(dag, node));
            self.forms.insert(node, form);
        }
        &self.forms[&node]
    }

    /// The canonical form of an expression.
    pub fn simplify(&mut self, expr: &Expr) -> Form {
        let simple = self.simple(expr);
        let mut dag = Dag::default();
        let root = simple.lower(&mut dag);
        Form { key: identity(&dag, root), saved: expr.size().saturating_sub(simple.size()), expr: simple }
    }

    fn simple(&mut self, expr: &Expr) -> Expr {
        let inside = self.within(&fold(expr));
        self.saturated(&inside)
    }

    /// The same with every aggregate in it simplified.
    fn within(&mut self, e: &Expr) -> Expr {
        if !matches!(e.head, Head::Fold { .. }) {
            let args = e.args.iter().map(|a| self.within(a)).collect();
            return Expr { head: e.head.clone(), args };
        }
        let mut dag = Dag::default();
        let root = e.lower(&mut dag);
        let key = identity(&dag, root);
        if let Some(known) = self.aggregates.get(&key) {
            return known.clone();
        }
        let args = e.args.iter().map(|a| self.simple(a)).collect();
        let simple = Expr { head: e.head.clone(), args };
        self.aggregates.insert(key, simple.clone());
        simple
    }

    /// The smallest of all equal expressions; aggregates count as leaves.
    fn saturated(&self, expr: &Expr) -> Expr {
        let mut heads = FxHashMap::default();
        let mut start = RecExpr::default();
        add(expr, &mut start, &mut heads);
        let runner = Runner::default()
            .with_iter_limit(ROUNDS)
            .with_node_limit(NODES)
            // Time must never decide.
            .with_time_limit(Duration::from_secs(3600))
            .with_expr(&start)
            .run(&self.rules);
        let best = Extractor::new(&runner.egraph, First).find_best(runner.roots[0]).1;
        let found = Id::from(best.as_ref().len().saturating_sub(1));
        back(&best, found, &heads).unwrap_or_else(|| expr.clone())
    }
}

/// Operators over constants become constants.
fn fold(e: &Expr) -> Expr {
    let args: Vec<Expr> = e.args.iter().map(fold).collect();
    if let Head::Op { op, attrs } = &e.head {
        let numbers: Option<Vec<Value>> = args
            .iter()
            .map(|a| if let Head::Number(x) = a.head { Some(Value::number(x)) } else { None })
            .collect();
        let row = ops::row(*op);
        if let Some(values) = numbers.filter(|v| !v.is_empty())
            && let Ok(out) = (row.shape)(&vec![Shape::number(); values.len()], attrs)
            && let Some(x) = row.evaluate(&out, &values.iter().collect::<Vec<_>>(), attrs).item()
            && x.is_finite()
        {
            return Expr::number(x);
        }
    }
    Expr { head: e.head.clone(), args }
}

fn add(e: &Expr, out: &mut RecExpr<SymbolLang>, heads: &mut FxHashMap<String, Expr>) -> Id {
    let whole = matches!(e.head, Head::Fold { .. });
    let args: Vec<Id> = match whole {
        true => Vec::new(),
        false => e.args.iter().map(|a| add(a, out, heads)).collect(),
    };
    let name = match whole {
        true => {
            let mut dag = Dag::default();
            let root = e.lower(&mut dag);
            format!("fold/{:x}", identity(&dag, root).0)
        }
        false => symbol(&e.head, args.len()),
    };
    heads.entry(name.clone()).or_insert_with(|| match whole {
        true => e.clone(),
        false => Expr::leaf(e.head.clone()),
    });
    out.add(SymbolLang::new(name, args))
}

fn back(e: &RecExpr<SymbolLang>, at: Id, heads: &FxHashMap<String, Expr>) -> Option<Expr> {
    let node = &e[at];
    let head = match heads.get(node.op.as_str()) {
        Some(e) if matches!(e.head, Head::Fold { .. }) => return Some(e.clone()),
        Some(e) => e.head.clone(),
        None => patterns::head(node.op.as_str())?,
    };
    let args: Option<Vec<Expr>> = node.children().iter().map(|&c| back(e, c, heads)).collect();
    Some(Expr { head, args: args? })
}

/// Fewest nodes first, then the order of names.
struct First;

impl CostFunction<SymbolLang> for First {
    type Cost = (usize, u64);
    fn cost<C: FnMut(Id) -> Self::Cost>(&mut self, node: &SymbolLang, mut costs: C) -> Self::Cost {
        let mut size = 1usize;
        let mut order = key_of(node.op.as_str()).0 as u64;
        for &c in node.children() {
            let (s, o) = costs(c);
            size = size.saturating_add(s);
            order = key_of(&(order, o)).0 as u64;
        }
        (size, order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::Library;

    fn form(text: &str) -> Form {
        let mut dag = Dag::default();
        let root = Library::new().expression("p", text, &mut dag).unwrap().program.root;
        Canon::default().simplify(&Expr::lift(&dag, root))
    }

    #[test]
    fn exact_algebra_is_seen_through() {
        let same = |a: &str, b: &str| assert_eq!(form(a).key, form(b).key, "{a} and {b}");
        same("sum l in linear { mean(-(-l.weight)) }", "sum l in linear { mean(l.weight) }");
        same("sum l in linear { sum(l.weight * l.grad) }", "sum l in linear { sum(l.grad * l.weight) }");
        same("sum l in linear { mean(abs(abs(l.weight))) }", "sum l in linear { mean(abs(l.weight)) }");
        same("depth + 0", "depth");
        same("depth * 1", "depth");
        same("depth * exp(0)", "depth");
    }

    #[test]
    fn what_differs_stays_different() {
        let differ = |a: &str, b: &str| assert_ne!(form(a).key, form(b).key, "{a} and {b}");
        differ("sum l in linear { mean(l.weight) }", "mean l in linear { mean(l.weight) }");
        differ("depth - width", "width - depth");
        differ("sum l in linear { mean(exp(log(l.weight))) }", "sum l in linear { mean(l.weight) }");
        differ("depth ^ 2", "depth ^ 3");
    }
}
