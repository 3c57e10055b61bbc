//! A source whose tensors are mapped on their way, to another element type for example.

use super::{CaptureSpec, Field, Objective, Outline, Sink, SiteId, Source, SourceError};
use crate::tensor::Tensor;
use std::ops::DerefMut;

/// Hands on what the source behind the pointer `P` gives, every tensor mapped; numbers and marks as they are.
/// The map keeps the sizes of tensors, for the outline stays the same.
pub struct Mapped<P, F>(pub P, pub F);

impl<P, F> Source for Mapped<P, F>
where
    P: DerefMut<Target: Source>,
    F: Fn(Tensor) -> Tensor,
{
    fn outline(&self) -> &Outline {
        self.0.deref().outline()
    }

    fn default_objective(&self) -> Objective {
        self.0.deref().default_objective()
    }

    fn run(
        &mut self,
        spec: &CaptureSpec,
        wants: &[(SiteId, Field)],
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        self.0.deref_mut().run(spec, wants, &mut MappedSink(sink, &self.1))
    }
}

struct MappedSink<'a, F>(&'a mut dyn Sink, &'a F);

impl<F: Fn(Tensor) -> Tensor> Sink for MappedSink<'_, F> {
    fn field(&mut self, site: SiteId, field: Field, tensor: Tensor) {
        self.0.field(site, field, (self.1)(tensor));
    }

    fn number(&mut self, name: &'static str, value: f64) {
        self.0.number(name, value);
    }

    fn rounding_noise(&mut self) {
        self.0.rounding_noise();
    }
}
