//! Models in the precision that was asked for.

use super::{DataArgs, device};
use crate::data::{Batch, Tokens};
use crate::model::{Config, Model, ModelError};
use crate::site::{CaptureSpec, Field, Objective, Outline, Sink, SiteId, Source, SourceError};
use crate::tensor::Dtype;
use crate::tensor::real::Base;
use clap::ValueEnum;
use std::path::Path;

/// Precision of the model and of elementwise work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// Single.
    F32,
    /// Double.
    F64,
    /// Single, with products of bfloat16 factors where a pass runs on a CUDA device.
    Bf16,
    /// The same with factors in half precision.
    F16,
}

impl Precision {
    /// Type of the factors of a model's products on a device.
    fn factors(self) -> Dtype {
        match self {
            Precision::F32 => Dtype::F32,
            Precision::F64 => Dtype::F64,
            Precision::Bf16 => Dtype::Bf16,
            Precision::F16 => Dtype::F16,
        }
    }
}

impl DataArgs {
    /// A model of `config` in the wanted precision, its data drawn by `seed`.
    ///
    /// # Errors
    /// A batch that does not fit; parameters that cannot be loaded.
    pub fn open(
        &self,
        config: &Config,
        weights: Option<&Path>,
        tokens: &Tokens,
        batches: usize,
        seed: u64,
    ) -> Result<AnyModel, SourceError> {
        let batches = self.batches(config, tokens, batches, seed)?;
        let objective = self.objective.first().copied();
        Ok(match self.precision {
            Precision::F32 => AnyModel::F32(built(config, batches, weights, seed)?, objective),
            narrow @ (Precision::Bf16 | Precision::F16) => {
                if !device::is_cuda() {
                    return Err(SourceError {
                        message: "products in half precision need a CUDA device".to_owned(),
                        help: Some("add --device cuda, or take --precision f32".to_owned()),
                    });
                }
                let model: Model<f32> = built(config, batches, weights, seed)?;
                AnyModel::F32(model.with_factors(narrow.factors()), objective)
            }
            Precision::F64 => AnyModel::F64(built(config, batches, weights, seed)?, objective),
        })
    }
}

fn built<T: Base>(
    config: &Config,
    batches: Vec<Batch>,
    weights: Option<&Path>,
    seed: u64,
) -> Result<Model<T>, ModelError> {
    let mut model = Model::new(config.clone(), batches, seed)?;
    if let Some(path) = weights {
        model.load(path)?;
    }
    Ok(model)
}

/// A model in either precision, with the objective that programs without one mean.
pub enum AnyModel {
    /// Single precision.
    F32(Model<f32>, Option<Objective>),
    /// Double precision.
    F64(Model<f64>, Option<Objective>),
}

impl Source for AnyModel {
    fn outline(&self) -> &Outline {
        match self {
            AnyModel::F32(m, _) => m.outline(),
            AnyModel::F64(m, _) => m.outline(),
        }
    }

    fn default_objective(&self) -> Objective {
        match self {
            AnyModel::F32(m, o) => o.unwrap_or_else(|| m.default_objective()),
            AnyModel::F64(m, o) => o.unwrap_or_else(|| m.default_objective()),
        }
    }

    fn run(
        &mut self,
        spec: &CaptureSpec,
        wants: &[(SiteId, Field)],
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        let spec =
            CaptureSpec { objective: Some(spec.objective.unwrap_or(self.default_objective())), ..*spec };
        match self {
            AnyModel::F32(m, _) => m.run(&spec, wants, sink),
            AnyModel::F64(m, _) => m.run(&spec, wants, sink),
        }
    }
}
