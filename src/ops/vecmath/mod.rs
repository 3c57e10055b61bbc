//! Functions of the tile kernels, in one place. exp and log are written without branches or calls,
//! so that loops over them vectorise; they are within two units in the last place, and the same bits
//! on every machine: products and sums are fused where it is written so and nowhere else.
//!
//! Beside exp and log stand their *plain* forms, shorter by all that special, tiny and huge elements
//! take, and equal to them bit for bit where [`Real::exp_key`] and [`Real::ln_key`] are at most the
//! limits: kernels run the plain form over a block and go back where an element was not so.

mod double;
mod single;

use std::ops::{Add, Div, Mul, Neg, Sub};

/// Element type of tiles.
pub trait Real:
    Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// Bits of an element, for keys.
    type Bits: Copy + Ord + Default;
    /// The largest key of an element for which [`Real::exp_plain`] holds.
    const EXP_LIMIT: Self::Bits;
    /// The largest key of an element for which [`Real::ln_plain`] holds.
    const LN_LIMIT: Self::Bits;
    /// Nearest element to a constant.
    fn of(x: f64) -> Self;
    /// Exact widening.
    fn widen(self) -> f64;
    /// |x|
    fn abs(self) -> Self;
    /// √x
    fn sqrt(self) -> Self;
    /// eˣ
    fn exp(self) -> Self;
    /// eˣ where the key is within the limit.
    fn exp_plain(self) -> Self;
    /// How far from ordinary an element is to exp.
    fn exp_key(self) -> Self::Bits;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Natural logarithm where the key is within the limit.
    fn ln_plain(self) -> Self;
    /// How far from ordinary an element is to log.
    fn ln_key(self) -> Self::Bits;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Error function.
    fn erf(self) -> Self;
    /// xʸ
    fn powf(self, y: Self) -> Self;
}

/// Coefficients times powers of `z`, the highest first.
macro_rules! horner {
    ($z:expr, $first:expr $(, $c:expr)*) => {{
        let p = $first;
        $(let p = p * $z + $c;)*
        p
    }};
}
use horner;

#[cfg(test)]
mod tests {
    use super::Real;

    /// Units in the last place between `got` and `want`.
    fn ulps32(got: f32, want: f64) -> f64 {
        let w = want as f32;
        if got == w || (got.is_nan() && w.is_nan()) {
            return 0.0;
        }
        let ulp = f64::from(f32::from_bits(w.abs().to_bits() + 1)) - f64::from(w.abs());
        (f64::from(got) - want).abs() / ulp
    }
    fn ulps64(got: f64, want: f64) -> f64 {
        if got == want || (got.is_nan() && want.is_nan()) {
            return 0.0;
        }
        (got.to_bits() as i64 - want.to_bits() as i64).unsigned_abs() as f64
    }
    /// Every sort of number: special, tiny, huge, and a walk over all exponents.
    fn points() -> impl Iterator<Item = f64> {
        let special =
            [0.0, -0.0, 1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 5e-324, 1e-310, 2f64.powi(-149)];
        let all = (0..200_000u64).map(|i| f64::from_bits(i.wrapping_mul(0x0005_1234_5678_9abd)));
        let near = (0..200_000).map(|i| f64::from(i - 100_000) * 0.0078);
        special.into_iter().chain(all).chain(near)
    }

    fn plain_is_the_same<T: Real + std::fmt::Debug>(x: T) {
        let same = |a: T, b: T| assert!(a == b && a.widen().is_finite(), "{a:?} or {b:?} of {x:?}");
        if x.exp_key() <= T::EXP_LIMIT {
            same(x.exp_plain(), x.exp());
        }
        if x.ln_key() <= T::LN_LIMIT {
            same(x.ln_plain(), x.ln());
        }
    }

    #[test]
    fn within_one_or_two_units_of_the_last_place() {
        for x in points() {
            let y = x as f32;
            let wide = f64::from(y);
            assert!(ulps32(Real::exp(y), wide.exp()) <= 1.0, "exp({y}) = {}", Real::exp(y));
            assert!(ulps32(Real::ln(y), wide.ln()) <= 1.5, "ln({y}) = {}", Real::ln(y));
            assert!(ulps32(Real::tanh(y), wide.tanh()) <= 2.5, "tanh({y}) = {}", Real::tanh(y));
            assert!(ulps64(Real::exp(x), x.exp()) <= 2.0, "exp({x}) = {}", Real::exp(x));
            assert!(ulps64(Real::ln(x), x.ln()) <= 2.0, "ln({x}) = {}", Real::ln(x));
            plain_is_the_same(y);
            plain_is_the_same(x);
        }
    }
}
