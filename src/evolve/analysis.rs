//! What can be known of a program without running it: size, intervals, canonical form.

use super::canon::Canon;
use super::evaluator::Evaluator;
use super::expr::Expr;
use super::rules::Facts;
use crate::ir::key::Key;
use crate::ir::{Dag, Node, NodeId};
use crate::ops::{self, Range};
use crate::site::{Kind, NUMBERS, Pass};
use rustc_hash::FxHashSet;

/// Facts of nodes of one growing [`Dag`], each computed once.
#[derive(Default)]
pub struct Analysis {
    known: Vec<Option<Known>>,
    canon: Canon,
}

/// Nodes that go when an operator meets its inverse.
const PAIR: usize = 2;

#[derive(Clone, Copy)]
struct Known {
    range: Range,
    /// Depends on a site or model number.
    reads: bool,
    /// It or a part that reads the model has one value only.
    constant_part: bool,
    /// It or a part has no finite value.
    never_finite: bool,
    /// Levels, as a tree.
    depth: usize,
}

impl Analysis {
    /// The canonical form of a program.
    pub fn simple(&mut self, dag: &Dag, root: NodeId) -> &Expr {
        &self.canon.of(dag, root).expr
    }

    /// Facts for the static rules, and the identity of the canonical form.
    pub fn facts(&mut self, dag: &Dag, root: NodeId, eval: &dyn Evaluator) -> (Facts, Key) {
        let known = self.known(dag, root);
        let mut nodes = FxHashSet::default();
        reachable(dag, root, &mut nodes);
        let no_sites = nodes.iter().any(|&n| match dag.node(n) {
            Node::Fold { over, .. } => !eval.has_sites(over),
            _ => false,
        });
        let form = self.canon.of(dag, root);
        let (canonical, undone) = (form.key, form.saved >= PAIR);
        let facts = Facts {
            size: nodes.len(),
            depth: known.depth,
            undone,
            reads_nothing: !known.reads,
            constant_part: known.constant_part,
            constant: known.range.constant().is_some(),
            never_finite: known.never_finite,
            no_sites,
            ..Facts::default()
        };
        (facts, canonical)
    }

    fn known(&mut self, dag: &Dag, node: NodeId) -> Known {
        if self.known.len() < dag.nodes().len() {
            self.known.resize(dag.nodes().len(), None);
        }
        if let Some(k) = self.known[node] {
            return k;
        }
        let k = self.compute(dag, node);
        self.known[node] = Some(k);
        k
    }

    fn compute(&mut self, dag: &Dag, node: NodeId) -> Known {
        let (range, reads, below): (Range, bool, Vec<Known>) = match dag.node(node) {
            Node::Number(bits) => (Range::number(f64::from_bits(*bits)), false, vec![]),
            Node::Literal { .. } => (Range::FINITE, false, vec![]),
            Node::Model(name, _) => (model_range(name), true, vec![]),
            Node::SiteNumber { .. } => (Range::new(0.0, f64::INFINITY, true), true, vec![]),
            Node::Field { kind, field, .. } => (field_range(*kind, *field), true, vec![]),
            Node::Op { op, attrs, args } => {
                let below: Vec<Known> = args.iter().map(|&a| self.known(dag, a)).collect();
                let ranges: Vec<Range> = below.iter().map(|k| k.range).collect();
                ((ops::row(*op).range)(&ranges, attrs), below.iter().any(|k| k.reads), below)
            }
            // How many terms there are depends on the model.
            Node::Fold { reducer, body, .. } => {
                let k = self.known(dag, *body);
                ((ops::reducer(*reducer).range)(k.range), true, vec![k])
            }
        };
        let alone = reads && range.constant().is_some();
        Known {
            range,
            reads,
            constant_part: alone || below.iter().any(|k| k.constant_part),
            never_finite: never_finite(range) || below.iter().any(|k| k.never_finite),
            depth: 1 + below.iter().map(|k| k.depth).max().unwrap_or(0),
        }
    }
}

fn never_finite(r: Range) -> bool {
    r.lo > r.hi || r.lo == f64::INFINITY || r.hi == f64::NEG_INFINITY
}

fn model_range(name: &str) -> Range {
    let free = NUMBERS.iter().any(|n| n.name == name && n.pass == Pass::Weights);
    if free { Range::new(0.0, f64::INFINITY, true) } else { Range::FINITE }
}

/// Probabilities lie between 0 and 1.
fn field_range(kind: Kind, field: crate::site::Field) -> Range {
    let probabilities = matches!(kind, Kind::Attn | Kind::Softmax) && field == crate::site::Field::Value;
    if probabilities { Range::new(0.0, 1.0, true) } else { Range::FINITE }
}

fn reachable(dag: &Dag, node: NodeId, out: &mut FxHashSet<NodeId>) {
    if !out.insert(node) {
        return;
    }
    match dag.node(node) {
        Node::Op { args, .. } => args.iter().for_each(|&a| reachable(dag, a, out)),
        Node::Fold { body, .. } => reachable(dag, *body, out),
        _ => {}
    }
}
