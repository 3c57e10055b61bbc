//! Pairs: two tensors to a number.

use super::attrs::Attrs;
use super::range_rules as r;
use super::row::{Build, Eval, Exec, Group, OpRow, ROW};
use super::shape::{broadcast, pair};
use super::value::Value;

/// Mean or sum of `f` over pairs of elements.
fn over(v: &[&Value], f: impl Fn(f64, f64) -> f64, mean: bool) -> Value {
    let Ok(out) = broadcast(&[v[0].shape.clone(), v[1].shape.clone()]) else {
        return Value::number(f64::NAN);
    };
    let terms = Value::zip(&out, v, |x| f(x[0], x[1])).data;
    let n = if mean { terms.len() as f64 } else { 1.0 };
    Value::number(terms.iter().sum::<f64>() / n)
}

type Lowering<'a> = &'a mut dyn Build<Id = usize>;

fn op(b: Lowering<'_>, name: &'static str, x: &[usize]) -> usize {
    b.op(name, x, Attrs::none())
}
fn lower_kl(b: Lowering<'_>, x: &[usize], _: &Attrs) -> usize {
    let zero = b.number(0.0);
    let ratio = op(b, "div", x);
    let log = op(b, "log", &[ratio]);
    let term = op(b, "mul", &[x[0], log]);
    let kept = op(b, "where", &[x[0], term, zero]);
    op(b, "sum", &[kept])
}
fn lower_mse(b: Lowering<'_>, x: &[usize], _: &Attrs) -> usize {
    let d = op(b, "sub", x);
    let s = op(b, "square", &[d]);
    op(b, "mean", &[s])
}
fn lower_hamming(b: Lowering<'_>, x: &[usize], _: &Attrs) -> usize {
    let one = b.number(1.0);
    let e = op(b, "eq", x);
    let d = op(b, "sub", &[one, e]);
    op(b, "sum", &[d])
}
fn lower_dot(b: Lowering<'_>, x: &[usize], _: &Attrs) -> usize {
    let p = op(b, "mul", x);
    op(b, "sum", &[p])
}

const BASE: OpRow = OpRow { group: Group::Pair, values: &["x", "y"], shape: pair, cost: 3.0, ..ROW };

pub(super) const ROWS: &[OpRow] = &[
    OpRow {
        name: "kl",
        values: &["p", "q"],
        eval: Eval::Whole(|v, _| over(v, |p, q| if p == 0.0 { 0.0 } else { p * (p / q).ln() }, false)),
        exec: Exec::Lower(lower_kl),
        domain: Some("divergence where q is 0 or the signs differ"),
        cost: 18.0,
        doc: "Kullback-Leibler divergence Σ p log(p / q) in nats, where p = 0 adds 0.",
        examples: &[("kl([0.5, 0.5], [0.25, 0.75])", "0.14384103622589042"), ("kl([1, 0], [1, 0])", "0")],
        ..BASE
    },
    OpRow {
        name: "mse",
        eval: Eval::Whole(|v, _| over(v, |x, y| (x - y) * (x - y), true)),
        exec: Exec::Lower(lower_mse),
        range: r::non_negative,
        domain: Some("overflow of a square"),
        commutes: true,
        doc: "Mean of the squared differences.",
        examples: &[("mse([1, 2], [3, 2])", "2"), ("mse([1, 3], 0)", "5")],
        ..BASE
    },
    OpRow {
        name: "hamming",
        eval: Eval::Whole(|v, _| over(v, |x, y| f64::from(x != y), false)),
        exec: Exec::Lower(lower_hamming),
        range: r::count,
        commutes: true,
        doc: "Number of positions where two tensors differ.",
        examples: &[("hamming([1, 0, 1], [1, 1, 0])", "2")],
        ..BASE
    },
    OpRow {
        name: "dot",
        eval: Eval::Whole(|v, _| over(v, |x, y| x * y, false)),
        exec: Exec::Lower(lower_dot),
        range: |r, a| r::sum(&[r::mul(r, a)], a),
        domain: Some("overflow of a product"),
        commutes: true,
        doc: "Sum of the products of the elements.",
        examples: &[("dot([1, 2], [3, 4])", "11"), ("dot([[1, 2], [3, 4]], [[1, 0], [0, 1]])", "5")],
        ..BASE
    },
];
