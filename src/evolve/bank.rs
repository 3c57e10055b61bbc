//! Terms whose values are known on every search architecture, for variation to look at: it holds
//! nothing that selection may not see. Filled at generation barriers, so that what it holds does not
//! depend on the order in which a generation was evaluated.

use super::evaluator::Evaluator;
use super::expr::{Expr, Head};
use super::fit::Target;
use super::judge::Judge;
use super::terms::{Terms, identity};
use crate::ir::Dag;
use crate::ir::key::Key;
use crate::ops::{self, Eval, Shape, Value};
use crate::site::{NUMBERS, ROLES};
use rustc_hash::FxHashMap;

/// A number of the model: its name, and the role of `params[role]`.
pub type ModelNumber = (&'static str, Option<&'static str>);

/// A part of a program with its values on the search architectures.
#[derive(Clone, Debug)]
pub struct Column {
    /// The expression.
    pub expr: Expr,
    /// Values.
    pub values: Vec<f64>,
    /// Values, centred and of unit length.
    pub unit: Vec<f64>,
}

/// Known terms.
#[derive(Default)]
pub struct Bank {
    /// What sums of terms are fitted to.
    pub target: Target,
    search: Vec<usize>,
    columns: Vec<Column>,
    index: FxHashMap<Key, usize>,
    numbers: FxHashMap<ModelNumber, usize>,
    /// The terms whose columns follow those of the numbers.
    terms: Vec<(usize, Key)>,
    /// Terms that were looked at.
    seen: usize,
    /// Those of them that were not complete.
    open: Vec<usize>,
}

impl Bank {
    /// The model numbers that differ between the search architectures, and no terms yet.
    pub fn new(judge: &Judge, eval: &dyn Evaluator, search: Vec<usize>) -> Self {
        let mut bank = Bank { target: Target::new(judge), search, ..Bank::default() };
        let roles = ROLES.iter().filter(|r| r.params).map(|r| ("params", Some(r.name)));
        for (name, role) in NUMBERS.iter().map(|n| (n.name, None)).chain(roles) {
            let values: Option<Vec<f64>> = bank.search.iter().map(|&a| eval.number(a, name, role)).collect();
            let expr = Expr::leaf(Head::Model(name, role));
            if let Some(column) = values.and_then(|v| bank.column(expr, v)) {
                bank.numbers.insert((name, role), bank.columns.len());
                bank.columns.push(column);
            }
        }
        bank
    }

    /// An empty bank, for spaces that do not look.
    pub fn empty() -> Self {
        Bank::default()
    }

    /// A column with these values; `None` where they say nothing.
    pub fn column(&self, expr: Expr, values: Vec<f64>) -> Option<Column> {
        let unit = self.target.column(&values)?;
        Some(Column { expr, values, unit })
    }

    /// Takes in terms that became complete since the last time. What the bank holds, and in which order, depends on
    /// what is known of the terms alone, so that it is the same after a resume.
    pub fn update(&mut self, terms: &Terms) {
        let list = terms.list();
        // Terms that were stopped on a lower rung may still be completed by a later program.
        let open = std::mem::take(&mut self.open);
        for i in open.into_iter().chain(self.seen..list.len()) {
            let Some(t) = list.get(i) else { continue };
            if self.search.iter().rev().any(|&a| t.values[a].is_none()) {
                self.open.push(i);
                continue;
            }
            let known = |a: &usize| t.values[*a].as_ref().and_then(|o| o.as_ref().ok().copied());
            let values: Option<Vec<f64>> = self.search.iter().map(known).collect();
            if let Some(column) = values.and_then(|v| self.column(t.expr.clone(), v))
                && t.noise != Some(true)
            {
                self.insert(i, t.key, column);
            }
        }
        self.seen = list.len();
    }

    /// Puts the column of a term where it belongs in the order of terms.
    fn insert(&mut self, term: usize, key: Key, column: Column) {
        let numbers = self.columns.len() - self.terms.len();
        let at = self.terms.partition_point(|&(t, _)| t < term);
        self.terms.insert(at, (term, key));
        self.columns.insert(numbers + at, column);
        for (i, (_, key)) in self.terms.iter().enumerate().skip(at) {
            self.index.insert(*key, numbers + i);
        }
    }

    /// Terms and model numbers with their values.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Values of an expression over known terms and model numbers; `None` where one is unknown.
    pub fn values(&self, expr: &Expr) -> Option<Vec<f64>> {
        let n = self.search.len();
        match &expr.head {
            Head::Number(x) => Some(vec![*x; n]),
            Head::Model(name, role) => {
                self.numbers.get(&(*name, *role)).map(|&i| self.columns[i].values.clone())
            }
            Head::Fold { .. } => {
                let mut dag = Dag::default();
                let root = expr.lower(&mut dag);
                self.index.get(&identity(&dag, root)).map(|&i| self.columns[i].values.clone())
            }
            Head::Op { op, attrs } => {
                let args: Option<Vec<Vec<f64>>> = expr.args.iter().map(|a| self.values(a)).collect();
                let args = args?;
                let row = ops::row(*op);
                let at = |i: usize| args.iter().map(|v| v[i]).collect::<Vec<f64>>();
                if let Eval::Scalar(f) = row.eval {
                    return Some((0..n).map(|i| f(&at(i))).collect());
                }
                let out = (row.shape)(&vec![Shape::default(); args.len()], attrs).ok()?;
                let whole = |i: usize| {
                    let values: Vec<Value> = at(i).into_iter().map(Value::number).collect();
                    row.evaluate(&out, &values.iter().collect::<Vec<_>>(), attrs).item()
                };
                (0..n).map(whole).collect()
            }
            _ => None,
        }
    }
}
