//! What a node of a scope becomes: a number where it is known by now, else an operator over bound nodes.

use super::places::{at_free, site_of};
use super::{Binder, Res, Specs};
use crate::ir::{BoundId, BoundNode, Node, NodeId};
use crate::ops::{self, Attrs, Eval, OpId, OpRow, Shape};
use crate::site::SiteId;
use smallvec::SmallVec;

/// Values of the nodes of a scope, by node, each with the stamp of the visit that gave it.
type Values = [(u32, Res)];

impl Binder<'_> {
    pub(super) fn node(
        &mut self,
        n: NodeId,
        values: &Values,
        env: &mut Vec<SiteId>,
        specs: &Specs,
        depth: usize,
    ) -> Res {
        let prepared = self.prepared;
        match prepared.dag.node(n) {
            Node::Number(bits) => Ok(self.number(f64::from_bits(*bits))),
            Node::Literal { dims, bits } => Ok(self.literal(dims, bits)),
            Node::Model(name, role) => self.model_number(name, *role, specs),
            Node::SiteNumber { binder, number } => self.site_number(site_of(env, *binder), *number),
            Node::Field { binder, field, .. } => self.field(site_of(env, *binder), *field, specs),
            Node::Op { op, attrs, args } => match self.selected(*op, args, values) {
                Some(chosen) => chosen,
                None => self.operator(n, (*op, attrs, args), values, env, specs),
            },
            Node::Fold { .. } => self.fold(n, env, specs, depth),
        }
    }

    fn operator(
        &mut self,
        n: NodeId,
        (op, attrs, args): (OpId, &Attrs, &[NodeId]),
        values: &Values,
        env: &[SiteId],
        specs: &Specs,
    ) -> Res {
        let mut ids = SmallVec::<[BoundId; 3]>::new();
        for &a in args {
            ids.push(values[a].1? as usize);
        }
        let shapes: SmallVec<[Shape; 3]> = ids.iter().map(|&i| self.out.graph.shapes[i].clone()).collect();
        let row = ops::row(op);
        let known = row.from_shapes.and_then(|f| f(&shapes, attrs));
        if let Some(x) = known.or_else(|| self.of_numbers(n, row, &ids)) {
            return Ok(self.number(x));
        }
        let shape = match (row.shape)(&shapes, attrs) {
            Ok(s) => s,
            Err(e) => {
                let sites: Vec<_> = at_free(self.prepared.facts[n].free, env).collect();
                return Err(self.error(e.message, &sites));
            }
        };
        let id = self.add(BoundNode::Op { op, attrs: attrs.clone(), args: ids }, shape);
        self.annotate(id, n, env, specs);
        Ok(id)
    }

    /// The value of a node that is a number.
    fn known(&self, id: u32) -> Option<f64> {
        match self.out.graph.nodes.get(id as usize)? {
            BoundNode::Number(bits) => Some(f64::from_bits(*bits)),
            _ => None,
        }
    }

    /// The operand that a selection takes, where its condition is known: what is not taken is not
    /// run, and need not even exist on this architecture.
    fn selected(&self, op: OpId, args: &[NodeId], values: &Values) -> Option<Res> {
        let (true, &[condition, yes, no]) = (ops::row(op).selects, args) else { return None };
        if !self.prepared.facts[condition].fixed {
            return None;
        }
        let first = self.known(values[condition].1.ok()?)? != 0.0;
        let (taken, left) = if first { (yes, no) } else { (no, yes) };
        let shape = |n: NodeId| values[n].1.map(|id| &self.out.graph.shapes[id as usize]);
        match (shape(taken), shape(left)) {
            (Ok(t), Ok(l)) if !l.dims.is_empty() && l != t => None,
            _ => Some(values[taken].1),
        }
    }

    /// The finite value of an elementwise operator of numbers that no run decides.
    fn of_numbers(&self, n: NodeId, row: &OpRow, ids: &[BoundId]) -> Option<f64> {
        let Eval::Scalar(f) = row.eval else { return None };
        if !self.prepared.facts[n].fixed {
            return None;
        }
        let numbers: Option<SmallVec<[f64; 3]>> = ids.iter().map(|&i| self.known(i as u32)).collect();
        Some(f(&numbers?)).filter(|x| x.is_finite())
    }
}
