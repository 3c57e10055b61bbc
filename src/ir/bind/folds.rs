//! Aggregates: one term for every step over sites.

use super::places::{at_free, collect, describe};
use super::{Binder, Res, Specs};
use crate::ir::prepare::Facts;
use crate::ir::{BoundId, BoundNode, Collection, Node, NodeId};
use crate::ops::{self, Shape};
use crate::site::SiteId;
use smallvec::SmallVec;

impl Binder<'_> {
    pub(super) fn fold(&mut self, n: NodeId, env: &mut Vec<SiteId>, specs: &Specs, depth: usize) -> Res {
        let Facts { free, level, .. } = self.prepared.facts[n];
        let memo = (n, specs[level as usize], at_free(free, env).collect::<SmallVec<[SiteId; 4]>>());
        if let Some(&r) = self.folds.get(&memo) {
            return r;
        }
        let result = self.fold_terms(n, env, specs, depth);
        self.folds.insert(memo, result);
        result
    }

    fn fold_terms(&mut self, n: NodeId, env: &mut Vec<SiteId>, specs: &Specs, depth: usize) -> Res {
        let prepared = self.prepared;
        let Node::Fold { reducer, over, body } = prepared.dag.node(n) else { return Err(0) };
        let places = collect(self.outline, &self.by_kind, over, env);
        let mut terms = Vec::with_capacity(places.len());
        for sites in &places {
            let outer = env.len();
            env.extend_from_slice(sites);
            let term = self.scope(*body, env, specs, depth + 1);
            env.truncate(outer);
            terms.push(term? as usize);
        }
        let row = ops::reducer(*reducer);
        let Some(&first) = terms.first() else { return self.no_terms(n, row.empty, over, env) };
        let shape = self.out.graph.shapes[first].clone();
        if row.tensors {
            self.same_shapes(&terms, &places, &shape)?;
        }
        let id = self.add(BoundNode::Fold { reducer: *reducer, terms }, row.shape(&shape));
        self.annotate(id, n, env, specs);
        Ok(id)
    }

    /// The value of an aggregate over no sites, where its reducer has one.
    fn no_terms(&mut self, n: NodeId, value: Option<f64>, over: &Collection, env: &[SiteId]) -> Res {
        match value {
            Some(x) => Ok(self.number(x)),
            None => {
                let sites: Vec<_> = at_free(self.prepared.facts[n].free, env).collect();
                Err(self.error(format!("no sites to aggregate over: {}", describe(over)), &sites))
            }
        }
    }

    /// Tensors are aggregated element by element.
    fn same_shapes(
        &mut self,
        terms: &[BoundId],
        places: &[SmallVec<[SiteId; 2]>],
        first: &Shape,
    ) -> Result<(), u32> {
        for (&t, sites) in terms.iter().zip(places) {
            let dims = &self.out.graph.shapes[t].dims;
            if *dims != first.dims {
                let first = &first.dims;
                let reason = format!("terms of different shapes: {dims:?} here, {first:?} at the first site");
                return Err(self.error(reason, sites));
            }
        }
        Ok(())
    }
}
