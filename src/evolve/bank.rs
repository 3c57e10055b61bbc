//! Terms whose values are known on every search architecture, for variation to look at: it holds
//! nothing that selection may not see. Filled at generation barriers, so that what it holds does not
//! depend on the order in which a generation was evaluated.

use super::evaluator::Evaluator;
use super::expr::{Expr, Head};
use super::judge::{Judge, Measure, Over};
use super::terms::{Terms, identity};
use crate::ir::Dag;
use crate::ir::key::Key;
use crate::ops::{self, Eval, Shape, Value};
use crate::site::{NUMBERS, ROLES};
use rustc_hash::FxHashMap;

/// A number of the model: its name, and the role of `params[role]`.
pub type ModelNumber = (&'static str, Option<&'static str>);

/// Known terms.
pub struct Bank {
    /// What a ranking of the search architectures is worth.
    pub judge: Judge,
    search: Vec<usize>,
    terms: Vec<(Expr, Vec<f64>)>,
    index: FxHashMap<Key, usize>,
    numbers: Vec<(ModelNumber, Vec<f64>)>,
    seen: usize,
}

impl Bank {
    /// The numbers that differ between the search architectures, and no terms yet.
    pub fn new(judge: Judge, eval: &dyn Evaluator, search: Vec<usize>) -> Self {
        let roles = ROLES.iter().filter(|r| r.params).map(|r| ("params", Some(r.name)));
        let names = NUMBERS.iter().map(|n| (n.name, None)).chain(roles);
        let numbers = names
            .filter_map(|(name, role)| {
                let values: Option<Vec<f64>> = search.iter().map(|&a| eval.number(a, name, role)).collect();
                values.filter(|v| varied(v)).map(|v| ((name, role), v))
            })
            .collect();
        Bank { judge, search, terms: Vec::new(), index: FxHashMap::default(), numbers, seen: 0 }
    }

    /// An empty bank, for spaces that do not look.
    pub fn empty() -> Self {
        let judge = Judge::new(Measure::TauA, Over::Worst, Vec::new(), &[]);
        Bank {
            judge,
            search: Vec::new(),
            terms: Vec::new(),
            index: FxHashMap::default(),
            numbers: Vec::new(),
            seen: 0,
        }
    }

    /// Takes in terms that became complete since the last time, in the order in which they were met.
    pub fn update(&mut self, terms: &Terms) {
        let list = terms.list();
        let mut settled = true;
        for (i, t) in list.iter().enumerate().skip(self.seen) {
            let values: Option<Vec<f64>> = self
                .search
                .iter()
                .map(|&a| t.values[a].as_ref().and_then(|o| o.as_ref().ok().copied()))
                .collect();
            if let Some(v) = values.filter(|v| varied(v) && !self.index.contains_key(&t.key)) {
                self.index.insert(t.key, self.terms.len());
                self.terms.push((t.expr.clone(), v));
            }
            // Terms that were stopped on a lower rung may still be completed by a later program.
            let open = self.search.iter().any(|&a| t.values[a].is_none());
            settled &= !open;
            if settled {
                self.seen = i + 1;
            }
        }
    }

    /// The terms with their values on the search architectures.
    pub fn terms(&self) -> &[(Expr, Vec<f64>)] {
        &self.terms
    }

    /// Model numbers that differ between architectures, with their values.
    pub fn numbers(&self) -> &[(ModelNumber, Vec<f64>)] {
        &self.numbers
    }

    /// Values of an expression over known terms and model numbers; `None` where one is unknown.
    pub fn values(&self, expr: &Expr) -> Option<Vec<f64>> {
        let n = self.search.len();
        match &expr.head {
            Head::Number(x) => Some(vec![*x; n]),
            Head::Model(name, role) => {
                self.numbers.iter().find(|(k, _)| k == &(*name, *role)).map(|(_, v)| v.clone())
            }
            Head::Fold { .. } => {
                let mut dag = Dag::default();
                let root = expr.lower(&mut dag);
                self.index.get(&identity(&dag, root)).map(|&i| self.terms[i].1.clone())
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

fn varied(v: &[f64]) -> bool {
    v.iter().all(|x| x.is_finite()) && v.iter().any(|x| *x != v[0])
}
