//! Checkpoints: one safetensors file with parameters, optimiser state and loss curve, and settings,
//! config and a checksum of the data in its metadata. It replaces the one before when it is whole, so a
//! training that is killed at any moment resumes, and ends bit for bit where it would have ended.

use super::TrainError;
use super::data::Dataset;
use super::trainer::Trainer;
use crate::tensor::file::TensorFile;
use crate::tensor::write::{Entry, TensorWriter};
use crate::tensor::{Dtype, Tensor};
use std::path::{Path, PathBuf};

/// The checkpoint of a training in `dir`.
pub fn path(dir: &Path) -> PathBuf {
    dir.join("checkpoint.safetensors")
}

const LOSSES: &str = "curve/loss";
const VALID: &str = "curve/valid";

/// Metadata that must be equal for a training to go on: key, value, what it is.
fn identity(t: &Trainer, data: &Dataset) -> Result<[(&'static str, String, &'static str); 3], TrainError> {
    let json = |e: serde_json::Error| TrainError::new(e.to_string());
    Ok([
        (
            "settings",
            serde_json::to_string(&t.settings).map_err(json)?,
            "settings (steps, batch, seq, lr, seed)",
        ),
        ("config", serde_json::to_string(&t.config).map_err(json)?, "model config"),
        ("data", format!("{:016x}", data.checksum()), "text"),
    ])
}

pub(super) fn write(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: &[(&str, String)],
) -> Result<(), TrainError> {
    let entry =
        |(key, t): &(String, Tensor)| Entry { key: key.clone(), dtype: t.dtype(), dims: t.dims().to_vec() };
    let entries: Vec<Entry> = tensors.iter().map(entry).collect();
    let save = || {
        let mut out = TensorWriter::create(path, &entries, metadata)?;
        for (key, tensor) in tensors {
            out.write(key, tensor)?;
        }
        out.finish()
    };
    save().map_err(|e: std::io::Error| {
        TrainError::new(format!("cannot write {}: {e}", path.display()))
            .help("the checkpoint before it is kept; free space and continue with --resume")
    })
}

/// Saves where a training is.
///
/// # Errors
/// A full disk or a folder that is not writable; the checkpoint before stays.
pub fn save(t: &Trainer, data: &Dataset, dir: &Path) -> Result<(), TrainError> {
    let mut tensors = Vec::new();
    for (id, spec) in t.model.plan().params.iter().enumerate() {
        let m = &t.moments[id];
        tensors.push((format!("param/{}", spec.name), Tensor::new(&spec.dims, t.params[id].clone())));
        tensors.push((format!("adam.m/{}", spec.name), Tensor::new(&spec.dims, m.m.clone())));
        tensors.push((format!("adam.v/{}", spec.name), Tensor::new(&spec.dims, m.v.clone())));
    }
    tensors.push((LOSSES.to_owned(), Tensor::new(&[t.losses.len()], t.losses.clone())));
    let valid: Vec<f64> = t.valid.iter().flat_map(|&(step, loss)| [step as f64, loss]).collect();
    tensors.push((VALID.to_owned(), Tensor::new(&[t.valid.len(), 2], valid)));
    let mut metadata = vec![("step", t.step.to_string())];
    metadata.extend(identity(t, data)?.map(|(key, value, _)| (key, value)));
    write(&path(dir), &tensors, &metadata)
}

/// Puts a fresh trainer where the checkpoint in `dir` is.
///
/// # Errors
/// No checkpoint; a damaged one; one of other settings, another config or another text.
pub fn resume(t: &mut Trainer, data: &Dataset, dir: &Path) -> Result<(), TrainError> {
    let path = path(dir);
    let file = TensorFile::open(&path)?;
    for (key, value, what) in identity(t, data)? {
        if file.metadata(key) != Some(value.as_str()) {
            let was = file.metadata(key).unwrap_or("nothing");
            return Err(TrainError::new(format!(
                "{} has another {what}: {was}, now {value}",
                path.display()
            ))
            .help("resume with what the training was started with, or train into another folder"));
        }
    }
    let step = file.metadata("step").and_then(|s| s.parse().ok());
    t.step = step.ok_or_else(|| TrainError::new(format!("{} does not say its step", path.display())))?;
    let numbers = |key: &str| -> Result<Vec<f32>, TrainError> {
        let tensor = file.tensor(key)?;
        let wrong = || TrainError::new(format!("{}: tensor \"{key}\" is not F32", path.display()));
        Ok(tensor.as_slice::<f32>().ok_or_else(wrong)?.to_vec())
    };
    for (id, spec) in t.model.plan().params.iter().enumerate() {
        let shape = file.dims(&format!("param/{}", spec.name));
        if shape != Some(spec.dims.as_slice()) {
            return Err(TrainError::new(format!("{}: `{}` has shape {shape:?}", path.display(), spec.name)));
        }
        t.params[id] = numbers(&format!("param/{}", spec.name))?.into();
        t.moments[id].m = numbers(&format!("adam.m/{}", spec.name))?;
        t.moments[id].v = numbers(&format!("adam.v/{}", spec.name))?;
    }
    t.losses = file.tensor(LOSSES)?.to_f64();
    t.valid = file.tensor(VALID)?.to_f64().chunks_exact(2).map(|c| (c[0] as usize, c[1])).collect();
    Ok(())
}

/// Writes the parameters alone, under the names and in the layout of the family's checkpoints.
///
/// # Errors
/// A full disk or a folder that is not writable.
pub fn export(t: &Trainer, path: &Path) -> Result<(), TrainError> {
    let named = t.model.plan().params.iter().zip(&t.params);
    let tensors: Vec<_> = named.map(|(s, p)| (s.name.clone(), Tensor::new(&s.dims, p.clone()))).collect();
    debug_assert!(tensors.iter().all(|(_, t)| t.dtype() == Dtype::F32));
    write(path, &tensors, &[("format", "pt".to_owned())])
}
