//! Walking programs: the scopes between binders, from their roots down to what the cache knows.

use super::fields::applicable;
use super::places::at_free;
use super::{Binder, LEVELS, Res, Specs};
use crate::ir::key::Key;
use crate::ir::prepare::{Facts, Level, relevant, resolved};
use crate::ir::{BoundId, Node, NodeId, Program};
use crate::site::{Objective, SiteId};
use smallvec::SmallVec;

impl Binder<'_> {
    pub(super) fn value(&mut self, p: &Program, default: Objective) -> Res {
        let spec = applicable(resolved(&p.capture, default), self.outline);
        let specs = LEVELS.map(|l| self.spec(relevant(&spec, l)));
        self.scope(p.root, &mut Vec::new(), &specs, 0)
    }

    pub(super) fn program(&mut self, p: &Program, default: Objective) -> Result<BoundId, u32> {
        let root = self.value(p, default)? as usize;
        if !self.out.graph.shapes[root].dims.is_empty() {
            let dims = &self.out.graph.shapes[root].dims;
            let reason = format!("the value is a tensor {dims:?}, not a number");
            return Err(self.error(reason, &[]));
        }
        Ok(root)
    }

    /// Binds the nodes of a scope and returns its root.
    pub(super) fn scope(&mut self, root: NodeId, env: &mut Vec<SiteId>, specs: &Specs, depth: usize) -> Res {
        let prepared = self.prepared;
        let Some(nodes) = prepared.scopes.get(&root) else {
            return Err(0);
        };
        self.stamp += 1;
        let stamp = self.stamp;
        if self.scratch.len() <= depth {
            self.scratch.push(vec![(0, Err(0)); prepared.dag.nodes().len()]);
        }
        let mut values = std::mem::take(&mut self.scratch[depth]);
        let needed = self.needed(root, nodes, env, specs, &mut values, stamp);
        for &n in nodes.iter().zip(&needed).filter(|(_, need)| **need).map(|(n, _)| n) {
            let value = self.node(n, &values, env, specs, depth);
            values[n] = (stamp, value);
        }
        let result = values[root].1;
        self.scratch[depth] = values;
        result
    }

    /// Walks a scope from its root down and stops where the cache knows the value.
    fn needed(
        &mut self,
        root: NodeId,
        nodes: &[NodeId],
        env: &[SiteId],
        specs: &Specs,
        values: &mut [(u32, Res)],
        stamp: u32,
    ) -> SmallVec<[bool; 64]> {
        let mut needed: SmallVec<[bool; 64]> = smallvec::smallvec![false; nodes.len()];
        let mut wanted = SmallVec::<[NodeId; 16]>::new();
        wanted.push(root);
        while let Some(n) = wanted.pop() {
            let Ok(place) = nodes.binary_search(&n) else { continue };
            if needed[place] || values[n].0 == stamp {
                continue;
            }
            let found = self.cache_key(n, env, specs).and_then(|k| self.cache.lookup(k));
            if let Some(x) = found {
                values[n] = (stamp, Ok(self.cached(x)));
                continue;
            }
            needed[place] = true;
            if let Node::Op { args, .. } = self.prepared.dag.node(n) {
                wanted.extend(args.iter().copied());
            }
        }
        needed
    }

    /// The identity of the value of `n` at the sites of `env`, where it depends on tensors.
    fn cache_key(&self, n: NodeId, env: &[SiteId], specs: &Specs) -> Option<Key> {
        let Facts { free, level, key, .. } = self.prepared.facts[n];
        if level == Level::Free || !matches!(self.prepared.dag.node(n), Node::Op { .. } | Node::Fold { .. }) {
            return None;
        }
        let key = key.join(self.specs[specs[level as usize]].1);
        Some(at_free(free, env).fold(key, |k, s| k.mix(s as u64)))
    }

    pub(super) fn annotate(&mut self, id: u32, n: NodeId, env: &[SiteId], specs: &Specs) {
        let id = id as usize;
        self.out.origin[id].get_or_insert(n);
        if self.out.sites[id].is_none() {
            self.out.sites[id] = at_free(self.prepared.facts[n].free, env).next();
        }
        if self.out.keys[id].is_none() && self.out.graph.shapes[id].dims.is_empty() {
            self.out.keys[id] = self.cache_key(n, env, specs);
        }
    }
}
