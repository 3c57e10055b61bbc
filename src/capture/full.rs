//! Everything a model computes for some objectives, in one file: what `lpz capture --model` writes.

use super::outline::{Description, KEY, RunText};
use crate::model::{Model, ModelError};
use crate::site::{CaptureSpec, Objective, Source, objective_key};
use crate::tensor::Tensor;
use crate::tensor::real::Base;
use crate::tensor::write::{Entry, TensorWriter};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Why nothing was captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The model could not be run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The file could not be written.
    #[error("cannot write {0}: {1}")]
    Io(String, io::Error),
}

/// Captures `model` for every objective (Hessian-vector products for the first only) and writes
/// `path`; `each` hears of every objective. Returns the number of tensors.
///
/// # Errors
/// An objective that the family does not have; a file that cannot be written.
pub fn capture_full<T: Base>(
    model: &Model<T>,
    objectives: &[Objective],
    hvp: bool,
    path: &Path,
    each: &mut dyn FnMut(&str),
) -> Result<usize, CaptureError> {
    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    let mut description = Description::new(model.outline(), model.default_objective());
    for (i, &objective) in objectives.iter().enumerate() {
        let spec = CaptureSpec { objective: Some(objective), ..CaptureSpec::default() };
        let value = model.full(&spec, hvp && i == 0, &mut |key, tensor| {
            tensors.insert(key.to_owned(), tensor);
        })?;
        let mut run = RunText::new(&spec);
        run.numbers.insert("objective".to_owned(), value);
        if objective == Objective::Loss {
            run.numbers.insert("loss".to_owned(), value);
        }
        description.runs.push(run);
        each(objective_key(objective));
    }
    for (id, parameter) in model.plan().params.iter().enumerate() {
        tensors.insert(format!("weight/{}", parameter.name), model.param(id));
    }
    let io = |e: io::Error| CaptureError::Io(path.display().to_string(), e);
    let entry =
        |(key, t): (&String, &Tensor)| Entry { key: key.clone(), dtype: t.dtype(), dims: t.dims().to_vec() };
    let entries: Vec<Entry> = tensors.iter().map(entry).collect();
    let text = serde_json::to_string(&description).map_err(|e| io(e.into()))?;
    let mut writer = TensorWriter::create(path, &entries, &[(KEY, text)]).map_err(io)?;
    for (key, tensor) in &tensors {
        writer.write(key, tensor).map_err(io)?;
    }
    writer.finish().map_err(io)?;
    Ok(tensors.len())
}
