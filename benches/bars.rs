//! Throughput of the CPU engine on resident tensors, against the read bandwidth and the speed of
//! binding measured in the same run: `cargo bench --bench engine [-- MILLIONS_OF_ELEMENTS]`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use lpzero::engine::{Cpu, Engine, Known};
use lpzero::ir::bind::{NoReductions, bind};
use lpzero::ir::key::Key;
use lpzero::ir::prepare::Prepared;
use lpzero::ir::{Bound, BoundId, BoundNode, Dag, Leaf};
use lpzero::lang::Library;
use lpzero::score::{ReductionCache, Scorer};
use lpzero::site::{CaptureSpec, Field, Kind, Objective, Outline, Sink, Site, Source, SourceError};
use lpzero::tensor::{Dims, Tensor};
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;

const BODIES: &[(&str, usize)] = &[
    ("sum(abs(l.weight * l.grad))", 8),
    ("mean(sigmoid(log(abs(l.weight) + 1e-9)))", 4),
    ("mean(exp(zscore(l.weight)))", 8),
    ("mean(softmax(l.weight, axis = 0) ^ 2)", 12),
    ("sum(max(l.weight, axis = 1))", 4),
    ("std(l.weight)", 4),
];

fn outline(rows: usize, cols: usize, sites: usize) -> Outline {
    let dims: Dims = Dims::from_slice(&[rows, cols]);
    let site = |i: usize| Site {
        kind: Kind::Linear,
        name: format!("layer.{i}"),
        layer: Some(i),
        roles: vec![],
        transposed: false,
        fields: vec![(Field::Weight, dims.clone()), (Field::Grad, dims.clone())],
    };
    Outline { sites: (0..sites).map(site).collect(), ..Outline::default() }
}

fn graph(bodies: &[String], outline: &Outline) -> (Bound, Vec<BoundId>) {
    let mut library = Library::new();
    let mut dag = Dag::default();
    let lower = |b: &String| library.expression("p", &format!("sum l in linear {{ {b} }}"), &mut dag);
    let programs: Vec<_> = bodies.iter().map(lower).map(|p| p.unwrap().program).collect();
    let bound = bind(&dag, &programs, outline, Objective::Loss, &NoReductions).graph;
    if programs.len() > 1 {
        let seconds = best(|| {
            black_box(bind(&dag, &programs, outline, Objective::Loss, &NoReductions));
        });
        let (p, s, n) = (programs.len(), outline.sites.len(), bound.nodes.len());
        println!("bind {p} programs x {s} sites: {:.2} ms, {n} nodes", seconds * 1e3);
    }
    let roots = bound.roots.iter().map(|r| *r.as_ref().unwrap()).collect();
    (bound, roots)
}

struct Leaves<'a>(&'a Bound, [Tensor; 2]);

impl Known for Leaves<'_> {
    fn get(&self, node: BoundId) -> Option<Tensor> {
        let BoundNode::Leaf(l) = &self.0.nodes[node] else { return None };
        match &self.0.leaves[*l] {
            Leaf::Field { field: Field::Weight, .. } => Some(self.1[0].clone()),
            _ => Some(self.1[1].clone()),
        }
    }
}

fn best(mut f: impl FnMut()) -> f64 {
    let time = |f: &mut dyn FnMut()| {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64()
    };
    let begin = Instant::now();
    let mut least = time(&mut f);
    while begin.elapsed().as_secs_f64() < 1.0 {
        least = least.min(time(&mut f));
    }
    least
}

fn main() {
    let millions: usize = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(64);
    let (rows, cols) = (millions * 256, 4096);
    let data = |salt: u32| -> Vec<f32> {
        let x =
            |i: u32| (i.wrapping_mul(2_654_435_761).wrapping_add(salt) >> 8) as f32 / (1 << 23) as f32 - 1.0;
        (0..(rows * cols) as u32).into_par_iter().map(x).collect()
    };
    let tensors = [Tensor::new(&[rows, cols], data(1)), Tensor::new(&[rows, cols], data(2))];
    let bandwidth = tensors[0].bytes() as f64
        / best(|| {
            let d = tensors[0].as_slice::<f32>().unwrap();
            let sum = |c: &[f32]| {
                let mut acc = [0u32; 64];
                let (chunks, _) = c.as_chunks::<64>();
                chunks.iter().for_each(|c| acc.iter_mut().zip(c).for_each(|(a, x)| *a ^= x.to_bits()));
                acc.iter().fold(0, |a, b| a ^ b)
            };
            black_box(d.par_chunks(1 << 16).map(sum).reduce(|| 0, |a, b| a ^ b));
        });
    println!("read bandwidth {:.1} GB/s on {} threads", bandwidth / 1e9, rayon::current_num_threads());
    let one = outline(rows, cols, 1);
    for (body, bytes) in BODIES {
        let (bound, roots) = graph(&[(*body).to_string()], &one);
        let leaves = Leaves(&bound, tensors.clone());
        let seconds = best(|| {
            black_box(Cpu.evaluate(&bound, &roots, &leaves));
        });
        let n = (rows * cols) as f64;
        println!(
            "{body}: {:.1} ms, {:.2} Gel/s, {:.1} GB/s, {:.0} % of the read bandwidth",
            seconds * 1e3,
            n / seconds / 1e9,
            n * *bytes as f64 / seconds / 1e9,
            100.0 * n * *bytes as f64 / seconds / bandwidth
        );
    }
    let many: Vec<String> = (0..64)
        .map(|i| {
            format!("{}(exp(tanh(l.weight * {i}.5)) + abs(l.grad))", ["sum", "mean", "max", "std"][i % 4])
        })
        .collect();
    graph(&many, &outline(8, 8, 60));
    memoised(&many);
}

/// Programs per second that the cache knows, over 500 architectures.
fn memoised(bodies: &[String]) {
    struct Fixed(Outline);
    impl Source for Fixed {
        fn outline(&self) -> &Outline {
            &self.0
        }
        fn default_objective(&self) -> Objective {
            Objective::Loss
        }
        fn run(
            &mut self,
            s: &CaptureSpec,
            w: &[(usize, Field)],
            sink: &mut dyn Sink,
        ) -> Result<(), SourceError> {
            let _ = s;
            let tensor = |site: usize| Tensor::new(&[8, 8], vec![site as f32; 64]);
            w.iter().for_each(|&(site, field)| sink.field(site, field, tensor(site)));
            Ok(())
        }
    }
    let mut library = Library::new();
    let mut dag = Dag::default();
    let lower = |b: &String| library.expression("p", &format!("sum l in linear {{ {b} }}"), &mut dag);
    let programs: Vec<_> = bodies.iter().map(lower).map(|p| p.unwrap().program).collect();
    let prepared = Prepared::new(&dag, &programs);
    let cache = ReductionCache::new(1 << 30);
    let mut source = Fixed(outline(8, 8, 3));
    let mut all = || {
        for architecture in 0..500 {
            let mut engine = Cpu;
            let mut scorer = Scorer { cache: Some(cache.of(Key(architecture))), ..Scorer::new(&mut engine) };
            black_box(scorer.score(&prepared, &mut source).unwrap());
        }
    };
    all();
    let seconds = best(all);
    println!(
        "memoised: {:.0} programs/s over 500 architectures, one thread",
        programs.len() as f64 / seconds
    );
}
