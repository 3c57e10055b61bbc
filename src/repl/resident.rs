//! A source that remembers: tensors that a run delivered stay, so that only a changed demand runs
//! the model again. Says what it ran, and stops between two tensors when asked to.

use crate::ir::prepare::{Level, field_level, relevant, resolved};
use crate::site::{
    CaptureSpec, FIELDS, Field, KINDS, Objective, Outline, Pass, Sink, SiteId, Source, SourceError,
};
use crate::tensor::Tensor;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A tensor by what decides it.
type Key = (CaptureSpec, SiteId, Field);

/// The payload with which an interrupted run unwinds.
pub struct Interrupted;

/// One run of the source.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The most expensive pass.
    pub pass: Pass,
    /// What was asked for.
    pub spec: CaptureSpec,
    /// Fields taken: `linear.grad`, and of how many sites.
    pub fields: Vec<(String, usize)>,
    /// Seconds in the source.
    pub seconds: f64,
}

/// A source and what it delivered.
pub struct Resident {
    inner: Box<dyn Source + Send>,
    fields: FxHashMap<Key, Tensor>,
    order: VecDeque<Key>,
    numbers: FxHashMap<CaptureSpec, Vec<(&'static str, f64)>>,
    noisy: FxHashSet<CaptureSpec>,
    bytes: usize,
    limit: usize,
    cancel: Arc<AtomicBool>,
    log: Vec<Ran>,
}

impl Resident {
    /// Remembers up to `limit` bytes of what `inner` delivers.
    pub fn new(inner: Box<dyn Source + Send>, limit: usize) -> Self {
        Resident {
            inner,
            fields: FxHashMap::default(),
            order: VecDeque::new(),
            numbers: FxHashMap::default(),
            noisy: FxHashSet::default(),
            bytes: 0,
            limit,
            cancel: Arc::default(),
            log: Vec::new(),
        }
    }

    /// Bytes of tensors held, and their number.
    pub fn held(&self) -> (usize, usize) {
        (self.bytes, self.fields.len())
    }

    /// What was run since the last call.
    pub fn take_log(&mut self) -> Vec<Ran> {
        std::mem::take(&mut self.log)
    }

    /// When this is set, the next tensor unwinds with [`Interrupted`].
    pub fn stop_with(&mut self, cancel: Arc<AtomicBool>) {
        self.cancel = cancel;
    }

    fn key(&self, spec: &CaptureSpec, site: SiteId, field: Field) -> Key {
        let spec = resolved(spec, self.inner.default_objective());
        (relevant(&spec, field_level(field)), site, field)
    }

    fn keep(&mut self, key: Key, tensor: &Tensor) {
        if tensor.bytes() > self.limit {
            return;
        }
        self.bytes += tensor.bytes();
        if let Some(old) = self.fields.insert(key, tensor.clone()) {
            self.bytes -= old.bytes();
        } else {
            self.order.push_back(key);
        }
        while self.bytes > self.limit {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(t) = self.fields.remove(&oldest) {
                self.bytes -= t.bytes();
            }
        }
    }

    /// Hands over what is here; returns what is not.
    fn replay(
        &self,
        spec: &CaptureSpec,
        wants: &[(SiteId, Field)],
        sink: &mut dyn Sink,
    ) -> Vec<(SiteId, Field)> {
        let gradient = wants.iter().any(|(_, f)| field_level(*f) == Level::Backward);
        let full = resolved(spec, self.inner.default_objective());
        if gradient && self.noisy.contains(&full) {
            sink.rounding_noise();
        }
        for &(name, x) in self.numbers.get(&full).into_iter().flatten() {
            sink.number(name, x);
        }
        let mut missing = Vec::new();
        for &(site, field) in wants {
            if self.cancel.load(Ordering::Relaxed) {
                std::panic::resume_unwind(Box::new(Interrupted));
            }
            match self.fields.get(&self.key(spec, site, field)) {
                Some(t) => sink.field(site, field, t.clone()),
                None => missing.push((site, field)),
            }
        }
        missing
    }

    fn ran(&mut self, spec: &CaptureSpec, wants: &[(SiteId, Field)], seconds: f64) {
        let pass = |f: Field| FIELDS.iter().find(|r| r.field == f).map_or(Pass::Forward, |r| r.pass);
        let mut fields: Vec<(String, usize)> = Vec::new();
        for &(site, field) in wants {
            let kind = self.inner.outline().sites[site].kind;
            let kind = KINDS.iter().find(|k| k.kind == kind).map_or("", |k| k.name);
            let field = FIELDS.iter().find(|r| r.field == field).map_or("", |r| r.name);
            let name = format!("{kind}.{field}");
            match fields.iter_mut().find(|(n, _)| *n == name) {
                Some((_, count)) => *count += 1,
                None => fields.push((name, 1)),
            }
        }
        let pass = wants.iter().map(|(_, f)| pass(*f)).max().unwrap_or(Pass::Forward);
        self.log.push(Ran { pass, spec: *spec, fields, seconds });
    }
}

/// Hands on what a run delivers, and keeps it.
struct Tee<'a> {
    sink: &'a mut dyn Sink,
    cancel: Arc<AtomicBool>,
    fields: Vec<(SiteId, Field, Tensor)>,
    numbers: Vec<(&'static str, f64)>,
    noisy: bool,
}

impl Tee<'_> {
    fn check(&self) {
        if self.cancel.load(Ordering::Relaxed) {
            std::panic::resume_unwind(Box::new(Interrupted));
        }
    }
}

impl Sink for Tee<'_> {
    fn field(&mut self, site: SiteId, field: Field, tensor: Tensor) {
        self.check();
        self.fields.push((site, field, tensor.clone()));
        self.sink.field(site, field, tensor);
    }

    fn number(&mut self, name: &'static str, value: f64) {
        self.numbers.push((name, value));
        self.sink.number(name, value);
    }

    fn rounding_noise(&mut self) {
        self.noisy = true;
        self.sink.rounding_noise();
    }
}

impl Source for Resident {
    fn outline(&self) -> &Outline {
        self.inner.outline()
    }

    fn default_objective(&self) -> Objective {
        self.inner.default_objective()
    }

    fn run(
        &mut self,
        spec: &CaptureSpec,
        wants: &[(SiteId, Field)],
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        let missing = self.replay(spec, wants, sink);
        let full = resolved(spec, self.inner.default_objective());
        if missing.is_empty() && (!wants.is_empty() || self.numbers.contains_key(&full)) {
            return Ok(());
        }
        let start = Instant::now();
        let cancel = self.cancel.clone();
        let mut tee = Tee { sink, cancel, fields: Vec::new(), numbers: Vec::new(), noisy: false };
        self.inner.run(spec, &missing, &mut tee)?;
        let Tee { fields, numbers, noisy, .. } = tee;
        for (site, field, tensor) in fields {
            self.keep(self.key(spec, site, field), &tensor);
        }
        if !numbers.is_empty() {
            self.numbers.insert(full, numbers);
        }
        if noisy {
            self.noisy.insert(full);
        }
        self.ran(&full, &missing, start.elapsed().as_secs_f64());
        Ok(())
    }
}
