//! f64: exp and log by the polynomials of FreeBSD's msun (Sun Microsystems, 1993), without fused
//! steps: the same functions give operators their meaning, one number at a time.

// Constants as published.
#![allow(clippy::excessive_precision)]

use super::{Real, horner};

/// Adding and subtracting 1.5·2⁵² rounds to a whole number.
const MAGIC: f64 = 1.5 * (1u64 << 52) as f64;
/// ln 2 in two parts.
const LN2: (f64, f64) = (6.931_471_803_691_238_164_90e-1, 1.908_214_929_270_587_700_02e-10);
/// Bits of √½, rounded.
const ROOT: u64 = 0x3fe6_a09e_0000_0000;
const ONE: u64 = 1.0f64.to_bits();
const INFINITY: u64 = f64::INFINITY.to_bits();
/// 2⁵²
const WHOLE: f64 = (1u64 << 52) as f64;

/// eˣ less its power of two, and its exponent.
#[inline(always)]
fn exp_parts(x: f64) -> (f64, f64) {
    let k = (x * std::f64::consts::LOG2_E + MAGIC) - MAGIC;
    let (hi, lo) = (x - k * LN2.0, k * LN2.1);
    let r = hi - lo;
    let z = r * r;
    let p = horner!(
        z,
        4.138_136_797_057_238_460_39e-8,
        -1.653_390_220_546_525_153_90e-6,
        6.613_756_321_437_934_361_17e-5,
        -2.777_777_777_701_559_338_42e-3,
        1.666_666_666_666_660_190_37e-1
    );
    let c = r - r * r * p;
    (1.0 - ((lo - (r * c) / (2.0 - c)) - hi), k)
}

/// 2ᵏ where that is a normal number.
#[inline(always)]
fn power(k: f64) -> f64 {
    f64::from_bits(((k + MAGIC).to_bits() << 52).wrapping_add(ONE))
}

/// log of 2ᵏ (1 + f) with 1 + f between √½ and √2, from bits that were moved by those of 1 less √½.
#[inline(always)]
fn ln_parts(i: u64, bias: f64) -> f64 {
    let exponent = f64::from_bits((i >> 52) | WHOLE.to_bits()) - WHOLE;
    let k = exponent - bias;
    let f = f64::from_bits((i & ((1 << 52) - 1)) + ROOT) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let p = horner!(
        z,
        1.479_819_860_511_658_591e-1,
        1.531_383_769_920_937_332e-1,
        1.818_357_216_161_805_012e-1,
        2.222_219_843_214_978_396e-1,
        2.857_142_874_366_239_149e-1,
        3.999_999_999_940_941_908e-1,
        6.666_666_666_666_735_130e-1
    );
    let half = 0.5 * f * f;
    k * LN2.0 - ((half - (s * (half + z * p) + k * LN2.1)) - f)
}

impl Real for f64 {
    type Bits = u64;
    const EXP_LIMIT: u64 = 700.0f64.to_bits();
    const LN_LIMIT: u64 = INFINITY - 1 - f64::MIN_POSITIVE.to_bits();
    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        let x = if self > 710.0 { 710.0 } else { self };
        let x = if x < -746.0 { -746.0 } else { x };
        let (y, k) = exp_parts(x);
        // Two factors, where one would leave the range of exponents.
        const STEP: f64 = (1u128 << 100) as f64;
        let (k, rest) = if k < -1000.0 {
            (k + 100.0, 1.0 / STEP)
        } else if k > 1000.0 {
            (k - 100.0, STEP)
        } else {
            (k, 1.0)
        };
        y * power(k) * rest
    }
    #[inline(always)]
    fn exp_plain(self) -> Self {
        let (y, k) = exp_parts(self);
        y * power(k)
    }
    #[inline(always)]
    fn exp_key(self) -> u64 {
        self.to_bits() & (u64::MAX >> 1)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        let tiny = self < f64::MIN_POSITIVE;
        let x = if tiny { self * WHOLE } else { self };
        let y = ln_parts(x.to_bits().wrapping_add(ONE - ROOT), if tiny { 1023.0 + 52.0 } else { 1023.0 });
        // By bits: comparisons of numbers become classes of numbers, which are slow.
        let bits = self.to_bits();
        let odd = if bits == INFINITY { self } else { f64::NAN };
        let odd = if bits << 1 == 0 { f64::NEG_INFINITY } else { odd };
        if bits.wrapping_sub(1) < INFINITY - 1 { y } else { odd }
    }
    #[inline(always)]
    fn ln_plain(self) -> Self {
        ln_parts(self.to_bits().wrapping_add(ONE - ROOT), 1023.0)
    }
    #[inline(always)]
    fn ln_key(self) -> u64 {
        self.to_bits().wrapping_sub(f64::MIN_POSITIVE.to_bits())
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        libm::erf(self)
    }
    #[inline(always)]
    fn powf(self, y: Self) -> Self {
        f64::powf(self, y)
    }
}
