//! Buffers of tapes, kept by size class and handed from one tape of a thread to its next, so that a
//! pass allocates nothing that an earlier one has let go of.

use super::real::Real;
use rustc_hash::FxHashMap;
use std::any::{Any, TypeId};
use std::cell::RefCell;

/// Shorter buffers are not worth keeping.
const LEAST: usize = 1024;
thread_local! {
    static KEPT: RefCell<FxHashMap<TypeId, Box<dyn Any>>> = RefCell::default();
}

type Classes<R> = FxHashMap<usize, Vec<Vec<R>>>;

/// Free buffers by the size class of their capacity.
pub(super) struct Pool<R> {
    /// Given back to this tape.
    free: Classes<R>,
    /// Left by the thread's last tape, not yet taken; what this tape has no use for is dropped with it.
    inherited: Classes<R>,
}

/// Capacity for `n` elements: eight classes to a power of two, so that little is wasted.
fn class(n: usize) -> usize {
    let step = (n.next_power_of_two() / 16).max(1);
    n.div_ceil(step) * step
}

impl<R: Real> Pool<R> {
    /// With what this thread's last tape left.
    pub fn inherit() -> Self {
        let found = KEPT.with(|k| k.borrow_mut().remove(&TypeId::of::<R>()));
        let inherited = found.and_then(|f| f.downcast::<Classes<R>>().ok());
        Pool { free: Classes::default(), inherited: inherited.map_or_else(Classes::default, |c| *c) }
    }

    /// Leaves what was used to this thread's next tape. Dual numbers are too rare for that.
    pub fn bequeath(&mut self) {
        if R::PARTS == 1 {
            let free = std::mem::take(&mut self.free);
            KEPT.with(|k| k.borrow_mut().insert(TypeId::of::<R>(), Box::new(free)));
        }
    }

    /// A buffer of `n` elements with arbitrary contents.
    pub fn take(&mut self, n: usize) -> Vec<R> {
        if n < LEAST {
            return vec![R::default(); n];
        }
        let capacity = class(n);
        let found = |classes: &mut Classes<R>| classes.get_mut(&capacity).and_then(Vec::pop);
        let found = found(&mut self.free).or_else(|| found(&mut self.inherited));
        let mut buffer = found.unwrap_or_else(|| vec![R::default(); capacity]);
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

    #[test]
    fn what_a_tape_does_not_use_is_not_passed_on() {
        let mut pool = Pool::<f64>::inherit();
        let (short, long) = (pool.take(2000), pool.take(9000));
        pool.give(short);
        pool.give(long);
        pool.bequeath();
        let mut pool = Pool::<f64>::inherit();
        let short = pool.take(2000);
        pool.give(short);
        pool.bequeath();
        let pool = Pool::<f64>::inherit();
        assert_eq!(pool.inherited.values().map(Vec::len).sum::<usize>(), 1);
    }
}
