//! What a GPU is good for: every bar with what was measured, one row each. Run by `benches/gpu.sh`;
//! says so where there is no device.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use half::bf16;
use lpzero::engine::cuda::choose::How;
use lpzero::engine::cuda::{Cuda, Device, blas};
use lpzero::engine::{Cpu, Engine, Known, Reference};
use lpzero::ir::prepare::Prepared;
use lpzero::ir::{Bound, BoundId, BoundNode, Dag, Leaf};
use lpzero::lang::Library;
use lpzero::model::{Batch, Config, Model};
use lpzero::ops::{self, Attrs, Shape};
use lpzero::score::Scorer;
use lpzero::site::{CaptureSpec, Field, Kind, Mapped, Objective, Sink, SiteId, Source};
use lpzero::tensor::real::Base;
use lpzero::tensor::{Dtype, Tensor};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
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
    /// SNIP's sum |w g| of two leaves.
    fn snip(&mut self, w: BoundId, d: BoundId) -> BoundId {
        let p = self.op("mul", &[w, d]);
        let p = self.op("abs", &[p]);
        self.op("sum", &[p])
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

fn row(bar: &str, measured: &str, wanted: &str) {
    println!("{bar:<58}{measured:>14}{wanted:>12}");
}

/// 64 programs over pairs of tensors; `salt` makes them differ from those of another generation.
fn programs(g: &mut Graph, pairs: &[(BoundId, BoundId)], salt: usize) -> Vec<Vec<BoundId>> {
    const MAPS: [&str; 8] = ["tanh", "abs", "exp", "square", "sigmoid", "relu", "neg", "sign"];
    (0..64)
        .map(|i| {
            let one = |g: &mut Graph, w, d| {
                let c = g.number(0.25 + i as f64 / 16.0);
                let mut x = g.op("mul", &[w, c]);
                for k in 0..1 + salt % 4 {
                    x = g.op(MAPS[(i + k * 3 + salt) % 8], &[x]);
                }
                let x = g.op("mul", &[x, d]);
                g.op(["sum", "mean", "max", "norm"][i / 4 % 4], &[x])
            };
            pairs.iter().map(|&(w, d)| one(g, w, d)).collect()
        })
        .collect()
}

/// Kernels alone, on tensors that fill no cache.
fn bandwidth(cuda: &mut Cuda<Device>) {
    let mut g = Graph::default();
    let (w, d) = (g.leaf(tensor(&[8192, 8192], 1)), g.leaf(tensor(&[8192, 8192], 2)));
    let snip = g.snip(w, d);
    let time = cuda.kernel_seconds(&g.bound, &[snip], &g).unwrap();
    // A copy reads and writes: as many bytes moved as the two tensors that SNIP reads.
    let copy = cuda.backend().copy_seconds(4 * 8192 * 8192).unwrap();
    row("fused snip, of copy bandwidth", &format!("{:.0} %", 100.0 * copy / time), ">= 70 %");
    row("  copy bandwidth, read and write", &format!("{:.0} GB/s", 8.0 * 8192.0 * 8192.0 / copy / 1e9), "");
}

/// A generation of 64 programs on the 24 matrices of a small model.
fn population(cuda: &mut Cuda<Device>) {
    let mut g = Graph::default();
    let pairs: Vec<(BoundId, BoundId)> =
        (0..24).map(|i| (g.leaf(tensor(&[768, 768], i)), g.leaf(tensor(&[768, 768], 99 + i)))).collect();
    let all = programs(&mut g, &pairs, 0);
    let together: Vec<BoundId> = all.iter().flatten().copied().collect();
    let batch = seconds(|| drop(cuda.try_evaluate(&g.bound, &together, &g).unwrap()));
    let single = seconds(|| all.iter().for_each(|p| drop(cuda.try_evaluate(&g.bound, p, &g).unwrap())));
    row("64 programs at once, over one by one", &format!("{:.1} x", single / batch), ">= 10 x");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let cpu = pool.install(|| seconds(|| drop(Cpu.evaluate(&g.bound, &together, &g))));
    row("fitness of a population, over two cores", &format!("{:.1} x", cpu / batch), ">= 20 x");
}

/// One-off programs: a generation that was never seen, compiled or interpreted.
fn one_off(cuda: &mut Cuda<Device>) {
    for (how, salt) in [(How::Generated, 1), (How::Interpreted, 2)] {
        let mut g = Graph::default();
        let pairs: Vec<(BoundId, BoundId)> =
            (0..24).map(|i| (g.leaf(tensor(&[768, 768], i)), g.leaf(tensor(&[768, 768], 99 + i)))).collect();
        let want: Vec<BoundId> = programs(&mut g, &pairs, salt).into_iter().flatten().collect();
        let mut fresh = Cuda::new(Device::open(0).unwrap()).always(how);
        // The interpreting kernels themselves are compiled once per machine.
        let small = {
            let mut g = Graph::default();
            let (w, d) = (g.leaf(tensor(&[64], 1)), g.leaf(tensor(&[64], 2)));
            let snip = g.snip(w, d);
            (g, snip)
        };
        fresh.try_evaluate(&small.0.bound, &[small.1], &small.0).unwrap();
        let start = Instant::now();
        fresh.try_evaluate(&g.bound, &want, &g).unwrap();
        let name = format!("64 new programs on 24 matrices, {how:?}").to_lowercase();
        row(&name, &format!("{:.3} s", start.elapsed().as_secs_f64()), "");
    }
    let mut g = Graph::default();
    let (w, d) = (g.leaf(tensor(&[256], 1)), g.leaf(tensor(&[256], 2)));
    let snip = g.snip(w, d);
    cuda.try_evaluate(&g.bound, &[snip], &g).unwrap();
    if let Some(c) = cuda.costs() {
        row("  compiling a kernel", &format!("{:.3} s", c.compile), "");
        row("  an addition per element, generated", &format!("{:.2} ps", 1e12 * c.generated), "");
        row("  an addition per element, interpreted", &format!("{:.2} ps", 1e12 * c.interpreted), "");
    }
}

/// The elements of a tensor as bfloat16.
fn narrow(t: Tensor) -> Tensor {
    let elements: Vec<bf16> = t.to_f64().into_iter().map(bf16::from_f64).collect();
    Tensor::new(t.dims(), elements)
}

fn model<T: Base>(case: &Path) -> Model<T> {
    let tokens = Batch::read(&case.join("inputs.safetensors")).unwrap();
    let batch = Batch::new(tokens.ids, tokens.labels, tokens.batch, tokens.seq).unwrap();
    let config = serde_json::from_str(&std::fs::read_to_string(case.join("config.json")).unwrap()).unwrap();
    let mut model = Model::new(Config::from_json(&config).unwrap(), vec![batch], 0).unwrap();
    model.load(&case.join("model.safetensors")).unwrap();
    model
}

fn scores(engine: &mut dyn Engine, source: &mut dyn Source) -> Vec<f64> {
    let (mut library, mut dag, mut programs) = (Library::new(), Dag::default(), Vec::new());
    for name in ["snip", "synflow_projection", "fisher", "l2_norm", "head_confidence", "plain"] {
        for found in library.resolve(&format!("std::{name}"), &mut dag).unwrap_or_default() {
            let mut program = found.program;
            program.capture.objective = Some(Objective::Projection);
            programs.push(program);
        }
    }
    let prepared = Prepared::new(&dag, &programs);
    let scores = Scorer::new(engine).score(&prepared, source).unwrap().scores;
    scores.into_iter().map(|s| s.value.unwrap_or(f64::NAN)).collect()
}

/// Takes what a pass hands out and throws it away.
struct Nothing;

impl Sink for Nothing {
    fn field(&mut self, _: SiteId, _: Field, _: Tensor) {}
    fn number(&mut self, _: &'static str, _: f64) {}
    fn rounding_noise(&mut self) {}
}

/// The models that benchmarks are full of: GPT-2, and a FlexiBERT of every kind of operation.
fn configs() -> [(&'static str, Config); 2] {
    let layer = |kind: &str, parameter: &str| {
        json!({"operation_type": kind, "operation_parameter": parameter, "num_operation_heads": 4,
            "feed_forward_dimension": 1024, "num_feed_forward": 1})
    };
    let layers = [layer("SA", "SDP"), layer("SA", "WMA"), layer("LT", "DFT"), layer("DSC", "9")];
    let bert = json!({"family": "flexibert", "nas_config": {"encoder_layers": layers}});
    [("gpt-2 small", json!({"family": "gpt2"})), ("flexibert, 4 layers of 256", bert)]
        .map(|(name, config)| (name, Config::from_json(&config).unwrap()))
}

/// Seconds of a forward pass whose last block is looked at, and of one with the gradients of all linears, on
/// 8 sequences of 128 tokens.
fn passes(config: &Config, factors: Dtype) -> [f64; 2] {
    let ids = (0..1024).map(|i| (i * 7919 % config.vocab()) as u32).collect();
    let batches = vec![Batch::new(ids, None, 8, 128).unwrap()];
    let mut model: Model<f32> = Model::new(config.clone(), batches, 0).unwrap().with_factors(factors);
    let sites = |kind: Kind, field: Field| {
        let all = model.outline().sites.iter().enumerate();
        all.filter(|(_, s)| s.kind == kind).map(|(i, _)| (i, field)).collect::<Vec<_>>()
    };
    let forward = sites(Kind::Block, Field::Output).split_off(config.depth() - 1);
    [forward, sites(Kind::Linear, Field::Grad)]
        .map(|wants| seconds(|| model.run(&CaptureSpec::default(), &wants, &mut Nothing).unwrap()))
}

/// Models on the device against all cores of this machine, both with what is copied to and fro.
fn models() {
    let cpu = configs().map(|(_, config)| passes(&config, Dtype::F32));
    // Small passes too, for the parity cases.
    blas::install(0, 0.0, Arc::new(|text: &str| eprintln!("device: {text}")));
    for ((name, config), cpu) in configs().iter().zip(cpu) {
        for factors in [Dtype::F32, Dtype::Bf16] {
            let gpu = passes(config, factors);
            for (pass, (cpu, gpu)) in ["forward", "forward and backward"].iter().zip(cpu.iter().zip(gpu)) {
                let name = format!("{name}, {pass}, products in {factors:?}").to_lowercase();
                row(&name, &format!("{:.2} ms", 1e3 * gpu), "");
                row("  over the CPU", &format!("{:.1} x", cpu / gpu), "");
            }
        }
    }
}

/// Scores of the parity cases, the models on the device, against the definition in f64.
fn parity(cuda: &mut Cuda<Device>) {
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/parity");
    let (mut single, mut half, mut products) = (0.0f64, 0.0f64, 0.0f64);
    for entry in std::fs::read_dir(cases).unwrap() {
        let case = entry.unwrap().path();
        if !case.join("inputs.safetensors").exists() {
            continue;
        }
        let exact = scores(&mut Reference, &mut model::<f64>(&case));
        let worst = |got: Vec<f64>| {
            let pairs = got.iter().zip(&exact).filter(|(_, e)| e.is_finite());
            pairs.map(|(a, e)| ((a - e) / e.abs().max(1e-12)).abs()).fold(0.0, f64::max)
        };
        single = single.max(worst(scores(cuda, &mut model::<f32>(&case))));
        half = half.max(worst(scores(cuda, &mut Mapped(&mut model::<f32>(&case), narrow))));
        let narrow = &mut model::<f32>(&case).with_factors(Dtype::Bf16);
        products = products.max(worst(scores(cuda, narrow)));
    }
    row("parity cases, f32", &format!("{single:.1e}"), "<= 2e-4");
    row("parity cases, captures in bf16", &format!("{half:.1e}"), "<= 2e-2");
    row("parity cases, products in bf16", &format!("{products:.1e}"), "<= 2e-2");
}

fn main() {
    let device = match Device::open(0) {
        Ok(d) => d,
        Err(e) => return println!("no GPU bars measured: {e} ({})", e.help()),
    };
    println!("card: {}\n{:<58}{:>14}{:>12}", device.card(), "bar", "measured", "wanted");
    let mut cuda = Cuda::new(device);
    bandwidth(&mut cuda);
    population(&mut cuda);
    one_off(&mut cuda);
    models();
    parity(&mut cuda);
}
