//! Values of terms. A program is arithmetic over *terms*: its outermost aggregates and the numbers
//! that only a run knows. What a term is worth on an architecture is computed once; programs that
//! differ only in how they combine terms cost nothing.

use super::evaluator::{Evaluator, EvaluatorError, Outcome};
use super::expr::Expr;
use crate::ir::key::{Key, key_of};
use crate::ir::{Dag, Degenerate, Node, NodeId, Program};
use crate::ops::{self, Shape, Value};
use crate::site::{CaptureSpec, NUMBERS, Pass};
use rustc_hash::FxHashMap;

/// One term and what is known of it.
#[derive(Clone, Debug)]
pub struct Term {
    /// The expression.
    pub expr: Expr,
    /// Its identity.
    pub key: Key,
    /// Value by architecture, where it was asked for.
    pub values: Vec<Option<Outcome>>,
}

/// All terms met so far, in the order in which they were met.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    list: Vec<Term>,
    index: FxHashMap<Key, usize>,
    /// Values that were asked for and known.
    pub hits: u64,
    /// Values that had to be computed.
    pub misses: u64,
}

impl Terms {
    /// The terms.
    pub fn list(&self) -> &[Term] {
        &self.list
    }

    /// Adds a term with what is known of it (a checkpoint's).
    pub fn restore(&mut self, expr: Expr, values: Vec<Option<Outcome>>) {
        let mut dag = Dag::default();
        let root = expr.lower(&mut dag);
        let key = identity(&dag, root);
        self.index.insert(key, self.list.len());
        self.list.push(Term { expr, key, values });
    }

    /// Index of the term `node`, added where it is new.
    fn intern(&mut self, dag: &Dag, node: NodeId, archs: usize) -> usize {
        let key = identity(dag, node);
        *self.index.entry(key).or_insert_with(|| {
            self.list.push(Term { expr: Expr::lift(dag, node), key, values: vec![None; archs] });
            self.list.len() - 1
        })
    }

    /// Scores of the programs `roots` of `dag` on `archs`, by program, then architecture.
    ///
    /// # Errors
    /// When an architecture cannot be run.
    pub fn scores(
        &mut self,
        eval: &mut dyn Evaluator,
        dag: &Dag,
        roots: &[NodeId],
        capture: CaptureSpec,
        archs: &[usize],
    ) -> Result<Vec<Vec<Outcome>>, EvaluatorError> {
        let mut at: FxHashMap<NodeId, usize> = FxHashMap::default();
        let mut order = Vec::new();
        for &root in roots {
            for node in terms_of(dag, root) {
                if let std::collections::hash_map::Entry::Vacant(e) = at.entry(node) {
                    e.insert(self.intern(dag, node, eval.architectures()));
                    order.push(node);
                }
            }
        }
        self.fill(eval, dag, &order, &at, capture, archs)?;
        Ok(roots
            .iter()
            .map(|&r| archs.iter().map(|&a| self.combine(eval, dag, r, a, &at)).collect())
            .collect())
    }

    fn fill(
        &mut self,
        eval: &mut dyn Evaluator,
        dag: &Dag,
        nodes: &[NodeId],
        at: &FxHashMap<NodeId, usize>,
        capture: CaptureSpec,
        archs: &[usize],
    ) -> Result<(), EvaluatorError> {
        let missing = |t: &Term| archs.iter().any(|&a| t.values[a].is_none());
        let wanted: Vec<NodeId> = nodes.iter().copied().filter(|n| missing(&self.list[at[n]])).collect();
        self.hits += ((nodes.len() - wanted.len()) * archs.len()) as u64;
        self.misses += (wanted.len() * archs.len()) as u64;
        if wanted.is_empty() {
            return Ok(());
        }
        // Terms of one batch mostly lack the same architectures.
        let open: Vec<usize> = archs
            .iter()
            .copied()
            .filter(|&a| wanted.iter().any(|n| self.list[at[n]].values[a].is_none()))
            .collect();
        let programs: Vec<Program> =
            wanted.iter().map(|&root| Program { name: String::new(), root, capture }).collect();
        let rows = eval.scores(dag, &programs, &open)?;
        for (node, row) in wanted.iter().zip(rows) {
            let values = &mut self.list[at[node]].values;
            for (&a, outcome) in open.iter().zip(row) {
                values[a] = Some(outcome);
            }
        }
        Ok(())
    }

    fn combine(
        &self,
        eval: &dyn Evaluator,
        dag: &Dag,
        root: NodeId,
        arch: usize,
        at: &FxHashMap<NodeId, usize>,
    ) -> Outcome {
        let value = self.value(eval, dag, root, arch, at)?;
        match value.item() {
            Some(x) if x.is_finite() => Ok(x),
            _ => Err(degenerate("the score is not finite", "the whole program")),
        }
    }

    fn value(
        &self,
        eval: &dyn Evaluator,
        dag: &Dag,
        node: NodeId,
        arch: usize,
        at: &FxHashMap<NodeId, usize>,
    ) -> Result<Value, Box<Degenerate>> {
        if let Some(&t) = at.get(&node) {
            let known = self.list[t].values[arch].clone();
            return known.unwrap_or_else(|| Err(degenerate("not computed", ""))).map(Value::number);
        }
        match dag.node(node) {
            Node::Number(bits) => Ok(Value::number(f64::from_bits(*bits))),
            Node::Model(name, role) => eval
                .number(arch, name, *role)
                .map(Value::number)
                .ok_or_else(|| degenerate("the model does not have this number", name)),
            Node::Literal { dims, bits } => {
                Ok(Value::tensor(dims, bits.iter().map(|&b| f64::from_bits(b)).collect()))
            }
            Node::Op { op, attrs, args } => {
                let args: Result<Vec<Value>, _> =
                    args.iter().map(|&a| self.value(eval, dag, a, arch, at)).collect();
                let args = args?;
                let shapes: Vec<Shape> = args.iter().map(|v| v.shape.clone()).collect();
                let row = ops::row(*op);
                let out = (row.shape)(&shapes, attrs).map_err(|e| degenerate(&e.message, row.name))?;
                Ok(row.evaluate(&out, &args.iter().collect::<Vec<_>>(), attrs))
            }
            _ => Err(degenerate("a site outside an aggregate", "")),
        }
    }
}

fn degenerate(reason: &str, at: &str) -> Box<Degenerate> {
    Box::new(Degenerate { reason: reason.into(), at: at.into() })
}

/// The terms of a program, in the order of reading.
pub fn terms_of(dag: &Dag, root: NodeId) -> Vec<NodeId> {
    let mut out = Vec::new();
    collect(dag, root, &mut out);
    out
}

fn collect(dag: &Dag, node: NodeId, out: &mut Vec<NodeId>) {
    match dag.node(node) {
        Node::Fold { .. } if !out.contains(&node) => out.push(node),
        Node::Model(name, _) if needs_run(name) && !out.contains(&node) => out.push(node),
        Node::Op { args, .. } => args.iter().for_each(|&a| collect(dag, a, out)),
        _ => {}
    }
}

fn needs_run(name: &str) -> bool {
    NUMBERS.iter().any(|n| n.name == name && n.pass != Pass::Weights)
}

/// Identity of an expression, the same in every [`Dag`].
pub fn identity(dag: &Dag, node: NodeId) -> Key {
    let args = |ids: &[NodeId], start: Key| ids.iter().fold(start, |k, &a| k.join(identity(dag, a)));
    match dag.node(node) {
        Node::Op { op, attrs, args: a } => args(a, key_of(&("op", ops::row(*op).name, op.0, attrs))),
        Node::Fold { reducer, over, body } => args(&[*body], key_of(&("fold", reducer, over))),
        leaf => key_of(&("leaf", leaf)),
    }
}
