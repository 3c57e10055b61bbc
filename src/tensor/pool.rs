//! Buffers of tapes, kept by size class and handed from one tape of a thread to its next, so that a
//! pass allocates nothing that an earlier one has let go of.

use super::real::Real;
use rustc_hash::FxHashMap;
use std::any::{Any, TypeId};
use std::cell::RefCell;

/// Shorter buffers are not worth keeping.
const LEAST: usize = 1024;
/// Bytes that a thread keeps between tapes.
const BOUND: usize = 384 << 20;

thread_local! {
    static KEPT: RefCell<FxHashMap<TypeId, Box<dyn Any>>> = RefCell::default();
}

/// Free buffers by the size class of their capacity.
#[derive(Default)]
pub(super) struct Pool<R> {
    free: FxHashMap<usize, Vec<Vec<R>>>,
    bytes: usize,
}

/// Capacity for `n` elements: eight classes to a power of two, so that little is wasted.
fn class(n: usize) -> usize {
    let step = (n.next_power_of_two() / 16).max(1);
    n.div_ceil(step) * step
}

impl<R: Real> Pool<R> {
    /// What this thread's last tape left.
    pub fn inherit() -> Self {
        let found = KEPT.with(|k| k.borrow_mut().remove(&TypeId::of::<R>()));
        match found.and_then(|f| f.downcast::<Self>().ok()) {
            Some(pool) => *pool,
            None => Pool { free: FxHashMap::default(), bytes: 0 },
        }
    }

    /// Leaves everything to this thread's next tape.
    pub fn bequeath(&mut self) {
        let pool = Pool { free: std::mem::take(&mut self.free), bytes: std::mem::take(&mut self.bytes) };
        if pool.bytes <= BOUND {
            KEPT.with(|k| k.borrow_mut().insert(TypeId::of::<R>(), Box::new(pool)));
        }
    }

    /// A buffer of `n` elements with arbitrary contents.
    pub fn take(&mut self, n: usize) -> Vec<R> {
        if n < LEAST {
            return vec![R::default(); n];
        }
        let capacity = class(n);
        let mut buffer = match self.free.get_mut(&capacity).and_then(Vec::pop) {
            Some(buffer) => {
                self.bytes -= capacity * size_of::<R>();
                buffer
            }
            None => vec![R::default(); capacity],
        };
        buffer.truncate(n);
        buffer
    }

    /// Keeps a buffer.
    pub fn give(&mut self, mut buffer: Vec<R>) {
        let capacity = buffer.capacity();
        if capacity < LEAST || class(capacity) != capacity {
            return;
        }
        buffer.resize(capacity, R::default());
        self.bytes += capacity * size_of::<R>();
        self.free.entry(capacity).or_default().push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_and_waste_little() {
        for n in (1..5000).chain([1 << 20, (1 << 20) + 1, 12_345_678]) {
            let c = class(n);
            assert!(c >= n && c <= n + n / 8 + 1 && class(c) == c, "{n} {c}");
        }
    }

    #[test]
    fn the_next_tape_gets_the_buffers_of_the_last() {
        let mut pool = Pool::<f32>::inherit();
        let buffer = pool.take(5000);
        let at = buffer.as_ptr();
        pool.give(buffer);
        pool.bequeath();
        let mut pool = Pool::<f32>::inherit();
        let again = pool.take(4990);
        assert_eq!((again.as_ptr(), again.len()), (at, 4990));
    }
}
