//! Normalisers: composites that lower to passes of fused steps. Over all elements, or along an axis.

use super::attrs::{AXIS, Attrs, DDOF};
use super::range_rules as r;
use super::reduce::{largest, mean, smallest, variance};
use super::row::{Build, Eval, Exec, Group, OpRow, ROW};
use super::shape::normaliser;

fn softmax(x: &[f64]) -> Vec<f64> {
    let top = largest(x);
    let e: Vec<f64> = x.iter().map(|v| (v - top).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.iter().map(|v| v / sum).collect()
}
fn log_softmax(x: &[f64]) -> Vec<f64> {
    let top = largest(x);
    let log_sum = x.iter().map(|v| (v - top).exp()).sum::<f64>().ln();
    x.iter().map(|v| v - top - log_sum).collect()
}
fn minmax(x: &[f64]) -> Vec<f64> {
    let (lo, hi) = (smallest(x), largest(x));
    x.iter().map(|v| (v - lo) / (hi - lo)).collect()
}
fn zscore(x: &[f64], ddof: f64) -> Vec<f64> {
    let std = variance(x, ddof).sqrt();
    let middle = mean(x);
    x.iter().map(|v| (v - middle) / std).collect()
}

type Lowering<'a> = &'a mut dyn Build<Id = usize>;

/// `op(x, y)`.
fn two(b: Lowering<'_>, op: &'static str, x: usize, y: usize) -> usize {
    b.op(op, &[x, y], Attrs::none())
}
/// A reduction of x along the normaliser's axis.
fn over(b: Lowering<'_>, op: &'static str, x: usize, a: &Attrs) -> usize {
    b.op(op, &[x], Attrs::of(&[a.num(0)]))
}
/// x less its maximum, and the sum of exponentials of that: both from one pass.
fn shifted(b: Lowering<'_>, x: usize, a: &Attrs) -> (usize, usize) {
    let top = over(b, "max", x, a);
    let sum = over(b, "sum_exp", x, a);
    (two(b, "sub", x, top), sum)
}
fn lower_softmax(b: Lowering<'_>, x: &[usize], a: &Attrs) -> usize {
    let (s, sum) = shifted(b, x[0], a);
    let e = b.op("exp", &[s], Attrs::none());
    two(b, "div", e, sum)
}
fn lower_log_softmax(b: Lowering<'_>, x: &[usize], a: &Attrs) -> usize {
    let (s, sum) = shifted(b, x[0], a);
    let log_sum = b.op("log", &[sum], Attrs::none());
    two(b, "sub", s, log_sum)
}
fn lower_minmax(b: Lowering<'_>, x: &[usize], a: &Attrs) -> usize {
    let lo = over(b, "min", x[0], a);
    let hi = over(b, "max", x[0], a);
    let above = two(b, "sub", x[0], lo);
    let width = two(b, "sub", hi, lo);
    two(b, "div", above, width)
}
fn lower_zscore(b: Lowering<'_>, x: &[usize], a: &Attrs) -> usize {
    let mean = over(b, "mean", x[0], a);
    let std = b.op("std", x, Attrs::of(&[a.num(0), Some(a.or(1, 0.0))]));
    let centred = two(b, "sub", x[0], mean);
    two(b, "div", centred, std)
}

const BASE: OpRow = OpRow { group: Group::Normaliser, attrs: &[AXIS], shape: normaliser, cost: 20.0, ..ROW };

pub(super) const ROWS: &[OpRow] = &[
    OpRow {
        name: "softmax",
        eval: Eval::Whole(|v, a| v[0].map_runs(a.num(0), softmax)),
        exec: Exec::Lower(lower_softmax),
        range: r::softmax,
        doc: "exp(x) divided by its sum, computed from x less its maximum.",
        examples: &[
            ("softmax([0, 1.0986122886681098])", "[0.25, 0.75]"),
            ("softmax([[0, 1], [0, 1]], axis = 0)", "[[0.5, 0.5], [0.5, 0.5]]"),
            ("softmax(3, axis = 0)", "1"),
        ],
        ..BASE
    },
    OpRow {
        name: "log_softmax",
        eval: Eval::Whole(|v, a| v[0].map_runs(a.num(0), log_softmax)),
        exec: Exec::Lower(lower_log_softmax),
        range: r::log_softmax,
        doc: "Logarithm of softmax, without underflow.",
        examples: &[
            ("log_softmax([0, 0])", "[-0.6931471805599453, -0.6931471805599453]"),
            ("log_softmax(3, axis = 0)", "0"),
        ],
        ..BASE
    },
    OpRow {
        name: "minmax",
        eval: Eval::Whole(|v, a| v[0].map_runs(a.num(0), minmax)),
        exec: Exec::Lower(lower_minmax),
        range: r::unit,
        domain: Some("minmax of equal values"),
        cost: 6.0,
        doc: "(x - min) / (max - min).",
        examples: &[("minmax([1, 2, 5])", "[0, 0.25, 1]")],
        ..BASE
    },
    OpRow {
        name: "zscore",
        attrs: &[AXIS, DDOF],
        eval: Eval::Whole(|v, a| v[0].map_runs(a.num(0), |x| zscore(x, a.or(1, 0.0)))),
        exec: Exec::Lower(lower_zscore),
        domain: Some("zscore of equal values"),
        cost: 6.0,
        doc: "(x - mean) / std, with the std's ddof.",
        examples: &[
            ("zscore([1, 3])", "[-1, 1]"),
            ("zscore([[1, 2], [3, 6]], axis = 0)", "[[-1, -1], [1, 1]]"),
        ],
        ..BASE
    },
];
