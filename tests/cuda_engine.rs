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
use lpzero::engine::cuda::choose::How;
use lpzero::engine::cuda::{Cuda, CudaError, OnFailure, generate::Kind, interpret};
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
        let (got, expected) =
            (g.run(&mut EverySchedule(How::Generated), &want), g.run(&mut Reference, &want));
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
    assert_eq!(engine.failure(), None);
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
    assert_eq!(engine.failure(), None);
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
    assert_eq!(engine.failure(), None);
    assert!(engine.halved() > 0);
    for (a, e) in got.iter().zip(&expected) {
        assert!(close(a.item().unwrap(), e.item().unwrap(), 1e-9));
    }
    engine.backend().memory = 100;
    assert!(matches!(engine.try_evaluate(&g.bound, &want, &g), Err(CudaError::OutOfMemory { .. })));
    let got = g.run(&mut engine, &want);
    assert_eq!(got[0].item(), expected[0].item());
    assert!(matches!(engine.failure(), Some(CudaError::OutOfMemory { .. })));
    assert_eq!(engine.name(), "cuda-emulated");
}

#[test]
fn interpreted_passes_give_the_bits_of_generated_ones_in_a_few_launches() {
    if unavailable() {
        return;
    }
    for dtype in [Dtype::F32, Dtype::F16, Dtype::F64] {
        let (g, want) = reductions(&[6, 9, 16], dtype);
        let run = |how| {
            let mut engine = Cuda::new(Emulated::new(Mode::InProcess, 7)).always(how);
            let out = engine.try_evaluate(&g.bound, &want, &g).unwrap();
            let bits: Vec<u64> = out.iter().flat_map(Tensor::to_f64).map(f64::to_bits).collect();
            (bits, std::mem::take(&mut engine.backend().launched))
        };
        let (generated, interpreted) = (run(How::Generated), run(How::Interpreted));
        assert!(generated.0 == interpreted.0, "{dtype:?}");
        let sources: Vec<_> = interpreted.1.iter().map(|l| (l.0, l.1.as_str())).collect();
        let expected = [Kind::Whole, Kind::Rows, Kind::Columns].map(|k| (k, interpret::source(k).unwrap()));
        assert_eq!(sources, expected.iter().map(|(k, s)| (*k, &**s)).collect::<Vec<_>>());
        assert!(generated.1.len() > 3);
    }
}

#[test]
fn one_off_programs_are_interpreted_and_frequent_ones_compiled() {
    if unavailable() {
        return;
    }
    let (g, want) = snip(3);
    let mut engine = Cuda::new(Emulated::new(Mode::InProcess, 0));
    engine.backend().compile = Some(1.0);
    let run = |engine: &mut Cuda<Emulated>| {
        engine.try_evaluate(&g.bound, &want, &g).unwrap();
        let how = |l: &(Kind, String, u32)| l.1.starts_with("// interprets");
        std::mem::take(&mut engine.backend().launched).iter().map(how).collect::<Vec<_>>()
    };
    // Costs are measured first, by running both kinds once.
    assert_eq!(run(&mut engine), [false, true, true], "compiling takes a second");
    assert_eq!(run(&mut engine), [true]);
    let costs = engine.costs().unwrap();
    assert!(costs.interpreted > costs.generated && costs.compile == 1.0);
    let mut quick = Cuda::new(Emulated::new(Mode::InProcess, 0));
    quick.backend().compile = Some(1e-12);
    let uses: Vec<Vec<bool>> = (0..2).map(|_| run(&mut quick)).collect();
    assert_eq!(uses[1], [false], "{uses:?}");
}

#[test]
fn a_device_that_breaks_stops_or_finishes_on_the_cpu_and_says_so() {
    let (g, want) = snip(2);
    let said = std::sync::Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let hear = said.clone();
    let remark: lpzero::engine::cuda::Remark =
        std::sync::Arc::new(move |t| hear.lock().unwrap().push(t.into()));
    let broken = |on_failure| {
        let mut engine = Cuda::new(Emulated::new(Mode::InProcess, 0)).reporting(on_failure, remark.clone());
        engine.backend().memory = 100;
        engine
    };
    let mut engine = broken(OnFailure::Finish);
    assert_eq!(g.run(&mut engine, &want)[0].item(), g.run(&mut Cpu, &want)[0].item());
    assert_eq!(engine.fault(), None);
    assert!(said.lock().unwrap().iter().any(|t| t.starts_with("finishing on the CPU: ")), "{said:?}");
    let mut engine = broken(OnFailure::Stop);
    g.run(&mut engine, &want);
    let fault = engine.fault().unwrap();
    assert!(fault.message.contains("no room") && fault.help.contains("--device cpu"), "{fault:?}");
}
