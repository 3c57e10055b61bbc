//! f32: exp and log by polynomials fitted for the least largest relative error (Lawson's iteration, 1961),
//! as short as one unit in the last place allows, and summed in pairs (Estrin, 1960): what counts is how
//! many steps wait for each other. tanh by the polynomial of Cephes (Moshier, 1992). Steps are fused; a
//! machine without a fused multiply-add calls a function for each, slow and with the same bits.

// Constants as they were fitted or published.
#![allow(clippy::excessive_precision)]

use super::{Real, horner};

/// Adding and subtracting 1.5·2²³ rounds to a whole number.
const MAGIC: f32 = 12_582_912.0;
/// ln 2 in two parts, the first short enough for exact products with exponents.
const LN2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
/// Bits of √½.
const ROOT: u32 = 0x3f35_04f3;
const INFINITY: u32 = f32::INFINITY.to_bits();

/// eˣ less its power of two, and the bits of [`MAGIC`] plus its exponent.
#[inline(always)]
fn exp_parts(x: f32) -> (f32, u32) {
    let shifted = x.mul_add(std::f32::consts::LOG2_E, MAGIC);
    let k = shifted - MAGIC;
    let r = k.mul_add(-LN2.1, k.mul_add(-LN2.0, x));
    let z = r * r;
    let low = 1.666_652_1e-1f32.mul_add(r, 4.999_999_4e-1);
    let high = 8.368_71e-3f32.mul_add(r, 4.166_838_9e-2);
    let p = 1.381_461_3e-3f32.mul_add(z, high).mul_add(z, low);
    (p.mul_add(z, r) + 1.0, shifted.to_bits())
}

/// 2ᵏ where that is a normal number.
#[inline(always)]
fn power(k: u32) -> f32 {
    f32::from_bits((k << 23).wrapping_add(1.0f32.to_bits()))
}

/// log of 2ᵏ (1 + f) with 1 + f between √½ and √2, from the bits of 1 + f times 2ᵏ less those of √½.
#[inline(always)]
fn ln_parts(i: u32, bias: f32) -> f32 {
    let k = ((i as i32) >> 23) as f32 - bias;
    let f = f32::from_bits((i & 0x007f_ffff) + ROOT) - 1.0;
    let z = f * f;
    let a = 3.333_395_1e-1f32.mul_add(f, -4.999_999e-1);
    let b = 1.996_207_2e-1f32.mul_add(f, -2.500_175_5e-1);
    let c = 1.491_797_6e-1f32.mul_add(f, -1.657_050_7e-1);
    let d = 8.734_844e-2f32.mul_add(f, -1.430_752_7e-1);
    let p = d.mul_add(z, c).mul_add(z * z, b.mul_add(z, a));
    // With a fused step one part of ln 2 is exact enough.
    k.mul_add(std::f32::consts::LN_2, p.mul_add(z, f))
}

impl Real for f32 {
    type Bits = u32;
    const EXP_LIMIT: u32 = 87.0f32.to_bits();
    const LN_LIMIT: u32 = INFINITY - 1 - f32::MIN_POSITIVE.to_bits();
    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }
    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        let x = if self > 89.0 { 89.0 } else { self };
        let x = if x < -105.0 { -105.0 } else { x };
        let (y, k) = exp_parts(x);
        // Two factors, where one would leave the range of exponents.
        let k = k.wrapping_sub(MAGIC.to_bits());
        let half = ((k as i32) >> 1) as u32;
        y * power(half) * power(k.wrapping_sub(half))
    }
    #[inline(always)]
    fn exp_plain(self) -> Self {
        let (y, k) = exp_parts(self);
        // Times 2ᵏ, which leaves a normal number; what MAGIC adds to the bits is shifted out.
        f32::from_bits(y.to_bits().wrapping_add(k << 23))
    }
    #[inline(always)]
    fn exp_key(self) -> u32 {
        self.to_bits() & 0x7fff_ffff
    }
    #[inline(always)]
    fn ln(self) -> Self {
        let tiny = self < f32::MIN_POSITIVE;
        let x = if tiny { self * 8_388_608.0 } else { self };
        let y = ln_parts(x.to_bits().wrapping_sub(ROOT), if tiny { 23.0 } else { 0.0 });
        // By bits: comparisons of numbers become classes of numbers, which are slow.
        let bits = self.to_bits();
        let odd = if bits == INFINITY { self } else { f32::NAN };
        let odd = if bits << 1 == 0 { f32::NEG_INFINITY } else { odd };
        if bits.wrapping_sub(1) < INFINITY - 1 { y } else { odd }
    }
    #[inline(always)]
    fn ln_plain(self) -> Self {
        ln_parts(self.to_bits().wrapping_sub(ROOT), 0.0)
    }
    #[inline(always)]
    fn ln_key(self) -> u32 {
        self.to_bits().wrapping_sub(f32::MIN_POSITIVE.to_bits())
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        let z = self * self;
        let small =
            horner!(z, -5.704_988_7e-3f32, 2.063_908_9e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328_2e-1);
        // From 10 on, tanh is 1.
        let twice = 2.0 * self.abs();
        let e = Real::exp_plain(if twice > 20.0 { 20.0 } else { twice });
        let large = 1.0 - 2.0 / (e + 1.0);
        // The plain exponential does not pass NaN on.
        let large = if self.is_nan() { self } else { large.copysign(self) };
        if self.abs() < 0.625 { self + self * z * small } else { large }
    }
    #[inline(always)]
    fn erf(self) -> Self {
        libm::erff(self)
    }
    #[inline(always)]
    fn powf(self, y: Self) -> Self {
        f32::powf(self, y)
    }
}
