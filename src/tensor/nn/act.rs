//! Non-linearities.

use super::away;
use crate::tensor::Dims;
use crate::tensor::par;
use crate::tensor::real::Real;
use crate::tensor::simd::wide;
use crate::tensor::tape::{Backward, Grad, Op, Tape, Var};

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

/// A non-linearity that is known at compile time, so that loops over it vectorise.
trait Known {
    const ACT: Act;
}

macro_rules! known {
    ($($name:ident),+) => {$(
        struct $name;
        impl Known for $name {
            const ACT: Act = Act::$name;
        }
    )+};
}
known!(Gelu, GeluTanh, Relu, Silu);

wide! {
    fn apply<R: Real, K: Known>(y: &mut [R], x: &[R]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = value(K::ACT, x);
        }
    }
    fn multiply_slope<R: Real, K: Known>(g: &mut [R], x: &[R]) {
        for (g, &x) in g.iter_mut().zip(x) {
            *g *= slope(K::ACT, x);
        }
    }
}

impl Act {
    /// `y = act(x)`.
    pub(super) fn apply<R: Real>(self) -> fn(&mut [R], &[R]) {
        match self {
            Act::Gelu => apply::<R, Gelu>,
            Act::GeluTanh => apply::<R, GeluTanh>,
            Act::Relu => apply::<R, Relu>,
            Act::Silu => apply::<R, Silu>,
        }
    }

    /// `g *= act'(x)`.
    fn multiply_slope<R: Real>(self) -> fn(&mut [R], &[R]) {
        match self {
            Act::Gelu => multiply_slope::<R, Gelu>,
            Act::GeluTanh => multiply_slope::<R, GeluTanh>,
            Act::Relu => multiply_slope::<R, Relu>,
            Act::Silu => multiply_slope::<R, Silu>,
        }
    }
}

pub(super) struct Activation {
    pub x: Var,
    pub act: Act,
    /// A bias that was added to `x` and whose gradient is summed in the same walk.
    pub bias: Option<Var>,
}

/// Applies a non-linearity.
pub fn activation<R: Real>(t: &mut Tape<R>, x: Var, act: Act) -> Var {
    if let Some(y) = away::activation(t, x, act) {
        return y;
    }
    let n = t.value(x).len();
    let mut y = t.buffer(n);
    let xs = t.value(x);
    par::map1(&mut y, xs, act.apply());
    let dims: Dims = t.dims(x).into();
    let needs = t.needs(x);
    t.push(&dims, y, needs, Activation { x, act, bias: None })
}

impl<R: Real> Op<R> for Activation {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let mut g = cx.own(g);
        let xs = cx.value(self.x);
        let kernel = self.act.multiply_slope();
        match self.bias.filter(|&b| cx.needs(b)) {
            Some(b) => {
                let width = cx.value(b).len();
                let run = (g.len() / cx.samples(b)).max(1);
                let runs = g.chunks_mut(run).zip(xs.chunks(run));
                let sums = runs.flat_map(|(g, x)| par::map1_summed(g, x, width, kernel)).collect();
                cx.give(b, sums);
            }
            None => par::map1(&mut g, xs, kernel),
        }
        cx.give(self.x, g);
    }
}
