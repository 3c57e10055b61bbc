//! Loops compiled for several instruction sets, the widest of which is taken at run time, and sums
//! over lanes, which vectorise because their order is fixed here and not by the slice.
//!
//! Nothing is contracted or reordered by the compiler, so the bits do not depend on the machine.

use super::real::Real;

/// Defines functions whose bodies are compiled for the base instruction set, AVX2 and AVX-512.
macro_rules! wide {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident<$($g:ident: $bound:path),+>($($arg:ident: $ty:ty),* $(,)?) $(-> $out:ty)? $body:block
    )+) => {$(
        $(#[$meta])*
        $vis fn $name<$($g: $bound),+>($($arg: $ty),*) $(-> $out)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body<$($g: $bound),+>($($arg: $ty),*) $(-> $out)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn v4<$($g: $bound),+>($($arg: $ty),*) $(-> $out)? {
                body::<$($g),+>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn v3<$($g: $bound),+>($($arg: $ty),*) $(-> $out)? {
                body::<$($g),+>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            match $crate::tensor::simd::level() {
                // SAFETY: `level` detected the features on this machine.
                4 => return unsafe { v4::<$($g),+>($($arg),*) },
                // SAFETY: as above.
                3 => return unsafe { v3::<$($g),+>($($arg),*) },
                _ => {}
            }
            body::<$($g),+>($($arg),*)
        }
    )+};
}
pub(crate) use wide;

/// The x86-64 level of this machine, as far as it matters here: 4 (AVX-512), 3 (AVX2) or 1.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn level() -> u8 {
    let v3 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let v4 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq");
    match (v3, v4) {
        (true, true) => 4,
        (true, false) => 3,
        _ => 1,
    }
}

/// Partial sums that are kept apart.
const LANES: usize = 16;

#[inline(always)]
fn join<R: Real>(mut acc: [R; LANES]) -> R {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            acc[i] += acc[i + half];
        }
        half /= 2;
    }
    acc[0]
}

/// The sum of `f` over `x`.
#[inline(always)]
pub fn sum1<R: Real>(x: &[R], f: impl Fn(R) -> R) -> R {
    let mut acc = [R::default(); LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for c in chunks {
        for i in 0..LANES {
            acc[i] += f(c[i]);
        }
    }
    for (a, &v) in acc.iter_mut().zip(rest) {
        *a += f(v);
    }
    join(acc)
}

/// The sum of `f` over pairs of `x` and `y`.
#[inline(always)]
pub fn sum2<R: Real>(x: &[R], y: &[R], f: impl Fn(R, R) -> R) -> R {
    let mut acc = [R::default(); LANES];
    let ((xs, xr), (ys, yr)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (x, y) in xs.iter().zip(ys) {
        for i in 0..LANES {
            acc[i] += f(x[i], y[i]);
        }
    }
    for ((a, &x), &y) in acc.iter_mut().zip(xr).zip(yr) {
        *a += f(x, y);
    }
    join(acc)
}

/// Three sums over triples of `x`, `y` and `z` at once.
#[inline(always)]
pub fn sums3<R: Real>(x: &[R], y: &[R], z: &[R], f: impl Fn(R, R, R) -> [R; 3]) -> [R; 3] {
    let mut acc = [[R::default(); LANES]; 3];
    let (xs, xr) = x.as_chunks::<LANES>();
    let (ys, yr) = y.as_chunks::<LANES>();
    let (zs, zr) = z.as_chunks::<LANES>();
    for ((x, y), z) in xs.iter().zip(ys).zip(zs) {
        for i in 0..LANES {
            let s = f(x[i], y[i], z[i]);
            acc[0][i] += s[0];
            acc[1][i] += s[1];
            acc[2][i] += s[2];
        }
    }
    for (i, ((&x, &y), &z)) in xr.iter().zip(yr).zip(zr).enumerate() {
        let s = f(x, y, z);
        for k in 0..3 {
            acc[k][i] += s[k];
        }
    }
    acc.map(join)
}

/// The largest value part; of nothing, 0.
#[inline(always)]
pub fn top<R: Real>(x: &[R]) -> R::Base {
    let Some(&first) = x.first() else { return R::Base::default() };
    let mut acc = [first.value(); LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for c in chunks {
        for i in 0..LANES {
            let v = c[i].value();
            acc[i] = if v > acc[i] { v } else { acc[i] };
        }
    }
    for (a, v) in acc.iter_mut().zip(rest) {
        let v = v.value();
        *a = if v > *a { v } else { *a };
    }
    let mut best = acc[0];
    for a in acc {
        best = if a > best { a } else { best };
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    wide! {
        fn twice<R: Real>(x: &mut [R]) -> R {
            for v in x.iter_mut() {
                *v = *v + *v;
            }
            sum1(x, |v| v)
        }
    }

    #[test]
    fn sums_of_any_length() {
        for n in [0, 1, 15, 16, 17, 100] {
            let x: Vec<f64> = (0..n).map(|i| i as f64).collect();
            let total: f64 = x.iter().sum();
            assert_eq!(sum1(&x, |v| v), total);
            assert_eq!(sum2(&x, &x, |a, b| a + b), 2.0 * total);
            assert_eq!(sums3(&x, &x, &x, |a, b, c| [a, a + b, a + b + c]), [total, 2.0 * total, 3.0 * total]);
            assert_eq!(top(&x), n.max(1) as f64 - 1.0);
            assert_eq!(twice(&mut x.clone()), 2.0 * total);
        }
    }
}
