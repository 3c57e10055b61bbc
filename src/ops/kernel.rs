//! Tile kernels of elementwise rows: one definition per operator gives its f64 meaning and its f32
//! and f64 tile loops, compiled for the base instruction set, for AVX2 and for AVX-512, chosen at run
//! time. No operation is contracted or reordered, so all give the same bits.

use super::row::{Eval, Exec, Operand};
use super::take::{Cheap, Elements, One, Taken, taken};
use super::vecmath::Real;
#[cfg(target_arch = "x86_64")]
use std::sync::OnceLock;

/// Instruction sets that kernels are compiled for, the narrowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Isa {
    /// What every machine of the architecture has.
    Base,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
}

/// The widest instruction set of this machine.
#[inline]
pub(super) fn detected() -> Isa {
    #[cfg(target_arch = "x86_64")]
    {
        static FOUND: OnceLock<Isa> = OnceLock::new();
        *FOUND.get_or_init(look)
    }
    #[cfg(not(target_arch = "x86_64"))]
    Isa::Base
}

#[cfg(target_arch = "x86_64")]
fn look() -> Isa {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let foundation = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
    let wide = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512dq");
    match (avx2, foundation && wide) {
        (true, true) => Isa::Avx512,
        (true, false) => Isa::Avx2,
        _ => Isa::Base,
    }
}

#[cfg(test)]
std::thread_local! {
    /// The instruction set that a test wants.
    static FORCED: std::cell::Cell<Option<Isa>> = const { std::cell::Cell::new(None) };
}

/// The instruction set to run with.
#[inline]
pub(super) fn isa() -> Isa {
    #[cfg(test)]
    if let Some(set) = FORCED.get() {
        return set;
    }
    detected()
}

/// A function of `N` elements.
pub trait Map<const N: usize> {
    /// Has it a plain form?
    const GUARDED: bool = false;
    /// Is it a cheap step?
    const CHEAP: Option<Cheap> = None;
    /// The function.
    fn f<T: Real>(x: [T; N]) -> T;
    /// A shorter form, with the same bits where no key is over the limit.
    #[inline(always)]
    fn plain<T: Real>(x: [T; N]) -> T {
        Self::f(x)
    }
    /// How far from ordinary the operands are.
    #[inline(always)]
    fn key<T: Real>(_: [T; N]) -> T::Bits {
        T::Bits::default()
    }
    /// The largest key for which the plain form holds.
    #[inline(always)]
    fn limit<T: Real>() -> T::Bits {
        T::Bits::default()
    }
}

/// Defines a [`Map`]: `map!(Relu, |a| ...)`, as a cheap step `map!(Abs, cheap Abs, |a| ...)`, with a plain form `map!(Exp, |a| ..., plain ..., key ...,
/// limit ...)`; the element type is `T`.
macro_rules! map {
    ($name:ident, $(cheap $cheap:ident,)? |$($a:ident),+| $body:expr) => {
        struct $name;
        impl $crate::ops::kernel::Map<{ [$(stringify!($a)),+].len() }> for $name {
            $(const CHEAP: Option<$crate::ops::take::Cheap> = Some($crate::ops::take::Cheap::$cheap);)?
            #[inline(always)]
            fn f<T: $crate::ops::vecmath::Real>([$($a),+]: [T; [$(stringify!($a)),+].len()]) -> T {
                $body
            }
        }
    };
    ($name:ident, |$a:ident| $body:expr, plain $plain:expr, key $key:expr, limit $limit:ident) => {
        struct $name;
        impl $crate::ops::kernel::Map<1> for $name {
            const GUARDED: bool = true;
            #[inline(always)]
            fn f<T: $crate::ops::vecmath::Real>([$a]: [T; 1]) -> T {
                $body
            }
            #[inline(always)]
            fn plain<T: $crate::ops::vecmath::Real>([$a]: [T; 1]) -> T {
                $plain
            }
            #[inline(always)]
            fn key<T: $crate::ops::vecmath::Real>([$a]: [T; 1]) -> T::Bits {
                $key
            }
            #[inline(always)]
            fn limit<T: $crate::ops::vecmath::Real>() -> T::Bits {
                T::$limit
            }
        }
    };
}
pub(super) use map;

/// Elements of a block that is computed anew where one of them is not ordinary.
const BLOCK: usize = 256;

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
    match args {
        [Operand::Slice(a)] if M::GUARDED => {
            guarded::<M, T>(out, One { x: &a[..n], f: |x| x, ahead: 0 });
        }
        &[a] => each!(a, n, |a| fill(out, |i| M::f([a(i)]))),
        _ => {}
    }
}
/// Runs the plain form block by block, and the full one again over blocks where it does not hold.
#[inline(always)]
fn guarded<M: Map<1>, T: Real>(out: &mut [T], a: impl Elements<T>) {
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        a.ask(block * BLOCK, out.len());
        let a = a.part(block * BLOCK, out.len());
        let mut most = T::Bits::default();
        a.each(out, |o, x| {
            most = most.max(M::key([x]));
            *o = M::plain([x]);
        });
        if most > M::limit::<T>() {
            a.each(out, |o, x| *o = M::f([x]));
        }
    }
}
#[inline(always)]
fn tile_taken<M: Map<1>>(out: &mut [f32], operand: &Taken<'_>) {
    taken!(operand, |x: f32| x, |a| guarded::<M, f32>(out, a));
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

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn wide_taken<M: Map<1>>(out: &mut [f32], operand: &Taken<'_>) {
    tile_taken::<M>(out, operand);
}
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn widest_taken<M: Map<1>>(out: &mut [f32], operand: &Taken<'_>) {
    tile_taken::<M>(out, operand);
}
fn run_taken<M: Map<1>>(out: &mut [f32], operand: &Taken<'_>) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the features were detected on this machine.
    match isa() {
        Isa::Avx512 => return unsafe { widest_taken::<M>(out, operand) },
        Isa::Avx2 => return unsafe { wide_taken::<M>(out, operand) },
        Isa::Base => {}
    }
    tile_taken::<M>(out, operand);
}
/// The kernel that takes steps in passing, of a function of one element that has a plain form.
const fn passing<M: Map<1>>(exec: (Eval, Exec)) -> (Eval, Exec) {
    match exec {
        (eval, Exec::Elementwise { f32, f64, cuda, cheap, .. }) if M::GUARDED => {
            (eval, Exec::Elementwise { f32, f64, cuda, cheap, taken: Some(run_taken::<M>) })
        }
        other => other,
    }
}
/// Meaning and kernels of an elementwise row of one operand.
pub(super) const fn exec1<M: Map<1>>(cuda: &'static str) -> (Eval, Exec) {
    passing::<M>(bare1::<M>(cuda))
}

/// The kernel, dispatched on the instruction set, and the row fields made of it.
macro_rules! dispatched {
    ($n:literal, $tile:ident, $wide:ident, $widest:ident, $run:ident, $scalar:ident, $exec:ident) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn $wide<M: Map<$n>, T: Real>(out: &mut [T], args: &[Operand<'_, T>]) {
            $tile::<M, T>(out, args);
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn $widest<M: Map<$n>, T: Real>(out: &mut [T], args: &[Operand<'_, T>]) {
            $tile::<M, T>(out, args);
        }
        fn $run<M: Map<$n>, T: Real>(out: &mut [T], args: &[Operand<'_, T>]) {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the features were detected on this machine.
            match isa() {
                Isa::Avx512 => return unsafe { $widest::<M, T>(out, args) },
                Isa::Avx2 => return unsafe { $wide::<M, T>(out, args) },
                Isa::Base => {}
            }
            $tile::<M, T>(out, args);
        }
        fn $scalar<M: Map<$n>>(args: &[f64]) -> f64 {
            <[f64; $n]>::try_from(args).map_or(f64::NAN, M::f)
        }
        /// Meaning and kernels of an elementwise row.
        pub(super) const fn $exec<M: Map<$n>>(cuda: &'static str) -> (Eval, Exec) {
            let exec = Exec::Elementwise {
                f32: $run::<M, f32>,
                f64: $run::<M, f64>,
                cuda,
                taken: None,
                cheap: M::CHEAP,
            };
            (Eval::Scalar($scalar::<M>), exec)
        }
    };
}
dispatched!(1, tile1, wide1, widest1, run1, scalar1, bare1);
dispatched!(2, tile2, wide2, widest2, run2, scalar2, exec2);
dispatched!(3, tile3, wide3, widest3, run3, scalar3, exec3);

#[cfg(test)]
mod tests {
    use super::super::elementwise::ROWS;
    use super::*;

    /// Every kernel through every instruction set of this machine.
    #[test]
    fn instruction_sets_give_the_same_bits() {
        let x: Vec<f32> = (0..70_001u32)
            .map(|i| match i % 7 {
                0 => f32::from_bits(i.wrapping_mul(0x9e37_79b9)),
                _ => (i as f32 * 0.37).sin() * 90.0,
            })
            .collect();
        let y: Vec<f32> = x.iter().rev().copied().collect();
        for row in ROWS {
            let Exec::Elementwise { f32: run, .. } = row.exec else { continue };
            let args: Vec<Operand<'_, f32>> =
                [&x, &y, &x][..row.values.len()].iter().map(|s| Operand::Slice(s)).collect();
            let with = |set: Isa| {
                let mut out = vec![0.0; x.len()];
                FORCED.set(Some(set));
                run(&mut out, &args);
                FORCED.set(None);
                out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let base = with(Isa::Base);
            for set in [Isa::Avx2, Isa::Avx512].into_iter().filter(|s| *s <= detected()) {
                let got = with(set);
                // The sign of a NaN is nobody's business.
                let nan = |b: u32| f32::from_bits(b).is_nan();
                let same = |(a, b): (&u32, &u32)| a == b || (nan(*a) && nan(*b));
                assert!(base.iter().zip(&got).all(same), "{} on {set:?}", row.name);
            }
        }
    }

    /// Steps taken in passing give the bits of the steps one by one, through every instruction set.
    #[test]
    fn nothing_changes_in_passing() {
        use super::super::take::Join;
        let x: Vec<f32> = (0..1500u32)
            .map(|i| {
                if i % 9 == 0 { f32::from_bits(i.wrapping_mul(0x9e37_79b9)) } else { (i as f32).sin() * 9.0 }
            })
            .collect();
        let y: Vec<f32> = x.iter().rev().copied().collect();
        let unsigned = Taken { mask: Taken::UNSIGNED, y: &y, ..Taken::plain(&x) };
        let steps = |t: &Taken<'_>, a: f32, b: f32| {
            let bits = |v: f32| f32::from_bits(v.to_bits() & t.mask);
            match t.join {
                Join::Scaled => (bits(a) + t.add) * t.by,
                Join::Divided => (bits(a) + t.add) / t.by,
                Join::Sum => bits(a + b),
                Join::Difference => bits(a - b),
                Join::Product => bits(a * b),
                Join::Quotient => bits(a / b),
            }
        };
        let joins = [Join::Sum, Join::Difference, Join::Product, Join::Quotient];
        let mut all: Vec<Taken<'_>> = joins.map(|join| Taken { join, ..unsigned }).to_vec();
        all.push(Taken::plain(&x));
        all.push(Taken { add: 1e-9, by: -1.0, ahead: 64, ..unsigned });
        all.push(Taken { join: Join::Divided, add: -0.3, by: 0.7, mask: Taken::SIGNED, ..unsigned });
        let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        for row in ROWS {
            let Exec::Elementwise { f32: run, taken: Some(kernel), .. } = row.exec else { continue };
            for t in &all {
                let before: Vec<f32> = x.iter().zip(&y).map(|(&a, &b)| steps(t, a, b)).collect();
                let mut want = vec![0.0; x.len()];
                run(&mut want, &[Operand::Slice(&before)]);
                for set in [Isa::Base, Isa::Avx2, Isa::Avx512].into_iter().filter(|s| *s <= detected()) {
                    let mut got = vec![0.0; x.len()];
                    FORCED.set(Some(set));
                    kernel(&mut got, t);
                    FORCED.set(None);
                    assert!(
                        want.iter().zip(&got).all(|(a, b)| same(*a, *b)),
                        "{} {:?} {set:?}",
                        row.name,
                        t.join
                    );
                }
            }
        }
        // What stands for no step changes nothing.
        let plain = Taken::plain(&x);
        assert!(x.iter().all(|&v| same(steps(&plain, v, v), v)));
        for row in super::super::reduce::ROWS {
            let Exec::Reduce(reduce) = row.exec else { continue };
            let Some(take) = reduce.taken else { continue };
            for (t, square) in all.iter().flat_map(|t| [(t, false), (t, true)]) {
                let values = x.iter().zip(&y).map(|(&a, &b)| steps(t, a, b));
                let before: Vec<f32> = values.map(|v| if square { v * v } else { v }).collect();
                let (mut want, mut got) = (reduce.init, reduce.init);
                (reduce.f32)(&mut want, &before);
                take(&mut got, &Taken { square, ..*t });
                let same = want
                    .iter()
                    .zip(&got)
                    .all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan());
                assert!(same, "{} {:?}: {got:?}, not {want:?}", row.name, t.join);
            }
        }
    }
}
