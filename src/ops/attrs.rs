//! Constant arguments of operators: axes, orders, thresholds.

use smallvec::SmallVec;

/// A constant argument such as an axis; `None` where the argument was left out and has no default.
/// Stored as bits so that nodes hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Attrs(pub SmallVec<[Option<u64>; 2]>);

impl Attrs {
    /// No constants.
    pub fn none() -> Self {
        Attrs::default()
    }
    /// From numbers, in the order of the row's `attrs`.
    pub fn of(values: &[Option<f64>]) -> Self {
        Attrs(values.iter().map(|v| v.map(f64::to_bits)).collect())
    }
    /// The `i`-th constant.
    pub fn num(&self, i: usize) -> Option<f64> {
        self.0.get(i).copied().flatten().map(f64::from_bits)
    }
    /// The `i`-th constant, or `default`.
    pub fn or(&self, i: usize, default: f64) -> f64 {
        self.num(i).unwrap_or(default)
    }
}

/// A constant argument of a row.
#[derive(Clone, Copy, Debug)]
pub struct AttrSpec {
    /// Name: `axis`.
    pub name: &'static str,
    /// Value when left out.
    pub default: Option<f64>,
    /// Must it be given?
    pub required: bool,
    /// Must it be a whole number?
    pub integer: bool,
    /// Does a negative value mean something: count from the end?
    pub negative: bool,
}

/// The axis of a reduction or normaliser; everything when left out.
pub(super) const AXIS: AttrSpec =
    AttrSpec { name: "axis", default: None, required: false, integer: true, negative: true };
/// Delta degrees of freedom.
pub(super) const DDOF: AttrSpec =
    AttrSpec { name: "ddof", default: Some(0.0), required: false, integer: true, negative: false };

/// A constant that must be given.
pub(super) const fn required(name: &'static str, integer: bool) -> AttrSpec {
    AttrSpec { name, default: None, required: true, integer, negative: integer }
}
/// A whole number with a default.
pub(super) const fn whole(name: &'static str, default: f64) -> AttrSpec {
    AttrSpec { name, default: Some(default), required: false, integer: true, negative: true }
}
