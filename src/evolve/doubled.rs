//! A source whose tensors are widened to double precision, so that everything computed from them is.

use crate::site::{CaptureSpec, Field, Objective, Outline, Sink, SiteId, Source, SourceError};
use crate::tensor::Tensor;

/// Hands on what another source gives, in double precision.
pub struct Doubled<'a>(pub &'a mut dyn Source);

impl Source for Doubled<'_> {
    fn outline(&self) -> &Outline {
        self.0.outline()
    }

    fn default_objective(&self) -> Objective {
        self.0.default_objective()
    }

    fn run(
        &mut self,
        spec: &CaptureSpec,
        wants: &[(SiteId, Field)],
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        self.0.run(spec, wants, &mut Widen(sink))
    }
}

struct Widen<'a>(&'a mut dyn Sink);

impl Sink for Widen<'_> {
    fn field(&mut self, site: SiteId, field: Field, tensor: Tensor) {
        self.0.field(site, field, Tensor::new(tensor.dims(), tensor.to_f64()));
    }

    fn number(&mut self, name: &'static str, value: f64) {
        self.0.number(name, value);
    }

    fn rounding_noise(&mut self) {
        self.0.rounding_noise();
    }
}
