//! The reduction cache: what an architecture contributes to a program is a handful of numbers, and
//! they are kept under the identity of the expression that gave them, so that programs only pay for
//! expressions never seen before.
//!
//! Memory is bounded: every shard holds a hot and a cold generation; when the hot one is full, the
//! cold one is forgotten and the hot one becomes cold. A value found in the cold generation moves
//! to the hot one, so what is used stays.

use crate::ir::bind::{Cached, Reductions};
use crate::ir::key::Key;
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 64;
/// Bytes of one entry in the hash table, its share of empty slots included.
const ENTRY: usize = 64;

#[derive(Default)]
struct Shard {
    hot: FxHashMap<Key, Cached>,
    cold: FxHashMap<Key, Cached>,
}

/// Numbers by expression and architecture; shared by threads.
pub struct ReductionCache {
    shards: Vec<Mutex<Shard>>,
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
            per_generation: (bytes / ENTRY / SHARDS / 2).max(1),
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

    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        let i = (key.0 >> 64) as usize % SHARDS;
        self.shards[i].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: Key) -> Option<Cached> {
        let mut shard = self.shard(key);
        let found = shard.hot.get(&key).copied();
        let found = found.or_else(|| {
            let old = shard.cold.remove(&key)?;
            self.put(&mut shard, key, old);
            Some(old)
        });
        if found.is_some() {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    fn put(&self, shard: &mut Shard, key: Key, value: Cached) {
        if shard.hot.len() >= self.per_generation {
            self.forgotten.fetch_add(shard.cold.len() as u64, Ordering::Relaxed);
            shard.cold = std::mem::take(&mut shard.hot);
        }
        shard.hot.insert(key, value);
    }

    /// What the cache did so far.
    pub fn stats(&self) -> CacheStats {
        let held = |s: &Mutex<Shard>| {
            let s = s.lock().unwrap_or_else(PoisonError::into_inner);
            (s.hot.len() + s.cold.len()) as u64
        };
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            forgotten: self.forgotten.load(Ordering::Relaxed),
            entries: self.shards.iter().map(held).sum(),
        }
    }
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
        self.cache.put(&mut self.cache.shard(key), key, value);
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
        let cache = ReductionCache::new(64 * ENTRY * SHARDS * 2);
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
        let cache = ReductionCache::new(16 * ENTRY * SHARDS * 2);
        let a = cache.of(Key(1));
        a.store(Key(7), number(1.0));
        for i in 0..20_000u64 {
            a.store(Key::default().mix(i), number(0.0));
            assert!(a.lookup(Key(7)).is_some(), "after {i}");
        }
    }
}
