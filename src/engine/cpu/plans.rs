//! Plans by what they are made for: expressions, shapes and element types. Sites of one shape, in one
//! architecture or in many, share a plan.
//!
//! Memory is bounded as in the reduction cache: a hot and a cold generation, and what is used stays.

use super::fuse::Code;
use crate::ir::key::{Key, KeyHasher};
use crate::ir::{Bound, BoundId, BoundNode};
use crate::plan::lower::{Needed, PrimId, Prims};
use crate::plan::schedule::{Columns, Schedule};
use crate::tensor::{Dtype, Tensor};
use rustc_hash::FxHashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

/// Primitive nodes that a generation of plans may have: some 20 MiB.
const GENERATION: usize = 50_000;

/// How to evaluate some nodes.
#[derive(Debug)]
pub(super) struct Plan {
    /// Primitive nodes; inputs are called by their place in the list of inputs.
    pub prims: Prims,
    /// Passes.
    pub schedule: Schedule,
    /// Nodes that are held, by step.
    pub held: Vec<Vec<PrimId>>,
    /// Code of every pass.
    pub code: Vec<OnceLock<Code>>,
    /// Code of passes over little, by node.
    pub small: Vec<OnceLock<Code>>,
}

impl Plan {
    /// The plan for `want`, kept or new; and the inputs that it calls by their places.
    pub fn find(graph: &Bound, want: &[BoundId], needed: &Needed, inputs: &[Option<Tensor>]) -> Arc<Self> {
        let key = key(graph, want, needed, inputs);
        if let Some(plan) = kept().get(key) {
            return plan;
        }
        let plan = Arc::new(Plan::new(graph, want, needed));
        kept().put(key, plan.clone());
        plan
    }

    fn new(graph: &Bound, want: &[BoundId], needed: &Needed) -> Self {
        let places: FxHashMap<BoundId, usize> = inputs(graph, needed).zip(0..).collect();
        let prims = Prims::of(graph, want, needed, |n| places.get(&n).copied().unwrap_or(usize::MAX));
        let schedule = Schedule::new(&prims, Columns::InPassing);
        let last = schedule.steps.iter().copied().max().unwrap_or(0);
        let mut held: Vec<Vec<PrimId>> = vec![Vec::new(); last + 1];
        for (id, &step) in schedule.steps.iter().enumerate().filter(|(id, _)| schedule.held[*id]) {
            held[step].push(id);
        }
        let code = schedule.passes.iter().map(|_| OnceLock::new()).collect();
        let small = prims.nodes.iter().map(|_| OnceLock::new()).collect();
        Plan { prims, schedule, held, code, small }
    }
}

/// The nodes that a plan takes as inputs, in order.
pub(super) fn inputs<'a>(graph: &'a Bound, needed: &'a Needed) -> impl Iterator<Item = BoundId> + 'a {
    let leaf = |n: &BoundId| matches!(graph.nodes[*n], BoundNode::Leaf(_));
    needed.order.iter().copied().filter(move |n| needed.inputs.contains(n) || leaf(n))
}

/// Everything that decides a plan.
fn key(graph: &Bound, want: &[BoundId], needed: &Needed, inputs: &[Option<Tensor>]) -> Key {
    let mut h = KeyHasher::default();
    let mut places: FxHashMap<BoundId, usize> = FxHashMap::default();
    let mut tensors = inputs.iter();
    for (at, &n) in needed.order.iter().enumerate() {
        places.insert(n, at);
        graph.shapes[n].hash(&mut h);
        match &graph.nodes[n] {
            BoundNode::Number(bits) if !needed.inputs.contains(&n) => (0u8, bits).hash(&mut h),
            BoundNode::Literal(bits) if !needed.inputs.contains(&n) => (1u8, bits).hash(&mut h),
            BoundNode::Op { op, attrs, args } if !needed.inputs.contains(&n) => {
                (2u8, op, attrs).hash(&mut h);
                args.iter().for_each(|a| h.write_usize(places[a]));
            }
            BoundNode::Fold { reducer, terms } if !needed.inputs.contains(&n) => {
                (3u8, reducer, terms.len()).hash(&mut h);
                terms.iter().for_each(|t| h.write_usize(places[t]));
            }
            _ => {
                let dtype: Option<Dtype> = tensors.next().and_then(|t| t.as_ref().map(Tensor::dtype));
                (4u8, dtype).hash(&mut h);
            }
        }
    }
    want.iter().for_each(|w| h.write_usize(places[w]));
    h.0
}

#[derive(Default)]
struct Kept {
    hot: FxHashMap<Key, Arc<Plan>>,
    cold: FxHashMap<Key, Arc<Plan>>,
    size: usize,
}

static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(Mutex::default);

fn kept() -> MutexGuard<'static, Kept> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn get(&mut self, key: Key) -> Option<Arc<Plan>> {
        if let Some(plan) = self.hot.get(&key) {
            return Some(plan.clone());
        }
        let plan = self.cold.remove(&key)?;
        self.put(key, plan.clone());
        Some(plan)
    }

    fn put(&mut self, key: Key, plan: Arc<Plan>) {
        let size = plan.prims.nodes.len();
        if self.size + size > GENERATION {
            self.cold = std::mem::take(&mut self.hot);
            self.size = 0;
        }
        self.size += size;
        self.hot.insert(key, plan);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Leaf;
    use crate::ops::{self, Attrs, Shape};

    /// sum(exp(x)) of a leaf of some shape, after `before` other leaves.
    fn plan(before: usize, dims: &[usize], dtype: Dtype) -> Arc<Plan> {
        let mut graph = Bound::default();
        let mut push = |node: BoundNode, shape: Shape| {
            graph.nodes.push(node);
            graph.shapes.push(shape);
            graph.nodes.len() - 1
        };
        let leaves: Vec<BoundId> = (0..=before).map(|l| push(BoundNode::Leaf(l), Shape::of(dims))).collect();
        let mut op = |name: &str, x: BoundId, attrs: Attrs, shape: Shape| {
            let op = ops::lookup(name, 1).unwrap_or_else(|e| unreachable!("{e}"));
            push(BoundNode::Op { op, attrs, args: [x].as_slice().into() }, shape)
        };
        let exp = op("exp", leaves[before], Attrs::none(), Shape::of(dims));
        let sum = op("sum", exp, Attrs::of(&[None]), Shape::number());
        graph.leaves = leaves.iter().map(|_| Leaf::Number { run: 0, name: "x" }).collect();
        let n: usize = dims.iter().product();
        let tensor = match dtype {
            Dtype::F64 => Tensor::new(dims, vec![0.0f64; n]),
            _ => Tensor::new(dims, vec![0.0f32; n]),
        };
        let needed = Needed::new(&graph, &[sum], |n| n == leaves[before]);
        Plan::find(&graph, &[sum], &needed, &[Some(tensor)])
    }

    #[test]
    fn one_plan_for_what_looks_the_same() {
        let first = plan(0, &[4, 5], Dtype::F32);
        assert!(Arc::ptr_eq(&first, &plan(0, &[4, 5], Dtype::F32)));
        assert!(Arc::ptr_eq(&first, &plan(3, &[4, 5], Dtype::F32)), "another site of the same shape");
        assert!(!Arc::ptr_eq(&first, &plan(0, &[5, 4], Dtype::F32)));
        assert!(!Arc::ptr_eq(&first, &plan(0, &[4, 5], Dtype::F64)));
    }

    #[test]
    fn plans_are_forgotten() {
        let mut kept = Kept::default();
        let one = plan(0, &[2], Dtype::F32);
        let size = one.prims.nodes.len();
        for i in 0..10 * GENERATION as u128 / size as u128 {
            kept.put(Key(i), one.clone());
            assert!(kept.get(Key(i)).is_some());
        }
        assert!((kept.hot.len() + kept.cold.len()) * size <= 2 * GENERATION);
        assert!(kept.get(Key(0)).is_none());
    }
}
