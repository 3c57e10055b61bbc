//! Reductions, whole or along an axis. The meaning is written plainly on runs of elements; the
//! streaming form of engines is in `fold`.

use super::attrs::{AXIS, AttrSpec, Attrs, DDOF, required};
use super::fold::{self, Fold, Of, information, within};
use super::range_rules as r;
use super::row::{Eval, Exec, Group, OpRow, ROW, rw};
use super::shape::{Shape, ShapeError, axis_of, reduced, reduction};
use super::value::Value;

fn sum(x: &[f64]) -> f64 {
    x.iter().sum()
}
/// The mean, between the smallest and the largest element: equal elements have exactly that mean.
pub(super) fn mean(x: &[f64]) -> f64 {
    within(sum(x) / x.len() as f64, smallest(x), largest(x))
}
fn sum_exp(x: &[f64]) -> f64 {
    let top = largest(x);
    x.iter().map(|v| (v - top).exp()).sum()
}
/// Variance with `ddof`, in two passes from the first element (equal elements give exactly 0).
pub(super) fn variance(x: &[f64], ddof: f64) -> f64 {
    let free = x.len() as f64 - ddof;
    if x.is_empty() || free <= 0.0 {
        return f64::NAN;
    }
    let m = x[0] + x.iter().map(|v| v - x[0]).sum::<f64>() / x.len() as f64;
    x.iter().map(|v| (v - m) * (v - m)).sum::<f64>() / free
}
pub(super) fn smallest(x: &[f64]) -> f64 {
    x.iter().fold(f64::INFINITY, |a, &b| if b < a || b.is_nan() { b } else { a })
}
pub(super) fn largest(x: &[f64]) -> f64 {
    x.iter().fold(f64::NEG_INFINITY, |a, &b| if b > a || b.is_nan() { b } else { a })
}
fn l1(x: &[f64]) -> f64 {
    x.iter().map(|v| v.abs()).sum()
}
pub(super) fn norm(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum::<f64>().sqrt()
}
/// Linear interpolation between order statistics, NumPy's default (Hyndman and Fan's type 7).
fn quantile(x: &[f64], q: f64) -> f64 {
    if x.is_empty() || x.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let mut sorted = x.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = q.clamp(0.0, 1.0) * (x.len() - 1) as f64;
    let (lo, part) = (at.floor() as usize, at.fract());
    let (a, b) = (sorted[lo], sorted[(lo + 1).min(x.len() - 1)]);
    if part == 0.0 { a } else { a + (b - a) * part }
}
fn top_k_mean(x: &[f64], k: f64) -> f64 {
    if x.is_empty() || x.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let k = (k.max(1.0) as usize).min(x.len());
    let mut sorted = x.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    mean(&sorted[..k])
}

macro_rules! along {
    ($f:expr) => {
        Eval::Whole(|v, a| v[0].reduce(a.num(0), $f))
    };
}

fn quantile_shape(args: &[Shape], a: &Attrs) -> Result<Shape, ShapeError> {
    if !(0.0..=1.0).contains(&a.or(0, 0.5)) {
        return Err(ShapeError::new(
            format!("quantile {} is not between 0 and 1", a.or(0, 0.5)),
            "q is a fraction: 0.5 is the median",
        ));
    }
    reduced(args, a.num(1))
}
fn top_k_shape(args: &[Shape], a: &Attrs) -> Result<Shape, ShapeError> {
    if a.or(0, 1.0) < 1.0 {
        return Err(ShapeError::new(format!("top_k_mean of {} elements", a.or(0, 1.0)), "k is at least 1"));
    }
    reduced(args, a.num(1))
}
fn number_shape(_: &[Shape], _: &Attrs) -> Result<Shape, ShapeError> {
    Ok(Shape::number())
}
fn dim_shape(args: &[Shape], a: &Attrs) -> Result<Shape, ShapeError> {
    let rank = args.first().map_or(0, Shape::rank);
    if rank == 0 {
        return Err(ShapeError::new("dim of a number", "a number has no axes; numel(x) is 1"));
    }
    axis_of(a.num(0), rank).map(|_| Shape::number())
}
fn elements(s: &[Shape], _: &Attrs) -> Option<f64> {
    s.first().filter(|x| x.is_known()).map(|x| x.numel() as f64)
}
fn axis_size(s: &[Shape], a: &Attrs) -> Option<f64> {
    let x = s.first()?;
    let k = axis_of(a.num(0), x.rank()).ok().flatten()?;
    Some(x.dims[k]).filter(|&d| d != super::UNKNOWN).map(|d| d as f64)
}

const fn stream<F: Fold>(eval: Eval) -> OpRow {
    OpRow {
        group: Group::Reduction,
        attrs: &[AXIS],
        shape: reduction,
        eval,
        exec: Exec::Reduce(Of::<F>::REDUCE),
        ..ROW
    }
}
const K: AttrSpec = required("k", true);
const Q: AttrSpec = required("q", false);

pub(super) const ROWS: &[OpRow] = &[
    OpRow {
        name: "sum",
        range: r::sum,
        domain: Some("overflow of a sum"),
        rewrites: &[
            rw("sum-neg", "sum(-?a)", "-sum(?a)"),
            rw("sum-abs", "sum(abs(?a))", "l1(?a)"),
            rw("sum-flatten", "sum(flatten(?a))", "sum(?a)"),
        ],
        doc: "Sum of the elements; 0 of none.",
        examples: &[
            ("sum([1, 2, 3])", "6"),
            ("sum([[1, 2], [3, 4]], axis = 0)", "[4, 6]"),
            ("sum([[1, 2], [3, 4]], axis = -1)", "[3, 7]"),
        ],
        ..stream::<fold::Sum>(along!(sum))
    },
    OpRow {
        name: "mean",
        range: r::mean,
        domain: Some("mean of no elements"),
        rewrites: &[
            rw("mean-neg", "mean(-?a)", "-mean(?a)"),
            rw("mean-flatten", "mean(flatten(?a))", "mean(?a)"),
        ],
        doc: "Arithmetic mean.",
        examples: &[
            ("mean([1, 2, 6])", "3"),
            ("mean([[1, 2], [3, 4]], axis = 1)", "[1.5, 3.5]"),
            ("mean(7, axis = 0)", "7"),
        ],
        ..stream::<fold::Mean>(along!(mean))
    },
    OpRow {
        name: "std",
        attrs: &[AXIS, DDOF],
        range: r::std,
        domain: Some("std of {n}"),
        rewrites: &[rw("std-neg", "std(-?a)", "std(?a)")],
        cost: 3.0,
        doc: "Standard deviation; the divisor is n - ddof.",
        examples: &[
            ("std([1, 2, 3, 4, 5])", "1.4142135623730951"),
            ("std([1, 3, 5], ddof = 1)", "2"),
            ("std(4)", "0"),
        ],
        ..stream::<fold::Std>(Eval::Whole(|v, a| v[0].reduce(a.num(0), |x| variance(x, a.or(1, 0.0)).sqrt())))
    },
    OpRow {
        name: "var",
        attrs: &[AXIS, DDOF],
        range: r::var,
        domain: Some("variance of {n}"),
        rewrites: &[rw("var-neg", "var(-?a)", "var(?a)")],
        cost: 3.0,
        doc: "Variance; the divisor is n - ddof.",
        examples: &[("var([1, 2, 3, 4, 5])", "2"), ("var([[1, 3], [2, 8]], axis = 1)", "[1, 9]")],
        ..stream::<fold::Var>(Eval::Whole(|v, a| v[0].reduce(a.num(0), |x| variance(x, a.or(1, 0.0)))))
    },
    OpRow {
        name: "min",
        range: r::same,
        domain: Some("smallest of no elements"),
        rewrites: &[rw("min-neg", "min(-?a)", "-max(?a)")],
        doc: "Smallest element.",
        examples: &[("min([3, 1, 2])", "1"), ("min([[1, 5], [4, 2]], axis = 0)", "[1, 2]")],
        ..stream::<fold::Min>(along!(smallest))
    },
    OpRow {
        name: "max",
        range: r::same,
        domain: Some("largest of no elements"),
        rewrites: &[rw("max-neg", "max(-?a)", "-min(?a)")],
        doc: "Largest element.",
        examples: &[("max([3, 1, 2])", "3"), ("max([[1, 5], [4, 2]], axis = 1)", "[5, 4]")],
        ..stream::<fold::Max>(along!(largest))
    },
    OpRow {
        name: "prod",
        range: r::prod,
        domain: Some("overflow of a product"),
        doc: "Product of the elements; 1 of none.",
        examples: &[("prod([2, 3, 4])", "24")],
        ..stream::<fold::Prod>(along!(|x| x.iter().product()))
    },
    OpRow {
        name: "norm",
        range: r::size,
        domain: Some("overflow of a norm"),
        rewrites: &[rw("norm-neg", "norm(-?a)", "norm(?a)"), rw("norm-abs", "norm(abs(?a))", "norm(?a)")],
        cost: 2.0,
        doc: "Euclidean norm of all elements; the Frobenius norm of a matrix.",
        examples: &[("norm([3, 4])", "5"), ("norm([[1, 1], [1, 1]])", "2")],
        ..stream::<fold::Norm>(along!(norm))
    },
    OpRow {
        name: "l1",
        range: r::size,
        domain: Some("overflow of a norm"),
        rewrites: &[rw("l1-neg", "l1(-?a)", "l1(?a)"), rw("l1-abs", "l1(abs(?a))", "l1(?a)")],
        doc: "Sum of absolute values, ‖x‖₁.",
        examples: &[("l1([-3, 4])", "7"), ("l1([[-1, 2], [3, -4]], axis = 0)", "[4, 6]")],
        ..stream::<fold::L1>(along!(l1))
    },
    OpRow {
        name: "l2",
        range: r::size,
        domain: Some("overflow of a norm"),
        rewrites: &[rw("l2-norm", "l2(?a)", "norm(?a)")],
        cost: 2.0,
        weight: 0.0,
        doc: "Euclidean norm, ‖x‖₂; the same as norm.",
        examples: &[("l2([3, -4])", "5")],
        ..stream::<fold::Norm>(along!(norm))
    },
    OpRow {
        name: "entropy",
        range: r::entropy,
        domain: Some("entropy of a negative value"),
        cost: 14.0,
        doc: "-Σ p log p in nats over elements that are probabilities, where 0 log 0 is 0.",
        examples: &[
            ("entropy([0.5, 0.5, 0])", "0.6931471805599453"),
            ("entropy([[1, 0], [0.5, 0.5]], axis = 1)", "[0, 0.6931471805599453]"),
        ],
        ..stream::<fold::Entropy>(along!(|x| x.iter().map(|&p| information(p)).sum()))
    },
    OpRow {
        name: "sum_exp",
        range: r::sum_exp,
        cost: 14.0,
        weight: 0.0,
        doc: "Sum of exp(x - max(x)): the divisor of a softmax, in one pass. max(x) + log(sum_exp(x)) is \
              the logarithm of the sum of exponentials.",
        examples: &[("sum_exp([5, 5, 5])", "3"), ("sum_exp([[0, 1], [0, 1]], axis = 0)", "[2, 2]")],
        ..stream::<fold::SumExp>(along!(sum_exp))
    },
    OpRow {
        name: "quantile",
        attrs: &[Q, AXIS],
        shape: quantile_shape,
        eval: Eval::Whole(|v, a| v[0].reduce(a.num(1), |x| quantile(x, a.or(0, 0.5)))),
        exec: Exec::Whole,
        range: r::mean,
        domain: Some("quantile of no elements"),
        cost: 80.0,
        doc: "The q-quantile, by linear interpolation between order statistics as NumPy does.",
        examples: &[
            ("quantile([4, 1, 3, 2], 0.5)", "2.5"),
            ("quantile([[1, 2, 3], [6, 5, 4]], q = 1, axis = 1)", "[3, 6]"),
        ],
        ..stream::<fold::Sum>(along!(sum))
    },
    OpRow {
        name: "top_k_mean",
        attrs: &[K, AXIS],
        shape: top_k_shape,
        eval: Eval::Whole(|v, a| v[0].reduce(a.num(1), |x| top_k_mean(x, a.or(0, 1.0)))),
        exec: Exec::Whole,
        range: r::mean,
        domain: Some("mean of no elements"),
        cost: 80.0,
        doc: "Mean of the k largest elements, of all where there are fewer.",
        examples: &[("top_k_mean([4, 1, 3, 2], 2)", "3.5"), ("top_k_mean([1, 3], k = 9)", "2")],
        ..stream::<fold::Sum>(along!(sum))
    },
    OpRow {
        name: "numel",
        group: Group::Reduction,
        shape: number_shape,
        from_shapes: Some(elements),
        eval: Eval::Whole(|v, _| Value::number(v[0].data.len() as f64)),
        range: r::count,
        cost: 0.0,
        doc: "Number of elements.",
        examples: &[("numel([[1, 2, 3], [4, 5, 6]])", "6"), ("numel(5)", "1")],
        ..ROW
    },
    OpRow {
        name: "dim",
        group: Group::Reduction,
        attrs: &[AttrSpec { required: true, ..AXIS }],
        shape: dim_shape,
        from_shapes: Some(axis_size),
        eval: Eval::Whole(|v, a| {
            Value::number(axis_size(std::slice::from_ref(&v[0].shape), a).unwrap_or(f64::NAN))
        }),
        range: r::count,
        cost: 0.0,
        weight: 0.0,
        doc: "Size of an axis.",
        examples: &[("dim([[1, 2, 3], [4, 5, 6]], axis = 1)", "3"), ("dim([[1, 2, 3], [4, 5, 6]], 0)", "2")],
        ..ROW
    },
];
