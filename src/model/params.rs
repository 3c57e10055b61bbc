//! Parameter values: drawn per name from a seeded stream, or loaded; made when first used.

use super::plan::{Init, ParamId, ParamSpec, Plan};
use crate::random::Stream;
use crate::tensor::real::Base;
use rayon::prelude::*;
use std::sync::{Arc, OnceLock};

/// Elements drawn from one stream; longer parameters use several, so that they are drawn in parallel.
const CHUNK: usize = 1 << 14;

/// The parameters of a model.
pub(super) struct Params<T> {
    values: Vec<OnceLock<Arc<[T]>>>,
    seed: u64,
}

impl<T: Base> Params<T> {
    /// Parameters that will be drawn from `seed`.
    pub(super) fn new(plan: &Plan, seed: u64) -> Self {
        Params { values: plan.params.iter().map(|_| OnceLock::new()).collect(), seed }
    }

    /// The value of a parameter, as stored.
    pub(super) fn get(&self, plan: &Plan, id: ParamId) -> Arc<[T]> {
        self.values[id].get_or_init(|| draw(&plan.params[id], self.seed)).clone()
    }

    /// Replaces a parameter.
    pub(super) fn set(&mut self, id: ParamId, value: Arc<[T]>) {
        self.values[id] = OnceLock::from(value);
    }
}

/// Draws a parameter. Values are f32 whatever `T` is, so that precisions see the same model.
fn draw<T: Base>(spec: &ParamSpec, seed: u64) -> Arc<[T]> {
    let n = spec.numel();
    match spec.init {
        Init::Zeros => vec![T::of(0.0); n].into(),
        Init::Ones => vec![T::of(1.0); n].into(),
        Init::Normal(std) => {
            let mut values = vec![T::of(0.0); n];
            values.par_chunks_mut(CHUNK).enumerate().for_each(|(i, chunk)| {
                let mut stream = Stream::new(seed, &format!("init/{}/{i}", spec.name));
                for v in chunk {
                    *v = T::from_f32((std * stream.normal()) as f32);
                }
            });
            values.into()
        }
    }
}

/// Standard normal numbers `skip..skip + n` of the stream `name`, rounded to f32.
pub(super) fn normals<T: Base>(seed: u64, name: &str, skip: usize, n: usize) -> Vec<T> {
    let mut stream = Stream::new(seed, name);
    for _ in 0..skip {
        stream.normal();
    }
    (0..n).map(|_| T::from_f32(stream.normal() as f32)).collect()
}
