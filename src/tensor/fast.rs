//! Branch-free f32 functions that the compiler turns into SIMD loops. Accurate to a few units in
//! the last place, which is what a forward pass in f32 resolves.

/// e^x for finite or infinite x (Cephes' polynomial after range reduction by powers of two).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let c = x.clamp(-87.33, 88.37);
    let shifted = c * std::f32::consts::LOG2_E + 12_582_912.0;
    let n = shifted - 12_582_912.0;
    let r = c - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    p = p * r * r + r + 1.0;
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
    let mut p = -2.760_768_5e-16;
    p = p * s + 2.000_188e-13;
    p = p * s - 8.604_672e-11;
    p = p * s + 5.122_297e-8;
    p = p * s + 1.485_722_4e-5;
    p = p * s + 6.372_619_3e-4;
    p = p * s + 4.893_524_6e-3;
    let mut q = 1.198_258_4e-6;
    q = q * s + 1.185_347_1e-4;
    q = q * s + 2.268_434_6e-3;
    q = q * s + 4.893_525e-3;
    // A unit beyond 1 would turn the sign of 1 + tanh, and with it of a GELU's tail.
    (c * p / q).clamp(-1.0, 1.0)
}

/// erf x as a rational function (Eigen's coefficients).
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let c = x.clamp(-4.0, 4.0);
    let s = c * c;
    let mut p = -2.726_142_3e-10;
    p = p * s + 2.770_681_4e-8;
    p = p * s - 2.101_024e-6;
    p = p * s - 5.692_506_4e-5;
    p = p * s - 7.349_906_3e-4;
    p = p * s - 2.954_6e-3;
    p = p * s - 1.609_603_3e-2;
    let mut q = -1.456_607_2e-5;
    q = q * s - 2.133_740_6e-4;
    q = q * s - 1.682_827e-3;
    q = q * s - 7.373_329e-3;
    q = q * s - 1.426_473_9e-2;
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
