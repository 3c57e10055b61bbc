//! Moves nodes under more binders: a value made outside an aggregate and used inside it.

use crate::ir::{Collection, Dag, Node, NodeId};
use rustc_hash::FxHashMap;

/// `node`, made where some binders were open, for a place with `by` more.
pub fn shift(dag: &mut Dag, node: NodeId, by: usize) -> NodeId {
    match by {
        0 => node,
        _ => Shift { dag, by, memo: FxHashMap::default() }.node(node, 0),
    }
}

/// The same for a collection.
pub fn shift_collection(over: &Collection, by: usize) -> Collection {
    shift_over(over, by, 0)
}

fn shift_over(over: &Collection, by: usize, cutoff: usize) -> Collection {
    let all = |cs: &[Collection]| cs.iter().map(|c| shift_over(c, by, cutoff)).collect();
    match over {
        Collection::Sites { kind, filter, block } => {
            let block = block.map(|b| if b >= cutoff { b + by } else { b });
            Collection::Sites { kind: *kind, filter: filter.clone(), block }
        }
        Collection::Zip(cs) => Collection::Zip(all(cs)),
        Collection::Chain(cs) => Collection::Chain(all(cs)),
    }
}

/// How many sites a collection binds.
pub fn width(over: &Collection) -> usize {
    match over {
        Collection::Zip(cs) => cs.len(),
        _ => 1,
    }
}

struct Shift<'a> {
    dag: &'a mut Dag,
    by: usize,
    memo: FxHashMap<(NodeId, usize), NodeId>,
}

impl Shift<'_> {
    /// `cutoff` binders belong to the node itself and stay.
    fn node(&mut self, id: NodeId, cutoff: usize) -> NodeId {
        if let Some(&done) = self.memo.get(&(id, cutoff)) {
            return done;
        }
        let room = (super::super::parse::RED_ZONE, super::super::parse::STACK);
        let done = stacker::maybe_grow(room.0, room.1, || self.fresh(id, cutoff));
        self.memo.insert((id, cutoff), done);
        done
    }

    fn fresh(&mut self, id: NodeId, cutoff: usize) -> NodeId {
        let move_binder = |b: usize| if b >= cutoff { b + self.by } else { b };
        let node = match self.dag.node(id).clone() {
            Node::Field { binder, kind, field } => Node::Field { binder: move_binder(binder), kind, field },
            Node::SiteNumber { binder, number } => Node::SiteNumber { binder: move_binder(binder), number },
            Node::Op { op, attrs, args } => {
                let args = args.iter().map(|&a| self.node(a, cutoff)).collect();
                Node::Op { op, attrs, args }
            }
            Node::Fold { reducer, over, body } => {
                let inner = cutoff + width(&over);
                let over = shift_over(&over, self.by, cutoff);
                Node::Fold { reducer, over, body: self.node(body, inner) }
            }
            closed => closed,
        };
        self.dag.add(node)
    }
}
