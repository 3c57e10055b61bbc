//! What kernels take in passing: cheap steps on the way from the memory of a tile into a costlier kernel
//! or into a reduction, so that nothing in between is written and read again. Neutral numbers stand for
//! steps that are not there; they change no bit, so that a result does not depend on what was fused.

use super::vecmath::Real;

/// Elements that a reduction takes side by side.
pub(super) const LANES: usize = 32;

/// A cheap elementwise operator, as a step that can be taken in passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cheap {
    /// |x|
    Abs,
    /// -x
    Neg,
    /// x·x
    Square,
    /// x + y
    Add,
    /// x - y
    Sub,
    /// x·y
    Mul,
    /// x / y
    Div,
    /// xʸ, cheap where y is 2.
    Pow,
}

/// How elements of one or two tiles are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Join {
    /// (x + add)·by
    Scaled,
    /// (x + add) / by
    Divided,
    /// x + y
    Sum,
    /// x - y
    Difference,
    /// x·y
    Product,
    /// x / y
    Quotient,
}

/// Elements of a tile and the steps that are taken in passing.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'a> {
    /// How.
    pub join: Join,
    /// The tile.
    pub x: &'a [f32],
    /// The second tile, as long; where there is none, anything.
    pub y: &'a [f32],
    /// Before a number is added, or after two tiles are joined: the bits that stay.
    pub mask: u32,
    /// The number that is added, -0 where there is none.
    pub add: f32,
    /// The number that scales, 1 where there is none.
    pub by: f32,
    /// Is the result squared?
    pub square: bool,
    /// How many elements ahead memory is asked for; 0 where the tile is in cache.
    pub ahead: usize,
}

impl<'a> Taken<'a> {
    /// All bits stay.
    pub const SIGNED: u32 = u32::MAX;
    /// All bits but the sign.
    pub const UNSIGNED: u32 = u32::MAX >> 1;

    /// A tile as it is.
    pub fn plain(x: &'a [f32]) -> Self {
        Taken { join: Join::Scaled, x, y: x, mask: Self::SIGNED, add: -0.0, by: 1.0, square: false, ahead: 0 }
    }
    /// Elements `range` alone.
    pub fn part(self, range: std::ops::Range<usize>) -> Self {
        Taken { x: &self.x[range.clone()], y: &self.y[range], ..self }
    }
}

/// Elements that a kernel reads.
pub(super) trait Elements<T: Real>: Copy {
    /// Number of elements.
    fn len(&self) -> usize;
    /// `n` elements from `at` on.
    fn part(&self, at: usize, n: usize) -> Self;
    /// The first element, of none 0.
    fn first(&self) -> T;
    /// `f` of every place of `to` and the element that stands against it. With zipped slices, for an index
    /// would be checked, which costs a vector loop its last turn.
    fn each<O>(&self, to: &mut [O], f: impl FnMut(&mut O, T));
    /// The `c`-th [`LANES`] elements.
    fn lanes(&self, c: usize) -> impl Fn(usize) -> T;
    /// Asks memory for what comes a while after the first `n` elements from `at` on.
    fn ask(&self, at: usize, n: usize);
}

/// A function of the elements of a tile.
#[derive(Clone, Copy)]
pub(super) struct One<'a, T, F> {
    pub x: &'a [T],
    pub f: F,
    pub ahead: usize,
}

impl<T: Real, F: Fn(T) -> T + Copy> Elements<T> for One<'_, T, F> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.x.len()
    }
    #[inline(always)]
    fn part(&self, at: usize, n: usize) -> Self {
        One { x: &self.x[at..at + n], ..*self }
    }
    #[inline(always)]
    fn first(&self) -> T {
        self.x.first().map_or(T::of(0.0), |&x| (self.f)(x))
    }
    #[inline(always)]
    fn each<O>(&self, to: &mut [O], mut f: impl FnMut(&mut O, T)) {
        for (o, &x) in to.iter_mut().zip(self.x) {
            f(o, (self.f)(x));
        }
    }
    #[inline(always)]
    fn lanes(&self, c: usize) -> impl Fn(usize) -> T {
        let (x, f) = (&self.x.as_chunks::<LANES>().0[c], self.f);
        move |i| f(x[i])
    }
    #[inline(always)]
    fn ask(&self, at: usize, n: usize) {
        ask(self.x, at + self.ahead, n);
    }
}

/// A function of the elements of two tiles.
#[derive(Clone, Copy)]
pub(super) struct Two<'a, T, F> {
    pub x: &'a [T],
    pub y: &'a [T],
    pub f: F,
    pub ahead: usize,
}

impl<T: Real, F: Fn(T, T) -> T + Copy> Elements<T> for Two<'_, T, F> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.x.len()
    }
    #[inline(always)]
    fn part(&self, at: usize, n: usize) -> Self {
        Two { x: &self.x[at..at + n], y: &self.y[at..at + n], ..*self }
    }
    #[inline(always)]
    fn first(&self) -> T {
        let first = self.x.first().zip(self.y.first());
        first.map_or(T::of(0.0), |(&x, &y)| (self.f)(x, y))
    }
    #[inline(always)]
    fn each<O>(&self, to: &mut [O], mut f: impl FnMut(&mut O, T)) {
        for (o, (&x, &y)) in to.iter_mut().zip(self.x.iter().zip(self.y)) {
            f(o, (self.f)(x, y));
        }
    }
    #[inline(always)]
    fn lanes(&self, c: usize) -> impl Fn(usize) -> T {
        let (x, y) = (&self.x.as_chunks::<LANES>().0[c], &self.y.as_chunks::<LANES>().0[c]);
        let f = self.f;
        move |i| f(x[i], y[i])
    }
    #[inline(always)]
    fn ask(&self, at: usize, n: usize) {
        ask(self.x, at + self.ahead, n);
        ask(self.y, at + self.ahead, n);
    }
}

/// Asks for the lines of elements `at..at + n`, which may lie behind the slice.
#[inline(always)]
pub(super) fn ask<T>(x: &[T], at: usize, n: usize) {
    #[cfg(target_arch = "x86_64")]
    for i in (0..n).step_by(64 / size_of::<T>()) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which reads nothing; any address may be given.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(x.as_ptr().wrapping_add(at + i).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (x, at, n);
}

/// Runs `$body` with `$e` the [`Elements`] of a [`Taken`], each followed by `$last`.
macro_rules! taken {
    ($taken:expr, $last:expr, |$e:ident| $body:expr) => {{
        use $crate::ops::take::{Join, One, Two};
        let Taken { join, x, y, mask, add, by, ahead, .. } = *$taken;
        let (y, last) = (&y[..x.len()], $last);
        let bits = move |x: f32| f32::from_bits(x.to_bits() & mask);
        match join {
            Join::Scaled => {
                let $e = One { x, f: move |x| last((bits(x) + add) * by), ahead };
                $body
            }
            Join::Divided => {
                let $e = One { x, f: move |x| last((bits(x) + add) / by), ahead };
                $body
            }
            Join::Sum => {
                let $e = Two { x, y, f: move |x, y| last(bits(x + y)), ahead };
                $body
            }
            Join::Difference => {
                let $e = Two { x, y, f: move |x, y| last(bits(x - y)), ahead };
                $body
            }
            Join::Product => {
                let $e = Two { x, y, f: move |x, y| last(bits(x * y)), ahead };
                $body
            }
            Join::Quotient => {
                let $e = Two { x, y, f: move |x, y| last(bits(x / y)), ahead };
                $body
            }
        }
    }};
}
pub(super) use taken;
