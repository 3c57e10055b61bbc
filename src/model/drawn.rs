//! Drawn parameters, shared by all models of the process.
//!
//! A parameter is decided by (seed, name, size, standard deviation) alone, so architectures that
//! have one in common (word tables above all) draw it once. The cache is bounded; what was not used
//! for longest goes first.

use super::plan::{Init, ParamSpec};
use crate::random::Stream;
use crate::tensor::real::Base;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::any::{Any, TypeId};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Elements drawn from one stream; longer parameters use several, so that they are drawn in parallel.
const CHUNK: usize = 1 << 14;
/// Bytes of parameters that are kept.
const BOUND: usize = 512 << 20;
/// A larger parameter is not kept: models of that size are not run by the hundred.
const LARGEST: usize = BOUND / 4;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    seed: u64,
    name: String,
    numel: usize,
    std: u64,
    element: TypeId,
}

struct Entry {
    /// An `Arc<[T]>`.
    values: Arc<dyn Any + Send + Sync>,
    bytes: usize,
    used: u64,
}

/// What is kept. Values are drawn without holding the lock: two threads may draw the same
/// parameter at the same time, and get the same.
struct Cache {
    entries: FxHashMap<Key, Entry>,
    bytes: usize,
    clock: u64,
    bound: usize,
}

static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(|| Mutex::new(Cache::new(BOUND)));

impl Cache {
    fn new(bound: usize) -> Self {
        Cache { entries: FxHashMap::default(), bytes: 0, clock: 0, bound }
    }

    fn get<T: Base>(&mut self, key: &Key) -> Option<Arc<[T]>> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        entry.values.downcast_ref::<Arc<[T]>>().cloned()
    }

    fn keep<T: Base>(&mut self, key: Key, values: &Arc<[T]>) {
        let bytes = size_of_val::<[T]>(values);
        if self.entries.contains_key(&key) {
            return;
        }
        while self.bytes + bytes > self.bound {
            let Some(oldest) = self.entries.iter().min_by_key(|(_, e)| e.used).map(|(k, _)| k.clone()) else {
                return;
            };
            self.bytes -= self.entries.remove(&oldest).map_or(0, |e| e.bytes);
        }
        self.bytes += bytes;
        self.clock += 1;
        let entry = Entry { values: Arc::new(Arc::clone(values)), bytes, used: self.clock };
        self.entries.insert(key, entry);
    }
}

/// The value of a parameter that starts as its family says. Values are f32 whatever `T` is, so that
/// precisions see the same model.
pub(super) fn drawn<T: Base>(spec: &ParamSpec, seed: u64) -> Arc<[T]> {
    let numel = spec.numel();
    let std = match spec.init {
        Init::Zeros => return vec![T::of(0.0); numel].into(),
        Init::Ones => return vec![T::of(1.0); numel].into(),
        Init::Normal(std) => std,
    };
    if numel * size_of::<T>() > LARGEST {
        return draw(&spec.name, numel, std, seed);
    }
    let key = Key { seed, name: spec.name.clone(), numel, std: std.to_bits(), element: TypeId::of::<T>() };
    kept(key, || draw(&spec.name, numel, std, seed))
}

/// Standard normal numbers `skip..skip + n` of the stream `name`, rounded to f32; kept like parameters,
/// for every architecture of a width sees the same.
pub(super) fn normals<T: Base>(seed: u64, name: &str, skip: usize, n: usize) -> Arc<[T]> {
    let fill = || {
        let mut values = vec![T::of(0.0); n];
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(i, chunk)| {
            let mut stream = Stream::new(seed, name);
            stream.skip(skip + i * CHUNK);
            stream.normals(chunk.len(), |at, block| {
                for (v, &x) in chunk[at..].iter_mut().zip(block) {
                    *v = T::from_f32(x as f32);
                }
            });
        });
        values.into()
    };
    if n * size_of::<T>() > LARGEST {
        return fill();
    }
    let name = format!("normals {skip} of {name}");
    kept(Key { seed, name, numel: n, std: 0, element: TypeId::of::<T>() }, fill)
}

/// What is kept under `key`, or what `make` gives, which is kept from then on.
fn kept<T: Base>(key: Key, make: impl FnOnce() -> Arc<[T]>) -> Arc<[T]> {
    let cache = || CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(values) = cache().get(&key) {
        return values;
    }
    let values = make();
    cache().keep(key, &values);
    values
}

fn draw<T: Base>(name: &str, numel: usize, std: f64, seed: u64) -> Arc<[T]> {
    let mut values = vec![T::of(0.0); numel];
    values.par_chunks_mut(CHUNK).enumerate().for_each(|(i, chunk)| {
        let mut stream = Stream::new(seed, &format!("init/{name}/{i}"));
        stream.normals(chunk.len(), |at, block| {
            for (v, x) in chunk[at..].iter_mut().zip(block) {
                *v = T::from_f32((std * x) as f32);
            }
        });
    });
    values.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Part;

    fn spec(name: &str, dims: &[usize]) -> ParamSpec {
        let init = Init::Normal(0.02);
        ParamSpec { name: name.into(), dims: dims.into(), init, part: Part::Ffn, layer: None, site: None }
    }

    #[test]
    fn equal_parameters_are_one_and_others_are_not() {
        let table = spec("drawn.tests.table", &[300, 70]);
        let one: Arc<[f32]> = drawn(&table, 1);
        let again: Arc<[f32]> = drawn(&table, 1);
        assert!(Arc::ptr_eq(&one, &again));
        assert_eq!(*one, *draw::<f32>(&table.name, table.numel(), 0.02, 1));
        let other: Arc<[f32]> = drawn(&table, 2);
        assert_ne!(one[..9], other[..9]);
        let longer: Arc<[f32]> = drawn(&spec("drawn.tests.table", &[300, 71]), 1);
        assert_eq!(longer.len(), 300 * 71);
        let double: Arc<[f64]> = drawn(&table, 1);
        assert!(one.iter().zip(double.iter()).all(|(a, b)| f64::from(*a) == *b));
    }

    #[test]
    fn the_bound_holds_and_the_oldest_goes() {
        let mut cache = Cache::new(1000);
        let key = |i: usize| Key {
            seed: 0,
            name: format!("p{i}"),
            numel: 100,
            std: 0,
            element: TypeId::of::<f32>(),
        };
        let values: Arc<[f32]> = vec![0.0; 100].into();
        cache.keep(key(0), &values);
        cache.keep(key(1), &values);
        assert!(cache.get::<f32>(&key(0)).is_some());
        cache.keep(key(2), &values);
        assert!(cache.get::<f32>(&key(1)).is_none() && cache.get::<f32>(&key(0)).is_some());
        assert_eq!((cache.bytes, cache.entries.len()), (800, 2));
        let large: Arc<[f32]> = vec![0.0; 300].into();
        cache.keep(key(3), &large);
        assert!(cache.bytes <= 1000);
    }
}
