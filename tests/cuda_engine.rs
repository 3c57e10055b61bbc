//! The CUDA engine without a GPU: generated kernels run in emulation, under several schedules and
//! once under the race detector, and agree with the reference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

#[path = "support/cudaemu/backend.rs"]
mod backend;
mod common;
#[path = "support/cudaemu/mod.rs"]
mod cudaemu;

use backend::Emulated;
use common::graph::{Graph, close, random_tensor};
use cudaemu::{Arg, Launch, Library, Mode, SCHEDULES, unavailable};
use lpzero::engine::Reference;
use lpzero::engine::cuda::Cuda;
use lpzero::ir::BoundId;
use lpzero::ops::{self, Attrs, Exec, OpId};
use lpzero::random::Stream;
use lpzero::tensor::{Dtype, Tensor};

fn evaluate(g: &Graph, want: &[BoundId], mode: Mode, seed: u32) -> Vec<Tensor> {
    let mut engine = Cuda::new(Emulated::new(mode, seed));
    let out = engine.try_evaluate(&g.bound, want, g).unwrap_or_else(|e| panic!("{e}"));
    assert!(!engine.backend().sources.is_empty(), "nothing ran on the device");
    out
}

/// Runs `want` under every schedule, which have to give the same bits, and compares.
fn check(g: &Graph, want: &[BoundId], rtol: f64) -> Vec<Tensor> {
    let expected = g.run(&mut Reference, want);
    let got = evaluate(g, want, Mode::InProcess, SCHEDULES[0]);
    for ((n, a), e) in want.iter().zip(&got).zip(&expected) {
        assert_eq!(a.dims(), e.dims(), "{}", g.describe(*n));
        for (a, e) in a.to_f64().into_iter().zip(e.to_f64()) {
            assert!(close(a, e, rtol), "{} gives {a}, reference {e}", g.describe(*n));
        }
    }
    let bits = |t: &[Tensor]| t.iter().flat_map(Tensor::to_f64).map(f64::to_bits).collect::<Vec<_>>();
    for &seed in &SCHEDULES[1..] {
        assert!(bits(&evaluate(g, want, Mode::InProcess, seed)) == bits(&got), "schedule {seed}");
    }
    got
}

/// Every reduction, whole and along every axis, over chains and over tensors of the dtype.
fn reductions(dims: &[usize], dtype: Dtype) -> (Graph, Vec<BoundId>) {
    let mut r = Stream::new(dims.len() as u64, "reductions");
    let mut g = Graph::default();
    let x = g.leaf(random_tensor(&mut r, dims, dtype));
    let y = g.leaf(random_tensor(&mut r, dims, Dtype::F32));
    let p = g.op("mul", &[x, y], &[]);
    let p = g.op("sigmoid", &[p], &[]);
    let mut want = Vec::new();
    let axes: Vec<Option<f64>> =
        std::iter::once(None).chain((0..dims.len()).map(|k| Some(k as f64))).collect();
    for (i, row) in ops::rows().iter().enumerate() {
        if matches!(row.exec, Exec::Reduce(_)) {
            for axis in &axes {
                let attrs = Attrs::of(
                    &row.attrs
                        .iter()
                        .map(|a| if a.name == "axis" { *axis } else { a.default })
                        .collect::<Vec<_>>(),
                );
                want.push(g.try_op(OpId(i as u16), &[p], attrs).unwrap());
            }
        }
    }
    (g, want)
}

#[test]
fn every_reduction_along_every_axis() {
    if unavailable() {
        return;
    }
    for (dims, dtype) in [
        (vec![37, 29], Dtype::F32),
        (vec![3, 40, 16], Dtype::F16),
        (vec![9001], Dtype::Bf16),
        (vec![2, 5, 33], Dtype::F64),
    ] {
        let (g, want) = reductions(&dims, dtype);
        check(&g, &want, if dtype == Dtype::F64 { 1e-9 } else { 2e-5 });
    }
}
