//! The reduction cache: what an architecture contributes to a program is a handful of numbers, and
//! they are kept under the identity of the expression that gave them, so that programs only pay for
//! expressions never seen before.
//!
//! Scores of whole programs are kept too, with the reason where there is none, so that nothing is bound for a
//! program that was met before.
//!
//! Memory is bounded: every shard holds a hot and a cold generation; when the hot one is full, the
//! cold one is forgotten and the hot one becomes cold. A value found in the cold generation moves
//! to the hot one, so what is used stays.

use super::Score;
use crate::ir::Degenerate;
use crate::ir::bind::{Cached, Reductions};
use crate::ir::key::Key;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 64;
/// Bytes of one entry in the hash table, its share of empty slots included.
const ENTRY: usize = 64;

/// Different reasons that are kept: they are few, for they name a rule and a kind of site.
const REASONS: usize = 1 << 14;

/// Values of two ages.
struct Shard<V> {
    hot: FxHashMap<Key, V>,
    cold: FxHashMap<Key, V>,
}

impl<V> Default for Shard<V> {
    fn default() -> Self {
        Shard { hot: FxHashMap::default(), cold: FxHashMap::default() }
    }
}

impl<V: Clone> Shard<V> {
    fn get(&mut self, key: Key, most: usize) -> Option<V> {
        if let Some(found) = self.hot.get(&key) {
            return Some(found.clone());
        }
        let old = self.cold.remove(&key)?;
        self.put(key, old.clone(), most);
        Some(old)
    }

    /// Keeps a value, at most `most` of this age; gives the number of older ones forgotten.
    fn put(&mut self, key: Key, value: V, most: usize) -> u64 {
        let mut forgotten = 0;
        if self.hot.len() >= most {
            forgotten = self.cold.len() as u64;
            self.cold = std::mem::take(&mut self.hot);
        }
        self.hot.insert(key, value);
        forgotten
    }
}

/// The score of a program.
#[derive(Clone)]
struct Remembered {
    value: Result<f64, Arc<Degenerate>>,
    non_finite: Option<f64>,
    rounding_noise: bool,
}

/// Numbers by expression and architecture; shared by threads.
pub struct ReductionCache {
    shards: Vec<Mutex<Shard<Cached>>>,
    programs: Vec<Mutex<Shard<Remembered>>>,
    reasons: Mutex<FxHashSet<Arc<Degenerate>>>,
    per_generation: usize,
    hits: AtomicU64,
    misses: AtomicU64,
    forgotten: AtomicU64,
}

/// What the cache did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Values found.
    pub hits: u64,
    /// Values computed and stored.
    pub misses: u64,
    /// Values forgotten to stay within the memory bound.
    pub forgotten: u64,
    /// Values held.
    pub entries: u64,
}

impl ReductionCache {
    /// A cache that takes at most about `bytes` of memory.
    pub fn new(bytes: usize) -> Self {
        ReductionCache {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            programs: (0..SHARDS).map(|_| Mutex::default()).collect(),
            reasons: Mutex::default(),
            per_generation: (bytes / ENTRY / SHARDS / 3).max(1),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
        }
    }

    /// The part of one architecture. `architecture` identifies everything that decides its values:
    /// configuration, weights or seed, inputs, precision.
    pub fn of(&self, architecture: Key) -> ArchitectureCache<'_> {
        ArchitectureCache { cache: self, architecture }
    }

    fn get(&self, key: Key) -> Option<Cached> {
        let found = locked(&self.shards[shard(key)]).get(key, self.per_generation);
        if found.is_some() {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    fn put(&self, key: Key, value: Cached) {
        let forgotten = locked(&self.shards[shard(key)]).put(key, value, self.per_generation);
        if forgotten > 0 {
            self.forgotten.fetch_add(forgotten, Ordering::Relaxed);
        }
    }

    /// One reason for all that have it.
    fn reason(&self, why: &Degenerate) -> Arc<Degenerate> {
        let mut reasons = locked(&self.reasons);
        if let Some(known) = reasons.get(why) {
            return known.clone();
        }
        if reasons.len() >= REASONS {
            reasons.clear();
        }
        let why = Arc::new(why.clone());
        reasons.insert(why.clone());
        why
    }

    /// What the cache did so far.
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            forgotten: self.forgotten.load(Ordering::Relaxed),
            entries: self.shards.iter().map(held).sum::<u64>() + self.programs.iter().map(held).sum::<u64>(),
        }
    }
}

fn shard(key: Key) -> usize {
    (key.0 >> 64) as usize % SHARDS
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn held<V>(shard: &Mutex<Shard<V>>) -> u64 {
    let shard = locked(shard);
    (shard.hot.len() + shard.cold.len()) as u64
}

/// The cache as seen by one architecture.
#[derive(Clone, Copy)]
pub struct ArchitectureCache<'a> {
    cache: &'a ReductionCache,
    architecture: Key,
}

impl ArchitectureCache<'_> {
    /// Stores a value.
    pub fn store(&self, key: Key, value: Cached) {
        let key = self.architecture.join(key);
        self.cache.misses.fetch_add(1, Ordering::Relaxed);
        self.cache.put(key, value);
    }

    /// The score of a program.
    pub(super) fn score(&self, program: Key) -> Option<Score> {
        let key = self.architecture.join(program);
        let found = locked(&self.cache.programs[shard(key)]).get(key, self.cache.per_generation)?;
        self.cache.hits.fetch_add(1, Ordering::Relaxed);
        let Remembered { value, non_finite, rounding_noise } = found;
        let value = value.map_err(|why| (*why).clone());
        Some(Score { value, non_finite, rounding_noise, cost: None })
    }

    /// Keeps the score of a program.
    pub(super) fn store_score(&self, program: Key, score: &Score) {
        let key = self.architecture.join(program);
        let value = score.value.as_ref().copied().map_err(|why| self.cache.reason(why));
        let Score { non_finite, rounding_noise, .. } = *score;
        let most = self.cache.per_generation;
        locked(&self.cache.programs[shard(key)]).put(
            key,
            Remembered { value, non_finite, rounding_noise },
            most,
        );
    }
}

impl Reductions for ArchitectureCache<'_> {
    fn lookup(&self, key: Key) -> Option<Cached> {
        self.cache.get(self.architecture.join(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: f64) -> Cached {
        Cached { value, rounding_noise: false }
    }

    #[test]
    fn architectures_do_not_mix_and_memory_is_bounded() {
        let cache = ReductionCache::new(64 * ENTRY * SHARDS * 3);
        let (a, b) = (cache.of(Key(1)), cache.of(Key(2)));
        a.store(Key(7), number(1.0));
        assert_eq!(a.lookup(Key(7)).unwrap().value, 1.0);
        assert!(b.lookup(Key(7)).is_none());
        for i in 0..100_000u64 {
            a.store(Key::default().mix(i), number(i as f64));
            assert!(a.lookup(Key::default().mix(i)).is_some());
        }
        let stats = cache.stats();
        assert!(stats.entries <= 64 * SHARDS as u64 * 2, "{stats:?}");
        assert!(stats.forgotten > 80_000, "{stats:?}");
    }

    #[test]
    fn what_is_used_stays() {
        let cache = ReductionCache::new(16 * ENTRY * SHARDS * 3);
        let a = cache.of(Key(1));
        a.store(Key(7), number(1.0));
        for i in 0..20_000u64 {
            a.store(Key::default().mix(i), number(0.0));
            assert!(a.lookup(Key(7)).is_some(), "after {i}");
        }
    }
}
