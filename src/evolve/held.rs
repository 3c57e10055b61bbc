//! A source that remembers: tensors of earlier runs are kept as far as memory allows, and the model
//! is built and run only for what is missing.

use crate::ir::prepare::{field_level, relevant};
use crate::site::{CaptureSpec, Field, Objective, Outline, Sink, SiteId, Source, SourceError};
use crate::tensor::{Dtype, Tensor};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Tensors and numbers of one architecture.
pub struct Kept {
    tensors: FxHashMap<(CaptureSpec, SiteId, Field), Tensor>,
    numbers: FxHashMap<CaptureSpec, Vec<(&'static str, f64)>>,
    noise: FxHashSet<CaptureSpec>,
    room: Arc<AtomicUsize>,
    largest: usize,
}

impl Kept {
    /// Nothing yet; `room` is what all architectures together may still keep, in bytes, and `largest`
    /// the size of a tensor above which none is kept, so that a few large ones do not displace many
    /// small ones.
    pub fn new(room: Arc<AtomicUsize>, largest: usize) -> Self {
        Kept {
            tensors: FxHashMap::default(),
            numbers: FxHashMap::default(),
            noise: FxHashSet::default(),
            room,
            largest,
        }
    }
}

/// Bytes of a tensor of these sizes at single precision.
pub fn bytes(dims: &[usize]) -> usize {
    4 * dims.iter().product::<usize>()
}

/// The size up to which all tensors of all architectures fit into `memory` together.
pub fn largest<'o>(outlines: impl Iterator<Item = &'o Outline>, memory: usize) -> usize {
    let fields = outlines.flat_map(|o| &o.sites).flat_map(|s| &s.fields);
    let usual = |f: &&(Field, _)| !matches!(f.0, Field::Hvp | Field::StoredWeight | Field::StoredGrad);
    let mut sizes: Vec<usize> = fields.filter(usual).map(|(_, d)| bytes(d)).collect();
    sizes.sort_unstable();
    let mut total = 0usize;
    let over = sizes.iter().position(|&b| {
        total = total.saturating_add(b);
        total > memory
    });
    match over {
        None => usize::MAX,
        Some(0) => 0,
        // Where a size fits only in part none of it is kept.
        Some(i) => sizes[i].saturating_sub(1),
    }
}

/// A source over what was kept and a model that is built when needed.
pub struct Held<'a> {
    outline: &'a Outline,
    objective: Objective,
    kept: &'a mut Kept,
    make: &'a dyn Fn() -> Result<Box<dyn Source>, SourceError>,
    inner: Option<Box<dyn Source>>,
    numbers: bool,
    /// Times the model was run.
    pub runs: u64,
}

impl<'a> Held<'a> {
    /// A source with this outline; `numbers` says whether numbers of the run are needed (`loss`).
    pub fn new(
        outline: &'a Outline,
        objective: Objective,
        kept: &'a mut Kept,
        make: &'a dyn Fn() -> Result<Box<dyn Source>, SourceError>,
        numbers: bool,
    ) -> Self {
        Held { outline, objective, kept, make, inner: None, numbers, runs: 0 }
    }
}

impl Source for Held<'_> {
    fn outline(&self) -> &Outline {
        self.outline
    }

    fn default_objective(&self) -> Objective {
        self.objective
    }

    fn run(
        &mut self,
        spec: &CaptureSpec,
        wants: &[(SiteId, Field)],
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        let (old, missing): (Vec<_>, Vec<_>) =
            wants.iter().partition(|(s, f)| self.kept.tensors.contains_key(&slot(spec, *s, *f)));
        let known_numbers = !self.numbers || self.kept.numbers.contains_key(spec);
        if missing.is_empty() && known_numbers {
            for (name, value) in self.kept.numbers.get(spec).into_iter().flatten() {
                sink.number(name, *value);
            }
            if self.kept.noise.contains(spec) {
                sink.rounding_noise();
            }
        } else {
            if self.inner.is_none() {
                self.inner = Some((self.make)()?);
            }
            let mut keep = Keep { spec: *spec, kept: self.kept, sink };
            if let Some(inner) = &mut self.inner {
                inner.run(spec, &missing, &mut keep)?;
                self.runs += 1;
            }
        }
        for (site, field) in old {
            if let Some(t) = self.kept.tensors.get(&slot(spec, site, field)) {
                sink.field(site, field, t.clone());
            }
        }
        Ok(())
    }
}

/// What a tensor is kept under: what its value depends on.
fn slot(spec: &CaptureSpec, site: SiteId, field: Field) -> (CaptureSpec, SiteId, Field) {
    (relevant(spec, field_level(field)), site, field)
}

/// Hands on and keeps.
struct Keep<'a, 'k> {
    spec: CaptureSpec,
    kept: &'k mut Kept,
    sink: &'a mut dyn Sink,
}

impl Sink for Keep<'_, '_> {
    fn field(&mut self, site: SiteId, field: Field, tensor: Tensor) {
        let bytes = tensor.numel() * if tensor.dtype() == Dtype::F64 { 8 } else { 4 };
        let take = |left: usize| left.checked_sub(bytes);
        if bytes <= self.kept.largest
            && self.kept.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
        {
            self.kept.tensors.insert(slot(&self.spec, site, field), tensor.clone());
        }
        self.sink.field(site, field, tensor);
    }

    fn number(&mut self, name: &'static str, value: f64) {
        let list = self.kept.numbers.entry(self.spec).or_default();
        if list.iter().all(|(n, _)| *n != name) {
            list.push((name, value));
        }
        self.sink.number(name, value);
    }

    fn rounding_noise(&mut self) {
        self.kept.noise.insert(self.spec);
        self.sink.rounding_noise();
    }
}
