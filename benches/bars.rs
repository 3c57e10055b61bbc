//! What the bars of the CPU engine are measured by, one figure a line (`benches/vs_torch.py` reads
//! them and sets PyTorch beside): `cargo bench --bench bars [-- MILLIONS [FILTER]]`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

#[path = "support/graph.rs"]
mod graph;
#[path = "support/random.rs"]
mod random;

use graph::{Leaves, data, graph, outline, programs};
use lpzero::engine::{Cpu, Engine};
use lpzero::ir::Dag;
use lpzero::ir::bind::{NoReductions, bind};
use lpzero::ir::key::Key;
use lpzero::ir::prepare::Prepared;
use lpzero::metric::kendall;
use lpzero::model::{Batch, Config, Model};
use lpzero::random::Stream;
use lpzero::score::{ReductionCache, Scorer};
use lpzero::site::{CaptureSpec, Field, Objective, Outline, Sink, Source, SourceError};
use lpzero::tensor::Tensor;
use random::random_bodies;
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;

/// Bodies, and bytes read per element in the least number of passes.
const BODIES: &[(&str, usize)] = &[
    ("sum(abs(l.weight * l.grad))", 8),
    ("mean(sigmoid(log(abs(l.weight) + 1e-9)))", 4),
    ("mean(exp(zscore(l.weight)))", 8),
    ("mean(softmax(l.weight, axis = 0) ^ 2)", 8),
    ("sum(max(l.weight, axis = 1))", 4),
    ("std(l.weight)", 4),
];

/// The first architecture of NAS-Bench-BERT.
const FLEXIBERT: &str = r#"{"family":"flexibert","flavor":"trained","hidden_size":256,"nas_config":{"encoder_layers":[
  {"operation_type":"SA","operation_parameter":"WMA","num_operation_heads":4,"feed_forward_dimension":1024,"num_feed_forward":3},
  {"operation_type":"LT","operation_parameter":"DCT","num_operation_heads":2,"feed_forward_dimension":512,"num_feed_forward":3},
  {"operation_type":"SA","operation_parameter":"SDP","num_operation_heads":4,"feed_forward_dimension":512,"num_feed_forward":3},
  {"operation_type":"SA","operation_parameter":"SDP","num_operation_heads":4,"feed_forward_dimension":1024,"num_feed_forward":1}]}}"#;

fn flexibert() -> Config {
    Config::from_json(&serde_json::from_str(FLEXIBERT).unwrap()).unwrap()
}

/// The least time of a call within a second and a half, at least two calls.
fn best(mut f: impl FnMut()) -> f64 {
    let (begin, mut least, mut calls) = (Instant::now(), f64::INFINITY, 0);
    while calls < 2 || begin.elapsed().as_secs_f64() < 1.5 {
        let start = Instant::now();
        f();
        least = least.min(start.elapsed().as_secs_f64());
        calls += 1;
    }
    least
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let millions: usize = args.first().map_or(64, |a| a.parse().expect("a number of millions of elements"));
    let chosen = |name: &str| args.get(1).is_none_or(|filter| name.contains(filter.as_str()));
    if BODIES.iter().any(|(b, _)| chosen(b)) {
        resident(millions, &chosen);
    }
    if chosen("binding") {
        binding();
    }
    if chosen("together") {
        together();
    }
    if chosen("memoised") {
        memoised();
    }
}

/// Bodies over resident tensors, against the speed of reading.
fn resident(millions: usize, chosen: &dyn Fn(&str) -> bool) {
    let (rows, cols) = (millions * 256, 4096);
    let tensors = [1, 2].map(|salt| Tensor::new(&[rows, cols], data(salt, rows * cols)));
    let bandwidth = bandwidth(&tensors[0]);
    println!("read bandwidth {:.1} GB/s on {} threads", bandwidth / 1e9, rayon::current_num_threads());
    let one = outline(rows, cols, 1);
    for (body, bytes) in BODIES.iter().filter(|(b, _)| chosen(b)) {
        let (bound, roots) = graph(&[(*body).to_string()], &one);
        let leaves = Leaves(&bound, tensors.clone());
        let seconds = best(|| {
            black_box(Cpu.evaluate(&bound, &roots, &leaves));
        });
        let n = (rows * cols) as f64;
        println!(
            "{body}: {:.2} ms, {:.2} Gel/s, {:.1} GB/s, {:.0} % of the read bandwidth",
            seconds * 1e3,
            n / seconds / 1e9,
            n * *bytes as f64 / seconds / 1e9,
            100.0 * n * *bytes as f64 / seconds / bandwidth
        );
    }
}

/// Bytes per second that all cores read, the better of two ways: as the compiler leaves it, and
/// with a hint ahead.
fn bandwidth(tensor: &Tensor) -> f64 {
    let d = tensor.as_slice::<f32>().unwrap();
    let sum = |c: &[f32]| {
        let mut acc = [0u32; 64];
        let (chunks, _) = c.as_chunks::<64>();
        chunks.iter().for_each(|c| acc.iter_mut().zip(c).for_each(|(a, x)| *a ^= x.to_bits()));
        acc.iter().fold(0, |a, b| a ^ b)
    };
    let way = |size: usize| {
        best(|| {
            black_box(d.par_chunks(size).map(sum).reduce(|| 0, |a, b| a ^ b));
        })
    };
    tensor.bytes() as f64 / way(1 << 16).min(way(1 << 21))
}

/// Binding of many programs to many sites.
fn binding() {
    let mut dag = Dag::default();
    let programs = programs(&random_bodies(0..64), &mut dag);
    let outline = outline(8, 8, 60);
    let nodes = bind(&dag, &programs, &outline, Objective::Loss, &NoReductions).graph.nodes.len();
    let seconds = best(|| {
        black_box(bind(&dag, &programs, &outline, Objective::Loss, &NoReductions));
    });
    println!("binding 64 programs to 60 sites: {:.2} ms, {nodes} nodes", seconds * 1e3);
}

/// Programs over one FlexiBERT architecture at once, against one after another.
fn together() {
    let bodies = random_bodies(0..64);
    let config = flexibert();
    let batch = Batch::random(config.vocab(), 8, 128, 1, 0).unwrap();
    let score = |programs: &[lpzero::ir::Program], dag: &Dag| {
        let mut model = Model::<f32>::new(config.clone(), batch.clone(), 0).unwrap();
        let mut engine = Cpu;
        let scores = Scorer::new(&mut engine).score(&Prepared::new(dag, programs), &mut model).unwrap();
        (scores.source_seconds, scores.engine_seconds)
    };
    let mut dag = Dag::default();
    let programs = programs(&bodies, &mut dag);
    let (mut at_once, mut engine_at_once) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..3 {
        let start = Instant::now();
        let (_, engine) = score(&programs, &dag);
        at_once = at_once.min(start.elapsed().as_secs_f64());
        engine_at_once = engine_at_once.min(engine);
    }
    let start = Instant::now();
    let engine: f64 = programs.iter().map(|p| score(std::slice::from_ref(p), &dag).1).sum();
    let alone = start.elapsed().as_secs_f64();
    println!(
        "64 programs together: {:.1} ms, one after another {:.1} ms, {:.1} times as fast; in the engine alone {:.1} and {:.1} ms",
        at_once * 1e3,
        alone * 1e3,
        alone / at_once,
        engine_at_once * 1e3,
        engine * 1e3
    );
}

/// Tensors that are the same in every run.
struct Fixed(Outline);

impl Source for Fixed {
    fn outline(&self) -> &Outline {
        &self.0
    }
    fn default_objective(&self) -> Objective {
        Objective::Loss
    }
    fn run(&mut self, _: &CaptureSpec, w: &[(usize, Field)], sink: &mut dyn Sink) -> Result<(), SourceError> {
        let tensor = |site: usize| Tensor::new(&[8, 8], data(site as u32, 64));
        w.iter().for_each(|&(site, field)| sink.field(site, field, tensor(site)));
        Ok(())
    }
}

/// Programs per second that the cache knows, scored and ranked over 500 architectures on one thread.
fn memoised() {
    const ARCHITECTURES: usize = 500;
    let mut dag = Dag::default();
    let programs = programs(&random_bodies(0..64), &mut dag);
    let prepared = Prepared::new(&dag, &programs);
    let cache = ReductionCache::new(1 << 30);
    let mut source = Fixed(outline(8, 8, 3));
    let mut r = Stream::new(0, "truth");
    let truth: Vec<f64> = (0..ARCHITECTURES).map(|_| r.normal()).collect();
    let mut all = || {
        let mut scores = vec![Vec::with_capacity(ARCHITECTURES); programs.len()];
        for architecture in 0..ARCHITECTURES {
            let mut engine = Cpu;
            let cache = Some(cache.of(Key(architecture as u128)));
            let mut scorer = Scorer { cache, ..Scorer::new(&mut engine) };
            let found = scorer.score(&prepared, &mut source).unwrap().scores;
            for (all, score) in scores.iter_mut().zip(found) {
                // Distinct scores, so that the ranking is as hard as it gets.
                all.push(score.value.unwrap_or(0.0) + truth[(architecture * 7) % ARCHITECTURES]);
            }
        }
        black_box(scores.iter().map(|s| kendall(s, &truth).unwrap()).collect::<Vec<_>>());
    };
    all();
    let seconds = best(all);
    println!("memoised: {:.0} programs/s with tau over 500 architectures, one thread", 64.0 / seconds);
}
