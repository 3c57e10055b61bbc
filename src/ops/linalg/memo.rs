//! Decompositions that were made before, by the contents of the matrix: several operators look at one
//! spectrum, and architectures drawn from one seed share weights.

use rustc_hash::FxHashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use xxhash_rust::xxh3::xxh3_128;

/// What was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Singular values.
    Singular,
    /// Eigenvalues of a symmetric matrix.
    Eigen,
    /// Squared singular values.
    Spectrum,
}

/// A decomposition of a matrix with this hash and these sizes.
type Key = (Kind, usize, usize, u128);
type Found = Option<Arc<[f64]>>;

/// Bytes of a generation.
const BOUND: usize = 32 << 20;
/// Smaller matrices are decomposed sooner than found.
const LEAST: usize = 1 << 10;

/// What was used lately, and what was used before that; the older generation is dropped as a whole.
#[derive(Default)]
struct Memo {
    young: FxHashMap<Key, Found>,
    old: FxHashMap<Key, Found>,
    bytes: usize,
}

impl Memo {
    fn get(&mut self, key: &Key) -> Option<Found> {
        if let Some(found) = self.young.get(key) {
            return Some(found.clone());
        }
        let found = self.old.remove(key)?;
        self.keep(*key, found.clone());
        Some(found)
    }

    fn keep(&mut self, key: Key, found: Found) {
        self.bytes += size_of::<(Key, Found)>() + found.as_ref().map_or(0, |f| 8 * f.len());
        self.young.insert(key, found);
        if self.bytes > BOUND {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
    }
}

static MEMO: LazyLock<Mutex<Memo>> = LazyLock::new(Mutex::default);

/// What `compute` gives for the matrix `x`, from memory where it is known.
pub(super) fn remembered(
    kind: Kind,
    x: &[f64],
    (rows, cols): (usize, usize),
    compute: impl FnOnce() -> Option<Vec<f64>>,
) -> Option<Vec<f64>> {
    if x.len() < LEAST {
        return compute();
    }
    let key = (kind, rows, cols, xxh3_128(bytemuck::cast_slice(x)));
    let memo = || MEMO.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = memo().get(&key) {
        return found.map(|f| f.to_vec());
    }
    let found = compute();
    memo().keep(key, found.as_ref().map(|f| f.as_slice().into()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_decomposed_once() {
        let x: Vec<f64> = (0..2 * LEAST).map(|i| (i as f64).sin()).collect();
        let mut calls = 0;
        let mut ask = |x: &[f64], rows: usize| {
            remembered(Kind::Spectrum, x, (rows, x.len() / rows), || {
                calls += 1;
                Some(vec![rows as f64])
            })
        };
        assert_eq!(ask(&x, 2), Some(vec![2.0]));
        assert_eq!(ask(&x, 2), Some(vec![2.0]));
        assert_eq!(ask(&x, 4), Some(vec![4.0]));
        let mut y = x.clone();
        y[7] += 1e-9;
        ask(&y, 2);
        assert_eq!(calls, 3);
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let mut memo = Memo::default();
        let key = |i: u128| (Kind::Eigen, 1, 1, i);
        let big: Found = Some(vec![0.0; BOUND / 80].into());
        memo.keep(key(0), None);
        for i in 1..100 {
            memo.keep(key(i), big.clone());
            assert_eq!(memo.get(&key(0)), Some(None));
            assert!(memo.young.len() + memo.old.len() < 25);
        }
        assert_eq!(memo.get(&key(1)), None);
    }
}
