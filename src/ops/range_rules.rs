//! How rows carry ranges on: sound for f32 and f64, non-finite elements included.

use super::attrs::Attrs;
use super::range::{BIG, INF, ROUND, Range};

fn at(r: &[Range], i: usize) -> Range {
    r.get(i).copied().unwrap_or(Range::ANY)
}

/// A non-decreasing function into `[lo, hi]`, finite for finite elements.
fn increasing(r: Range, f: impl Fn(f64) -> f64, lo: f64, hi: f64) -> Range {
    let out = Range::rounded(f(r.lo), f(r.hi), true);
    Range { finite: r.finite, ..out.clip(lo, hi) }
}

pub(super) fn same(r: &[Range], _: &Attrs) -> Range {
    at(r, 0)
}
/// Not negative; finite where the operand is bounded.
pub(super) fn non_negative(_: &[Range], _: &Attrs) -> Range {
    Range::new(0.0, INF, false)
}
/// A whole number that is always there: a count.
pub(super) fn count(_: &[Range], _: &Attrs) -> Range {
    Range::new(0.0, INF, true)
}

// Elementwise.

pub(super) fn neg(r: &[Range], _: &Attrs) -> Range {
    let r = at(r, 0);
    Range::new(-r.hi, -r.lo, r.finite)
}
pub(super) fn abs(r: &[Range], _: &Attrs) -> Range {
    let r = at(r, 0);
    let lo = if r.lo > 0.0 {
        r.lo
    } else if r.hi < 0.0 {
        -r.hi
    } else {
        0.0
    };
    Range::new(lo, r.lo.abs().max(r.hi.abs()), r.finite)
}
pub(super) fn square(r: &[Range], a: &Attrs) -> Range {
    let r = abs(r, a);
    Range::rounded(r.lo * r.lo, r.hi * r.hi, r.finite)
}
pub(super) fn sqrt(r: &[Range], _: &Attrs) -> Range {
    let r = at(r, 0);
    let root = |x: f64| x.max(0.0).sqrt();
    let finite = r.finite && r.lo >= 0.0;
    Range { finite, ..increasing(r, root, 0.0, INF) }
}
pub(super) fn exp(r: &[Range], _: &Attrs) -> Range {
    let r = at(r, 0);
    // The argument is off by a rounding too, which the exponential magnifies.
    let out = Range::rounded((r.lo - r.lo.abs() * ROUND).exp(), (r.hi + r.hi.abs() * ROUND).exp(), r.finite);
    Range { lo: out.lo.max(0.0), ..out }
}
pub(super) fn log(r: &[Range], _: &Attrs) -> Range {
    let r = at(r, 0);
    let ln = |x: f64| if x <= 0.0 { -INF } else { x.ln() };
    // Near 1 the relative error of the result is unbounded.
    let out = Range::rounded(ln(r.lo) - ROUND, ln(r.hi) + ROUND, r.finite && r.lo > 0.0);
    Range { finite: r.finite && r.lo > 0.0, ..out }
}
pub(super) fn relu(r: &[Range], _: &Attrs) -> Range {
    let r = at(r, 0);
    Range::new(r.lo.max(0.0), r.hi.max(0.0), r.finite)
}
pub(super) fn sigmoid(r: &[Range], _: &Attrs) -> Range {
    increasing(at(r, 0), |x| 1.0 / (1.0 + (-x).exp()), 0.0, 1.0)
}
pub(super) fn tanh(r: &[Range], _: &Attrs) -> Range {
    increasing(at(r, 0), f64::tanh, -1.0, 1.0)
}
pub(super) fn gelu(r: &[Range], _: &Attrs) -> Range {
    let r = at(r, 0);
    let lowest = -0.17005;
    if r.lo >= 0.0 {
        // x/2 ≤ gelu(x) ≤ x
        return Range { finite: r.finite, ..Range::rounded(r.lo / 2.0, r.hi, r.finite) };
    }
    Range::new(lowest, r.hi.max(0.0) * (1.0 + ROUND), r.finite)
}
pub(super) fn sign(r: &[Range], _: &Attrs) -> Range {
    let r = at(r, 0);
    let s = |x: f64| if x == 0.0 { 0.0 } else { x.signum() };
    Range::new(s(r.lo), s(r.hi), r.finite)
}
pub(super) fn inv(r: &[Range], _: &Attrs) -> Range {
    let r = at(r, 0);
    if r.lo > 0.0 || r.hi < 0.0 {
        return Range::rounded(1.0 / r.hi, 1.0 / r.lo, r.finite);
    }
    // With a bound of 0 too: 1 / -0 is negative.
    Range::ANY
}
pub(super) fn add(r: &[Range], _: &Attrs) -> Range {
    let (a, b) = (at(r, 0), at(r, 1));
    Range::rounded(a.lo + b.lo, a.hi + b.hi, a.finite && b.finite)
}
pub(super) fn sub(r: &[Range], at_: &Attrs) -> Range {
    let b = neg(&[at(r, 1)], at_);
    add(&[at(r, 0), b], at_)
}
pub(super) fn mul(r: &[Range], _: &Attrs) -> Range {
    let (a, b) = (at(r, 0), at(r, 1));
    // Infinite bounds stand for arbitrarily large elements: times 0 they give 0.
    let p = |x: f64, y: f64| if x == 0.0 || y == 0.0 { 0.0 } else { x * y };
    let all = [p(a.lo, b.lo), p(a.lo, b.hi), p(a.hi, b.lo), p(a.hi, b.hi)];
    let (lo, hi) = all.iter().fold((INF, -INF), |(l, h), &x| (l.min(x), h.max(x)));
    Range::rounded(lo, hi, a.finite && b.finite)
}
pub(super) fn div(r: &[Range], at_: &Attrs) -> Range {
    let (a, b) = (at(r, 0), at(r, 1));
    if b.lo <= 0.0 && b.hi >= 0.0 {
        return Range::ANY;
    }
    let (small, large) = (b.lo.abs().min(b.hi.abs()), b.lo.abs().max(b.hi.abs()));
    let q = |x: f64, y: f64| if x == 0.0 || y.is_infinite() { 0.0 } else { x / y };
    let hi = if a.hi >= 0.0 { q(a.hi, small) } else { q(a.hi, large) };
    let lo = if a.lo >= 0.0 { q(a.lo, large) } else { q(a.lo, small) };
    let out = Range::rounded(lo, hi, a.finite && b.finite);
    if b.lo > 0.0 { out } else { neg(&[out], at_) }
}
pub(super) fn pow(r: &[Range], attrs: &Attrs) -> Range {
    let (a, p) = (at(r, 0), at(r, 1));
    let Some(p) = p.constant() else {
        return if a.lo > 0.0 { Range::new(0.0, INF, false) } else { Range::ANY };
    };
    let f = |x: f64| x.powf(p);
    if p == 0.0 {
        Range::number(1.0)
    } else if a.lo > 0.0 || (a.lo >= 0.0 && p > 0.0) {
        let (x, y) = if p > 0.0 { (a.lo, a.hi) } else { (a.hi, a.lo) };
        let out = Range::rounded(f(x), f(y), a.finite);
        Range { lo: out.lo.max(0.0), ..out }
    } else if p > 0.0 && p % 2.0 == 0.0 {
        let m = abs(&[a], attrs);
        Range::rounded(f(m.lo), f(m.hi), a.finite)
    } else if p > 0.0 && p.fract() == 0.0 {
        Range::rounded(f(a.lo), f(a.hi), a.finite)
    } else {
        Range::ANY
    }
}
pub(super) fn min(r: &[Range], _: &Attrs) -> Range {
    let (a, b) = (at(r, 0), at(r, 1));
    Range::new(a.lo.min(b.lo), a.hi.min(b.hi), a.finite && b.finite)
}
pub(super) fn max(r: &[Range], _: &Attrs) -> Range {
    let (a, b) = (at(r, 0), at(r, 1));
    Range::new(a.lo.max(b.lo), a.hi.max(b.hi), a.finite && b.finite)
}
pub(super) fn clamp(r: &[Range], a: &Attrs) -> Range {
    min(&[max(&[at(r, 0), at(r, 1)], a), at(r, 2)], a)
}
pub(super) fn select(r: &[Range], _: &Attrs) -> Range {
    let c = at(r, 0);
    if c.lo > 0.0 || c.hi < 0.0 {
        // NaN selects the first, too.
        at(r, 1)
    } else if c.constant() == Some(0.0) {
        at(r, 2)
    } else {
        at(r, 1).hull(at(r, 2))
    }
}
/// 0 or 1: surely 1, surely 0, or either.
fn truth(finite: bool, yes: bool, no: bool) -> Range {
    if finite && yes {
        Range::number(1.0)
    } else if no {
        Range::number(0.0)
    } else {
        Range::new(0.0, 1.0, true)
    }
}
pub(super) fn step(r: &[Range], _: &Attrs) -> Range {
    let a = at(r, 0);
    truth(a.finite, a.lo > 0.0, a.hi <= 0.0)
}
pub(super) fn lt(r: &[Range], _: &Attrs) -> Range {
    let (a, b) = (at(r, 0), at(r, 1));
    truth(a.finite && b.finite, a.hi < b.lo, a.lo >= b.hi)
}
pub(super) fn le(r: &[Range], _: &Attrs) -> Range {
    let (a, b) = (at(r, 0), at(r, 1));
    truth(a.finite && b.finite, a.hi <= b.lo, a.lo > b.hi)
}
pub(super) fn gt(r: &[Range], a: &Attrs) -> Range {
    lt(&[at(r, 1), at(r, 0)], a)
}
pub(super) fn ge(r: &[Range], a: &Attrs) -> Range {
    le(&[at(r, 1), at(r, 0)], a)
}
pub(super) fn eq(r: &[Range], _: &Attrs) -> Range {
    let (a, b) = (at(r, 0), at(r, 1));
    let (x, y) = (a.constant(), b.constant());
    truth(a.finite && b.finite, x.is_some() && x == y, a.hi < b.lo || b.hi < a.lo)
}

// Reductions; tensors are taken to have an element.

pub(super) fn sum(r: &[Range], _: &Attrs) -> Range {
    let r = at(r, 0);
    let lo = if r.lo >= 0.0 { 0.0 } else { -INF };
    let hi = if r.hi <= 0.0 { 0.0 } else { INF };
    Range::new(lo, hi, r.finite && lo == hi)
}
pub(super) fn mean(r: &[Range], _: &Attrs) -> Range {
    let r = at(r, 0);
    Range::rounded(r.lo, r.hi, r.finite)
}
pub(super) fn prod(r: &[Range], _: &Attrs) -> Range {
    let r = at(r, 0);
    match (r.lo, r.hi) {
        (l, h) if l >= 0.0 && h <= 1.0 => Range::new(0.0, 1.0, r.finite),
        (l, h) if l >= -1.0 && h <= 1.0 => Range::new(-1.0, 1.0, r.finite),
        (l, _) if l >= 0.0 => Range::new(0.0, INF, false),
        _ => Range::ANY,
    }
}
/// The largest element gives a 1.
pub(super) fn sum_exp(r: &[Range], _: &Attrs) -> Range {
    Range::new(0.0, INF, at(r, 0).finite)
}
pub(super) fn size(r: &[Range], _: &Attrs) -> Range {
    let r = at(r, 0);
    let zero = r.constant() == Some(0.0);
    Range::new(0.0, if zero { 0.0 } else { INF }, zero)
}
pub(super) fn std(r: &[Range], a: &Attrs) -> Range {
    let v = var(r, a);
    Range { hi: v.hi.sqrt() * (1.0 + ROUND), ..v }
}
pub(super) fn var(r: &[Range], a: &Attrs) -> Range {
    let r = at(r, 0);
    if a.or(1, 0.0) != 0.0 {
        return Range::new(0.0, INF, false);
    }
    // Popoviciu's inequality; elements near the bounds are off by a rounding.
    let half = (r.hi - r.lo) / 2.0 + ROUND * r.lo.abs().max(r.hi.abs());
    let out = Range::rounded(0.0, half * half, r.finite);
    Range { lo: 0.0, ..out }
}
pub(super) fn entropy(r: &[Range], _: &Attrs) -> Range {
    let r = at(r, 0);
    if r.lo >= 0.0 && r.hi <= 1.0 { Range::new(0.0, INF, false) } else { Range::ANY }
}

// Normalisers and the rest.

pub(super) fn softmax(r: &[Range], _: &Attrs) -> Range {
    Range::new(0.0, 1.0, at(r, 0).finite)
}
pub(super) fn log_softmax(r: &[Range], _: &Attrs) -> Range {
    let r = at(r, 0);
    Range::new(-INF, 0.0, r.finite && r.bounded() && (r.hi - r.lo).abs() < BIG)
}
pub(super) fn unit(_: &[Range], _: &Attrs) -> Range {
    Range::new(0.0, 1.0, false)
}
pub(super) fn correlation(_: &[Range], _: &Attrs) -> Range {
    Range::new(-1.0 - ROUND, 1.0 + ROUND, false)
}
pub(super) fn condition(_: &[Range], _: &Attrs) -> Range {
    Range::new(1.0 - ROUND, INF, false)
}
pub(super) fn with_zero(r: &[Range], _: &Attrs) -> Range {
    at(r, 0).hull(Range::number(0.0))
}
