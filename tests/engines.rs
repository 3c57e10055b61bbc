//! One suite for every engine: the rows' examples, generated graphs, awkward sizes and elements,
//! the same bits on any number of threads, and the number of passes. It runs on the CPU engine and on
//! the CUDA engine in emulation (where a C++ compiler is found), against the reference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

#[path = "support/cudaemu/backend.rs"]
mod backend;
mod common;
#[path = "support/cudaemu/mod.rs"]
mod cudaemu;

use backend::EverySchedule;
use common::Fake;
use common::graph::{Graph, close, random_graph, random_tensor, small_graph, typed};
use cudaemu::unavailable;
use lpzero::engine::cuda::choose::How;
use lpzero::engine::cuda::{Cuda, Device};
use lpzero::engine::{Cpu, Engine, Known, Reference};
use lpzero::ir::bind::{Binding, NoReductions, bind};
use lpzero::ir::{Bound, BoundId, BoundNode, Dag, Program};
use lpzero::lang::Library;
use lpzero::ops::{self, Attrs, Eval, OpId};
use lpzero::plan::Plan;
use lpzero::random::Stream;
use lpzero::site::Objective;
use lpzero::tensor::{Dtype, Tensor};

/// A device that does not fall back to the CPU.
struct Strict(Cuda<Device>);

impl Engine for Strict {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn evaluate(&mut self, graph: &Bound, want: &[BoundId], known: &dyn Known) -> Vec<Tensor> {
        self.0.try_evaluate(graph, want, known).unwrap_or_else(|e| panic!("{e}"))
    }
}

/// Every engine of this machine: the emulated device where there is a C++ compiler, a real one where
/// `LPZ_SUITE_CUDA` asks for it.
fn engines() -> Vec<Box<dyn Engine>> {
    let mut all: Vec<Box<dyn Engine>> = vec![Box::new(Reference), Box::new(Cpu)];
    if !unavailable() {
        all.extend(
            [How::Generated, How::Interpreted].map(|how| Box::new(EverySchedule(how)) as Box<dyn Engine>),
        );
    }
    for how in [How::Generated, How::Interpreted] {
        if std::env::var_os("LPZ_SUITE_CUDA").is_some() {
            match Device::open(0) {
                Ok(device) => all.push(Box::new(Strict(Cuda::new(device).always(how)))),
                Err(e) => eprintln!("SKIPPED: no CUDA device: {e}; {}", e.help()),
            }
        }
    }
    all
}

/// Engines and how many of the generated graphs they get: one in so many. Each costs the emulated
/// device two runs of a C++ compiler per step, and interpreting under the race detector is slow.
fn shares() -> Vec<(Box<dyn Engine>, u64)> {
    let share = |name: &str| match name {
        "cpu" => 1,
        "cuda" => 5,
        _ => 60,
    };
    engines().into_iter().skip(1).map(|e| (share(e.name()), e)).map(|(s, e)| (e, s)).collect()
}

#[test]
fn examples_are_true() {
    let (mut library, mut dag) = (Library::new(), Dag::default());
    let mut lower = |text: &str| {
        let bare = library.expression("example", text, &mut dag);
        let number = bare.or_else(|_| library.expression("example", &format!("sum({text})"), &mut dag));
        number.unwrap_or_else(|_| panic!("{text}")).program
    };
    let examples: Vec<(&str, &str)> = ops::rows().iter().flat_map(|r| r.examples).copied().collect();
    let programs: Vec<Program> =
        examples.iter().flat_map(|(text, want)| [text, want]).map(|t| lower(t)).collect();
    let binding = bind(&dag, &programs, &Default::default(), Objective::Loss, &NoReductions);
    let roots: Vec<BoundId> = binding.graph.roots.iter().map(|r| *r.as_ref().unwrap()).collect();
    let graph = Graph { bound: binding.graph, ..Default::default() };
    assert!(examples.len() > 100, "{}", examples.len());
    for mut engine in engines() {
        let got = graph.run(&mut *engine, &roots);
        for ((text, want), pair) in examples.iter().zip(got.chunks(2)) {
            let (a, b) = (pair[0].item().unwrap(), pair[1].item().unwrap());
            assert!(close(a, b, 1e-9), "{}: {text} is {a}, not {want}", engine.name());
        }
    }
}

/// Computed nodes.
fn wanted(g: &Graph) -> Vec<BoundId> {
    (0..g.bound.nodes.len()).filter(|&n| matches!(g.bound.nodes[n], BoundNode::Op { .. })).collect()
}

/// How far results may differ: what a relative change of the leaves by `eps` does to the
/// reference. Nodes that jump (comparisons, ranks) give no bound and are not judged.
fn sensitivity(g: &Graph, want: &[BoundId], eps: f64) -> Vec<Vec<f64>> {
    let base: Vec<Vec<f64>> = g.run(&mut Reference, want).iter().map(Tensor::to_f64).collect();
    let mut worst: Vec<Vec<f64>> = base.iter().map(|b| vec![0.0; b.len()]).collect();
    for sign in 0..3u64 {
        let moved = g.mapped(|t| {
            let mut r = Stream::new(sign, "signs");
            let d: Vec<f64> = t.to_f64().iter().map(|x| x * (1.0 + eps * r.normal())).collect();
            Tensor::new(t.dims(), d)
        });
        for ((w, a), b) in worst.iter_mut().zip(moved.run(&mut Reference, want)).zip(&base) {
            for ((w, a), b) in w.iter_mut().zip(a.to_f64()).zip(b) {
                let d = (a - b).abs();
                *w = if d.is_finite() || (a == *b) || (a.is_nan() && b.is_nan()) {
                    w.max(d)
                } else {
                    f64::INFINITY
                };
            }
        }
    }
    worst
}

/// Compares an engine with the reference; gives the number of elements judged and left out.
fn compare(engine: &mut dyn Engine, g: &Graph, want: &[BoundId], eps: f64, rtol: f64) -> (usize, usize) {
    let slack = sensitivity(g, want, eps);
    let expected = g.run(&mut Reference, want);
    let got = g.run(engine, want);
    let (mut judged, mut left) = (0, 0);
    // Nodes that single precision cannot hold; what is computed from them is not judged.
    let mut beyond: Vec<BoundId> = Vec::new();
    for (((n, e), a), s) in want.iter().zip(&expected).zip(&got).zip(&slack) {
        assert_eq!(a.dims(), e.dims(), "{}", g.describe(*n));
        if let BoundNode::Op { args, .. } = &g.bound.nodes[*n]
            && args.iter().any(|x| beyond.contains(x))
        {
            beyond.push(*n);
            left += e.numel();
            continue;
        }
        for ((a, e), s) in a.to_f64().into_iter().zip(e.to_f64()).zip(s) {
            // Single precision overflows and underflows where double precision does not, and what jumps
            // may do so a rounding earlier.
            let single = eps > 1e-10 && a != e && !(a.is_nan() && e.is_nan());
            let range = e != 0.0 && (!(1e-25..1e25).contains(&e.abs()) || !a.is_finite());
            let jump = [a, e].iter().all(|x| [-1.0, 0.0, 1.0].contains(x));
            if single && (range || jump) {
                beyond.push(*n);
                left += 1;
                continue;
            }
            let steady = s.is_finite() && *s <= 1e-2 * e.abs().max(1e-3);
            if !steady && !close(a, e, rtol) {
                left += 1;
                continue;
            }
            judged += 1;
            assert!(
                close(a, e, rtol) || (a - e).abs() <= 200.0 * s + 0.1 * rtol,
                "{}: {} gives {a}, reference {e} (slack {s})",
                engine.name(),
                g.describe(*n)
            );
        }
    }
    (judged, left)
}

#[test]
fn generated_graphs_agree_in_double_precision() {
    for (mut engine, share) in shares() {
        let (mut judged, mut left) = (0, 0);
        for seed in (0..400).filter(|s| s % share == 0) {
            let g = random_graph(seed);
            let (j, l) = compare(&mut *engine, &g, &wanted(&g), 1e-13, 1e-9);
            judged += j;
            left += l;
        }
        let share = if engine.name() == "cpu" { 10 } else { 5 };
        assert!(left * share < judged, "{}: {left} of {judged} not judged", engine.name());
    }
}

#[test]
fn generated_graphs_agree_in_shorter_precisions() {
    for (mut engine, share) in shares() {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            let (mut judged, mut left) = (0, 0);
            for seed in (1000..1120).filter(|s| s % share == 0) {
                let g = random_graph(seed).mapped(|t| typed(t.dims(), &t.to_f64(), dtype));
                let (j, l) = compare(&mut *engine, &g, &wanted(&g), 1e-6, 3e-5);
                judged += j;
                left += l;
            }
            assert!(left < judged, "{}, {dtype:?}: {left} of {judged} not judged", engine.name());
        }
    }
}

/// Odd sizes down to none, every element type, and elements that are infinite, NaN, zero, huge and tiny.
#[test]
fn five_thousand_small_programs_agree() {
    let (mut judged, mut left, mut unusual) = (0, 0, 0);
    for seed in 0..5200 {
        let dtype = [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::F64][seed as usize % 4];
        let g = small_graph(seed).mapped(|t| typed(t.dims(), &t.to_f64(), dtype));
        let (eps, rtol) = if dtype == Dtype::F64 { (1e-13, 1e-9) } else { (1e-6, 3e-5) };
        let (j, l) = compare(&mut Cpu, &g, &wanted(&g), eps, rtol);
        judged += j;
        left += l;
        unusual += usize::from(g.tensors.values().any(|t| t.to_f64().iter().any(|x| !x.is_finite())));
    }
    assert!(left * 5 < judged && unusual > 500, "{left} of {judged} not judged, {unusual} unusual");
}

#[test]
fn equal_elements_have_their_mean() {
    for value in [0.1, -1.0 / 3.0, 1e-3, 1e300] {
        for dims in [vec![3], vec![7, 11], vec![5000]] {
            let mut g = Graph::default();
            let x = g.leaf(Tensor::new(&dims, vec![value; dims.iter().product()]));
            let m = g.op("mean", &[x], &[]);
            let rows = g.op("mean", &[x], &[("axis", 0.0)]);
            let z = g.op("zscore", &[x], &[]);
            for mut engine in engines() {
                let got = g.run(&mut *engine, &[m, rows, z]);
                assert_eq!(got[0].item(), Some(value), "{} of {value}", engine.name());
                assert!(got[1].to_f64().iter().all(|x| *x == value), "{} of {value}", engine.name());
                assert!(got[2].to_f64().iter().all(|x| x.is_nan()), "{} of {value}", engine.name());
            }
        }
    }
}

#[test]
fn one_node_alone_gives_the_bits_it_gives_in_company() {
    for seed in 2000..2040 {
        let g = random_graph(seed).mapped(|t| typed(t.dims(), &t.to_f64(), Dtype::F32));
        let want = wanted(&g);
        let together = g.run(&mut Cpu, &want);
        for (n, t) in want.iter().zip(&together).filter(|(n, _)| g.bound.shapes[**n].is_number()) {
            let alone = g.run(&mut Cpu, &[*n])[0].item().unwrap();
            assert_eq!(alone.to_bits(), t.item().unwrap().to_bits(), "{}", g.describe(*n));
        }
    }
}

#[test]
fn axis_reductions_over_large_tensors() {
    for (dims, seed) in
        [(vec![300, 700], 0), (vec![3, 2, 50_000], 1), (vec![40_000, 5], 2), (vec![6, 90, 70], 3)]
    {
        let mut r = Stream::new(seed, "axes");
        let mut g = Graph::default();
        let x = g.leaf(random_tensor(&mut r, &dims, Dtype::F32));
        let mut want = Vec::new();
        for axis in 0..dims.len() {
            for name in ["sum", "mean", "max", "std"] {
                let m = g.op(name, &[x], &[("axis", axis as f64)]);
                let centred = g.op("sub", &[x, m], &[]);
                let l1 = g.op("l1", &[centred], &[]);
                want.extend([m, l1]);
            }
            let s = g.op("softmax", &[x], &[("axis", axis as f64)]);
            let s = g.op("square", &[s], &[]);
            want.push(g.op("mean", &[s], &[]));
        }
        compare(&mut Cpu, &g, &want, 1e-7, 1e-5);
    }
}

/// Short columns are used in passing: below and above the limits, one inside the other, beside others that are not,
/// and kept for what needs them whole.
fn short_columns(dims: &[usize], axis: f64, dtype: Dtype) -> (Graph, Vec<BoundId>) {
    let mut r = Stream::new(dims.iter().product::<usize>() as u64, "columns");
    let mut g = Graph::default();
    let x = g.leaf(typed(dims, &random_tensor(&mut r, dims, Dtype::F64).to_f64(), dtype));
    let axis = [("axis", axis)];
    let s = g.op("softmax", &[x], &axis);
    let l = g.op("log_softmax", &[x], &axis);
    let twice = g.op("log_softmax", &[l], &axis);
    let top = g.op("max", &[x], &axis);
    let below = g.op("sub", &[x, top], &[]);
    let mean = g.op("mean", &[below], &axis);
    let both = g.op("mul", &[s, l], &[]);
    let centred = g.op("sub", &[below, mean], &[]);
    let z = g.op("zscore", &[s], &[]);
    let last = g.op("softmax", &[s], &[("axis", dims.len() as f64 - 1.0)]);
    let clash = g.op("add", &[last, l], &[]);
    let rows = g.op("std", &[l], &[("axis", dims.len() as f64 - 1.0)]);
    let spread = g.op("std", &[top], &[]);
    let mut want = vec![l, top, mean, rows, g.op("mean", &[x], &[]), g.op("l1", &[spread], &[])];
    for node in [s, twice, both, centred, z, last, clash, rows, mean] {
        want.push(g.op("l1", &[node], &[]));
        want.push(g.op("std", &[node], &[]));
    }
    (g, want)
}

#[test]
fn short_columns_are_used_in_passing() {
    for (dims, axis) in [
        (vec![8, 6, 40], 0.0),
        (vec![2, 64], 0.0),
        (vec![16, 300], 0.0),
        (vec![3, 5, 700], 1.0),
        (vec![2, 3, 9000], 1.0),
        (vec![17, 100], 0.0),
        (vec![1, 80], 0.0),
        (vec![4, 63], 0.0),
    ] {
        for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F64] {
            let (g, want) = short_columns(&dims, axis, dtype);
            let (eps, rtol) = if dtype == Dtype::F64 { (1e-13, 1e-9) } else { (1e-6, 3e-5) };
            let (judged, left) = compare(&mut Cpu, &g, &want, eps, rtol);
            assert!(left * 3 < judged, "{dims:?}: {left} of {judged} not judged");
            let together = g.run(&mut Cpu, &want);
            for (n, t) in want.iter().zip(&together) {
                let bits = |t: &Tensor| t.to_f64().into_iter().map(f64::to_bits).collect::<Vec<_>>();
                assert!(bits(&g.run(&mut Cpu, &[*n])[0]) == bits(t), "{dims:?}: {}", g.describe(*n));
            }
        }
    }
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let mut r = Stream::new(5, "threads");
    let mut g = Graph::default();
    let (w, x) = (
        g.leaf(random_tensor(&mut r, &[311, 1027], Dtype::F32)),
        g.leaf(random_tensor(&mut r, &[311, 1027], Dtype::Bf16)),
    );
    let p = g.op("mul", &[w, x], &[]);
    let mut want = vec![g.op("sum", &[p], &[])];
    for axis in [0.0, 1.0] {
        let z = g.op("zscore", &[p], &[("axis", axis)]);
        let e = g.op("exp", &[z], &[]);
        want.push(g.op("mean", &[e], &[]));
        want.push(g.op("std", &[e], &[("axis", axis)]));
        let s = g.op("softmax", &[p], &[("axis", axis)]);
        want.push(g.op("entropy", &[s], &[("axis", axis)]));
    }
    want.push(g.op("abs", &[p], &[]));
    let bits = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let out = pool.install(|| g.run(&mut Cpu, &want));
        out.iter().flat_map(|t| t.to_f64()).map(f64::to_bits).collect::<Vec<_>>()
    };
    let one = bits(1);
    assert!(one == bits(2) && one == bits(8));
}

#[test]
fn empty_and_single_elements() {
    for dims in [vec![0], vec![1], vec![0, 3], vec![3, 0], vec![1, 1, 1], vec![]] {
        let mut g = Graph::default();
        let x = typed(&dims, &vec![0.5; dims.iter().product()], Dtype::F32);
        let args: Vec<BoundId> = (0..3).map(|_| g.leaf(x.clone())).collect();
        let mut nodes = Vec::new();
        for (i, row) in ops::rows().iter().enumerate() {
            let attr = |a: &ops::AttrSpec| a.default.or(a.required.then_some(0.0));
            for axis in [None, Some(0.0)] {
                let attrs: Vec<_> =
                    row.attrs.iter().map(|a| if a.name == "axis" { axis } else { attr(a) }).collect();
                nodes.extend(g.try_op(OpId(i as u16), &args[..row.values.len()], Attrs::of(&attrs)));
            }
        }
        let expected = g.run(&mut Reference, &nodes);
        for mut engine in engines().into_iter().skip(1) {
            for ((n, a), e) in nodes.iter().zip(g.run(&mut *engine, &nodes)).zip(&expected) {
                assert_eq!(a.dims(), e.dims(), "{}: {}", engine.name(), g.describe(*n));
                for (a, e) in a.to_f64().into_iter().zip(e.to_f64()) {
                    assert!(close(a, e, 1e-5), "{}: {} is {a}, not {e}", engine.name(), g.describe(*n));
                }
            }
        }
    }
}

#[test]
fn every_elementwise_row_on_awkward_elements() {
    let awkward = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        1e-7,
        -1e-7,
        20.0,
        -20.0,
        88.0,
        -88.0,
        1e-30,
        1e30,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        2.5,
        -2.5,
        1e-42,
    ];
    for dtype in [Dtype::F64, Dtype::F32] {
        let mut g = Graph::default();
        let leaf = |g: &mut Graph, j: usize, k: usize| {
            let n = awkward.len();
            let d: Vec<f64> = (0..n.pow(k as u32)).map(|i| awkward[i / n.pow(j as u32) % n]).collect();
            g.leaf(typed(&[d.len()], &d, dtype))
        };
        let args: Vec<Vec<BoundId>> = (1..=3).map(|k| (0..k).map(|j| leaf(&mut g, j, k)).collect()).collect();
        let rows: Vec<usize> =
            (0..ops::rows().len()).filter(|&i| matches!(ops::rows()[i].eval, Eval::Scalar(_))).collect();
        let nodes: Vec<BoundId> = rows
            .iter()
            .map(|&i| {
                let args = &args[ops::rows()[i].values.len() - 1];
                g.try_op(OpId(i as u16), args, Attrs::none()).unwrap()
            })
            .collect();
        let expected = g.run(&mut Reference, &nodes);
        for mut engine in engines().into_iter().skip(1) {
            let got = g.run(&mut *engine, &nodes);
            for ((&i, a), e) in rows.iter().zip(&got).zip(&expected) {
                let row = &ops::rows()[i];
                for (at, (a, e)) in a.to_f64().into_iter().zip(e.to_f64()).enumerate() {
                    let e = if dtype == Dtype::F32 { f64::from(e as f32) } else { e };
                    let tiny = dtype == Dtype::F32 && e.abs() < 1e-30 && a.abs() < 1e-30;
                    let huge = dtype == Dtype::F32 && e.abs() > 1e30 && a.abs() > 1e30;
                    let inputs: Vec<f64> =
                        args[row.values.len() - 1].iter().map(|x| g.tensors[x].to_f64()[at]).collect();
                    assert!(
                        close(a, e, if dtype == Dtype::F32 { 2e-5 } else { 1e-12 }) || tiny || huge,
                        "{}: {}{inputs:?} as {dtype:?} is {a}, reference {e}",
                        engine.name(),
                        row.name
                    );
                }
            }
        }
    }
}

/// Binds a body over one linear site of the fake source and plans it.
fn plan(bodies: &[&str]) -> Plan {
    let mut library = Library::new();
    let mut dag = Dag::default();
    let programs: Vec<_> = bodies
        .iter()
        .map(|b| {
            let text = format!("sum l in linear {{ {b} }}");
            library.expression("p", &text, &mut dag).unwrap_or_else(|f| panic!("{}", f.render(false))).program
        })
        .collect();
    let fake = Fake::new(1);
    let binding: Binding = bind(&dag, &programs, &fake.outline, Objective::Loss, &NoReductions);
    let roots: Vec<BoundId> = binding.graph.roots.iter().map(|r| *r.as_ref().unwrap()).collect();
    let leaf = |n: BoundId| matches!(binding.graph.nodes[n], BoundNode::Leaf(_)).then_some(Dtype::F32);
    Plan::new(&binding.graph, &roots, &leaf)
}

#[test]
fn passes_are_as_many_as_reductions_nest() {
    let size = 6 * 8 * 4;
    for (bodies, passes, reads) in [
        (vec!["sum(abs(l.weight * l.grad))"], 1, 2 * size),
        (
            vec!["sum(abs(l.weight * l.grad))", "l1(l.weight)", "mean(l.grad ^ 2)", "max(l.weight)"],
            1,
            2 * size,
        ),
        (vec!["mean(exp(zscore(l.weight)))"], 2, 2 * size),
        (vec!["mean(exp(zscore(l.weight)))", "std(l.weight) + mean(l.weight)"], 2, 2 * size),
        (vec!["mean(softmax(l.weight, axis = 0) ^ 2)"], 2, 2 * size),
        (vec!["mean(log_softmax(l.weight))", "max(l.weight)"], 2, 2 * size),
        (vec!["mean(minmax(l.weight))"], 2, 2 * size),
        (vec!["sum(max(l.weight, axis = 1))"], 1, size),
        (vec!["sum(abs(l.weight - mean(l.weight, axis = 0)))"], 2, 2 * size),
        (vec!["mean(sigmoid(log(abs(l.weight) + 1e-9)))"], 1, size),
        (vec!["nuc(l.weight) * nuc(l.grad)"], 0, 0),
        (vec!["sum(flatten(l.weight) ^ 2) + sum(l.weight ^ 2)"], 1, size),
    ] {
        let plan = plan(&bodies);
        assert_eq!(
            (plan.passes.len(), plan.depth(), plan.reads_bytes()),
            (passes, passes, reads),
            "{bodies:?}: {plan:#?}"
        );
    }
}

#[test]
fn short_columns_take_one_pass() {
    let (g, _) = short_columns(&[8, 6, 40], 0.0, Dtype::F32);
    let passes = |name: &str| {
        let named = |n: &BoundId| g.describe(*n).starts_with(name);
        let want: Vec<BoundId> = (0..g.bound.nodes.len()).find(named).into_iter().collect();
        let leaf = |n: BoundId| matches!(g.bound.nodes[n], BoundNode::Leaf(_)).then_some(Dtype::F32);
        Plan::new(&g.bound, &want, &leaf).passes.len()
    };
    assert_eq!((passes("softmax"), passes("log_softmax")), (1, 1));
}

#[test]
fn slots_do_not_grow_with_the_number_of_programs() {
    let bodies: Vec<String> = (0..64)
        .map(|i| format!("sum(exp(sin_like(l.weight * {i}.5)))").replace("sin_like", "tanh"))
        .collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let plan = plan(&bodies);
    assert_eq!(plan.passes.len(), 1);
    assert!(plan.passes[0].slots <= 3, "{}", plan.passes[0].slots);
    assert_eq!(plan.reads_bytes(), 6 * 8 * 4);
}

#[test]
fn a_stored_reshape_is_read_again_in_a_later_pass() {
    let mut r = Stream::new(9, "reshape");
    let mut g = Graph::default();
    let x = g.leaf(random_tensor(&mut r, &[4, 3, 5], Dtype::F32));
    let e = g.op("exp", &[x], &[]);
    let f = g.op("flatten", &[e], &[("from", 1.0)]);
    let n = g.op("nuc", &[f], &[]);
    let m = g.op("mean", &[f], &[]);
    let d = g.op("sub", &[f, m], &[]);
    let scaled = g.op("mul", &[d, n], &[]);
    let s = g.op("l2", &[scaled], &[]);
    compare(&mut Cpu, &g, &[n, s, f], 1e-7, 1e-5);
}
