//! Branch-free f32 functions that the compiler turns into SIMD loops, in fused steps. Accurate to a few
//! units in the last place, which is what a forward pass in f32 resolves.

/// Coefficients times powers of `$z`, the highest first.
macro_rules! fused {
    ($z:expr, $first:expr $(, $c:expr)*) => {{
        let p: f32 = $first;
        $(let p = p.mul_add($z, $c);)*
        p
    }};
}

/// e^x for finite or infinite x (a polynomial of least relative error after range reduction by powers of
/// two, see `ops::vecmath`).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let c = x.clamp(-87.33, 88.37);
    let shifted = c.mul_add(std::f32::consts::LOG2_E, 12_582_912.0);
    let n = shifted - 12_582_912.0;
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, c));
    let p = fused!(r, 1.381_461_3e-3, 8.368_71e-3, 4.166_839e-2, 1.666_652_1e-1, 4.999_999_4e-1);
    let p = p.mul_add(r * r, r) + 1.0;
    // The low bits of `shifted` hold n as an integer: shift them into the exponent.
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    let y = p * scale;
    let y = if x < -87.33 { 0.0 } else { y };
    if x > 88.37 { f32::INFINITY } else { y }
}

/// tanh x as a rational function (Eigen's coefficients).
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let c = x.clamp(-7.905_311, 7.905_311);
    let s = c * c;
    let p = fused!(
        s,
        -2.760_768_5e-16,
        2.000_188e-13,
        -8.604_672e-11,
        5.122_297e-8,
        1.485_722_4e-5,
        6.372_619_3e-4,
        4.893_524_6e-3
    );
    let q = fused!(s, 1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3);
    // A unit beyond 1 would turn the sign of 1 + tanh, and with it of a GELU's tail.
    (c * p / q).clamp(-1.0, 1.0)
}

/// erf x as a rational function (Eigen's coefficients).
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let c = x.clamp(-4.0, 4.0);
    let s = c * c;
    let p = fused!(
        s,
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2
    );
    let q = fused!(s, -1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2);
    (c * p / q).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn close_to_libm() {
        let mut worst = [0f64; 3];
        for i in -80_000..80_000 {
            let x = i as f32 * 1e-3;
            let rel = |a: f32, b: f64| (f64::from(a) - b).abs() / b.abs().max(1e-30);
            worst[0] = worst[0].max(rel(super::exp(x), libm::exp(x.into())));
            worst[1] = worst[1].max(rel(super::tanh(x), libm::tanh(x.into())));
            worst[2] = worst[2].max(rel(super::erf(x), libm::erf(x.into())));
        }
        assert!(worst.iter().all(|&w| w < 1e-6), "{worst:?}");
    }

    #[test]
    fn sigmoids_stay_within_one() {
        for i in -80_000..80_000 {
            let x = i as f32 * 1e-3;
            assert!(super::erf(x).abs() <= 1.0 && super::tanh(x).abs() <= 1.0, "at {x}");
        }
    }

    #[test]
    fn exp_at_the_ends() {
        assert_eq!(super::exp(-1e4), 0.0);
        assert_eq!(super::exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(super::exp(f32::INFINITY), f32::INFINITY);
        assert!(super::exp(f32::NAN).is_nan());
    }
}
