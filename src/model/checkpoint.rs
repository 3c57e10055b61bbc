//! Parameters from safetensors files.

use super::plan::{ParamId, Plan};
use super::{Config, Model, ModelError};
use crate::tensor::Tensor;
use crate::tensor::file::TensorFile;
use crate::tensor::real::Base;
use std::path::Path;
use std::sync::Arc;

impl<T: Base> Model<T> {
    /// Replaces all parameters by those of a safetensors file (F64, F32, F16 or BF16).
    ///
    /// # Errors
    /// When the file cannot be read or is truncated, and when a parameter is missing, unknown, of
    /// another shape or of another type; the error names file and parameter. The model is unchanged
    /// then.
    pub fn load(&mut self, path: &Path) -> Result<(), ModelError> {
        let shown = path.display().to_string();
        let file = TensorFile::open(path).map_err(|e| ModelError::Checkpoint {
            problem: e.message,
            help: e.help.unwrap_or_else(|| "give the path of a safetensors file".into()),
        })?;
        let keys = assign(&self.config, &self.plan, &file, &shown)?;
        let mut values: Vec<(ParamId, Arc<[T]>)> = Vec::new();
        for (id, key) in keys {
            let spec = &self.plan.params[id];
            let tensor = file.tensor(&key).map_err(|e| ModelError::Checkpoint {
                problem: e.message,
                help: "convert the checkpoint to F32, F16, BF16 or F64".into(),
            })?;
            if tensor.dims() != spec.dims.as_slice() {
                return Err(ModelError::Parameter {
                    path: shown,
                    name: spec.name.clone(),
                    problem: format!("has shape {:?}, the architecture needs {:?}", tensor.dims(), spec.dims),
                    help: "the checkpoint belongs to another architecture".into(),
                });
            }
            values.push((id, narrow(&tensor)));
        }
        for (id, value) in values {
            self.params.set(id, value);
        }
        Ok(())
    }
}

/// The elements in the model's precision.
fn narrow<T: Base>(t: &Tensor) -> Arc<[T]> {
    match t.as_slice::<f32>() {
        Some(x) => x.iter().map(|&x| T::from_f32(x)).collect(),
        None => t.to_f64().into_iter().map(T::narrow).collect(),
    }
}

/// The key of every parameter.
fn assign(
    config: &Config,
    plan: &Plan,
    file: &TensorFile,
    path: &str,
) -> Result<Vec<(ParamId, String)>, ModelError> {
    let fail = |name: &str, problem: &str, help: String| ModelError::Parameter {
        path: path.into(),
        name: name.into(),
        problem: problem.into(),
        help,
    };
    let mut slots: Vec<Option<String>> = vec![None; plan.params.len()];
    for key in file.keys() {
        if is_buffer(config, &key) {
            continue;
        }
        // Hugging Face's bare GPT-2 leaves the prefix out.
        match plan.param(&key).or_else(|| plan.param(&format!("transformer.{key}"))) {
            Some(id) => slots[id] = Some(key),
            None => {
                let all = plan.params.iter().map(|p| p.name.as_str());
                let near = all.min_by_key(|n| strsim::levenshtein(n, &key)).unwrap_or_default();
                let help =
                    format!("the architecture has no such parameter (nearest: `{near}`); check the config");
                return Err(fail(&key, "is unknown", help));
            }
        }
    }
    let pair = |(id, slot): (ParamId, Option<String>)| {
        let missing = || {
            let help = "the checkpoint belongs to another architecture, or is one file of several".into();
            fail(&plan.params[id].name, "is missing", help)
        };
        Ok((id, slot.ok_or_else(missing)?))
    };
    slots.into_iter().enumerate().map(pair).collect()
}

/// Masks and tied copies that checkpoints carry besides parameters.
fn is_buffer(config: &Config, name: &str) -> bool {
    let mask = name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
    match config {
        Config::FlexiBert(_) => name.ends_with("position_ids"),
        Config::Gpt2(c) => mask || (c.tied && name.ends_with("lm_head.weight")),
        Config::Gpt2Flex(_) => mask,
    }
}
