//! Forward and backward with every field captured, and the speed of products in the same run:
//! `cargo bench --bench model -- BENCH.jsonl [ARCHITECTURES] [BATCH] [SEQ]`.
//!
//! One line of JSON per architecture: its id and configuration, seconds (the least of several), forward
//! operations, tensors and bytes captured; before them the speed of products. `benches/model_vs_torch.py`
//! reads it. Captured tensors are handed over as in scoring: whoever takes one drops it when done.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use lpzero::bench::Bench;
use lpzero::model::{Batch, Config, Model};
use lpzero::site::{CaptureSpec, Field, Sink, SiteId, Source};
use lpzero::tensor::Tensor;
use lpzero::tensor::gemm::{Into, View, product};
use serde_json::json;
use std::path::Path;
use std::time::Instant;

#[derive(Default)]
struct Taken {
    tensors: usize,
    bytes: usize,
}

impl Sink for Taken {
    fn field(&mut self, _: SiteId, _: Field, tensor: Tensor) {
        self.tensors += 1;
        self.bytes += tensor.bytes();
    }
    fn number(&mut self, _: &'static str, _: f64) {}
    fn rounding_noise(&mut self) {}
}

fn best(seconds: f64, mut f: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut least = f64::INFINITY;
    let mut calls = 0;
    while calls < 3 || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        f();
        least = least.min(start.elapsed().as_secs_f64());
        calls += 1;
    }
    least
}

/// Operations per second of the product of two matrices of 1024 x 1024 elements.
fn product_speed() -> f64 {
    let n = 1024;
    let x: Vec<f32> = (0..n * n).map(|i| (i % 97) as f32 * 0.01 - 0.5).collect();
    let mut y = vec![0f32; n * n];
    let v = View::new(n, n);
    let seconds = best(1.0, || product(&mut y, &x, &x, [v, v, v.t()], 1.0, Into::Set));
    2.0 * (n * n * n) as f64 / seconds
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let Some(path) = args.first() else {
        println!("usage: cargo bench --bench model -- BENCH.jsonl [ARCHITECTURES] [BATCH] [SEQ]");
        return;
    };
    // As the command does: this thread is one of the workers.
    rayon::ThreadPoolBuilder::new().use_current_thread().build_global().unwrap();
    let number = |i: usize, default: usize| args.get(i).map_or(default, |a| a.parse().unwrap());
    let (count, batch, seq) = (number(1, 10), number(2, 8), number(3, 128));
    let mut bench = Bench::read(Path::new(path)).unwrap();
    bench.sample(count, 0);
    println!("{}", json!({"product": product_speed(), "threads": rayon::current_num_threads()}));
    for record in &bench.records {
        let config = Config::from_json(&record.config).unwrap();
        let batches = Batch::random(config.vocab(), batch, seq, 1, 0).unwrap();
        let mut model = Model::<f32>::new(config, batches, 0).unwrap();
        let outline = model.outline().clone();
        let fields = |(i, s): (usize, &lpzero::site::Site)| {
            let all = s.fields.iter().map(|(f, _)| (i, *f)).filter(|(_, f)| *f != Field::Hvp);
            all.collect::<Vec<_>>()
        };
        let wants: Vec<(SiteId, Field)> = outline.sites.iter().enumerate().flat_map(fields).collect();
        let mut taken = Taken::default();
        let seconds = best(1.5, || {
            taken = Taken::default();
            model.run(&CaptureSpec::default(), &wants, &mut taken).unwrap();
        });
        let flops = outline.numbers.iter().find(|(n, _)| *n == "flops").map(|x| x.1);
        println!(
            "{}",
            json!({"id": record.id, "config": record.config, "seconds": seconds, "flops": flops,
                "tensors": taken.tensors, "bytes": taken.bytes, "batch": batch, "seq": seq})
        );
    }
}
