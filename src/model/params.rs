//! Parameter values: drawn per name from a seeded stream, or loaded; made when first used.

use super::drawn::drawn;
use super::plan::{ParamId, Plan};
use crate::tensor::real::Base;
use std::sync::{Arc, OnceLock};

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
        self.values[id].get_or_init(|| drawn(&plan.params[id], self.seed)).clone()
    }

    /// Replaces a parameter.
    pub(super) fn set(&mut self, id: ParamId, value: Arc<[T]>) {
        self.values[id] = OnceLock::from(value);
    }
}
