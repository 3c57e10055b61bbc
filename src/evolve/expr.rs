//! Expression trees: the form in which programs are varied. A tree is an [`ir::Node`](Node) with its
//! operands inside; [`Expr::lower`] puts it into a [`Dag`], [`Expr::lift`] takes it out.

use crate::ir::{Collection, Dag, Node, NodeId, ReducerId};
use crate::ops::{Attrs, OpId};
use crate::site::{Field, Kind, SiteNumber};
use smallvec::SmallVec;

/// What stands at a node, without its operands.
#[derive(Clone, Debug, PartialEq)]
pub enum Head {
    /// A number.
    Number(f64),
    /// A number of the model, or `params[role]`.
    Model(&'static str, Option<&'static str>),
    /// A tensor of a bound site.
    Field {
        /// Binders outwards, 0 the innermost.
        binder: usize,
        /// Kind of the site.
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
    /// A literal tensor.
    Literal {
        /// Sizes.
        dims: SmallVec<[usize; 4]>,
        /// Elements, as bits.
        bits: Vec<u64>,
    },
    /// An operator.
    Op {
        /// Row.
        op: OpId,
        /// Constants.
        attrs: Attrs,
    },
    /// An aggregate; its only operand is the body.
    Fold {
        /// How terms are joined.
        reducer: ReducerId,
        /// What is walked.
        over: Collection,
    },
}

/// An expression tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What stands here.
    pub head: Head,
    /// Operands.
    pub args: Vec<Expr>,
}

impl Expr {
    /// A node without operands.
    pub fn leaf(head: Head) -> Self {
        Expr { head, args: Vec::new() }
    }

    /// A number.
    pub fn number(x: f64) -> Self {
        Expr::leaf(Head::Number(x))
    }

    /// An operator without constants.
    pub fn op(op: OpId, args: Vec<Expr>) -> Self {
        Expr { head: Head::Op { op, attrs: Attrs::none() }, args }
    }

    /// Number of nodes.
    pub fn size(&self) -> usize {
        1 + self.args.iter().map(Expr::size).sum::<usize>()
    }

    /// Nodes on the longest way down.
    pub fn depth(&self) -> usize {
        1 + self.args.iter().map(Expr::depth).max().unwrap_or(0)
    }

    /// The `i`-th node in preorder (0 is the root).
    pub fn get(&self, i: usize) -> Option<&Expr> {
        let mut rest = i;
        self.walk(&mut rest)
    }

    fn walk(&self, rest: &mut usize) -> Option<&Expr> {
        if *rest == 0 {
            return Some(self);
        }
        *rest -= 1;
        self.args.iter().find_map(|a| a.walk(rest))
    }

    /// The `i`-th node in preorder, to be changed.
    pub fn get_mut(&mut self, i: usize) -> Option<&mut Expr> {
        let mut rest = i;
        self.walk_mut(&mut rest)
    }

    fn walk_mut(&mut self, rest: &mut usize) -> Option<&mut Expr> {
        if *rest == 0 {
            return Some(self);
        }
        *rest -= 1;
        self.args.iter_mut().find_map(|a| a.walk_mut(rest))
    }

    /// Puts the tree into `dag`.
    pub fn lower(&self, dag: &mut Dag) -> NodeId {
        let args: Vec<NodeId> = self.args.iter().map(|a| a.lower(dag)).collect();
        let node = match &self.head {
            Head::Number(x) => Node::Number(x.to_bits()),
            Head::Model(name, role) => Node::Model(name, *role),
            Head::Field { binder, kind, field } => {
                Node::Field { binder: *binder, kind: *kind, field: *field }
            }
            Head::SiteNumber { binder, number } => Node::SiteNumber { binder: *binder, number: *number },
            Head::Literal { dims, bits } => Node::Literal { dims: dims.clone(), bits: bits.clone() },
            Head::Op { op, attrs } => {
                Node::Op { op: *op, attrs: attrs.clone(), args: args.iter().copied().collect() }
            }
            Head::Fold { reducer, over } => Node::Fold {
                reducer: *reducer,
                over: over.clone(),
                body: args.first().copied().unwrap_or_default(),
            },
        };
        dag.add(node)
    }

    /// The tree under `id`.
    pub fn lift(dag: &Dag, id: NodeId) -> Expr {
        let (head, args): (Head, Vec<NodeId>) = match dag.node(id) {
            Node::Number(bits) => (Head::Number(f64::from_bits(*bits)), vec![]),
            Node::Model(name, role) => (Head::Model(name, *role), vec![]),
            Node::Field { binder, kind, field } => {
                (Head::Field { binder: *binder, kind: *kind, field: *field }, vec![])
            }
            Node::SiteNumber { binder, number } => {
                (Head::SiteNumber { binder: *binder, number: *number }, vec![])
            }
            Node::Literal { dims, bits } => {
                (Head::Literal { dims: dims.clone(), bits: bits.clone() }, vec![])
            }
            Node::Op { op, attrs, args } => (Head::Op { op: *op, attrs: attrs.clone() }, args.to_vec()),
            Node::Fold { reducer, over, body } => {
                (Head::Fold { reducer: *reducer, over: over.clone() }, vec![*body])
            }
        };
        Expr { head, args: args.into_iter().map(|a| Expr::lift(dag, a)).collect() }
    }

    /// Binders that the body of this node sees in addition.
    pub fn binds(&self) -> usize {
        match &self.head {
            Head::Fold { over, .. } => binders(over),
            _ => 0,
        }
    }
}

/// Sites that a collection binds at a time.
pub fn binders(over: &Collection) -> usize {
    match over {
        Collection::Zip(parts) => parts.len(),
        _ => 1,
    }
}

/// The kinds that a collection binds, the outermost first.
pub fn bound_kinds(over: &Collection) -> Vec<Kind> {
    match over {
        Collection::Sites { kind, .. } => vec![*kind],
        Collection::Zip(parts) => parts.iter().flat_map(bound_kinds).collect(),
        Collection::Chain(parts) => parts.first().map(bound_kinds).unwrap_or_default(),
    }
}
