//! The CUDA engine without a GPU: generated kernels run in emulation, under several schedules and
//! once under the race detector, and agree with the reference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

#[path = "support/cudaemu/backend.rs"]
mod backend;
mod common;
#[path = "support/cudaemu/mod.rs"]
mod cudaemu;

use backend::{Emulated, EverySchedule};
use common::graph::{Graph, close, random_tensor};
use cudaemu::{Mode, unavailable};
use lpzero::engine::cuda::{Cuda, CudaError, generate::Kind};
use lpzero::engine::{Cpu, Engine, Reference};
use lpzero::ir::BoundId;
use lpzero::ops::{self, Attrs, Exec, OpId};
use lpzero::random::Stream;
use lpzero::tensor::{Dtype, Tensor};

/// Every reduction, whole and along every axis, over a chain of two tensors, one of them of `dtype`.
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
    for (i, row) in ops::rows().iter().enumerate().filter(|(_, r)| matches!(r.exec, Exec::Reduce(_))) {
        for axis in &axes {
            let attr = |a: &ops::AttrSpec| if a.name == "axis" { *axis } else { a.default };
            let attrs = Attrs::of(&row.attrs.iter().map(attr).collect::<Vec<_>>());
            want.push(g.try_op(OpId(i as u16), &[p], attrs).unwrap());
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
        let rtol = if dtype == Dtype::F64 { 1e-9 } else { 2e-5 };
        let (got, expected) = (g.run(&mut EverySchedule, &want), g.run(&mut Reference, &want));
        for ((n, a), e) in want.iter().zip(&got).zip(&expected) {
            assert_eq!(a.dims(), e.dims(), "{}", g.describe(*n));
            for (a, e) in a.to_f64().into_iter().zip(e.to_f64()) {
                assert!(close(a, e, rtol), "{} gives {a}, reference {e}", g.describe(*n));
            }
        }
    }
}

/// The same program over `sites` pairs of tensors of different sizes.
fn snip(sites: usize) -> (Graph, Vec<BoundId>) {
    let mut g = Graph::default();
    let mut r = Stream::new(1, "snip");
    let want = (0..sites)
        .map(|i| {
            let dims = [5 + i, 70];
            let w = g.leaf(random_tensor(&mut r, &dims, Dtype::F32));
            let d = g.leaf(random_tensor(&mut r, &dims, Dtype::F16));
            let p = g.op("mul", &[w, d], &[]);
            let p = g.op("abs", &[p], &[]);
            g.op("sum", &[p], &[])
        })
        .collect();
    (g, want)
}

#[test]
fn one_program_over_many_sites_is_one_launch() {
    if unavailable() {
        return;
    }
    let (g, want) = snip(12);
    let mut engine = Cuda::new(Emulated::new(Mode::InProcess, 0));
    let got = g.run(&mut engine, &want);
    assert_eq!(engine.take_failure(), None);
    for (a, e) in got.iter().zip(g.run(&mut Reference, &want)) {
        assert!(close(a.item().unwrap(), e.item().unwrap(), 1e-6));
    }
    let launched = &engine.backend().launched;
    assert_eq!(launched.iter().map(|l| (l.0, l.2)).collect::<Vec<_>>(), [(Kind::Whole, 12)]);
}

#[test]
fn sixty_four_programs_are_a_few_kernels() {
    if unavailable() {
        return;
    }
    let mut r = Stream::new(2, "programs");
    let mut g = Graph::default();
    let w = g.leaf(random_tensor(&mut r, &[40, 33], Dtype::F32));
    let d = g.leaf(random_tensor(&mut r, &[40, 33], Dtype::F32));
    let want: Vec<BoundId> = (0..64)
        .map(|i| {
            let c = g.number(0.25 + f64::from(i) / 16.0);
            let x = g.op("mul", &[w, c], &[]);
            let x = g.op(["tanh", "abs", "exp", "square"][i as usize % 4], &[x], &[]);
            let x = g.op("mul", &[x, d], &[]);
            g.op(["sum", "mean", "max", "norm"][i as usize / 4 % 4], &[x], &[])
        })
        .collect();
    let mut engine = Cuda::new(Emulated::new(Mode::InProcess, 7));
    let got = g.run(&mut engine, &want);
    assert_eq!(engine.take_failure(), None);
    for (a, e) in got.iter().zip(g.run(&mut Reference, &want)) {
        assert!(close(a.item().unwrap(), e.item().unwrap(), 1e-5));
    }
    let launched = engine.backend().launched.len();
    assert!(launched <= 12, "{launched} launches for 64 programs");
}

#[test]
fn a_node_alone_gives_the_bits_it_gives_in_company() {
    if unavailable() {
        return;
    }
    let (g, want) = reductions(&[23, 31], Dtype::Bf16);
    let run = |want: &[BoundId]| {
        let mut engine = Cuda::new(Emulated::new(Mode::InProcess, 0));
        engine.try_evaluate(&g.bound, want, &g).unwrap()
    };
    let together = run(&want);
    for i in [0, 1, 2, 7] {
        let bits = |t: &Tensor| t.to_f64().into_iter().map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(&run(&want[i..=i])[0]), bits(&together[i]), "{}", g.describe(want[i]));
    }
}

#[test]
fn short_memory_halves_the_batch_and_none_falls_back_to_the_cpu() {
    if unavailable() {
        return;
    }
    let (g, want) = snip(8);
    let expected = g.run(&mut Cpu, &want);
    let mut engine = Cuda::new(Emulated::new(Mode::InProcess, 0));
    engine.backend().memory = 40_000;
    let got = g.run(&mut engine, &want);
    assert_eq!(engine.take_failure(), None);
    assert!(engine.remark().unwrap().contains("halved"));
    for (a, e) in got.iter().zip(&expected) {
        assert!(close(a.item().unwrap(), e.item().unwrap(), 1e-9));
    }
    engine.backend().memory = 100;
    assert!(matches!(engine.try_evaluate(&g.bound, &want, &g), Err(CudaError::OutOfMemory { .. })));
    let got = g.run(&mut engine, &want);
    assert_eq!(got[0].item(), expected[0].item());
    assert!(matches!(engine.take_failure(), Some(CudaError::OutOfMemory { .. })));
    assert_eq!(engine.name(), "cuda-emulated");
}
