//! Parameters from safetensors files.

use super::plan::{ParamId, ParamSpec, Plan};
use super::{Config, Model, ModelError};
use crate::tensor::real::Base;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use std::path::Path;
use std::sync::Arc;

impl<T: Base> Model<T> {
    /// Replaces all parameters by those of a safetensors file (F64, F32, F16 or BF16).
    ///
    /// # Errors
    /// When the file cannot be read or is truncated, and when a parameter is missing, unknown, of
    /// another shape or of another type; the error names file and parameter.
    pub fn load(&mut self, path: &Path) -> Result<(), ModelError> {
        let shown = path.display().to_string();
        let fail = |problem: String, help: &str| ModelError::Checkpoint {
            path: shown.clone(),
            problem,
            help: help.into(),
        };
        let file = std::fs::File::open(path)
            .map_err(|e| fail(e.to_string(), "give the path of a safetensors file"))?;
        // SAFETY: the map is read only; a file that another process changes meanwhile gives wrong
        // numbers, as with any reader, but no invalid values: every bit pattern is a number.
        let map =
            unsafe { memmap2::Mmap::map(&file) }.map_err(|e| fail(e.to_string(), "give a regular file"))?;
        let tensors = SafeTensors::deserialize(&map).map_err(|e| fail(broken(&e), BROKEN_HELP))?;
        let found = assign(&self.config, &self.plan, &tensors, &shown)?;
        for (id, view) in found {
            let value = read(&self.plan.params[id], &view, &shown)?;
            self.params.set(id, value);
        }
        Ok(())
    }
}

const BROKEN_HELP: &str = "the file is damaged or not a safetensors file; fetch it again";

fn broken(e: &SafeTensorError) -> String {
    match e {
        SafeTensorError::MetadataIncompleteBuffer => "is truncated: it ends before its last tensor".into(),
        e => format!("is not a valid safetensors file ({e})"),
    }
}

/// Pairs every parameter with its tensor.
fn assign<'a>(
    config: &Config,
    plan: &Plan,
    tensors: &SafeTensors<'a>,
    path: &str,
) -> Result<Vec<(ParamId, TensorView<'a>)>, ModelError> {
    let fail = |name: &str, problem: &str, help: String| ModelError::Parameter {
        path: path.into(),
        name: name.into(),
        problem: problem.into(),
        help,
    };
    let mut slots: Vec<Option<TensorView<'a>>> = plan.params.iter().map(|_| None).collect();
    let mut names: Vec<(String, TensorView<'a>)> = tensors.tensors();
    names.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, view) in names {
        if is_buffer(config, &name) {
            continue;
        }
        let id = plan.param(&name).or_else(|| plan.param(&format!("transformer.{name}")));
        match id {
            Some(id) => slots[id] = Some(view),
            None => {
                let all = plan.params.iter().map(|p| p.name.as_str());
                let near = all.min_by_key(|n| strsim::levenshtein(n, &name)).unwrap_or_default();
                let help =
                    format!("the architecture has no such parameter (nearest: `{near}`); check the config");
                return Err(fail(&name, "is unknown", help));
            }
        }
    }
    plan.params
        .iter()
        .zip(slots)
        .enumerate()
        .map(|(id, (p, slot))| match slot {
            Some(view) => Ok((id, view)),
            None => Err(fail(&p.name, "is missing", "the checkpoint belongs to another architecture".into())),
        })
        .collect()
}

/// Masks and tied copies that checkpoints carry besides parameters.
fn is_buffer(config: &Config, name: &str) -> bool {
    match config {
        Config::FlexiBert(_) => name.ends_with("position_ids"),
        Config::Gpt2(c) => {
            name.ends_with(".attn.bias")
                || name.ends_with(".attn.masked_bias")
                || (c.tied && name.ends_with("lm_head.weight"))
        }
        Config::Gpt2Flex(_) => name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"),
    }
}

fn read<T: Base>(spec: &ParamSpec, view: &TensorView<'_>, path: &str) -> Result<Arc<[T]>, ModelError> {
    let fail = |problem: String, help: &str| ModelError::Parameter {
        path: path.into(),
        name: spec.name.clone(),
        problem,
        help: help.into(),
    };
    if view.shape() != spec.dims.as_slice() {
        let problem = format!("has shape {:?}, the architecture needs {:?}", view.shape(), spec.dims);
        return Err(fail(problem, "the checkpoint belongs to another architecture"));
    }
    macro_rules! widen {
        ($t:ty, $to:expr) => {
            view.data()
                .chunks_exact(size_of::<$t>())
                .map(|b| {
                    let mut bytes = [0u8; size_of::<$t>()];
                    bytes.copy_from_slice(b);
                    $to(<$t>::from_le_bytes(bytes))
                })
                .collect()
        };
    }
    Ok(match view.dtype() {
        Dtype::F64 => widen!(f64, T::narrow),
        Dtype::F32 => widen!(f32, T::from_f32),
        Dtype::F16 => widen!(f16, |x: f16| T::from_f32(x.to_f32())),
        Dtype::BF16 => widen!(bf16, |x: bf16| T::from_f32(x.to_f32())),
        other => {
            return Err(fail(format!("has type {other:?}"), "convert it to F32, F16, BF16 or F64"));
        }
    })
}
