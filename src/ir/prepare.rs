//! What binding needs to know of a batch of programs, computed once and used for every
//! architecture: which binders a node refers to, which pass its fields need, its structural key.

use super::key::{Key, key_of};
use super::{Collection, Dag, Node, NodeId, Program};
use crate::ops;
use crate::site::{Batches, CaptureSpec, FIELDS, Field, NUMBERS, Objective, Pass};
use std::borrow::Cow;
use std::sync::OnceLock;

/// The most expensive pass that the fields under a node need; decides which parts of a
/// [`CaptureSpec`] the node's value depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// No tensors.
    Free,
    /// Weights: depends on the parameters alone.
    Weights,
    /// Forward fields: on parameters and inputs.
    Forward,
    /// Gradients: on everything.
    Backward,
}

/// The pass of a field, as a level.
pub fn field_level(field: Field) -> Level {
    match FIELDS.iter().find(|r| r.field == field).map(|r| r.pass) {
        Some(Pass::Weights) => Level::Weights,
        Some(Pass::Forward) => Level::Forward,
        _ => Level::Backward,
    }
}

/// The parts of `spec` that a value of `level` depends on; equal results mean equal values.
pub fn relevant(spec: &CaptureSpec, level: Level) -> CaptureSpec {
    let d = CaptureSpec::default();
    match level {
        Level::Free => d,
        Level::Weights => CaptureSpec { params: spec.params, ..d },
        Level::Forward => CaptureSpec { objective: None, batches: Batches::One, ..*spec },
        Level::Backward => *spec,
    }
}

/// Facts about one node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// Bit `b` is set where the node refers to the site bound `b` binders outwards.
    pub free: u64,
    /// See [`Level`].
    pub level: Level,
    /// No run decides its value: it follows from numbers of the model and from shapes.
    pub fixed: bool,
    /// Identity of the expression.
    pub key: Key,
}

/// How many sites a collection binds at once.
pub fn binders(over: &Collection) -> usize {
    match over {
        Collection::Sites { .. } => 1,
        Collection::Zip(parts) => parts.iter().map(binders).sum(),
        Collection::Chain(parts) => parts.first().map_or(1, binders),
    }
}

fn bit(b: usize) -> u64 {
    1u64.checked_shl(b as u32).unwrap_or(1 << 63)
}

fn collection_free(over: &Collection) -> u64 {
    match over {
        Collection::Sites { block, .. } => block.map_or(0, bit),
        Collection::Zip(parts) | Collection::Chain(parts) => {
            parts.iter().map(collection_free).fold(0, |a, b| a | b)
        }
    }
}

/// Whether a model number is known only after a run.
pub fn run_number(name: &str) -> bool {
    NUMBERS.iter().any(|r| r.name == name && r.pass != Pass::Weights)
}

fn facts(node: &Node, known: &[Facts]) -> Facts {
    match node {
        Node::Number(_) | Node::Literal { .. } => {
            Facts { free: 0, level: Level::Free, fixed: true, key: key_of(node) }
        }
        Node::Model(name, _) => {
            let level = if run_number(name) { Level::Backward } else { Level::Free };
            Facts { free: 0, level, fixed: level == Level::Free, key: key_of(node) }
        }
        Node::Field { binder, field, .. } => {
            Facts { free: bit(*binder), level: field_level(*field), fixed: false, key: key_of(node) }
        }
        Node::SiteNumber { binder, .. } => {
            Facts { free: bit(*binder), level: Level::Free, fixed: true, key: key_of(node) }
        }
        Node::Op { op, attrs, args } => {
            let key = key_of(&("op", op, attrs));
            let start = Facts { free: 0, level: Level::Free, fixed: true, key };
            let all = args.iter().map(|&a| known[a]).fold(start, |f, a| Facts {
                free: f.free | a.free,
                level: f.level.max(a.level),
                fixed: f.fixed && a.fixed,
                key: f.key.join(a.key),
            });
            Facts { fixed: all.fixed || ops::row(*op).from_shapes.is_some(), ..all }
        }
        Node::Fold { reducer, over, body } => {
            let b = known[*body];
            Facts {
                free: b.free.checked_shr(binders(over) as u32).unwrap_or(0) | collection_free(over),
                level: b.level,
                fixed: b.level == Level::Free,
                key: key_of(&("fold", reducer, over)).join(b.key),
            }
        }
    }
}

/// A batch of programs, ready to be bound to any number of architectures.
pub struct Prepared<'a> {
    pub(super) dag: &'a Dag,
    pub(super) programs: &'a [Program],
    pub(super) facts: Vec<Facts>,
    /// For each scope (program root, fold body): its nodes, operands first, without the bodies of
    /// folds in it.
    pub(super) scopes: rustc_hash::FxHashMap<NodeId, Vec<NodeId>>,
    /// See [`Prepared::keys`]: of the objective asked for first, which is as a rule the only one.
    keys: OnceLock<(Objective, Vec<Key>)>,
}

impl<'a> Prepared<'a> {
    /// Analyses `programs`, whose roots are in `dag`.
    pub fn new(dag: &'a Dag, programs: &'a [Program]) -> Self {
        let mut all: Vec<Facts> = Vec::with_capacity(dag.nodes().len());
        for node in dag.nodes() {
            let f = facts(node, &all);
            all.push(f);
        }
        let mut prepared =
            Prepared { dag, programs, facts: all, scopes: Default::default(), keys: OnceLock::new() };
        let mut seen = vec![usize::MAX; dag.nodes().len()];
        let mut todo: Vec<NodeId> = programs.iter().map(|p| p.root).collect();
        while let Some(root) = todo.pop() {
            if !prepared.scopes.contains_key(&root) {
                let scope = prepared.scope(root, &mut seen, &mut todo);
                prepared.scopes.insert(root, scope);
            }
        }
        prepared
    }

    /// The name of a program.
    pub fn name(&self, program: usize) -> &'a str {
        &self.programs[program].name
    }

    /// Number of programs.
    pub fn len(&self) -> usize {
        self.programs.len()
    }

    /// Is the batch empty?
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    fn scope(&self, root: NodeId, seen: &mut [usize], bodies: &mut Vec<NodeId>) -> Vec<NodeId> {
        let mut nodes = Vec::new();
        let mut stack = vec![root];
        while let Some(n) = stack.pop() {
            if std::mem::replace(&mut seen[n], root) == root {
                continue;
            }
            nodes.push(n);
            match self.dag.node(n) {
                Node::Op { args, .. } => stack.extend(args.iter().copied()),
                Node::Fold { body, .. } => bodies.push(*body),
                _ => {}
            }
        }
        nodes.sort_unstable();
        nodes
    }

    /// A node of the batch.
    pub fn node(&self, id: NodeId) -> &'a Node {
        self.dag.node(id)
    }

    /// The identity of every whole program: its expression and the parts of its capture it depends on,
    /// where `default` is the objective that `@capture` without one means.
    pub fn keys(&self, default: Objective) -> Cow<'_, [Key]> {
        let (of, keys) = self.keys.get_or_init(|| (default, self.keys_for(default)));
        if *of == default { Cow::Borrowed(keys) } else { Cow::Owned(self.keys_for(default)) }
    }

    fn keys_for(&self, default: Objective) -> Vec<Key> {
        let key = |p: &Program| {
            let f = self.facts[p.root];
            f.key.join(key_of(&relevant(&resolved(&p.capture, default), f.level)))
        };
        self.programs.iter().map(key).collect()
    }
}

/// `spec` with its objective decided.
pub fn resolved(spec: &CaptureSpec, default: Objective) -> CaptureSpec {
    CaptureSpec { objective: Some(spec.objective.unwrap_or(default)), ..*spec }
}
