//! Values of terms. A program is arithmetic over *terms*: its outermost aggregates and the numbers
//! that only a run knows. What a term is worth on an architecture is computed once; programs that
//! differ only in how they combine terms cost nothing.

mod noise;

use super::evaluator::{Evaluator, EvaluatorError, Halt, Outcome};
use super::expr::Expr;
use crate::ir::key::{Key, key_of};
use crate::ir::{Dag, Degenerate, Node, NodeId, Program};
use crate::ops::{self, Shape, Value};
use crate::site::{CaptureSpec, NUMBERS, Pass};
use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};

/// One term and what is known of it.
#[derive(Clone, Debug)]
pub struct Term {
    /// The expression.
    pub expr: Expr,
    /// Its identity.
    pub key: Key,
    /// Value by architecture, where it was asked for.
    pub values: Vec<Option<Outcome>>,
    /// Whether its values differ between architectures by rounding only, where that was looked into.
    pub noise: Option<bool>,
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
    /// Terms at the latest barrier, and values that came since then.
    settled: usize,
    since: Vec<(usize, usize)>,
    /// Terms whose noise was looked into since then.
    looked: Vec<usize>,
}

/// Values in double precision on the smallest architecture, by term.
type Exact = FxHashMap<usize, Outcome>;

/// Architectures a thread between two looks at the clock.
const CHUNK: usize = 8;
/// Time below which the clock need not be looked at again: threads wait for each other before every look.
const QUICK: Duration = Duration::from_millis(50);

impl Terms {
    /// The terms.
    pub fn list(&self) -> &[Term] {
        &self.list
    }

    /// Adds a term with what is known of it (a checkpoint's).
    pub fn restore(&mut self, expr: Expr, values: Vec<Option<Outcome>>, noise: Option<bool>) {
        let mut dag = Dag::default();
        let root = expr.lower(&mut dag);
        let key = identity(&dag, root);
        self.index.insert(key, self.list.len());
        self.list.push(Term { expr, key, values, noise });
        self.settled = self.list.len();
    }

    /// Index of the term `node`, added where it is new.
    fn intern(&mut self, dag: &Dag, node: NodeId, archs: usize) -> usize {
        let key = identity(dag, node);
        *self.index.entry(key).or_insert_with(|| {
            let (expr, values) = (Expr::lift(dag, node), vec![None; archs]);
            self.list.push(Term { expr, key, values, noise: None });
            self.list.len() - 1
        })
    }

    /// What is known now stays.
    pub fn settle(&mut self) {
        self.settled = self.list.len();
        self.since.clear();
        self.looked.clear();
    }

    /// Forgets what came since the latest barrier: a generation that was broken off leaves no trace.
    pub fn roll_back(&mut self) {
        for (term, arch) in self.since.drain(..) {
            self.list[term].values[arch] = None;
        }
        for term in self.looked.drain(..) {
            self.list[term].noise = None;
        }
        for t in self.list.drain(self.settled..) {
            self.index.remove(&t.key);
        }
    }

    /// Scores of the programs `roots` of `dag` on `archs`, by program, then architecture.
    ///
    /// # Errors
    /// When an architecture cannot be run; when `halt` says so.
    pub fn scores(
        &mut self,
        (eval, halt): (&mut dyn Evaluator, Halt<'_>),
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
                    let term = self.intern(dag, node, eval.architectures());
                    e.insert(term);
                    order.push(term);
                }
            }
        }
        let exact = self.fill((eval, halt), &order, capture, archs)?;
        self.look(eval, &order, capture, archs, &exact)?;
        let row = |&r: &NodeId| archs.iter().map(|&a| self.combine(eval, dag, r, a, &at)).collect();
        Ok(roots.iter().map(row).collect())
    }

    /// Computes what is not known. Where terms are new, one architecture is computed in double precision too.
    fn fill(
        &mut self,
        (eval, halt): (&mut dyn Evaluator, Halt<'_>),
        terms: &[usize],
        capture: CaptureSpec,
        archs: &[usize],
    ) -> Result<Exact, EvaluatorError> {
        let list = &self.list;
        let missing = |t: &usize| archs.iter().any(|&a| list[*t].values[a].is_none());
        let wanted: Vec<usize> = terms.iter().copied().filter(missing).collect();
        // Terms of one batch mostly lack the same architectures.
        let lacking = |a: &usize| wanted.iter().any(|&t| list[t].values[*a].is_none());
        let open: Vec<usize> = archs.iter().copied().filter(lacking).collect();
        self.hits += ((terms.len() - wanted.len()) * archs.len()) as u64;
        self.misses += (wanted.len() * archs.len()) as u64;
        // A graph of their own: what a batch costs must not grow with what was met before.
        let (dag, programs) = self.programs(&wanted, capture);
        let (mut open, mut size) = (open.as_slice(), CHUNK * rayon::current_num_threads());
        let looks = wanted.iter().any(|&t| list[t].noise.is_none());
        let mut probe = if looks { noise::probe(eval, archs) } else { None };
        let mut exact = Exact::default();
        while !open.is_empty() {
            if halt() {
                return Err(EvaluatorError::halted());
            }
            let (archs, rest) = open.split_at(size.min(open.len()));
            let begin = Instant::now();
            let rows = match probe.take() {
                Some(probe) => {
                    let (rows, doubled) = eval.probed(&dag, &programs, archs, probe)?;
                    exact.extend(wanted.iter().copied().zip(doubled));
                    rows
                }
                None => eval.scores(&dag, &programs, archs)?,
            };
            (open, size) = (rest, if begin.elapsed() < QUICK { rest.len() } else { size });
            for (&term, row) in wanted.iter().zip(rows) {
                for (&a, outcome) in archs.iter().zip(row) {
                    if self.list[term].values[a].replace(outcome).is_none() {
                        self.since.push((term, a));
                    }
                }
            }
        }
        Ok(exact)
    }

    fn programs(&self, terms: &[usize], capture: CaptureSpec) -> (Dag, Vec<Program>) {
        let mut dag = Dag::default();
        let program = |&t: &usize| {
            let root = self.list[t].expr.lower(&mut dag);
            Program { name: String::new(), root, capture }
        };
        let programs = terms.iter().map(program).collect();
        (dag, programs)
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
