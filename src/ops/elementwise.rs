//! Elementwise rows: one definition each gives the f64 meaning and both tile kernels.

use super::kernel::{exec1, exec2, exec3, map};
use super::range_rules as r;
use super::row::{Eval, Exec, Fixity, OpRow, ROW, Symbol, rw};
use super::shape::elementwise;

// Precedences, loosest first.
const COMPARE: u8 = 10;
const ADD: u8 = 20;
/// Products, the matrix product too.
pub(super) const MUL: u8 = 30;
const NEG: u8 = 40;
const POW: u8 = 50;
/// What follows an operand: `.T`, `[0]`.
pub(super) const POSTFIX: u8 = 60;

map!(Neg, cheap Neg, |a| -a);
map!(Abs, cheap Abs, |a| a.abs());
map!(Square, cheap Square, |a| a * a);
map!(Sqrt, |a| a.sqrt());
map!(Exp, |a| a.exp(), plain a.exp_plain(), key a.exp_key(), limit EXP_LIMIT);
map!(Log, |a| a.ln(), plain a.ln_plain(), key a.ln_key(), limit LN_LIMIT);
map!(Tanh, |a| a.tanh());
map!(
    Sigmoid,
    |a| T::of(1.0) / (T::of(1.0) + (-a).exp()),
    plain T::of(1.0) / (T::of(1.0) + (-a).exp_plain()),
    key a.exp_key(),
    limit EXP_LIMIT
);
map!(Gelu, |a| T::of(0.5) * a * (T::of(1.0) + (a * T::of(std::f64::consts::FRAC_1_SQRT_2)).erf()));
map!(Inv, |a| T::of(1.0) / a);
map!(Relu, |a| if a < T::of(0.0) { T::of(0.0) } else { a });
map!(Sign, |a| if a > T::of(0.0) {
    T::of(1.0)
} else if a < T::of(0.0) {
    T::of(-1.0)
} else {
    // 0 stays 0, and NaN stays NaN.
    a
});
map!(Step, |a| truth(a > T::of(0.0)));
map!(Add, cheap Add, |a, b| a + b);
map!(Sub, cheap Sub, |a, b| a - b);
map!(Mul, cheap Mul, |a, b| a * b);
map!(Div, cheap Div, |a, b| a / b);
map!(Pow, cheap Pow, |a, b| if b == T::of(2.0) { a * a } else { a.powf(b) });
map!(Min, |a, b| if a < b || is_nan(a) { a } else { b });
map!(Max, |a, b| if a > b || is_nan(a) { a } else { b });
map!(Lt, |a, b| truth(a < b));
map!(Gt, |a, b| truth(a > b));
map!(Le, |a, b| truth(a <= b));
map!(Ge, |a, b| truth(a >= b));
map!(Equal, |a, b| truth(a == b));
map!(Clamp, |a, b, c| {
    let low = if a > b || is_nan(a) { a } else { b };
    if low < c || is_nan(low) { low } else { c }
});
map!(Where, |a, b, c| if a == T::of(0.0) { c } else { b });

#[inline(always)]
fn truth<T: super::vecmath::Real>(yes: bool) -> T {
    if yes { T::of(1.0) } else { T::of(0.0) }
}
#[inline(always)]
#[allow(clippy::eq_op)]
fn is_nan<T: PartialOrd>(x: T) -> bool {
    x != x
}

const fn row(parts: (Eval, Exec)) -> OpRow {
    OpRow { shape: elementwise, eval: parts.0, exec: parts.1, ..ROW }
}
const fn sym(text: &'static str, fixity: Fixity, precedence: u8) -> Option<Symbol> {
    Some(Symbol { text, fixity, precedence })
}

pub(super) const ROWS: &[OpRow] = &[
    OpRow {
        name: "neg",
        symbol: sym("-", Fixity::Prefix, NEG),
        range: r::neg,
        rewrites: &[
            rw("neg-neg", "-(-?a)", "?a"),
            rw("neg-sub", "-(?a - ?b)", "?b - ?a"),
            rw("mul-neg-neg", "(-?a) * (-?b)", "?a * ?b"),
        ],
        doc: "Minus x.",
        examples: &[("-[1, -2]", "[-1, 2]"), ("-2 ^ 2", "-4")],
        ..row(exec1::<Neg>("-a"))
    },
    OpRow {
        name: "abs",
        range: r::abs,
        rewrites: &[
            rw("abs-abs", "abs(abs(?a))", "abs(?a)"),
            rw("abs-neg", "abs(-?a)", "abs(?a)"),
            rw("abs-square", "abs(square(?a))", "square(?a)"),
            rw("abs-sqrt", "abs(sqrt(?a))", "sqrt(?a)"),
            rw("abs-exp", "abs(exp(?a))", "exp(?a)"),
            rw("abs-relu", "abs(relu(?a))", "relu(?a)"),
            rw("abs-sigmoid", "abs(sigmoid(?a))", "sigmoid(?a)"),
        ],
        doc: "Absolute value.",
        examples: &[("abs([-1.5, 0, 2])", "[1.5, 0, 2]")],
        ..row(exec1::<Abs>("fabs(a)"))
    },
    OpRow {
        name: "square",
        range: r::square,
        domain: Some("overflow of a square"),
        rewrites: &[
            rw("square-neg", "square(-?a)", "square(?a)"),
            rw("square-abs", "square(abs(?a))", "square(?a)"),
        ],
        doc: "x times x.",
        examples: &[("square([-3, 2])", "[9, 4]")],
        ..row(exec1::<Square>("a * a"))
    },
    OpRow {
        name: "sqrt",
        range: r::sqrt,
        domain: Some("square root of a negative value"),
        cost: 4.0,
        doc: "Square root; NaN for negative elements.",
        examples: &[("sqrt([0, 2.25])", "[0, 1.5]")],
        ..row(exec1::<Sqrt>("sqrt(a)"))
    },
    OpRow {
        name: "exp",
        range: r::exp,
        domain: Some("overflow of exp"),
        cost: 12.0,
        doc: "Exponential.",
        examples: &[("exp([0, 1])", "[1, 2.718281828459045]")],
        ..row(exec1::<Exp>("exp(a)"))
    },
    OpRow {
        name: "log",
        range: r::log,
        domain: Some("log of a non-positive value"),
        cost: 12.0,
        doc: "Natural logarithm; -inf at 0, NaN below.",
        examples: &[("log([1, 2])", "[0, 0.6931471805599453]"), ("log(0) < 0", "1")],
        ..row(exec1::<Log>("log(a)"))
    },
    OpRow {
        name: "relu",
        range: r::relu,
        rewrites: &[
            rw("relu-relu", "relu(relu(?a))", "relu(?a)"),
            rw("relu-abs", "relu(abs(?a))", "abs(?a)"),
            rw("relu-square", "relu(square(?a))", "square(?a)"),
            rw("relu-sqrt", "relu(sqrt(?a))", "sqrt(?a)"),
            rw("relu-exp", "relu(exp(?a))", "exp(?a)"),
            rw("relu-sigmoid", "relu(sigmoid(?a))", "sigmoid(?a)"),
        ],
        doc: "max(x, 0).",
        examples: &[("relu([-1, 0, 2])", "[0, 0, 2]")],
        ..row(exec1::<Relu>("a < (T)0 ? (T)0 : a"))
    },
    OpRow {
        name: "sigmoid",
        range: r::sigmoid,
        cost: 16.0,
        doc: "Logistic function, 1 / (1 + exp(-x)).",
        examples: &[("sigmoid([0, 1])", "[0.5, 0.7310585786300049]")],
        ..row(exec1::<Sigmoid>("(T)1 / ((T)1 + exp(-a))"))
    },
    OpRow {
        name: "tanh",
        range: r::tanh,
        cost: 16.0,
        doc: "Hyperbolic tangent.",
        examples: &[("tanh([0, 1])", "[0, 0.7615941559557649]")],
        ..row(exec1::<Tanh>("tanh(a)"))
    },
    OpRow {
        name: "gelu",
        range: r::gelu,
        cost: 20.0,
        doc: "Gaussian error linear unit in its exact form, x Φ(x) (Hendrycks and Gimpel, 2016).",
        examples: &[("gelu([0, 1, -1])", "[0, 0.8413447460685429, -0.15865525393145707]")],
        ..row(exec1::<Gelu>("(T)0.5 * a * ((T)1 + erf(a * (T)0.70710678118654752440))"))
    },
    OpRow {
        name: "sign",
        range: r::sign,
        rewrites: &[rw("sign-sign", "sign(sign(?a))", "sign(?a)")],
        doc: "-1, 0 or 1.",
        examples: &[("sign([-3, 0, 0.5])", "[-1, 0, 1]")],
        ..row(exec1::<Sign>("a > (T)0 ? (T)1 : (a < (T)0 ? (T)-1 : a)"))
    },
    OpRow {
        name: "step",
        range: r::step,
        doc: "1 where x > 0, else 0.",
        examples: &[("step([-3, 0, 0.5])", "[0, 0, 1]")],
        ..row(exec1::<Step>("a > (T)0 ? (T)1 : (T)0"))
    },
    OpRow {
        name: "inv",
        range: r::inv,
        domain: Some("inverse of zero"),
        cost: 4.0,
        doc: "1 / x.",
        examples: &[("inv([2, -4])", "[0.5, -0.25]")],
        ..row(exec1::<Inv>("(T)1 / a"))
    },
    OpRow {
        name: "add",
        symbol: sym("+", Fixity::Left, ADD),
        values: &["x", "y"],
        range: r::add,
        domain: Some("overflow of a sum"),
        commutes: true,
        rewrites: &[
            rw("add-zero", "?a + 0", "?a"),
            rw("zero-add", "0 + ?a", "?a"),
            rw("add-neg", "?a + (-?b)", "?a - ?b"),
        ],
        doc: "Sum, element by element.",
        examples: &[
            ("[1, 2] + 3", "[4, 5]"),
            ("[[1, 2], [3, 4]] + sum([[1, 2], [3, 4]], axis = 0)", "[[5, 8], [7, 10]]"),
        ],
        ..row(exec2::<Add>("a + b"))
    },
    OpRow {
        name: "sub",
        symbol: sym("-", Fixity::Left, ADD),
        values: &["x", "y"],
        range: r::sub,
        domain: Some("overflow of a difference"),
        rewrites: &[rw("sub-zero", "?a - 0", "?a"), rw("sub-neg", "?a - (-?b)", "?a + ?b")],
        doc: "Difference, element by element.",
        examples: &[
            ("5 - [1, 2]", "[4, 3]"),
            ("10 - 4 - 3", "3"),
            ("[[1, 3], [2, 8]] - mean([[1, 3], [2, 8]], axis = 1)", "[[-1, 1], [-3, 3]]"),
        ],
        ..row(exec2::<Sub>("a - b"))
    },
    OpRow {
        name: "mul",
        symbol: sym("*", Fixity::Left, MUL),
        values: &["x", "y"],
        range: r::mul,
        domain: Some("overflow of a product"),
        commutes: true,
        rewrites: &[
            rw("mul-one", "?a * 1", "?a"),
            rw("one-mul", "1 * ?a", "?a"),
            rw("mul-self", "?a * ?a", "square(?a)"),
        ],
        doc: "Product, element by element; `@` is the matrix product.",
        examples: &[("[1, 2] * [3, 4]", "[3, 8]"), ("2 * 3 + 4", "10")],
        ..row(exec2::<Mul>("a * b"))
    },
    OpRow {
        name: "div",
        symbol: sym("/", Fixity::Left, MUL),
        values: &["x", "y"],
        range: r::div,
        domain: Some("division by zero"),
        rewrites: &[rw("div-one", "?a / 1", "?a"), rw("div-neg-neg", "(-?a) / (-?b)", "?a / ?b")],
        cost: 4.0,
        doc: "Quotient, element by element; by IEEE 754 where the divisor is 0.",
        examples: &[("[1, 4] / 2", "[0.5, 2]"), ("1 / 0 > 9", "1")],
        ..row(exec2::<Div>("a / b"))
    },
    OpRow {
        name: "pow",
        symbol: sym("^", Fixity::Right, POW),
        values: &["x", "y"],
        range: r::pow,
        domain: Some("power outside its domain, or its overflow"),
        rewrites: &[rw("pow-one", "?a ^ 1", "?a"), rw("pow-two", "?a ^ 2", "square(?a)")],
        cost: 30.0,
        doc: "Power with a real exponent; NaN for a negative base and a fractional exponent.",
        examples: &[
            ("[1, 2, 3] ^ 2", "[1, 4, 9]"),
            ("2 ^ 3 ^ 2", "512"),
            ("0 ^ 0.05", "0"),
            ("2 ^ -1", "0.5"),
        ],
        ..row(exec2::<Pow>("b == (T)2 ? a * a : pow(a, b)"))
    },
    OpRow {
        name: "min",
        values: &["x", "y"],
        range: r::min,
        commutes: true,
        rewrites: &[rw("min-self", "min(?a, ?a)", "?a")],
        doc: "The smaller of two, element by element; NaN where either is.",
        examples: &[("min([1, 5], [3, 2])", "[1, 2]")],
        ..row(exec2::<Min>("a < b || a != a ? a : b"))
    },
    OpRow {
        name: "max",
        values: &["x", "y"],
        range: r::max,
        commutes: true,
        rewrites: &[rw("max-self", "max(?a, ?a)", "?a")],
        doc: "The larger of two, element by element; NaN where either is.",
        examples: &[("max([1, 5], 3)", "[3, 5]")],
        ..row(exec2::<Max>("a > b || a != a ? a : b"))
    },
    OpRow {
        name: "clamp",
        values: &["x", "lo", "hi"],
        range: r::clamp,
        cost: 2.0,
        doc: "min(max(x, lo), hi).",
        examples: &[("clamp([-2, 0.5, 7], 0, 1)", "[0, 0.5, 1]"), ("clamp(9, lo = 0, hi = 5)", "5")],
        ..row(exec3::<Clamp>(
            "(a > b || a != a ? a : b) < c || a != a || b != b ? (a > b || a != a ? a : b) : c",
        ))
    },
    OpRow {
        name: "where",
        values: &["c", "x", "y"],
        range: r::select,
        selects: true,
        doc: "x where the condition c is not 0, else y; what is not selected may be non-finite.",
        examples: &[("where([1, 0], [2, 3], 9)", "[2, 9]"), ("where(0 > 0, log(0), 1)", "1")],
        ..row(exec3::<Where>("a == (T)0 ? c : b"))
    },
    OpRow {
        name: "lt",
        symbol: sym("<", Fixity::Left, COMPARE),
        values: &["x", "y"],
        range: r::lt,
        doc: "1 where x < y, else 0 (also for NaN).",
        examples: &[("[1, 2, 3] < 2", "[1, 0, 0]")],
        ..row(exec2::<Lt>("a < b ? (T)1 : (T)0"))
    },
    OpRow {
        name: "gt",
        symbol: sym(">", Fixity::Left, COMPARE),
        values: &["x", "y"],
        range: r::gt,
        rewrites: &[rw("gt-lt", "?a > ?b", "?b < ?a")],
        doc: "1 where x > y, else 0 (also for NaN).",
        examples: &[("[1, 2, 3] > 2", "[0, 0, 1]")],
        ..row(exec2::<Gt>("a > b ? (T)1 : (T)0"))
    },
    OpRow {
        name: "le",
        symbol: sym("<=", Fixity::Left, COMPARE),
        values: &["x", "y"],
        range: r::le,
        doc: "1 where x <= y, else 0 (also for NaN).",
        examples: &[("[1, 2, 3] <= 2", "[1, 1, 0]")],
        ..row(exec2::<Le>("a <= b ? (T)1 : (T)0"))
    },
    OpRow {
        name: "ge",
        symbol: sym(">=", Fixity::Left, COMPARE),
        values: &["x", "y"],
        range: r::ge,
        rewrites: &[rw("ge-le", "?a >= ?b", "?b <= ?a")],
        doc: "1 where x >= y, else 0 (also for NaN).",
        examples: &[("[1, 2, 3] >= 2", "[0, 1, 1]")],
        ..row(exec2::<Ge>("a >= b ? (T)1 : (T)0"))
    },
    OpRow {
        name: "eq",
        symbol: sym("==", Fixity::Left, COMPARE),
        values: &["x", "y"],
        range: r::eq,
        commutes: true,
        doc: "1 where x equals y, else 0 (also for NaN).",
        examples: &[("[1, 2, 3] == 2", "[0, 1, 0]")],
        ..row(exec2::<Equal>("a == b ? (T)1 : (T)0"))
    },
];
