//! Bound graphs made by hand or at random, with the tensors of their leaves.

use lpzero::engine::{Engine, Known};
use lpzero::ir::{Bound, BoundId, BoundNode, Leaf};
use lpzero::ops::{self, Attrs, Group, OpId, Shape};
use lpzero::random::Stream;
use lpzero::tensor::{Dtype, Tensor};
use std::collections::HashMap;

/// A bound graph with its leaves' tensors.
#[derive(Clone, Default)]
pub struct Graph {
    pub bound: Bound,
    pub tensors: HashMap<BoundId, Tensor>,
}

impl Known for Graph {
    fn get(&self, node: BoundId) -> Option<Tensor> {
        self.tensors.get(&node).cloned()
    }
}

impl Graph {
    pub fn push(&mut self, node: BoundNode, shape: Shape) -> BoundId {
        self.bound.nodes.push(node);
        self.bound.shapes.push(shape);
        self.bound.nodes.len() - 1
    }
    pub fn number(&mut self, x: f64) -> BoundId {
        self.push(BoundNode::Number(x.to_bits()), Shape::number())
    }
    pub fn leaf(&mut self, t: Tensor) -> BoundId {
        self.bound.leaves.push(Leaf::Number { run: 0, name: "leaf" });
        let id = self.push(BoundNode::Leaf(self.bound.leaves.len() - 1), Shape::of(t.dims()));
        self.tensors.insert(id, t);
        id
    }
    pub fn try_op(&mut self, op: OpId, args: &[BoundId], attrs: Attrs) -> Option<BoundId> {
        let shapes: Vec<Shape> = args.iter().map(|&a| self.bound.shapes[a].clone()).collect();
        let row = ops::row(op);
        let shape = (row.shape)(&shapes, &attrs).ok()?;
        if let Some(x) = row.from_shapes.and_then(|f| f(&shapes, &attrs)) {
            return Some(self.number(x));
        }
        Some(self.push(BoundNode::Op { op, attrs, args: args.into() }, shape))
    }
    pub fn op(&mut self, name: &str, args: &[BoundId], attrs: &[(&str, f64)]) -> BoundId {
        let op = ops::lookup(name, args.len()).unwrap();
        let given = |a: &ops::AttrSpec| attrs.iter().find(|(n, _)| *n == a.name).map(|x| x.1).or(a.default);
        let attrs = Attrs::of(&ops::row(op).attrs.iter().map(given).collect::<Vec<_>>());
        self.try_op(op, args, attrs).unwrap_or_else(|| panic!("{name} of {args:?}"))
    }
    pub fn run(&self, engine: &mut dyn Engine, want: &[BoundId]) -> Vec<Tensor> {
        engine.evaluate(&self.bound, want, self)
    }
    /// The same graph over leaves changed by `f`.
    pub fn mapped(&self, f: impl Fn(&Tensor) -> Tensor) -> Graph {
        let tensors = self.tensors.iter().map(|(k, t)| (*k, f(t))).collect();
        Graph { bound: self.bound.clone(), tensors }
    }
    pub fn describe(&self, n: BoundId) -> String {
        match &self.bound.nodes[n] {
            BoundNode::Number(b) => f64::from_bits(*b).to_string(),
            BoundNode::Op { op, attrs, args } => {
                let args: Vec<String> = args.iter().map(|&a| self.describe(a)).collect();
                let attrs: Vec<_> = (0..attrs.0.len()).map(|i| attrs.num(i)).collect();
                format!("{}({}; {attrs:?})", ops::row(*op).name, args.join(", "))
            }
            _ => format!("t{n}{:?}", self.bound.shapes[n].dims),
        }
    }
}

pub fn random_tensor(r: &mut Stream, dims: &[usize], dtype: Dtype) -> Tensor {
    let n = dims.iter().product();
    let data: Vec<f64> = (0..n).map(|_| r.normal() * 1.5).collect();
    typed(dims, &data, dtype)
}

pub fn typed(dims: &[usize], data: &[f64], dtype: Dtype) -> Tensor {
    match dtype {
        Dtype::F64 => Tensor::new(dims, data.to_vec()),
        Dtype::F32 => Tensor::new(dims, data.iter().map(|&x| x as f32).collect::<Vec<_>>()),
        Dtype::F16 => Tensor::new(dims, data.iter().map(|&x| half::f16::from_f64(x)).collect::<Vec<_>>()),
        Dtype::Bf16 => Tensor::new(dims, data.iter().map(|&x| half::bf16::from_f64(x)).collect::<Vec<_>>()),
    }
}

pub fn close(a: f64, b: f64, rtol: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= rtol * (1e-3 + a.abs().max(b.abs()))
}

/// Adds random operators to a graph; nodes stay small.
pub fn grow(r: &mut Stream, g: &mut Graph, steps: usize) {
    grow_of(r, g, steps, |_| true);
}

/// As [`grow`], of some rows.
pub fn grow_of(r: &mut Stream, g: &mut Graph, steps: usize, some: impl Fn(&ops::OpRow) -> bool) {
    for _ in 0..steps {
        let op = OpId(r.below(ops::rows().len()) as u16);
        let row = ops::row(op);
        if !some(row) {
            continue;
        }
        // Prefer young nodes, so that chains become deep.
        let pick =
            |r: &mut Stream, n: usize| if r.below(3) == 0 { r.below(n) } else { n - 1 - r.below(n.min(4)) };
        let args: Vec<BoundId> = row.values.iter().map(|_| pick(r, g.bound.nodes.len())).collect();
        let rank = g.bound.shapes[args[0]].rank();
        let attr = |r: &mut Stream, a: &ops::AttrSpec| match (a.name, r.below(4)) {
            ("axis", 1..) if rank > 0 => Some(r.below(rank) as f64),
            (_, 0) if !a.required => a.default,
            _ if a.integer => Some(r.below(3) as f64),
            _ => a.default.or(Some(0.25 + 0.5 * r.uniform())),
        };
        let attrs = Attrs::of(&row.attrs.iter().map(|a| attr(r, a)).collect::<Vec<_>>());
        let before = g.clone();
        match g.try_op(op, &args, attrs) {
            Some(id) if g.bound.shapes[id].numel() > 20_000 => *g = before,
            Some(id) if row.group == Group::Spectral && g.bound.shapes[args[0]].numel() > 400 => {
                let _ = id;
                *g = before;
            }
            _ => {}
        }
    }
}

pub fn random_graph(seed: u64) -> Graph {
    let mut r = Stream::new(seed, "graph");
    let sizes = [1usize, 2, 3, 5, 7, 16, 33, 70];
    let rank = 1 + r.below(4);
    let mut dims: Vec<usize> = (0..rank).map(|_| sizes[r.below(if rank > 2 { 5 } else { 8 })]).collect();
    if r.below(25) == 0 {
        let k = r.below(rank);
        dims[k] = 0;
    }
    if r.below(12) == 0 {
        dims = vec![3 + r.below(3), 2500 + r.below(3000)];
    }
    let mut g = Graph::default();
    for _ in 0..1 + r.below(3) {
        let mut t = random_tensor(&mut r, &dims, Dtype::F64);
        if r.below(15) == 0 && t.numel() > 0 {
            let mut d = t.to_f64();
            let at = r.below(d.len());
            d[at] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0][r.below(4)];
            t = Tensor::new(&dims, d);
        }
        g.leaf(t);
    }
    let x = r.normal();
    g.number(x);
    grow(&mut r, &mut g, 14);
    g
}

/// Few small tensors, empty ones and ones of one element among them, and in one of three graphs an
/// element that is out of the ordinary.
pub fn small_graph(seed: u64) -> Graph {
    let mut r = Stream::new(seed, "small graph");
    let rank = r.below(4);
    let size = |r: &mut Stream| [1usize, 2, 3, 5, 7, 9][r.below(6)];
    let mut dims: Vec<usize> = (0..rank).map(|_| size(&mut r)).collect();
    if rank > 0 && r.below(12) == 0 {
        let k = r.below(rank);
        dims[k] = 0;
    }
    let mut g = Graph::default();
    for _ in 0..1 + r.below(2) {
        let mut data = random_tensor(&mut r, &dims, Dtype::F64).to_f64();
        if r.below(3) == 0 && !data.is_empty() {
            let at = r.below(data.len());
            let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 3e4, -3e4, 1e-7];
            data[at] = odd[r.below(odd.len())];
        }
        g.leaf(Tensor::new(&dims, data));
    }
    let x = r.normal();
    g.number(x);
    // Spectra of singular matrices are rounding, and every engine takes them whole, in f64.
    grow_of(&mut r, &mut g, 11, |row| row.group != Group::Spectral);
    g
}
