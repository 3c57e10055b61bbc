//! The definition of the language: evaluates a bound graph in f64, node by node, by the rows' own
//! meanings. Slow and obvious; every other engine is tested against it.

use super::{Engine, Known};
use crate::ir::{Bound, BoundId, BoundNode, LeafId};
use crate::ops::{self, Value};
use crate::tensor::Tensor;
use std::rc::Rc;

/// The f64 tree walk, every node once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

impl Engine for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn evaluate(&mut self, graph: &Bound, want: &[BoundId], known: &dyn Known) -> Vec<Tensor> {
        let mut uses = needed(graph, want, known);
        let mut memo: Vec<Option<Rc<Value>>> = vec![None; graph.nodes.len()];
        for id in 0..graph.nodes.len() {
            if uses[id] == 0 {
                continue;
            }
            memo[id] = Some(Rc::new(value(graph, id, known, &memo)));
            for &o in operands(graph, id, known) {
                uses[o] -= 1;
                if uses[o] == 0 {
                    memo[o] = None;
                }
            }
        }
        let tensor = |&id: &BoundId| match memo.get(id).and_then(Option::as_deref) {
            Some(v) => Tensor::new(&v.shape.dims, v.data.clone()),
            None => Tensor::number(f64::NAN),
        };
        want.iter().map(tensor).collect()
    }
}

/// The nodes that have to be computed before `id`; none where it is known.
fn operands<'a>(graph: &'a Bound, id: BoundId, known: &dyn Known) -> &'a [BoundId] {
    let node = &graph.nodes[id];
    match node {
        BoundNode::Op { .. } | BoundNode::Fold { .. } if known.get(id).is_some() => &[],
        BoundNode::Op { args, .. } => args,
        BoundNode::Fold { terms, .. } => terms,
        _ => &[],
    }
}

/// How often each node is used on the way to `want`; 0 where it is not needed.
fn needed(graph: &Bound, want: &[BoundId], known: &dyn Known) -> Vec<usize> {
    let mut uses = vec![0; graph.nodes.len()];
    for &w in want {
        uses[w] += 1;
    }
    for id in (0..graph.nodes.len()).rev() {
        if uses[id] > 0 {
            for &o in operands(graph, id, known) {
                uses[o] += 1;
            }
        }
    }
    uses
}

fn value(graph: &Bound, id: BoundId, known: &dyn Known, memo: &[Option<Rc<Value>>]) -> Value {
    let shape = &graph.shapes[id];
    if let Some(t) = known.get(id) {
        let mut v = Value::tensor(t.dims(), t.to_f64());
        if v.shape.dims == shape.dims {
            v.shape = shape.clone();
        }
        return v;
    }
    let missing = Value::number(f64::NAN);
    let get = |o: &BoundId| memo.get(*o).and_then(Option::as_deref).unwrap_or(&missing);
    match &graph.nodes[id] {
        BoundNode::Number(bits) => Value::number(f64::from_bits(*bits)),
        BoundNode::Literal(bits) => {
            Value { shape: shape.clone(), data: bits.iter().map(|&b| f64::from_bits(b)).collect() }
        }
        BoundNode::Leaf(_) => Value::filled(shape.clone(), f64::NAN),
        BoundNode::Op { op, attrs, args } => {
            let args: Vec<&Value> = args.iter().map(get).collect();
            let mut out = ops::row(*op).evaluate(shape, &args, attrs);
            if out.shape.dims == shape.dims {
                out.shape = shape.clone();
            }
            out
        }
        BoundNode::Fold { reducer, terms } => {
            let terms: Vec<Value> = terms.iter().map(|t| get(t).clone()).collect();
            ops::reducer(*reducer).fold(&terms)
        }
    }
}

/// Where and why a result is not finite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonFinite {
    /// The first node whose operands are all finite while it is not.
    pub node: BoundId,
    /// Why: `log of a non-positive value`, `division by zero`, else `not finite`.
    pub reason: String,
    /// The leaves it is made of: the place to name.
    pub leaves: Vec<LeafId>,
}

/// Finds the node that makes `root` non-finite: from the root down through non-finite operands to
/// one whose operands are all finite. `None` where the root is finite.
pub fn explain_nonfinite(graph: &Bound, root: BoundId, known: &dyn Known) -> Option<NonFinite> {
    let mut node = root;
    if finite(graph, &[root], known)[0] {
        return None;
    }
    while let Some(operand) = culprit(graph, node, known) {
        node = operand;
    }
    Some(NonFinite { node, reason: reason(graph, node, known), leaves: leaves_under(graph, node) })
}

fn finite(graph: &Bound, nodes: &[BoundId], known: &dyn Known) -> Vec<bool> {
    let values = Reference.evaluate(graph, nodes, known);
    values.iter().map(|t| t.to_f64().iter().all(|x| x.is_finite())).collect()
}

/// The non-finite operand that makes `node` non-finite: the first that does so alone, with the
/// others mended (what a selection leaves out is to blame for nothing), else the first.
fn culprit(graph: &Bound, node: BoundId, known: &dyn Known) -> Option<BoundId> {
    let below = operands(graph, node, known);
    let fine = finite(graph, below, known);
    let bad: Vec<usize> = (0..below.len()).filter(|&i| !fine[i]).collect();
    let (BoundNode::Op { op, attrs, .. }, true) = (&graph.nodes[node], bad.len() > 1) else {
        return bad.first().map(|&i| below[i]);
    };
    let values: Vec<Value> = Reference
        .evaluate(graph, below, known)
        .iter()
        .zip(below)
        .map(|(t, &b)| Value { shape: graph.shapes[b].clone(), data: t.to_f64() })
        .collect();
    let alone = |i: usize| {
        let mend = |v: &Value| v.map(|x| if x.is_finite() { x } else { 1.0 });
        let mended: Vec<Value> =
            values.iter().enumerate().map(|(j, v)| if i == j { v.clone() } else { mend(v) }).collect();
        let args: Vec<&Value> = mended.iter().collect();
        !ops::row(*op).evaluate(&graph.shapes[node], &args, attrs).is_finite()
    };
    bad.iter().find(|&&i| alone(i)).or(bad.first()).map(|&i| below[i])
}

fn reason(graph: &Bound, node: BoundId, known: &dyn Known) -> String {
    let not_finite = || "not finite".to_owned();
    match &graph.nodes[node] {
        BoundNode::Op { op, args, .. } => {
            let Some(text) = ops::row(*op).domain else { return not_finite() };
            let from: usize = args.first().map_or(0, |&a| graph.shapes[a].numel());
            let to = graph.shapes[node].numel().max(1);
            // What cannot be known from the row: an operand so large that the result overflows.
            let huge = |a: &BoundId| {
                let v = Reference.evaluate(graph, &[*a], known);
                v[0].to_f64().iter().any(|x| x.abs() > 1e150)
            };
            if args.iter().any(huge) && !text.contains("overflow") {
                return format!("overflow, or {text}");
            }
            let elements = match from / to {
                0 => "no elements".to_owned(),
                1 => "one element".to_owned(),
                n => format!("{n} elements"),
            };
            text.replace("{n}", &elements)
        }
        BoundNode::Fold { terms, .. } if terms.is_empty() => "no sites to aggregate over".to_owned(),
        _ => not_finite(),
    }
}

/// The leaves a node is made of, in order, each once.
pub fn leaves_under(graph: &Bound, node: BoundId) -> Vec<LeafId> {
    let mut seen = vec![false; graph.nodes.len()];
    let mut stack = vec![node];
    let mut leaves = Vec::new();
    while let Some(id) = stack.pop() {
        if std::mem::replace(&mut seen[id], true) {
            continue;
        }
        match &graph.nodes[id] {
            BoundNode::Leaf(leaf) => leaves.push(*leaf),
            BoundNode::Op { args, .. } => stack.extend(args),
            BoundNode::Fold { terms, .. } => stack.extend(terms),
            _ => {}
        }
    }
    leaves.sort_unstable();
    leaves.dedup();
    leaves
}
