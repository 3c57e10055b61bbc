//! Interval analysis: what is known of the elements of a value.
//!
//! A [`Range`] speaks of the elements that are not NaN. Bounds hold for f32 and f64 evaluation, so
//! results that round are widened, tiny bounds become 0 and huge ones infinite.

/// What is known of the elements of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// No element is less.
    pub lo: f64,
    /// No element is more.
    pub hi: f64,
    /// Every element is finite, given finite inputs.
    pub finite: bool,
}

pub(super) const INF: f64 = f64::INFINITY;
pub(super) const BIG: f64 = f32::MAX as f64;
/// Rounding of an f32 operation, with room for functions that are off by some units.
pub(super) const ROUND: f64 = 1e-6;
const TINY: f64 = 1e-37;

impl Range {
    /// Nothing is known; elements may be non-finite.
    pub const ANY: Range = Range { lo: -INF, hi: INF, finite: false };
    /// Finite elements, such as a captured tensor's.
    pub const FINITE: Range = Range { lo: -INF, hi: INF, finite: true };

    /// Bounds.
    pub const fn new(lo: f64, hi: f64, finite: bool) -> Self {
        Range { lo, hi, finite }
    }
    /// One number.
    pub fn number(x: f64) -> Self {
        if x.is_nan() { Range::ANY } else { Range::new(x, x, x.is_finite()) }
    }
    /// Is `x` (not NaN) within the bounds?
    pub fn contains(&self, x: f64) -> bool {
        self.lo <= x && x <= self.hi
    }
    /// The one value all elements have, if it is so.
    pub fn constant(&self) -> Option<f64> {
        (self.lo == self.hi && self.finite).then_some(self.lo)
    }
    /// The smallest range around both.
    pub fn hull(self, o: Range) -> Range {
        Range::new(self.lo.min(o.lo), self.hi.max(o.hi), self.finite && o.finite)
    }
    pub(super) fn bounded(&self) -> bool {
        self.lo.abs() < BIG && self.hi.abs() < BIG
    }
    /// Room for rounding; the result of an operation that can overflow is finite where it is bounded.
    pub(super) fn rounded(lo: f64, hi: f64, finite: bool) -> Range {
        let down = |x: f64| if x > 0.0 { x * (1.0 - ROUND) } else { x * (1.0 + ROUND) };
        let lo = match down(lo) {
            x if x > 0.0 && x < TINY => 0.0,
            x if x.is_nan() || x < -BIG => -INF,
            x if x < 0.0 && x > -TINY => -TINY,
            x => x,
        };
        let hi = match -down(-hi) {
            x if x < 0.0 && x > -TINY => 0.0,
            x if x.is_nan() || x > BIG => INF,
            x if x > 0.0 && x < TINY => TINY,
            x => x,
        };
        let r = Range { lo: lo.min(BIG), hi: hi.max(-BIG), finite };
        Range { finite: finite && r.bounded(), ..r }
    }
    pub(super) fn clip(self, lo: f64, hi: f64) -> Range {
        Range { lo: self.lo.clamp(lo, hi), hi: self.hi.clamp(lo, hi), finite: self.finite }
    }
}
