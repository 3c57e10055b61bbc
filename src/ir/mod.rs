//! Programs as hash-consed DAGs: one [`Dag`] holds a whole batch of programs, equal
//! sub-expressions once. It knows no architecture: sites are bound variables, numbered from the
//! innermost binder outwards (de Bruijn), so that equal bodies are equal nodes wherever they stand.
//!
//! `bind` puts an architecture's [`Outline`](crate::site::Outline) in and gives a [`Bound`] graph: no binders,
//! every shape known, leaves are (run, site, field). Engines evaluate bound graphs.

pub mod bind;
pub mod key;
pub mod prepare;

pub use crate::ops::ReducerId;
use crate::ops::{Attrs, OpId, Shape};
use crate::site::{CaptureSpec, Field, Kind, SiteId, SiteNumber};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::ops::Range;

/// Index of a node in its [`Dag`]; arguments come before the nodes that use them.
pub type NodeId = usize;

/// Restriction of a collection: `[ffn, 0..2]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Filter {
    /// Keep sites with any of these roles (all sites when empty).
    pub roles: Vec<&'static str>,
    /// Keep sites of these layers (all when empty); half open.
    pub layers: Vec<Range<usize>>,
}

/// What an aggregate walks over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Collection {
    /// All sites of a kind, or those within the block bound `block` binders outwards.
    Sites {
        /// Kind.
        kind: Kind,
        /// Restriction.
        filter: Filter,
        /// The block's binder, for `b.linear`.
        block: Option<usize>,
    },
    /// Several collections in step, up to the shortest; binds one site of each, the first one outermost.
    Zip(Vec<Collection>),
    /// One collection after another; all of one kind.
    Chain(Vec<Collection>),
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// A number, as bits.
    Number(u64),
    /// A number of the model; the second is the role of `params[role]`.
    Model(&'static str, Option<&'static str>),
    /// A tensor of a bound site.
    Field {
        /// Binders outwards, 0 the innermost.
        binder: usize,
        /// Which kind of site it is.
        kind: Kind,
        /// Which tensor.
        field: Field,
    },
    /// A number of a bound site.
    SiteNumber {
        /// Binders outwards.
        binder: usize,
        /// Which.
        number: SiteNumber,
    },
    /// A literal tensor (operator examples, `[1, 2, 3]`), as bits.
    Literal {
        /// Sizes.
        dims: SmallVec<[usize; 4]>,
        /// Elements.
        bits: Vec<u64>,
    },
    /// An operator.
    Op {
        /// Row.
        op: OpId,
        /// Constants.
        attrs: Attrs,
        /// Operands.
        args: SmallVec<[NodeId; 3]>,
    },
    /// An aggregate; its body sees one more binder per collection of a zip.
    Fold {
        /// How terms are joined.
        reducer: ReducerId,
        /// What is walked.
        over: Collection,
        /// Term.
        body: NodeId,
    },
}

/// Nodes, equal ones once.
#[derive(Clone, Debug, Default)]
pub struct Dag {
    nodes: Vec<Node>,
    index: FxHashMap<Node, NodeId>,
}

impl Dag {
    /// Adds a node, or finds the equal one.
    pub fn add(&mut self, node: Node) -> NodeId {
        if let Some(&id) = self.index.get(&node) {
            return id;
        }
        let id = self.nodes.len();
        self.nodes.push(node.clone());
        self.index.insert(node, id);
        id
    }
    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }
    /// All nodes, arguments before users.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }
}

/// A checked program: a number-valued expression and what has to be run for it.
#[derive(Clone, Debug)]
pub struct Program {
    /// Name.
    pub name: String,
    /// Its expression in the batch's [`Dag`].
    pub root: NodeId,
    /// What has to be run.
    pub capture: CaptureSpec,
}

/// Index of a node in [`Bound::nodes`].
pub type BoundId = usize;

/// Index of a leaf in [`Bound::leaves`].
pub type LeafId = usize;

/// A tensor that a run has to deliver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Leaf {
    /// A field of a site, from run `run` of [`Bound::runs`].
    Field {
        /// Index into [`Bound::runs`].
        run: usize,
        /// Site.
        site: SiteId,
        /// Field.
        field: Field,
    },
    /// A number of a run (`loss`, `objective`).
    Number {
        /// Index into [`Bound::runs`].
        run: usize,
        /// Its name.
        name: &'static str,
    },
}

/// One node of a bound graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BoundNode {
    /// A number, as bits (also model and site numbers, and values found in the reduction cache).
    Number(u64),
    /// A literal tensor.
    Literal(Vec<u64>),
    /// A leaf.
    Leaf(LeafId),
    /// An operator.
    Op {
        /// Row.
        op: OpId,
        /// Constants.
        attrs: Attrs,
        /// Operands.
        args: SmallVec<[BoundId; 3]>,
    },
    /// An aggregate's terms joined in order; terms have equal shapes.
    Fold {
        /// How.
        reducer: ReducerId,
        /// Terms.
        terms: Vec<BoundId>,
    },
}

/// Programs bound to one architecture.
#[derive(Clone, Debug, Default)]
pub struct Bound {
    /// Nodes, operands before users, equal ones once.
    pub nodes: Vec<BoundNode>,
    /// Shape of each node, every size known.
    pub shapes: Vec<Shape>,
    /// Leaves.
    pub leaves: Vec<Leaf>,
    /// What has to be run, deduplicated.
    pub runs: Vec<CaptureSpec>,
    /// The root of each program, or why it has no value on this architecture.
    pub roots: Vec<Result<BoundId, Degenerate>>,
}

/// Why a program has no score on an architecture.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Degenerate {
    /// `log of a non-positive value`, `std of one element`, `no sites to aggregate over`, ...
    pub reason: String,
    /// Where: `linear "encoder.layer.0.attention.query"`.
    pub at: String,
}
