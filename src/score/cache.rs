//! The reduction cache: what an architecture contributes to a program is a handful of numbers, and
//! they are kept under the identity of the expression that gave them, so that programs only pay for
//! expressions never seen before.
//!
//! Scores of whole programs are kept too, with the reason where there is none, so that nothing is bound for a
//! program that was met before.
//!
//! Memory is bounded: there is a hot and a cold generation; when the hot one is full, the cold one is
//! forgotten and the hot one becomes cold. A value found in the cold generation moves to the hot one,
//! so what is used stays. Both lie in shards with a lock each: numbers by their keys, scores by their
//! architecture, so that one lock is taken for all programs of a batch and threads, which work on
//! different architectures, do not meet.

use super::Score;
use crate::ir::Degenerate;
use crate::ir::bind::{Cached, Reductions};
use crate::ir::key::Key;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
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
    /// The generation of the hot ones.
    generation: u64,
}

impl<V> Default for Shard<V> {
    fn default() -> Self {
        Shard { hot: FxHashMap::default(), cold: FxHashMap::default(), generation: 0 }
    }
}

/// Values in shards, at most so many of one generation whatever shards they lie in.
struct Shards<V> {
    shards: Vec<Mutex<Shard<V>>>,
    most: usize,
    /// Of the present generation.
    filled: AtomicUsize,
    generation: AtomicU64,
    forgotten: AtomicU64,
}

impl<V: Clone> Shards<V> {
    fn new(most: usize) -> Self {
        Shards {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            most,
            filled: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
        }
    }

    /// The shard that `by` chooses.
    fn shard(&self, by: Key) -> MutexGuard<'_, Shard<V>> {
        let mut shard = locked(&self.shards[(by.0 >> 64) as usize % SHARDS]);
        self.renew(&mut shard);
        shard
    }

    /// Brings a shard to the present generation.
    fn renew(&self, shard: &mut Shard<V>) {
        let now = self.generation.load(Ordering::Relaxed);
        for _ in shard.generation..now.min(shard.generation + 2) {
            self.forgotten.fetch_add(shard.cold.len() as u64, Ordering::Relaxed);
            shard.cold = std::mem::take(&mut shard.hot);
        }
        shard.generation = now;
    }

    fn get(&self, shard: &mut Shard<V>, key: Key) -> Option<V> {
        if let Some(found) = shard.hot.get(&key) {
            return Some(found.clone());
        }
        let old = shard.cold.remove(&key)?;
        self.put(shard, key, old.clone());
        Some(old)
    }

    fn put(&self, shard: &mut Shard<V>, key: Key, value: V) {
        let fresh = shard.hot.insert(key, value).is_none();
        if fresh && self.filled.fetch_add(1, Ordering::Relaxed) + 1 == self.most {
            self.filled.store(0, Ordering::Relaxed);
            self.generation.fetch_add(1, Ordering::Relaxed);
            // Such as nobody asks again would keep what is old; those in use come to it by themselves.
            self.shards.iter().filter_map(|s| s.try_lock().ok()).for_each(|mut s| self.renew(&mut s));
        }
    }

    /// Values held.
    fn held(&self) -> u64 {
        let of = |shard: &Mutex<Shard<V>>| {
            let shard = locked(shard);
            (shard.hot.len() + shard.cold.len()) as u64
        };
        self.shards.iter().map(of).sum()
    }
}

/// The score of a program.
#[derive(Clone)]
struct Remembered {
    value: Result<f64, Arc<Degenerate>>,
    non_finite: Option<f64>,
    rounding_noise: bool,
}

impl Remembered {
    fn score(self) -> Score {
        let Remembered { value, non_finite, rounding_noise } = self;
        Score { value: value.map_err(|why| (*why).clone()), non_finite, rounding_noise, cost: None }
    }
}

/// Numbers by expression and architecture; shared by threads.
pub struct ReductionCache {
    numbers: Shards<Cached>,
    programs: Shards<Remembered>,
    reasons: Mutex<FxHashSet<Arc<Degenerate>>>,
    hits: AtomicU64,
    misses: AtomicU64,
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
        let most = (bytes / ENTRY / 3).max(1);
        ReductionCache {
            numbers: Shards::new(most),
            programs: Shards::new(most),
            reasons: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// The part of one architecture. `architecture` identifies everything that decides its values:
    /// configuration, weights or seed, inputs, precision.
    pub fn of(&self, architecture: Key) -> ArchitectureCache<'_> {
        ArchitectureCache { cache: self, architecture }
    }

    fn hit(&self, times: u64) {
        self.hits.fetch_add(times, Ordering::Relaxed);
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
            forgotten: self.numbers.forgotten.load(Ordering::Relaxed)
                + self.programs.forgotten.load(Ordering::Relaxed),
            entries: self.numbers.held() + self.programs.held(),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let numbers = &self.cache.numbers;
        numbers.put(&mut numbers.shard(key), key, value);
    }

    /// The scores of programs, where they are known.
    pub(super) fn scores(&self, programs: &[Key]) -> Vec<Option<Score>> {
        let all = &self.cache.programs;
        let mut shard = all.shard(self.architecture);
        let of = |&program: &Key| all.get(&mut shard, self.architecture.join(program)).map(Remembered::score);
        let found: Vec<Option<Score>> = programs.iter().map(of).collect();
        self.cache.hit(found.iter().flatten().count() as u64);
        found
    }

    /// Keeps the score of a program.
    pub(super) fn store_score(&self, program: Key, score: &Score) {
        let value = score.value.as_ref().copied().map_err(|why| self.cache.reason(why));
        let Score { non_finite, rounding_noise, .. } = *score;
        let all = &self.cache.programs;
        let remembered = Remembered { value, non_finite, rounding_noise };
        all.put(&mut all.shard(self.architecture), self.architecture.join(program), remembered);
    }
}

impl Reductions for ArchitectureCache<'_> {
    fn lookup(&self, key: Key) -> Option<Cached> {
        let key = self.architecture.join(key);
        let numbers = &self.cache.numbers;
        let found = numbers.get(&mut numbers.shard(key), key);
        self.cache.hit(u64::from(found.is_some()));
        found
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
        let cache = ReductionCache::new(4096 * ENTRY * 3);
        let (a, b) = (cache.of(Key(1)), cache.of(Key(2)));
        a.store(Key(7), number(1.0));
        assert_eq!(a.lookup(Key(7)).unwrap().value, 1.0);
        assert!(b.lookup(Key(7)).is_none());
        for i in 0..100_000u64 {
            a.store(Key::default().mix(i), number(i as f64));
            assert!(a.lookup(Key::default().mix(i)).is_some());
        }
        let stats = cache.stats();
        assert!(stats.entries <= 2 * 4096, "{stats:?}");
        assert!(stats.forgotten > 80_000, "{stats:?}");
    }

    #[test]
    fn what_is_used_stays() {
        let cache = ReductionCache::new(1024 * ENTRY * 3);
        let a = cache.of(Key(1));
        a.store(Key(7), number(1.0));
        for i in 0..20_000u64 {
            a.store(Key::default().mix(i), number(0.0));
            assert!(a.lookup(Key(7)).is_some(), "after {i}");
        }
    }

    #[test]
    fn architectures_that_nobody_asks_for_are_forgotten() {
        let most = 1000;
        let cache = ReductionCache::new(most * ENTRY * 3);
        let score = Score { value: Ok(1.0), non_finite: None, rounding_noise: false, cost: None };
        for a in 0..200u64 {
            let one = cache.of(Key::default().mix(a));
            let programs: Vec<Key> = (0..100).map(|i| Key::default().mix(i)).collect();
            programs.iter().for_each(|&p| one.store_score(p, &score));
            assert_eq!(one.scores(&programs).iter().flatten().count(), programs.len());
            assert!(cache.stats().entries <= 2 * most as u64, "{a}: {:?}", cache.stats());
        }
        assert!(cache.of(Key::default().mix(0)).scores(&[Key::default().mix(0)])[0].is_none());
    }
}
