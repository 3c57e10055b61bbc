//! The scalars a tape runs on: `f32`, `f64`, and [`Dual`] numbers over either.
//!
//! Running the same reverse-mode tape over dual numbers whose parameters carry a direction `v`
//! gives gradients whose tangent is the Hessian-vector product `H v` (forward over reverse).

use super::Element;
use super::fast;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};
use std::sync::Arc;

/// A scalar with the arithmetic and the functions transformers need.
pub trait Real:
    Copy
    + Send
    + Sync
    + Default
    + std::fmt::Debug
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
{
    /// The type of its value part.
    type Base: Base;
    /// How many `Base` numbers one scalar holds.
    const PARTS: usize;
    /// A constant.
    fn of(x: f64) -> Self;
    /// A constant.
    fn lift(x: Self::Base) -> Self;
    /// The value part.
    fn value(self) -> Self::Base;
    /// The tangent part (0 for plain numbers).
    fn tangent(self) -> Self::Base;
    /// From value and tangent; plain numbers drop the tangent.
    fn dual(value: Self::Base, tangent: Self::Base) -> Self;
    /// e^x.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Error function.
    fn erf(self) -> Self;
    /// Shared plain numbers as constants of this type; not copied where the two are one.
    fn share(x: &Arc<[Self::Base]>) -> Arc<[Self]> {
        x.iter().map(|&v| Self::lift(v)).collect()
    }
}

/// A plain floating-point type.
pub trait Base: Real<Base = Self> + Element + PartialOrd + faer::traits::ComplexField {
    /// Unit roundoff times two: the distance from 1 to the next number.
    const EPSILON: f64;
    /// Narrows from f64.
    fn narrow(x: f64) -> Self;
    /// Narrows or widens from f32, exactly.
    fn from_f32(x: f32) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
}

macro_rules! real {
    ($t:ty, $exp:path, $ln:path, $tanh:path, $erf:path) => {
        impl Real for $t {
            type Base = $t;
            const PARTS: usize = 1;
            #[inline(always)]
            fn of(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn lift(x: $t) -> Self {
                x
            }
            #[inline(always)]
            fn value(self) -> $t {
                self
            }
            #[inline(always)]
            fn tangent(self) -> $t {
                0.0
            }
            #[inline(always)]
            fn dual(value: $t, _: $t) -> Self {
                value
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                $ln(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                <$t>::sqrt(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                $tanh(self)
            }
            #[inline(always)]
            fn erf(self) -> Self {
                $erf(self)
            }
            fn share(x: &Arc<[$t]>) -> Arc<[$t]> {
                x.clone()
            }
        }
        impl Base for $t {
            const EPSILON: f64 = <$t>::EPSILON as f64;
            #[inline(always)]
            fn narrow(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn from_f32(x: f32) -> Self {
                x as $t
            }
            #[inline(always)]
            fn abs(self) -> Self {
                <$t>::abs(self)
            }
        }
    };
}
real!(f64, libm::exp, libm::log, libm::tanh, libm::erf);
real!(f32, fast::exp, libm::logf, fast::tanh, fast::erf);

/// A value and its derivative along one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Dual<T> {
    /// Value.
    pub v: T,
    /// Derivative.
    pub d: T,
}

impl<T: Base> Add for Dual<T> {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Dual { v: self.v + o.v, d: self.d + o.d }
    }
}
impl<T: Base> Sub for Dual<T> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Dual { v: self.v - o.v, d: self.d - o.d }
    }
}
impl<T: Base> Mul for Dual<T> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        Dual { v: self.v * o.v, d: self.v * o.d + self.d * o.v }
    }
}
impl<T: Base> Div for Dual<T> {
    type Output = Self;
    #[inline(always)]
    fn div(self, o: Self) -> Self {
        let q = self.v / o.v;
        Dual { v: q, d: (self.d - q * o.d) / o.v }
    }
}
impl<T: Base> Neg for Dual<T> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Dual { v: -self.v, d: -self.d }
    }
}
impl<T: Base> AddAssign for Dual<T> {
    #[inline(always)]
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}
impl<T: Base> SubAssign for Dual<T> {
    #[inline(always)]
    fn sub_assign(&mut self, o: Self) {
        *self = *self - o;
    }
}
impl<T: Base> MulAssign for Dual<T> {
    #[inline(always)]
    fn mul_assign(&mut self, o: Self) {
        *self = *self * o;
    }
}

impl<T: Base> Real for Dual<T> {
    type Base = T;
    const PARTS: usize = 2;
    #[inline(always)]
    fn of(x: f64) -> Self {
        Dual { v: T::of(x), d: T::of(0.0) }
    }
    #[inline(always)]
    fn lift(x: T) -> Self {
        Dual { v: x, d: T::of(0.0) }
    }
    #[inline(always)]
    fn value(self) -> T {
        self.v
    }
    #[inline(always)]
    fn tangent(self) -> T {
        self.d
    }
    #[inline(always)]
    fn dual(value: T, tangent: T) -> Self {
        Dual { v: value, d: tangent }
    }
    #[inline(always)]
    fn exp(self) -> Self {
        let e = self.v.exp();
        Dual { v: e, d: e * self.d }
    }
    #[inline(always)]
    fn ln(self) -> Self {
        Dual { v: self.v.ln(), d: self.d / self.v }
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        let s = self.v.sqrt();
        Dual { v: s, d: self.d / (s + s) }
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        let t = self.v.tanh();
        Dual { v: t, d: (T::of(1.0) - t * t) * self.d }
    }
    #[inline(always)]
    fn erf(self) -> Self {
        let slope = T::of(std::f64::consts::FRAC_2_SQRT_PI) * (-(self.v * self.v)).exp();
        Dual { v: self.v.erf(), d: slope * self.d }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dual_functions_agree_with_differences() {
        let h = 1e-6;
        type F = (fn(Dual<f64>) -> Dual<f64>, fn(f64) -> f64);
        let all: [F; 5] = [
            (Dual::exp, <f64 as Real>::exp),
            (Dual::ln, <f64 as Real>::ln),
            (Dual::sqrt, <f64 as Real>::sqrt),
            (Dual::tanh, <f64 as Real>::tanh),
            (Dual::erf, <f64 as Real>::erf),
        ];
        for (dual, plain) in all {
            for x in [0.3, 0.9, 1.7] {
                let slope = (plain(x + h) - plain(x - h)) / (2.0 * h);
                assert!((dual(Dual { v: x, d: 1.0 }).d - slope).abs() < 1e-8);
            }
        }
    }
}
