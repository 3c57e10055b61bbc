//! Bound nodes to primitive ones: composites expand into the rows they are made of, equal nodes are
//! merged once more (a `mean` of a program and the one inside another's `zscore` become one).

use crate::ir::{Bound, BoundId, BoundNode};
use crate::ops::{self, Attrs, Build, Exec, OpId, ReducerId, Shape};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

/// Index of a primitive node in [`Prims::nodes`].
pub type PrimId = usize;

/// A primitive node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Prim {
    /// A value that is known.
    Input(BoundId),
    /// A number, as bits.
    Number(u64),
    /// A literal tensor: sizes, and elements as bits.
    Literal(SmallVec<[usize; 4]>, Vec<u64>),
    /// An elementwise operator.
    Map {
        /// Row.
        op: OpId,
        /// Operands.
        args: SmallVec<[PrimId; 3]>,
    },
    /// A streaming reduction.
    Reduce {
        /// Row.
        op: OpId,
        /// Constants; the first is the axis.
        attrs: Attrs,
        /// Operand.
        arg: PrimId,
    },
    /// The operand's elements under another shape.
    Reshape {
        /// Row.
        op: OpId,
        /// Constants.
        attrs: Attrs,
        /// Operand.
        arg: PrimId,
    },
    /// Evaluated on whole tensors.
    Whole {
        /// Row.
        op: OpId,
        /// Constants.
        attrs: Attrs,
        /// Operands.
        args: SmallVec<[PrimId; 3]>,
    },
    /// Terms of an aggregate.
    Fold {
        /// How they are joined.
        reducer: ReducerId,
        /// Terms.
        terms: Vec<PrimId>,
    },
}

impl Prim {
    /// Operands.
    pub fn args(&self) -> &[PrimId] {
        match self {
            Prim::Input(_) | Prim::Number(_) | Prim::Literal(..) => &[],
            Prim::Map { args, .. } | Prim::Whole { args, .. } => args,
            Prim::Reduce { arg, .. } | Prim::Reshape { arg, .. } => std::slice::from_ref(arg),
            Prim::Fold { terms, .. } => terms,
        }
    }
}

/// Primitive nodes, operands before users, equal ones once.
#[derive(Clone, Debug, Default)]
pub struct Prims {
    /// Nodes.
    pub nodes: Vec<Prim>,
    /// Their shapes, every size known.
    pub shapes: Vec<Shape>,
    /// The nodes asked for, in the order of the request.
    pub wanted: Vec<PrimId>,
    index: FxHashMap<Prim, PrimId>,
}

impl Prims {
    /// Lowers `want` down to the nodes that are known.
    pub fn lower(graph: &Bound, want: &[BoundId], known: impl Fn(BoundId) -> bool) -> Self {
        Prims::of(graph, want, &Needed::new(graph, want, known), |n| n)
    }

    /// Lowers needed nodes; `name` gives the names that inputs have as [`Prim::Input`].
    pub fn of(graph: &Bound, want: &[BoundId], needed: &Needed, name: impl Fn(BoundId) -> BoundId) -> Self {
        let mut prims = Prims::default();
        let mut places: FxHashMap<BoundId, PrimId> = FxHashMap::default();
        for &n in &needed.order {
            let shape = graph.shapes[n].clone();
            let id = match &graph.nodes[n] {
                _ if needed.inputs.contains(&n) => prims.add(Prim::Input(name(n)), shape),
                BoundNode::Number(bits) => prims.add(Prim::Number(*bits), shape),
                BoundNode::Literal(bits) => prims.add(Prim::Literal(shape.dims.clone(), bits.clone()), shape),
                BoundNode::Leaf(_) => prims.add(Prim::Input(name(n)), shape),
                BoundNode::Op { op, attrs, args } => {
                    let args: SmallVec<[PrimId; 3]> = args.iter().map(|a| places[a]).collect();
                    prims.op(*op, attrs, args, shape)
                }
                BoundNode::Fold { reducer, terms } => {
                    let terms = terms.iter().map(|t| places[t]).collect();
                    prims.add(Prim::Fold { reducer: *reducer, terms }, shape)
                }
            };
            places.insert(n, id);
        }
        prims.wanted = want.iter().map(|n| places[n]).collect();
        prims
    }

    fn op(&mut self, op: OpId, attrs: &Attrs, args: SmallVec<[PrimId; 3]>, shape: Shape) -> PrimId {
        let row = ops::row(op);
        let attrs = attrs.clone();
        match (&row.exec, args.as_slice()) {
            (Exec::Elementwise { .. }, _) => self.add(Prim::Map { op, args }, shape),
            (Exec::Reduce(_), &[arg]) => self.add(Prim::Reduce { op, attrs, arg }, shape),
            (Exec::Reshape, &[arg]) => self.add(Prim::Reshape { op, attrs, arg }, shape),
            (Exec::Lower(expand), _) => {
                let before = self.nodes.len();
                let mut builder = Builder { prims: self, failed: false };
                let id = expand(&mut builder, &args, &attrs);
                let failed = builder.failed || self.shapes[id].dims != shape.dims;
                if !failed {
                    return id;
                }
                debug_assert!(false, "the expansion of `{}` has another shape", row.name);
                self.forget(before);
                self.add(Prim::Whole { op, attrs, args }, shape)
            }
            _ => self.add(Prim::Whole { op, attrs, args }, shape),
        }
    }

    fn add(&mut self, node: Prim, shape: Shape) -> PrimId {
        if let Some(&id) = self.index.get(&node) {
            return id;
        }
        let id = self.nodes.len();
        self.nodes.push(node.clone());
        self.shapes.push(shape);
        self.index.insert(node, id);
        id
    }

    fn forget(&mut self, from: usize) {
        for node in self.nodes.drain(from..) {
            self.index.remove(&node);
        }
        self.shapes.truncate(from);
    }
}

/// What has to be evaluated.
#[derive(Clone, Debug)]
pub struct Needed {
    /// Nodes in order, operands before users, down to known ones.
    pub order: Vec<BoundId>,
    /// Those that are known.
    pub inputs: FxHashSet<BoundId>,
}

impl Needed {
    /// What `want` needs.
    pub fn new(graph: &Bound, want: &[BoundId], known: impl Fn(BoundId) -> bool) -> Self {
        let mut seen: FxHashSet<BoundId> = FxHashSet::default();
        let mut inputs = FxHashSet::default();
        let mut stack: Vec<BoundId> = want.to_vec();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            let operands: &[BoundId] = match &graph.nodes[n] {
                BoundNode::Number(_) | BoundNode::Literal(_) => &[],
                _ if known(n) => {
                    inputs.insert(n);
                    &[]
                }
                BoundNode::Op { args, .. } => args,
                BoundNode::Fold { terms, .. } => terms,
                BoundNode::Leaf(_) => &[],
            };
            stack.extend(operands.iter().copied());
        }
        let mut order: Vec<BoundId> = seen.into_iter().collect();
        order.sort_unstable();
        Needed { order, inputs }
    }
}

struct Builder<'a> {
    prims: &'a mut Prims,
    failed: bool,
}

impl Build for Builder<'_> {
    type Id = PrimId;

    fn number(&mut self, x: f64) -> PrimId {
        self.prims.add(Prim::Number(x.to_bits()), Shape::default())
    }

    fn op(&mut self, name: &'static str, args: &[PrimId], attrs: Attrs) -> PrimId {
        let shapes: SmallVec<[Shape; 3]> = args.iter().map(|&a| self.prims.shapes[a].clone()).collect();
        let found = ops::lookup(name, args.len()).ok().map(|op| (op, ops::row(op)));
        let attrs = found.map_or(attrs.clone(), |(_, row)| completed(&attrs, row));
        let known = found.and_then(|(_, row)| row.from_shapes.and_then(|f| f(&shapes, &attrs)));
        if let Some(x) = known {
            return self.number(x);
        }
        match found.map(|(op, row)| (op, (row.shape)(&shapes, &attrs))) {
            Some((op, Ok(shape))) => self.prims.op(op, &attrs, args.into(), shape),
            _ => {
                self.failed = true;
                self.number(f64::NAN)
            }
        }
    }
}

/// `attrs` with the row's defaults where the end was left out.
fn completed(attrs: &Attrs, row: &ops::OpRow) -> Attrs {
    let mut out = attrs.clone();
    for spec in row.attrs.iter().skip(out.0.len()) {
        out.0.push(spec.default.map(f64::to_bits));
    }
    out
}
