//! Tile kernels of elementwise rows: one definition per operator gives its f64 meaning and its f32
//! and f64 tile loops, compiled for the base instruction set and for AVX2, chosen at run time.
//! No operation is contracted or reordered, so both give the same bits.

use super::row::{Eval, Exec, Operand};
use super::vecmath::Real;

/// A function of `N` elements.
pub trait Map<const N: usize> {
    /// The function.
    fn f<T: Real>(x: [T; N]) -> T;
}

/// Defines a [`Map`]: `map!(Relu, |a| ...)`; the element type is `T`.
macro_rules! map {
    ($name:ident, |$($a:ident),+| $body:expr) => {
        struct $name;
        impl $crate::ops::kernel::Map<{ [$(stringify!($a)),+].len() }> for $name {
            #[inline(always)]
            fn f<T: $crate::ops::vecmath::Real>([$($a),+]: [T; [$(stringify!($a)),+].len()]) -> T {
                $body
            }
        }
    };
}
pub(super) use map;

/// Runs `$body` with `$get` an accessor of elements of `$op`.
macro_rules! each {
    ($op:expr, $n:expr, |$get:ident| $body:expr) => {
        match $op {
            Operand::Slice(s) => {
                let s = &s[..$n];
                let $get = |i: usize| s[i];
                $body
            }
            Operand::Splat(v) => {
                let $get = |_: usize| v;
                $body
            }
        }
    };
}

#[inline(always)]
fn fill<T: Copy>(out: &mut [T], f: impl Fn(usize) -> T) {
    for (i, o) in out.iter_mut().enumerate() {
        *o = f(i);
    }
}

#[inline(always)]
fn tile1<M: Map<1>, T: Real>(out: &mut [T], args: &[Operand<'_, T>]) {
    let n = out.len();
    if let &[a] = args {
        each!(a, n, |a| fill(out, |i| M::f([a(i)])));
    }
}
#[inline(always)]
fn tile2<M: Map<2>, T: Real>(out: &mut [T], args: &[Operand<'_, T>]) {
    let n = out.len();
    if let &[a, b] = args {
        each!(a, n, |a| each!(b, n, |b| fill(out, |i| M::f([a(i), b(i)]))));
    }
}
#[inline(always)]
fn tile3<M: Map<3>, T: Real>(out: &mut [T], args: &[Operand<'_, T>]) {
    let n = out.len();
    if let &[a, b, c] = args {
        each!(a, n, |a| each!(b, n, |b| each!(c, n, |c| fill(out, |i| M::f([a(i), b(i), c(i)])))));
    }
}

/// The kernel, dispatched on the instruction set, and the row fields made of it.
macro_rules! dispatched {
    ($n:literal, $tile:ident, $wide:ident, $run:ident, $scalar:ident, $exec:ident) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn $wide<M: Map<$n>, T: Real>(out: &mut [T], args: &[Operand<'_, T>]) {
            $tile::<M, T>(out, args);
        }
        fn $run<M: Map<$n>, T: Real>(out: &mut [T], args: &[Operand<'_, T>]) {
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: the features were detected on this machine.
                return unsafe { $wide::<M, T>(out, args) };
            }
            $tile::<M, T>(out, args);
        }
        fn $scalar<M: Map<$n>>(args: &[f64]) -> f64 {
            <[f64; $n]>::try_from(args).map_or(f64::NAN, M::f)
        }
        /// Meaning and kernels of an elementwise row.
        pub(super) const fn $exec<M: Map<$n>>(cuda: &'static str) -> (Eval, Exec) {
            let exec = Exec::Elementwise { f32: $run::<M, f32>, f64: $run::<M, f64>, cuda };
            (Eval::Scalar($scalar::<M>), exec)
        }
    };
}
dispatched!(1, tile1, wide1, run1, scalar1, exec1);
dispatched!(2, tile2, wide2, run2, scalar2, exec2);
dispatched!(3, tile3, wide3, run3, scalar3, exec3);
