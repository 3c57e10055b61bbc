//! What a GPU is good for: fused SNIP against the device's copy bandwidth, 64 programs at once
//! against one by one, and the CPU. Run by `benches/gpu.sh`; says so where there is no device.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use lpzero::engine::cuda::{Cuda, Device};
use lpzero::engine::{Cpu, Engine, Known};
use lpzero::ir::{Bound, BoundId, BoundNode, Leaf};
use lpzero::ops::{self, Attrs, Shape};
use lpzero::tensor::Tensor;
use std::collections::HashMap;
use std::time::Instant;

#[derive(Default)]
struct Graph {
    bound: Bound,
    tensors: HashMap<BoundId, Tensor>,
}

impl Known for Graph {
    fn get(&self, node: BoundId) -> Option<Tensor> {
        self.tensors.get(&node).cloned()
    }
}

impl Graph {
    fn push(&mut self, node: BoundNode, shape: Shape) -> BoundId {
        self.bound.nodes.push(node);
        self.bound.shapes.push(shape);
        self.bound.nodes.len() - 1
    }
    fn leaf(&mut self, t: Tensor) -> BoundId {
        self.bound.leaves.push(Leaf::Number { run: 0, name: "leaf" });
        let id = self.push(BoundNode::Leaf(self.bound.leaves.len() - 1), Shape::of(t.dims()));
        self.tensors.insert(id, t);
        id
    }
    fn op(&mut self, name: &str, args: &[BoundId]) -> BoundId {
        let op = ops::lookup(name, args.len()).unwrap();
        let row = ops::row(op);
        let attrs = Attrs::of(&row.attrs.iter().map(|a| a.default).collect::<Vec<_>>());
        let shapes: Vec<Shape> = args.iter().map(|&a| self.bound.shapes[a].clone()).collect();
        let shape = (row.shape)(&shapes, &attrs).unwrap();
        self.push(BoundNode::Op { op, attrs, args: args.into() }, shape)
    }
    fn number(&mut self, x: f64) -> BoundId {
        self.push(BoundNode::Number(x.to_bits()), Shape::number())
    }
}

fn tensor(dims: &[usize], seed: u32) -> Tensor {
    let n: usize = dims.iter().product();
    let value =
        |i: usize| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32 / 8e6 - 1.0;
    Tensor::new(dims, (0..n).map(value).collect::<Vec<f32>>())
}

/// The best of five, after a warming run.
fn seconds(mut f: impl FnMut()) -> f64 {
    f();
    let once = |f: &mut dyn FnMut()| {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64()
    };
    (0..5).map(|_| once(&mut f)).fold(f64::INFINITY, f64::min)
}

/// 64 programs over pairs of tensors.
fn programs(g: &mut Graph, pairs: &[(BoundId, BoundId)]) -> Vec<Vec<BoundId>> {
    (0..64)
        .map(|i| {
            let one = |g: &mut Graph, w, d| {
                let c = g.number(0.25 + f64::from(i) / 16.0);
                let x = g.op("mul", &[w, c]);
                let x = g.op(["tanh", "abs", "exp", "square"][i as usize % 4], &[x]);
                let x = g.op("mul", &[x, d]);
                g.op(["sum", "mean", "max", "norm"][i as usize / 4 % 4], &[x])
            };
            pairs.iter().map(|&(w, d)| one(g, w, d)).collect()
        })
        .collect()
}

fn main() {
    let device = match Device::open(0) {
        Ok(d) => d,
        Err(e) => return println!("no GPU bars measured: {e} ({})", e.help()),
    };
    let card = device.card().to_owned();
    let mut cuda = Cuda::new(device);
    println!("card: {card}\n{:<46}{:>12}{:>10}", "bar", "measured", "wanted");

    // Times of evaluations include copying the tensors to the device; a large reduction that is
    // copied once and read by a chain of passes would hide that, so kernels alone are timed by
    // the difference between reading the tensors 17 times and once (16 chains that cannot fuse).
    let mut g = Graph::default();
    let (w, d) = (g.leaf(tensor(&[8192, 8192], 1)), g.leaf(tensor(&[8192, 8192], 2)));
    let mut nested = vec![];
    let mut last = None;
    for _ in 0..17 {
        let mut p = g.op("mul", &[w, d]);
        if let Some(m) = last {
            p = g.op("add", &[p, m]);
        }
        let a = g.op("abs", &[p]);
        last = Some(g.op("sum", &[a]));
        nested.extend(last);
    }
    let mut time = |want: &[BoundId]| {
        seconds(|| {
            cuda.try_evaluate(&g.bound, want, &g).unwrap();
        })
    };
    let snip = (time(&nested[16..]) - time(&nested[..1])) / 16.0;
    let bytes = 2 * 4 * 8192 * 8192;
    let copy = cuda.backend().copy_seconds(bytes / 2).unwrap();
    println!("{:<46}{:>11.0}%{:>10}", "fused snip, of copy bandwidth", 100.0 * copy / snip, "70 %");

    let mut g = Graph::default();
    let pairs: Vec<(BoundId, BoundId)> =
        (0..24).map(|i| (g.leaf(tensor(&[768, 768], i)), g.leaf(tensor(&[768, 768], 99 + i)))).collect();
    let all = programs(&mut g, &pairs);
    let together: Vec<BoundId> = all.iter().flatten().copied().collect();
    let batch = seconds(|| {
        cuda.try_evaluate(&g.bound, &together, &g).unwrap();
    });
    let single = seconds(|| {
        for p in &all {
            cuda.try_evaluate(&g.bound, p, &g).unwrap();
        }
    });
    println!("{:<46}{:>11.1}x{:>10}", "64 programs at once, over one by one", single / batch, "10 x");
    let cpu = seconds(|| {
        Cpu.evaluate(&g.bound, &together, &g);
    });
    println!("{:<46}{:>11.1}x{:>10}", "64 programs at once, over this machine's CPU", cpu / batch, "20 x");
}
