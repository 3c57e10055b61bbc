//! Functions of the tile kernels, in one place. exp and log are written without branches or calls,
//! so that loops over them vectorise; they are within one unit in the last place, and the same bits
//! on every machine. Their polynomials are those of FreeBSD's msun (Sun Microsystems, 1993), tanh's
//! in f32 is that of Cephes (Moshier).

// Constants as published.
#![allow(clippy::excessive_precision)]

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
    /// Natural logarithm.
    fn ln(self) -> Self;
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

macro_rules! real {
    (
        $t:ident, $bits:ident, $mantissa:literal, erf: $erf:path, tanh: $tanh:path,
        exp: { ln2: ($ehi:literal, $elo:literal), poly: [$($p:literal),+], far: $far:literal, step: $step:literal, range: ($least:literal, $most:literal) },
        ln: { ln2: ($lhi:literal, $llo:literal), root_half: $root:literal, poly: [$($q:literal),+] }
    ) => {
        impl Real for $t {
            #[inline(always)]
            fn of(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn widen(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $t::abs(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $t::sqrt(self)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                // Adding and subtracting 1.5·2^mantissa rounds to a whole number.
                const MAGIC: $t = 1.5 * (1u64 << $mantissa) as $t;
                let x = if self > $most { $most } else { self };
                let x = if x < $least { $least } else { x };
                let k = (x * std::$t::consts::LOG2_E + MAGIC) - MAGIC;
                let (hi, lo) = (x - k * $ehi, k * $elo);
                let r = hi - lo;
                let c = r - r * r * horner!(r * r, $($p),+);
                let y = 1.0 - ((lo - (r * c) / (2.0 - c)) - hi);
                // Two factors, where one would leave the range of exponents.
                let (k, rest): ($t, $t) = if k < -$far {
                    (k + $step, 1.0 / (1u128 << $step as u32) as $t)
                } else if k > $far {
                    (k - $step, (1u128 << $step as u32) as $t)
                } else {
                    (k, 1.0)
                };
                let power = ((k + MAGIC).to_bits() << $mantissa).wrapping_add((1.0 as $t).to_bits());
                y * $t::from_bits(power) * rest
            }
            #[inline(always)]
            fn ln(self) -> Self {
                const ONE: $bits = (1.0 as $t).to_bits();
                const WHOLE: $t = (1u64 << $mantissa) as $t;
                let tiny = self < $t::MIN_POSITIVE;
                let x = if tiny { self * WHOLE } else { self };
                // x = 2^k (1 + f) with 1 + f between √½ and √2.
                let i = x.to_bits().wrapping_add(ONE - $root);
                let exponent = $t::from_bits((i >> $mantissa) | WHOLE.to_bits()) - WHOLE;
                let bias = (ONE >> $mantissa) as $t + if tiny { $mantissa as $t } else { 0.0 };
                let k = exponent - bias;
                let f = $t::from_bits((i & ((1 << $mantissa) - 1)) + $root) - 1.0;
                let s = f / (2.0 + f);
                let z = s * s;
                let r = z * horner!(z, $($q),+);
                let half = 0.5 * f * f;
                let y = k * $lhi - ((half - (s * (half + r) + k * $llo)) - f);
                let y = if self == $t::INFINITY { self } else { y };
                let y = if self == 0.0 { $t::NEG_INFINITY } else { y };
                if self >= 0.0 { y } else { $t::NAN }
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                $tanh(self)
            }
            #[inline(always)]
            fn erf(self) -> Self {
                $erf(self)
            }
            #[inline(always)]
            fn powf(self, y: Self) -> Self {
                $t::powf(self, y)
            }
        }
    };
}
real!(
    f32, u32, 23, erf: libm::erff, tanh: tanh32,
    exp: {
        ln2: (6.931_457_5e-1, 1.428_606_8e-6),
        poly: [-2.766_733_3e-3, 1.666_662_5e-1],
        far: 120.0, step: 60.0, range: (-105.0, 89.0)
    },
    ln: {
        ln2: (6.931_381_2e-1, 9.058_001e-6),
        root_half: 0x3f35_04f3,
        poly: [0.242_790_79, 0.284_987_87, 0.400_009_72, 0.666_666_6]
    }
);
real!(
    f64, u64, 52, erf: libm::erf, tanh: f64::tanh,
    exp: {
        ln2: (6.931_471_803_691_238_164_90e-1, 1.908_214_929_270_587_700_02e-10),
        poly: [
            4.138_136_797_057_238_460_39e-8,
            -1.653_390_220_546_525_153_90e-6,
            6.613_756_321_437_934_361_17e-5,
            -2.777_777_777_701_559_338_42e-3,
            1.666_666_666_666_660_190_37e-1
        ],
        far: 1000.0, step: 100.0, range: (-746.0, 710.0)
    },
    ln: {
        ln2: (6.931_471_803_691_238_164_90e-1, 1.908_214_929_270_587_700_02e-10),
        root_half: 0x3fe6_a09e_0000_0000,
        poly: [
            1.479_819_860_511_658_591e-1,
            1.531_383_769_920_937_332e-1,
            1.818_357_216_161_805_012e-1,
            2.222_219_843_214_978_396e-1,
            2.857_142_874_366_239_149e-1,
            3.999_999_999_940_941_908e-1,
            6.666_666_666_666_735_130e-1
        ]
    }
);

#[inline(always)]
fn tanh32(x: f32) -> f32 {
    let z = x * x;
    let small =
        horner!(z, -5.704_988_7e-3f32, 2.063_908_9e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328_2e-1);
    let large = 1.0 - 2.0 / (Real::exp(2.0 * x.abs()) + 1.0);
    if x.abs() < 0.625 { x + x * z * small } else { large.copysign(x) }
}

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

    #[test]
    fn within_one_or_two_units_of_the_last_place() {
        for x in points() {
            let y = x as f32;
            let wide = f64::from(y);
            assert!(ulps32(Real::exp(y), wide.exp()) <= 1.0, "exp({y}) = {}", Real::exp(y));
            assert!(ulps32(Real::ln(y), wide.ln()) <= 1.0, "ln({y}) = {}", Real::ln(y));
            assert!(ulps32(Real::tanh(y), wide.tanh()) <= 2.5, "tanh({y}) = {}", Real::tanh(y));
            assert!(ulps64(Real::exp(x), x.exp()) <= 2.0, "exp({x}) = {}", Real::exp(x));
            assert!(ulps64(Real::ln(x), x.ln()) <= 2.0, "ln({x}) = {}", Real::ln(x));
        }
    }
}
