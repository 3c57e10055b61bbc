//! One suite for every engine: the rows' examples, generated graphs, awkward sizes and elements,
//! the same bits on any number of threads, and the number of passes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::Fake;
use lpzero::engine::{Cpu, Engine, Known, Reference};
use lpzero::ir::bind::{Binding, NoReductions, bind};
use lpzero::ir::{Bound, BoundId, BoundNode, Dag, Leaf};
use lpzero::lang::Library;
use lpzero::ops::{self, Attrs, Eval, Group, OpId, Shape};
use lpzero::plan::Plan;
use lpzero::random::Stream;
use lpzero::site::Objective;
use lpzero::tensor::{Dtype, Tensor};
use std::collections::HashMap;

/// A bound graph with its leaves' tensors.
#[derive(Clone, Default)]
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
    fn number(&mut self, x: f64) -> BoundId {
        self.push(BoundNode::Number(x.to_bits()), Shape::number())
    }
    fn leaf(&mut self, t: Tensor) -> BoundId {
        self.bound.leaves.push(Leaf::Number { run: 0, name: "leaf" });
        let id = self.push(BoundNode::Leaf(self.bound.leaves.len() - 1), Shape::of(t.dims()));
        self.tensors.insert(id, t);
        id
    }
    fn try_op(&mut self, op: OpId, args: &[BoundId], attrs: Attrs) -> Option<BoundId> {
        let shapes: Vec<Shape> = args.iter().map(|&a| self.bound.shapes[a].clone()).collect();
        let row = ops::row(op);
        let shape = (row.shape)(&shapes, &attrs).ok()?;
        if let Some(x) = row.from_shapes.and_then(|f| f(&shapes, &attrs)) {
            return Some(self.number(x));
        }
        Some(self.push(BoundNode::Op { op, attrs, args: args.into() }, shape))
    }
    fn op(&mut self, name: &str, args: &[BoundId], attrs: &[(&str, f64)]) -> BoundId {
        let op = ops::lookup(name, args.len()).unwrap();
        let given = |a: &ops::AttrSpec| attrs.iter().find(|(n, _)| *n == a.name).map(|x| x.1).or(a.default);
        let attrs = Attrs::of(&ops::row(op).attrs.iter().map(given).collect::<Vec<_>>());
        self.try_op(op, args, attrs).unwrap_or_else(|| panic!("{name} of {args:?}"))
    }
    fn run(&self, engine: &mut dyn Engine, want: &[BoundId]) -> Vec<Tensor> {
        engine.evaluate(&self.bound, want, self)
    }
    /// The same graph over leaves changed by `f`.
    fn mapped(&self, f: impl Fn(&Tensor) -> Tensor) -> Graph {
        let tensors = self.tensors.iter().map(|(k, t)| (*k, f(t))).collect();
        Graph { bound: self.bound.clone(), tensors }
    }
    fn describe(&self, n: BoundId) -> String {
        match &self.bound.nodes[n] {
            BoundNode::Number(b) => f64::from_bits(*b).to_string(),
            BoundNode::Op { op, attrs, args } => {
                let args: Vec<String> = args.iter().map(|&a| self.describe(a)).collect();
                let attrs: Vec<_> = (0..attrs.0.len()).map(|i| attrs.num(i)).collect();
                format!("{}({}; {attrs:?})", ops::row(*op).name, args.join(", "))
            }
            _ => format!("t{n}{:?}", self.bound.shapes[n].dims),
        }
    }
}

fn random_tensor(r: &mut Stream, dims: &[usize], dtype: Dtype) -> Tensor {
    let n = dims.iter().product();
    let data: Vec<f64> = (0..n).map(|_| r.normal() * 1.5).collect();
    typed(dims, &data, dtype)
}

fn typed(dims: &[usize], data: &[f64], dtype: Dtype) -> Tensor {
    match dtype {
        Dtype::F64 => Tensor::new(dims, data.to_vec()),
        Dtype::F32 => Tensor::new(dims, data.iter().map(|&x| x as f32).collect::<Vec<_>>()),
        Dtype::F16 => Tensor::new(dims, data.iter().map(|&x| half::f16::from_f64(x)).collect::<Vec<_>>()),
        Dtype::Bf16 => Tensor::new(dims, data.iter().map(|&x| half::bf16::from_f64(x)).collect::<Vec<_>>()),
    }
}

fn close(a: f64, b: f64, rtol: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= rtol * (1e-3 + a.abs().max(b.abs()))
}

#[test]
fn examples_are_true() {
    let mut checked = 0;
    for row in ops::rows() {
        for (text, want) in row.examples {
            let mut library = Library::new();
            let mut dag = Dag::default();
            let mut lower = |text: &str| {
                let bare = library.expression("example", text, &mut dag);
                bare.or_else(|_| library.expression("example", &format!("sum({text})"), &mut dag))
            };
            let (Ok(a), Ok(b)) = (lower(text), lower(want)) else { panic!("{text} or {want}") };
            let programs = [a.program, b.program];
            let binding = bind(&dag, &programs, &Default::default(), Objective::Loss, &NoReductions);
            let roots: Vec<BoundId> = binding.graph.roots.iter().map(|r| *r.as_ref().unwrap()).collect();
            let graph = Graph { bound: binding.graph, ..Default::default() };
            for engine in [&mut Reference as &mut dyn Engine, &mut Cpu] {
                let got = graph.run(engine, &roots);
                let (a, b) = (got[0].item().unwrap(), got[1].item().unwrap());
                assert!(close(a, b, 1e-9), "{}: {text} is {a}, not {want}", engine.name());
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "{checked}");
}

/// Adds random operators to a graph; nodes stay small.
fn grow(r: &mut Stream, g: &mut Graph, steps: usize) {
    for _ in 0..steps {
        let op = OpId(r.below(ops::rows().len()) as u16);
        let row = ops::row(op);
        // Prefer young nodes, so that chains become deep.
        let pick =
            |r: &mut Stream, n: usize| if r.below(3) == 0 { r.below(n) } else { n - 1 - r.below(n.min(4)) };
        let args: Vec<BoundId> = row.values.iter().map(|_| pick(r, g.bound.nodes.len())).collect();
        let rank = g.bound.shapes[args[0]].rank();
        let attr = |r: &mut Stream, a: &ops::AttrSpec| match (a.name, r.below(4)) {
            ("axis", 1..) if rank > 0 => Some(r.below(rank) as f64),
            (_, 0) if !a.required => a.default,
            _ if a.integer => Some(r.below(3) as f64),
            _ => a.default.or(Some(0.25 + 0.5 * r.uniform())),
        };
        let attrs = Attrs::of(&row.attrs.iter().map(|a| attr(r, a)).collect::<Vec<_>>());
        let before = g.clone();
        match g.try_op(op, &args, attrs) {
            Some(id) if g.bound.shapes[id].numel() > 20_000 => *g = before,
            Some(id) if row.group == Group::Spectral && g.bound.shapes[args[0]].numel() > 400 => {
                let _ = id;
                *g = before;
            }
            _ => {}
        }
    }
}

fn random_graph(seed: u64) -> Graph {
    let mut r = Stream::new(seed, "graph");
    let sizes = [1usize, 2, 3, 5, 7, 16, 33, 70];
    let rank = 1 + r.below(4);
    let mut dims: Vec<usize> = (0..rank).map(|_| sizes[r.below(if rank > 2 { 5 } else { 8 })]).collect();
    if r.below(25) == 0 {
        let k = r.below(rank);
        dims[k] = 0;
    }
    if r.below(12) == 0 {
        dims = vec![3 + r.below(3), 2500 + r.below(3000)];
    }
    let mut g = Graph::default();
    for _ in 0..1 + r.below(3) {
        let mut t = random_tensor(&mut r, &dims, Dtype::F64);
        if r.below(15) == 0 && t.numel() > 0 {
            let mut d = t.to_f64();
            let at = r.below(d.len());
            d[at] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0][r.below(4)];
            t = Tensor::new(&dims, d);
        }
        g.leaf(t);
    }
    let x = r.normal();
    g.number(x);
    grow(&mut r, &mut g, 14);
    g
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
fn compare(g: &Graph, want: &[BoundId], eps: f64, rtol: f64) -> (usize, usize) {
    let slack = sensitivity(g, want, eps);
    let expected = g.run(&mut Reference, want);
    let got = g.run(&mut Cpu, want);
    let (mut judged, mut left) = (0, 0);
    // At a pole a unit of rounding decides between 0/0 and an infinity (the mean of equal elements in
    // another order): either is right, and what is computed from it cannot be judged.
    let mut poles: Vec<BoundId> = Vec::new();
    let at_pole = |a: f64, e: f64| (a.is_nan() && e.is_infinite()) || (a.is_infinite() && e.is_nan());
    for (((n, e), a), s) in want.iter().zip(&expected).zip(&got).zip(&slack) {
        assert_eq!(a.dims(), e.dims(), "{}", g.describe(*n));
        let BoundNode::Op { args, .. } = &g.bound.nodes[*n] else { continue };
        let differs = a.to_f64().iter().zip(e.to_f64()).any(|(a, e)| at_pole(*a, e));
        if differs || args.iter().any(|x| poles.contains(x)) {
            poles.push(*n);
            left += e.numel();
            continue;
        }
        for ((a, e), s) in a.to_f64().into_iter().zip(e.to_f64()).zip(s) {
            // Single precision overflows and underflows where double precision does not.
            let beyond = eps > 1e-10 && (!(1e-25..1e25).contains(&e.abs()) || !a.is_finite()) && e != 0.0;
            if beyond || !s.is_finite() || *s > 1e-2 * e.abs().max(1e-3) {
                left += 1;
                continue;
            }
            judged += 1;
            assert!(
                close(a, e, rtol) || (a - e).abs() <= 200.0 * s + 0.1 * rtol,
                "{} gives {a}, reference {e} (slack {s})",
                g.describe(*n)
            );
        }
    }
    (judged, left)
}

#[test]
fn generated_graphs_agree_in_double_precision() {
    let (mut judged, mut left) = (0, 0);
    for seed in 0..400 {
        let g = random_graph(seed);
        let (j, l) = compare(&g, &wanted(&g), 1e-13, 1e-9);
        judged += j;
        left += l;
    }
    assert!(left * 10 < judged, "{left} of {judged} not judged");
}

#[test]
fn generated_graphs_agree_in_shorter_precisions() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
        let (mut judged, mut left) = (0, 0);
        for seed in 1000..1120 {
            let g = random_graph(seed).mapped(|t| typed(t.dims(), &t.to_f64(), dtype));
            let (j, l) = compare(&g, &wanted(&g), 1e-6, 3e-5);
            judged += j;
            left += l;
        }
        assert!(left < judged, "{dtype:?}: {left} of {judged} not judged");
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
        compare(&g, &want, 1e-7, 1e-5);
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
        for (i, row) in ops::rows().iter().enumerate() {
            let mut g = Graph::default();
            let args: Vec<BoundId> = row
                .values
                .iter()
                .map(|_| g.leaf(typed(&dims, &vec![0.5; dims.iter().product()], Dtype::F32)))
                .collect();
            let attr = |a: &ops::AttrSpec| a.default.or(a.required.then_some(0.0));
            for axis in [None, Some(0.0)] {
                let attrs: Vec<_> =
                    row.attrs.iter().map(|a| if a.name == "axis" { axis } else { attr(a) }).collect();
                let Some(n) = g.try_op(OpId(i as u16), &args, Attrs::of(&attrs)) else { continue };
                let (a, e) = (g.run(&mut Cpu, &[n]), g.run(&mut Reference, &[n]));
                assert_eq!(a[0].dims(), e[0].dims(), "{}", row.name);
                for (a, e) in a[0].to_f64().into_iter().zip(e[0].to_f64()) {
                    assert!(close(a, e, 1e-5), "{} of {dims:?}: {a}, reference {e}", row.name);
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
        for (i, row) in ops::rows().iter().enumerate().filter(|(_, r)| matches!(r.eval, Eval::Scalar(_))) {
            let k = row.values.len();
            let n = awkward.len().pow(k as u32);
            let mut g = Graph::default();
            let args: Vec<BoundId> = (0..k)
                .map(|j| {
                    let d: Vec<f64> =
                        (0..n).map(|i| awkward[i / awkward.len().pow(j as u32) % awkward.len()]).collect();
                    g.leaf(typed(&[n], &d, dtype))
                })
                .collect();
            let node = g.try_op(OpId(i as u16), &args, Attrs::none()).unwrap();
            let (a, e) = (g.run(&mut Cpu, &[node]), g.run(&mut Reference, &[node]));
            for (at, (a, e)) in a[0].to_f64().into_iter().zip(e[0].to_f64()).enumerate() {
                let inputs: Vec<f64> = args.iter().map(|x| g.tensors[x].to_f64()[at]).collect();
                let e = if dtype == Dtype::F32 { f64::from(e as f32) } else { e };
                let tiny = dtype == Dtype::F32 && e.abs() < 1e-30 && a.abs() < 1e-30;
                let huge = dtype == Dtype::F32 && e.abs() > 1e30 && a.abs() > 1e30;
                assert!(
                    close(a, e, if dtype == Dtype::F32 { 2e-5 } else { 1e-12 }) || tiny || huge,
                    "{}{inputs:?} as {dtype:?} is {a}, reference {e}",
                    row.name
                );
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
        (vec!["mean(softmax(l.weight, axis = 0) ^ 2)"], 3, 3 * size),
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
    compare(&g, &[n, s, f], 1e-7, 1e-5);
}
