//! What a training starts from and sees, for other programs to repeat it: initial parameters
//! (`param/NAME`) and the batches of all steps (`ids`, `targets`, `[steps, batch, seq]`, numbers as F64; a
//! target of -1 is not asked for), with the settings in the metadata.

use super::checkpoint::write;
use super::{Dataset, TrainError, Trainer};
use crate::tensor::Tensor;
use crate::tensor::nn::IGNORE;
use std::path::Path;

/// Writes the trace of a trainer that has not begun.
///
/// # Errors
/// A full disk or a folder that is not writable.
pub fn trace(t: &Trainer, data: &Dataset, path: &Path) -> Result<(), TrainError> {
    let s = &t.settings;
    let dims = [s.schedule.steps, s.batch, s.seq];
    let (mut ids, mut targets) = (Vec::new(), Vec::new());
    for step in 0..s.schedule.steps {
        let (i, n) = t.batch(data, step);
        ids.extend(i.iter().map(|&x| f64::from(x)));
        targets.extend(n.iter().map(|&x| if x == IGNORE { -1.0 } else { f64::from(x) }));
    }
    let named = t.model.plan().params.iter().zip(&t.params);
    let mut tensors: Vec<_> =
        named.map(|(spec, p)| (format!("param/{}", spec.name), Tensor::new(&spec.dims, p.clone()))).collect();
    tensors.push(("ids".to_owned(), Tensor::new(&dims, ids)));
    tensors.push(("targets".to_owned(), Tensor::new(&dims, targets)));
    let settings = serde_json::to_string(s).map_err(|e| TrainError::new(e.to_string()))?;
    write(path, &tensors, &[("settings", settings)])
}
