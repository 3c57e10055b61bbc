//! A device on which a tape's values may live. The tape knows a [`Session`]: memory and kernels in one
//! order. What kernels compute is said in `kernels/*.cu`, by whose names they are called.
//!
//! Nothing here returns an error. A session that fails is *lost*: from then on it does nothing, reads
//! are 0, and whoever runs the pass asks [`Session::lost`] before he hands a number out, and runs the pass
//! again without a device. So operations are written as if nothing could fail.

use super::Dtype;
use super::gemm::Into;
use super::offload::Group;
use super::real::Real;
use std::any::{Any, TypeId};
use std::sync::{Arc, OnceLock};

/// Numbers on a device, freed with the last of their owners.
pub trait Memory: Send + Sync {
    /// How many single-precision numbers there is room for.
    fn len(&self) -> usize;
    /// Is there none?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Copies all of them, after everything that was asked for before.
    fn read(&self, into: &mut [f32]);
    /// Itself, for the session that made it.
    fn as_any(&self) -> &dyn Any;
}

/// Shared numbers on a device.
pub type Held = Arc<dyn Memory>;

/// An argument of a kernel.
#[derive(Clone)]
pub enum Arg {
    /// Numbers, from an element on.
    At(Held, usize),
    /// No address.
    Null,
    /// A count, `unsigned`.
    Size(usize),
    /// `int`.
    Int(i32),
    /// `float`.
    Float(f64),
}

/// How many blocks run a kernel; its file says which of these it is for.
#[derive(Clone, Copy, Debug)]
pub enum Grid {
    /// Any: enough for so many elements.
    Each(usize),
    /// A block per row, for rows of a width.
    Rows(usize, usize),
    /// A block per 32 columns of a width, and so many runs of rows.
    Columns(usize, usize),
    /// So many full blocks.
    Blocks(usize),
}

/// One pass on a device: everything happens in the order in which it is asked for.
pub trait Session: Send + Sync {
    /// Room for numbers; what they are is not said.
    fn room(&self, len: usize) -> Held;
    /// A copy of numbers.
    fn upload(&self, x: &[f32]) -> Held;
    /// A copy of whole numbers.
    fn indices(&self, x: &[u32]) -> Held;
    /// A copy of numbers that do not change, remembered for later sessions while `x` lives.
    fn keep(&self, x: &Arc<[f32]>) -> Held;
    /// Runs `name` of `kernels/*.cu` on single precision.
    fn kernel(&self, name: &'static str, grid: Grid, args: &[Arg]);
    /// Copies `count` numbers between places (a memory and its first element).
    fn copy(&self, to: (&Held, usize), from: (&Held, usize), count: usize);
    /// Sets all numbers to 0.
    fn zero(&self, x: &Held);
    /// `dst = alpha a b`, or `dst += alpha a b`, for every group.
    fn products(&self, dst: &Held, factors: [&Held; 2], groups: &[Group], alpha: f64, into: Into);
    /// Did anything fail? Then every number of this pass is worthless.
    fn lost(&self) -> bool;
}

/// Opens sessions.
pub trait Device: Send + Sync {
    /// A session of its own for the calling thread; none where the device is not used any more. Factors of
    /// its products are narrowed to `factors`, sums are in single precision.
    fn session(&self, factors: Dtype) -> Option<Arc<dyn Session>>;
    /// Frees memory that no session uses at present.
    fn relieve(&self);
}

static DEVICE: OnceLock<(Box<dyn Device>, f64)> = OnceLock::new();

/// Makes passes of `least` operations or more ([`LEAST`]) run on `device` from now on; false when there is one
/// already.
pub fn install(device: Box<dyn Device>, least: f64) -> bool {
    DEVICE.set((device, least)).is_ok()
}

/// Floating-point operations of a pass under which a device is not worth its while: some hundred
/// launches take as long as this CPU takes for them. It depends on sizes alone, so that a score has the
/// same bits in every run on a device.
pub const LEAST: f64 = 1e8;

/// A session for a pass of so many operations over numbers `R`, where there is a device for it.
pub fn session<R: Real>(operations: f64, factors: Dtype) -> Option<Arc<dyn Session>> {
    let single = TypeId::of::<R>() == TypeId::of::<f32>();
    let (device, _) = DEVICE.get().filter(|(_, least)| single && operations >= *least)?;
    device.session(factors)
}

/// Frees memory of the device that no pass of a model uses at present, for others who are short of it.
pub fn relieve() {
    if let Some((device, _)) = DEVICE.get() {
        device.relieve();
    }
}

/// All of a memory, as an argument.
pub fn at(x: &Held) -> Arg {
    Arg::At(x.clone(), 0)
}

impl dyn Session + '_ {
    /// `a + scale b`, element for element.
    pub fn sum(&self, a: &Held, b: &Held, scale: f64) -> Held {
        let n = a.len();
        let y = self.room(n);
        // A thread takes eight.
        self.kernel(
            "add",
            Grid::Each(n.div_ceil(8)),
            &[at(a), at(b), at(&y), Arg::Float(scale), Arg::Size(n)],
        );
        y
    }

    /// `scale a b` for `n` elements; a factor that is not there is 1.
    pub fn multiply(&self, a: Option<&Held>, b: Option<&Held>, scale: f64, n: usize) -> Held {
        let y = self.room(n);
        let factor = |x: Option<&Held>| x.map_or(Arg::Null, at);
        let args = [factor(a), factor(b), at(&y), Arg::Float(scale), Arg::Size(n)];
        self.kernel("multiply", Grid::Each(n), &args);
        y
    }

    /// Zeros.
    pub fn zeros(&self, n: usize) -> Held {
        let y = self.room(n);
        self.zero(&y);
        y
    }

    /// A copy of `count` numbers from element `first` on.
    pub fn part(&self, x: &Held, first: usize, count: usize) -> Held {
        let y = self.room(count);
        self.copy((&y, 0), (x, first), count);
        y
    }
}
