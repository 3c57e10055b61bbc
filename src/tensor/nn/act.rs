//! Non-linearities.

use crate::tensor::Dims;
use crate::tensor::par;
use crate::tensor::real::Real;
use crate::tensor::tape::{Backward, Op, Tape, Var};

/// A non-linearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// `x/2 (1 + erf(x / sqrt 2))`.
    Gelu,
    /// GELU in its tanh form (`gelu_new`).
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `x / (1 + e^-x)`.
    Silu,
}

const CUBIC: f64 = 0.044_715;
/// sqrt(2 / pi)
const ROOT: f64 = 0.797_884_560_802_865_4;

#[inline(always)]
fn value<R: Real>(act: Act, x: R) -> R {
    let half = R::of(0.5);
    let one = R::of(1.0);
    match act {
        Act::Gelu => x * half * (one + (x * R::of(std::f64::consts::FRAC_1_SQRT_2)).erf()),
        Act::GeluTanh => {
            let u = R::of(ROOT) * (x + R::of(CUBIC) * x * x * x);
            half * x * (one + u.tanh())
        }
        Act::Relu => {
            if x.value() > R::Base::of(0.0) {
                x
            } else {
                R::default()
            }
        }
        Act::Silu => x / (one + (-x).exp()),
    }
}

#[inline(always)]
fn slope<R: Real>(act: Act, x: R) -> R {
    let half = R::of(0.5);
    let one = R::of(1.0);
    match act {
        Act::Gelu => {
            let cdf = half * (one + (x * R::of(std::f64::consts::FRAC_1_SQRT_2)).erf());
            let pdf = R::of(0.398_942_280_401_432_7) * (-(x * x) * half).exp();
            cdf + x * pdf
        }
        Act::GeluTanh => {
            let x2 = x * x;
            let th = (R::of(ROOT) * (x + R::of(CUBIC) * x * x2)).tanh();
            let du = R::of(ROOT) * (one + R::of(3.0 * CUBIC) * x2);
            half * (one + th) + half * x * (one - th * th) * du
        }
        Act::Relu => {
            if x.value() > R::Base::of(0.0) {
                one
            } else {
                R::default()
            }
        }
        Act::Silu => {
            let s = one / (one + (-x).exp());
            s * (one + x * (one - s))
        }
    }
}

/// Runs `body` with `act` known at compile time, so that the loop vectorises.
macro_rules! each {
    ($act:expr, $k:ident => $body:expr) => {
        match $act {
            Act::Gelu => {
                const $k: Act = Act::Gelu;
                $body
            }
            Act::GeluTanh => {
                const $k: Act = Act::GeluTanh;
                $body
            }
            Act::Relu => {
                const $k: Act = Act::Relu;
                $body
            }
            Act::Silu => {
                const $k: Act = Act::Silu;
                $body
            }
        }
    };
}

struct Activation {
    x: Var,
    act: Act,
}

/// Applies a non-linearity.
pub fn activation<R: Real>(t: &mut Tape<R>, x: Var, act: Act) -> Var {
    let n = t.value(x).len();
    let mut y = t.buffer(n);
    let xs = t.value(x);
    each!(act, K => par::map1(&mut y, xs, |y, x| {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = value(K, x);
        }
    }));
    let dims: Dims = t.dims(x).into();
    let needs = t.needs(x);
    t.push(&dims, y, needs, Activation { x, act })
}

impl<R: Real> Op<R> for Activation {
    fn backward(self: Box<Self>, mut g: Vec<R>, cx: &mut Backward<'_, R>) {
        let xs = cx.value(self.x);
        each!(self.act, K => par::map1(&mut g, xs, |g, x| {
            for (g, &x) in g.iter_mut().zip(x) {
                *g *= slope(K, x);
            }
        }));
        cx.give(self.x, g);
    }
}
