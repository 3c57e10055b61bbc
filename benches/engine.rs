//! Criterion benchmark of the CPU engine on tensors that stay in cache, so that it follows the kernels
//! and not the memory: `cargo bench --bench engine [-- FILTER]`. The bars of docs/results.md are
//! measured by `benches/vs_torch.py`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/graph.rs"]
mod graph;

use criterion::{Criterion, Throughput};
use graph::{Leaves, data, graph, outline};
use lpzero::engine::{Cpu, Engine};
use lpzero::tensor::Tensor;
use std::hint::black_box;

const BODIES: &[&str] = &[
    "sum(abs(l.weight * l.grad))",
    "mean(sigmoid(log(abs(l.weight) + 1e-9)))",
    "mean(exp(zscore(l.weight)))",
    "mean(softmax(l.weight, axis = 0) ^ 2)",
    "mean(softmax(l.weight, axis = 1) ^ 2)",
    "sum(max(l.weight, axis = 1))",
    "sum(std(l.weight, axis = 0))",
    "std(l.weight)",
    "mean(gelu(l.weight))",
    "mean(tanh(l.weight))",
];

fn engine(c: &mut Criterion) {
    let (rows, cols) = (1024, 512);
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements((rows * cols) as u64)).sample_size(20);
    let single = [1, 2].map(|salt| Tensor::new(&[rows, cols], data(salt, rows * cols)));
    let half = [1, 2].map(|salt| {
        let narrow: Vec<half::bf16> = data(salt, rows * cols).into_iter().map(half::bf16::from_f32).collect();
        Tensor::new(&[rows, cols], narrow)
    });
    let one = outline(rows, cols, 1);
    for body in BODIES {
        let (bound, roots) = graph(&[(*body).to_string()], &one);
        for (dtype, tensors) in [("f32", &single), ("bf16", &half)] {
            let leaves = Leaves(&bound, tensors.clone());
            group.bench_function(format!("{dtype} {body}"), |b| {
                b.iter(|| black_box(Cpu.evaluate(&bound, &roots, &leaves)));
            });
        }
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    engine(&mut criterion);
    criterion.final_summary();
}
