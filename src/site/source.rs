//! What delivers fields, and what takes them in.

use super::{CaptureSpec, Field, Objective, Outline, SiteId};
use crate::tensor::Tensor;

/// Takes in what a model hands out.
pub trait Sink {
    /// A field of a site is complete. Called once per demanded (site, field), in the order in
    /// which the model completes them; the model drops its own reference afterwards.
    fn field(&mut self, site: SiteId, field: Field, tensor: Tensor);
    /// A number of the run (`loss`, `objective`) is known.
    fn number(&mut self, name: &'static str, value: f64);
    /// The gradients of this run are rounding noise: their size is what rounding alone would give.
    fn rounding_noise(&mut self);
}

/// Something that can deliver fields: a model with its data, a stored capture, a file of tensors.
pub trait Source {
    /// What is known without running. Depends on the batch (shapes, `tokens`, `flops`).
    fn outline(&self) -> &Outline;
    /// The objective that `@capture` without one means here.
    fn default_objective(&self) -> Objective;
    /// Runs once for `spec` and hands every field in `wants` to `sink`, once each.
    /// Numbers of the run are handed over whenever data goes through the model; empty `wants` ask
    /// for them alone.
    ///
    /// # Errors
    /// When the source cannot deliver: a stored capture without the field, a data file too short.
    fn run(
        &mut self,
        spec: &CaptureSpec,
        wants: &[(SiteId, Field)],
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError>;
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn outline(&self) -> &Outline {
        (**self).outline()
    }
    fn default_objective(&self) -> Objective {
        (**self).default_objective()
    }
    fn run(
        &mut self,
        spec: &CaptureSpec,
        wants: &[(SiteId, Field)],
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        (**self).run(spec, wants, sink)
    }
}

/// Why a source could not deliver.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// What is wrong, with the place.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}
