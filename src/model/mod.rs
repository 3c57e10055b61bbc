//! Native transformers: one file per family, over the tape and the sites.
//!
//! A family declares its parameters and sites from a [`Config`], and is written once as stages over
//! the tape (embedding, blocks, head). [`Model`] runs them: forward, gradients, and Hessian-vector
//! products by running the same tape over dual numbers. Only what is demanded is computed.

mod checkpoint;
mod config;
mod drawn;
mod error;
mod flexibert;
mod forward;
mod full;
mod gpt2;
mod gpt2flex;
mod language;
mod net;
mod observe;
mod params;
mod plan;
mod relay;
mod run;

pub use config::{Config, Flavor, FlexiBert, FlexiLayer, Gpt2, Gpt2Flex, Operation};
pub use error::ModelError;
pub use language::{LanguageModel, TakeGradient, describe};
pub use plan::{Init, ParamId, ParamSpec, Part, Plan};

pub use crate::data::Batch;
use crate::site::Outline;
use crate::tensor::real::Base;
use crate::tensor::{Dtype, Tensor};
use params::Params;

/// What is known of an architecture without running it.
fn outline(config: &Config, plan: &Plan) -> Outline {
    plan.outline(&[
        ("depth", config.depth() as f64),
        ("width", config.width() as f64),
        ("vocab", config.vocab() as f64),
        ("causal", f64::from(u8::from(config.causal()))),
    ])
}

/// An architecture with parameters and data, in precision `T` (`f32` or `f64`).
pub struct Model<T: Base> {
    config: Config,
    plan: Plan,
    outline: Outline,
    params: Params<T>,
    batches: Vec<Batch>,
    seed: u64,
    factors: Dtype,
}

impl<T: Base> Model<T> {
    /// A model whose parameters are drawn per name from `seed` when they are first used, with the
    /// minibatches it will see.
    ///
    /// # Errors
    /// When a batch does not fit (a token outside of the vocabulary, a sequence longer than the
    /// positions, batches of different sizes, none), or the machine's memory is too small.
    pub fn new(config: Config, batches: Vec<Batch>, seed: u64) -> Result<Self, ModelError> {
        let Some(first) = batches.first() else {
            return Err(ModelError::batch("no batch was given", "give at least one batch of tokens"));
        };
        let (batch, seq) = (first.batch, first.seq);
        for b in &batches {
            b.check(config.vocab(), config.positions())?;
            if (b.batch, b.seq) != (batch, seq) {
                return Err(ModelError::batch("batches of different sizes", "give batches of one size"));
            }
        }
        let plan = forward::declare(&config, batch, seq);
        plan.check_memory(size_of::<T>())?;
        let outline = outline(&config, &plan);
        let params = Params::new(&plan, seed);
        Ok(Model { config, plan, outline, params, batches, seed, factors: Dtype::F32 })
    }

    /// The same with factors of products narrowed to `factors` (sums stay as they are) in passes that run on
    /// a device.
    #[must_use]
    pub fn with_factors(self, factors: Dtype) -> Self {
        Model { factors, ..self }
    }

    /// The architecture.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its parameters and sites.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The minibatches.
    pub fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// The value of a parameter, as stored.
    pub fn param(&self, id: ParamId) -> Tensor {
        Tensor::new(&self.plan.params[id].dims, self.params.get(&self.plan, id))
    }
}
