//! Puts an architecture's [`Outline`] into a batch of programs: aggregates become their terms,
//! model and site numbers become numbers, every shape is decided, equal nodes are merged, and what
//! the reduction cache already knows becomes a number, so that nothing is run for it.
//!
//! Here are the ways in and the [`Binder`]'s state with the nodes it makes; `scope` walks programs, `values` gives
//! nodes their values, `folds` walks sites, `fields` finds tensors and numbers and the runs that deliver them.

mod fields;
mod folds;
mod places;
mod scope;
mod values;

pub use fields::delivers;
pub use places::{place, sites_of};

use super::key::{Key, key_of};
use super::prepare::{Level, Prepared};
use super::{Bound, BoundId, BoundNode, Dag, Degenerate, Leaf, NodeId, Program};
use crate::ops::Shape;
use crate::site::{CaptureSpec, Kind, Objective, Outline, SiteId};
use places::by_kind;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// A number that is known from earlier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cached {
    /// The number.
    pub value: f64,
    /// It was computed from gradients that are rounding noise.
    pub rounding_noise: bool,
}

/// What binding asks of the reduction cache.
pub trait Reductions {
    /// The value of the number-valued expression `key` on this architecture.
    fn lookup(&self, key: Key) -> Option<Cached>;
}

/// Knows nothing.
pub struct NoReductions;

impl Reductions for NoReductions {
    fn lookup(&self, _: Key) -> Option<Cached> {
        None
    }
}

/// A bound graph with what the scorer has to know of its nodes.
#[derive(Clone, Debug, Default)]
pub struct Binding {
    /// The graph.
    pub graph: Bound,
    /// For every node, its identity on this architecture where its value may be cached.
    pub keys: Vec<Option<Key>>,
    /// For every node, the first site that it was bound at (none for model-level nodes).
    pub sites: Vec<Option<SiteId>>,
    /// For every node, the node of the [`Dag`] that it was first bound from.
    pub origin: Vec<Option<NodeId>>,
    /// Cached numbers that were computed from gradients that are rounding noise.
    pub noisy: Vec<BoundId>,
}

/// Binds `programs` of `dag` to one architecture. To bind to many, keep a [`Prepared`] and call
/// [`bind_prepared`].
pub fn bind(
    dag: &Dag,
    programs: &[Program],
    outline: &Outline,
    default: Objective,
    cache: &dyn Reductions,
) -> Binding {
    bind_prepared(&Prepared::new(dag, programs), outline, default, cache, None)
}

/// Binds a prepared batch; `only` restricts it to some programs (the others get no root, but a
/// `Degenerate` that nobody reads).
pub fn bind_prepared(
    prepared: &Prepared,
    outline: &Outline,
    default: Objective,
    cache: &dyn Reductions,
    only: Option<&[bool]>,
) -> Binding {
    let mut b = Binder::new(prepared, outline, cache);
    for (i, p) in prepared.programs.iter().enumerate() {
        let root = if only.is_none_or(|o| o[i]) { b.program(p, default) } else { Err(0) };
        let root = root.map_err(|e| b.errors[e as usize].clone());
        b.out.graph.roots.push(root);
    }
    b.finish()
}

/// Binds a prepared batch whose values may be tensors too: for looking at, not for scores.
pub fn bind_values(
    prepared: &Prepared,
    outline: &Outline,
    default: Objective,
    cache: &dyn Reductions,
) -> Binding {
    let mut b = Binder::new(prepared, outline, cache);
    for p in prepared.programs {
        let root = b.value(p, default).map(|n| n as usize);
        b.out.graph.roots.push(root.map_err(|e| b.errors[e as usize].clone()));
    }
    b.finish()
}

/// A bound node, or an index into the errors.
type Res = Result<u32, u32>;

/// Decided capture of the program being bound, one canonical part per level.
type Specs = [usize; 4];

const LEVELS: [Level; 4] = [Level::Free, Level::Weights, Level::Forward, Level::Backward];

struct Binder<'a> {
    prepared: &'a Prepared<'a>,
    outline: &'a Outline,
    cache: &'a dyn Reductions,
    by_kind: FxHashMap<Kind, Vec<SiteId>>,
    out: Binding,
    index: FxHashMap<BoundNode, u32>,
    literals: FxHashMap<(Vec<u64>, Shape), u32>,
    specs: Vec<(CaptureSpec, Key)>,
    leaves: FxHashMap<(Leaf, usize), u32>,
    leaf_specs: Vec<(usize, Level)>,
    folds: FxHashMap<(NodeId, usize, SmallVec<[SiteId; 4]>), Res>,
    errors: Vec<Degenerate>,
    /// Per nesting depth: values of the nodes of the scope at hand, by node, with a stamp.
    scratch: Vec<Vec<(u32, Res)>>,
    stamp: u32,
}

impl<'a> Binder<'a> {
    fn new(prepared: &'a Prepared<'a>, outline: &'a Outline, cache: &'a dyn Reductions) -> Self {
        let not_asked = Degenerate { reason: "not asked for".into(), at: String::new() };
        Binder {
            prepared,
            outline,
            cache,
            by_kind: by_kind(outline),
            out: Binding::default(),
            index: FxHashMap::default(),
            literals: FxHashMap::default(),
            specs: Vec::new(),
            leaves: FxHashMap::default(),
            leaf_specs: Vec::new(),
            folds: FxHashMap::default(),
            errors: vec![not_asked],
            scratch: Vec::new(),
            stamp: 0,
        }
    }

    fn spec(&mut self, spec: CaptureSpec) -> usize {
        if let Some(i) = self.specs.iter().position(|(s, _)| *s == spec) {
            return i;
        }
        self.specs.push((spec, key_of(&spec)));
        self.specs.len() - 1
    }

    fn number(&mut self, x: f64) -> u32 {
        self.add(BoundNode::Number(x.to_bits()), Shape::default())
    }

    fn cached(&mut self, found: Cached) -> u32 {
        if !found.rounding_noise {
            return self.number(found.value);
        }
        let id = self.push(BoundNode::Number(found.value.to_bits()), Shape::default());
        self.out.noisy.push(id as usize);
        id
    }

    fn literal(&mut self, dims: &[usize], bits: &[u64]) -> u32 {
        let shape = Shape { dims: dims.into(), reduced: None };
        let key = (bits.to_vec(), shape.clone());
        if let Some(&id) = self.literals.get(&key) {
            return id;
        }
        let id = self.push(BoundNode::Literal(bits.to_vec()), shape);
        self.literals.insert(key, id);
        id
    }

    /// Adds a node whose shape follows from itself, or finds the equal one.
    fn add(&mut self, node: BoundNode, shape: Shape) -> u32 {
        if let Some(&id) = self.index.get(&node) {
            return id;
        }
        let id = self.push(node.clone(), shape);
        self.index.insert(node, id);
        id
    }

    fn push(&mut self, node: BoundNode, shape: Shape) -> u32 {
        let id = self.out.graph.nodes.len() as u32;
        self.out.graph.nodes.push(node);
        self.out.graph.shapes.push(shape);
        self.out.keys.push(None);
        self.out.sites.push(None);
        self.out.origin.push(None);
        id
    }

    fn error(&mut self, reason: String, sites: &[SiteId]) -> u32 {
        let at = place(self.outline, sites);
        self.errors.push(Degenerate { reason, at });
        self.errors.len() as u32 - 1
    }
}
