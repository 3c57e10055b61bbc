//! A small expression parser and a tile engine, enough to run the rows' examples.

pub mod parse;
pub mod tiled;

use lpzero::engine::{Engine, Known, Reference};
use lpzero::ir::{Bound, BoundId, BoundNode};
use lpzero::ops::{self, Attrs, Build, Shape, Value};
use lpzero::tensor::Tensor;

/// A bound graph under construction.
#[derive(Default)]
pub struct Graph(pub Bound);

impl Graph {
    pub fn push(&mut self, node: BoundNode, shape: Shape) -> BoundId {
        self.0.nodes.push(node);
        self.0.shapes.push(shape);
        self.0.nodes.len() - 1
    }
    pub fn literal(&mut self, v: &Value) -> BoundId {
        let bits = v.data.iter().map(|x| x.to_bits()).collect();
        self.push(BoundNode::Literal(bits), v.shape.clone())
    }
    pub fn apply(&mut self, op: ops::OpId, args: &[BoundId], attrs: Attrs) -> BoundId {
        let shapes: Vec<Shape> = args.iter().map(|&a| self.0.shapes[a].clone()).collect();
        let shape = (ops::row(op).shape)(&shapes, &attrs).unwrap_or_else(|e| panic!("{e}: {:?}", e.help));
        self.push(BoundNode::Op { op, attrs, args: args.into() }, shape)
    }
}

impl Build for Graph {
    type Id = BoundId;
    fn number(&mut self, x: f64) -> BoundId {
        self.push(BoundNode::Number(x.to_bits()), Shape::number())
    }
    fn op(&mut self, name: &'static str, args: &[BoundId], attrs: Attrs) -> BoundId {
        let id = ops::lookup(name, args.len()).unwrap();
        assert_eq!(ops::row(id).values.len(), args.len(), "{name}");
        self.apply(id, args, attrs)
    }
}

/// Nothing is known but the graph.
pub struct Nothing;
impl Known for Nothing {
    fn get(&self, _: BoundId) -> Option<Tensor> {
        None
    }
}

/// The value of a node on the reference engine.
pub fn reference(graph: &Graph, id: BoundId) -> Value {
    let t = Reference.evaluate(&graph.0, &[id], &Nothing).remove(0);
    Value { shape: graph.0.shapes[id].clone(), data: t.to_f64() }
}

/// Are two elements equal within a relative tolerance (and an absolute one of the same size)?
pub fn close(a: f64, b: f64, rtol: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= rtol * (1.0 + a.abs().max(b.abs()))
}

/// Constants that any row accepts on 2×2 operands.
pub fn some_attrs(row: &ops::OpRow) -> Attrs {
    let value = |a: &ops::AttrSpec| match (a.default, a.required) {
        (Some(d), _) => Some(d),
        (None, true) => Some(if a.integer { 1.0 } else { 0.5 }),
        (None, false) => None,
    };
    Attrs::of(&row.attrs.iter().map(value).collect::<Vec<_>>())
}
