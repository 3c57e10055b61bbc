//! Runs a model for a demand: the cheapest pass that yields it, nothing more.

use super::net::{Entry, Net, Observer, Samples, Watch};
use super::observe::{First, Give, Second, site_layout};
use super::plan::ParamId;
use super::relay::anywhere;
use super::{Batch, Model, ModelError, forward};
use crate::site::{
    Batches, CaptureSpec, Field, Kind, Objective, Outline, ParamsMode, Pass, Sink, SiteId, Source,
    SourceError, pass_of, per_batch,
};
use crate::tensor::Tensor;
use crate::tensor::device::Session;
use crate::tensor::nn::{IGNORE, Mask};
use crate::tensor::real::{Base, Dual, Real};
use crate::tensor::tape::Var;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// Gradients are rounding noise where the terms of the last normalisation's gradient cancel to so
/// many units of rounding. True gradients leave a fair part of their terms.
const NOISE_UNITS: f64 = 256.0;

/// What one pass reports.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Report {
    pub objective: Option<f64>,
    pub loss: Option<f64>,
    pub noise: bool,
}

/// One pass over one batch.
pub(super) struct Job<'a> {
    pub batch: &'a Batch,
    /// Which sequence of the whole batch is its first.
    pub first: usize,
    pub spec: &'a CaptureSpec,
    pub objective: Objective,
    pub watch: &'a Watch,
    pub backward: bool,
    /// Is the loss wanted even where it is not the objective?
    pub loss: bool,
    /// Is the objective's value wanted?
    pub head: bool,
}

/// Sees the network after its forward pass.
pub(super) type Outputs<'a, R> = dyn FnMut(&mut Net<'_, R>, Var, &forward::HeadOut) + 'a;

impl<T: Base> Model<T> {
    /// A parameter as the run uses it, in stored layout.
    pub(super) fn used(&self, id: ParamId, mode: ParamsMode) -> Arc<[T]> {
        let value = self.params.get(&self.plan, id);
        match mode {
            ParamsMode::Init => value,
            ParamsMode::Abs | ParamsMode::AbsBuffers => value.iter().map(|&x| Base::abs(x)).collect(),
        }
    }

    /// Runs one pass over scalars `R`: on a device, where there is one for it.
    pub(super) fn pass<R: Real<Base = T>>(
        &self,
        job: &Job<'_>,
        params: &dyn Fn(ParamId) -> Arc<[R]>,
        observer: &mut dyn Observer<R>,
        outputs: Option<&mut Outputs<'_, R>>,
    ) -> Report {
        if outputs.is_some() {
            // Captures that everything else is compared with.
            return self.pass_on(None, job, params, observer, outputs);
        }
        let operations = self.plan.flops() * if job.backward { 3.0 } else { 1.0 };
        anywhere((operations, self.factors), observer, |session, relay| {
            self.pass_on(session, job, params, relay, None)
        })
    }

    /// Runs one pass in a session of a device, or here.
    fn pass_on<R: Real<Base = T>>(
        &self,
        session: Option<Arc<dyn Session>>,
        job: &Job<'_>,
        params: &dyn Fn(ParamId) -> Arc<[R]>,
        observer: &mut dyn Observer<R>,
        outputs: Option<&mut Outputs<'_, R>>,
    ) -> Report {
        let mask = match job.spec.params {
            ParamsMode::AbsBuffers => Mask::Flipped,
            _ => Mask::Causal,
        };
        let entry = Entry { inputs: job.spec.inputs, mask, seed: self.seed, first: job.first };
        let mut net = Net::new(&self.plan, params, job.watch, observer, entry, job.backward, session);
        let h = forward::hidden(&self.config, &mut net, job.batch);
        let head = if job.head || job.backward {
            forward::head(&self.config, &mut net, job.batch, h, job.objective, job.loss)
        } else {
            forward::HeadOut::default()
        };
        if let Some(outputs) = outputs {
            outputs(&mut net, h, &head);
        }
        let number = |v: Var| crate::tensor::Element::to_f64(net.tape.value(v)[0].value());
        let mut report =
            Report { objective: head.objective.map(number), loss: head.loss.map(number), noise: false };
        if let Some(objective) = head.objective.filter(|_| job.backward) {
            // The loss is a mean over samples; apart, each counts as the mean over itself.
            let scale = if job.objective == Objective::Loss { job.watch.samples.0 as f64 } else { 1.0 };
            let cancelled = net.backward(objective, scale);
            report.noise = cancelled.is_some_and(|c| c < NOISE_UNITS * T::EPSILON);
        }
        report
    }

    /// Second order: gradients over dual numbers whose block linears move along `direction`.
    pub(super) fn second(
        &self,
        job: &Job<'_>,
        direction: &FxHashMap<ParamId, Arc<[T]>>,
        observer: &mut dyn Observer<Dual<T>>,
    ) {
        let params = |id: ParamId| -> Arc<[Dual<T>]> {
            let value = self.used(id, job.spec.params);
            match direction.get(&id) {
                Some(d) => value.iter().zip(d.iter()).map(|(&v, &d)| Dual { v, d }).collect(),
                None => Dual::share(&value),
            }
        };
        self.pass(job, &params, observer, None);
    }

    /// The objective of a capture, if this family has it.
    pub(super) fn objective(&self, spec: &CaptureSpec) -> Result<Objective, ModelError> {
        let objective = spec.objective.unwrap_or_else(|| self.config.default_objective());
        if objective == Objective::Loss && !self.config.causal() {
            return Err(ModelError::batch(
                format!("{} has no language-model head, so no loss", self.config.family()),
                "take objective = projection",
            ));
        }
        Ok(objective)
    }

    fn watch(&self, wants: &FxHashSet<(SiteId, Field)>) -> Watch {
        let mut watch = Watch::default();
        let hvp = wants.iter().any(|(_, f)| *f == Field::Hvp);
        for &(site, field) in wants {
            let is_param = self.plan.params.iter().any(|p| p.site == Some(site));
            match field {
                Field::Weight | Field::StoredWeight | Field::Hvp => {}
                Field::Grad | Field::StoredGrad if is_param => {}
                _ => {
                    watch.fields.insert((site, field));
                }
            }
        }
        for (id, p) in self.plan.params.iter().enumerate() {
            let wanted = |f| p.site.is_some_and(|s| wants.contains(&(s, f)));
            if wanted(Field::Grad) || wanted(Field::StoredGrad) || (hvp && self.plan.is_block_linear(id)) {
                watch.grads.insert(id);
            }
        }
        watch
    }

    fn give_weights(&self, spec: &CaptureSpec, wants: &[(SiteId, Field)], sink: &mut dyn Sink) {
        let owners: FxHashMap<SiteId, ParamId> =
            self.plan.params.iter().enumerate().filter_map(|(id, p)| Some((p.site?, id))).collect();
        for &(site, field) in wants.iter().filter(|(_, f)| pass_of(*f) == Pass::Weights) {
            let Some(&id) = owners.get(&site) else { continue };
            let value = self.used(id, spec.params);
            let stored = field == Field::StoredWeight || !super::observe::transposed(&self.plan, id);
            let tensor = if stored {
                Tensor::new(&self.plan.params[id].dims, value)
            } else {
                site_layout(&self.plan, id, &value)
            };
            sink.field(site, field, tensor);
        }
    }

    /// First and, where wanted, second order over one batch.
    fn orders(&self, job: &Job<'_>, wants: &FxHashSet<(SiteId, Field)>, give: &mut Give<'_>) -> Report {
        let second = wants.iter().any(|(_, f)| *f == Field::Hvp);
        let keep = second.then(FxHashMap::default);
        let samples = Some(job.watch.samples.0).filter(|&n| n > 1);
        let mut first = First { plan: &self.plan, wanted: wants, give, all: None, keep, samples };
        let params = |id| self.used(id, job.spec.params);
        let report = self.pass::<T>(job, &params, &mut first, None);
        let First { keep, give, .. } = first;
        if let Some(direction) = keep {
            let watch = Watch { grads: direction.keys().copied().collect(), ..Watch::default() };
            let job = Job { watch: &watch, loss: false, ..*job };
            self.second(
                &job,
                &direction,
                &mut Second { plan: &self.plan, wanted: wants, give, stored: false },
            );
        }
        report
    }

    /// Runs over several batches, stacking gradient-like fields.
    fn several(
        &self,
        parts: &[(Batch, usize)],
        spec: &CaptureSpec,
        objective: Objective,
        wants: &FxHashSet<(SiteId, Field)>,
        sink: &mut dyn Sink,
    ) -> Report {
        let mut stacks: FxHashMap<(SiteId, Field), (Vec<usize>, Vec<T>)> = FxHashMap::default();
        let mut order = Vec::new();
        let mut sum = Report::default();
        for (batch, first) in parts {
            let watch = self.watch(wants);
            let job = Job {
                batch,
                first: *first,
                spec,
                objective,
                watch: &watch,
                backward: true,
                loss: false,
                head: true,
            };
            let report = self.orders(&job, wants, &mut |site, field, tensor| {
                let stack = stacks.entry((site, field)).or_insert_with(|| {
                    order.push((site, field));
                    (tensor.dims().to_vec(), Vec::new())
                });
                stack.1.extend_from_slice(tensor.as_slice::<T>().unwrap_or_default());
            });
            let mean =
                |sum: Option<f64>, x: Option<f64>| x.map(|x| sum.unwrap_or(0.0) + x / parts.len() as f64);
            sum.objective = mean(sum.objective, report.objective);
            sum.loss = mean(sum.loss, report.loss);
            sum.noise |= report.noise;
        }
        for key in order {
            if let Some((mut dims, data)) = stacks.remove(&key) {
                dims.insert(0, parts.len());
                sink.field(key.0, key.1, Tensor::new(&dims, data));
            }
        }
        sum
    }

    /// Can the gradients of single sequences come out of one pass over all of them, kept apart where
    /// they reach a parameter? Not second order, not tables that heads share, and not a loss whose
    /// sequences count different numbers of tokens.
    fn apart(&self, batches: Batches, objective: Objective, wants: &FxHashSet<(SiteId, Field)>) -> bool {
        let tied = |site: SiteId| self.plan.sites[site].kind == Kind::Embed && self.config.causal();
        let possible = wants.iter().all(|&(site, field)| field != Field::Hvp && !tied(site));
        let b = &self.batches[0];
        let even = || {
            let counted = |l: &[u32]| l.iter().filter(|&&t| t != IGNORE).count();
            let mut counts = b.labels.iter().flat_map(|l| l.chunks(b.seq)).map(counted);
            counts.next().is_none_or(|first| counts.all(|c| c == first))
        };
        batches == Batches::EachSample && b.batch > 1 && possible && (objective != Objective::Loss || even())
    }

    /// Every sequence as a batch of its own, in one pass; fields of the whole batch come with it.
    fn each(
        &self,
        spec: &CaptureSpec,
        objective: Objective,
        wants: &FxHashSet<(SiteId, Field)>,
        sink: &mut dyn Sink,
    ) -> Report {
        let batch = &self.batches[0];
        let watch = Watch { samples: Samples(batch.batch), ..self.watch(wants) };
        let job =
            Job { batch, first: 0, spec, objective, watch: &watch, backward: true, loss: false, head: true };
        let mut report = self.orders(&job, wants, &mut |site, field, tensor| sink.field(site, field, tensor));
        if objective != Objective::Loss {
            report.objective = report.objective.map(|x| x / batch.batch as f64);
        }
        report
    }

    /// The batches of a capture over several, with the place of each one's first sequence.
    fn parts(&self, batches: Batches) -> Result<Vec<(Batch, usize)>, ModelError> {
        match batches {
            Batches::One => Ok(Vec::new()),
            Batches::EachSample => {
                let b = &self.batches[0];
                Ok((0..b.batch).map(|i| (b.sample(i), i)).collect())
            }
            Batches::Many(n) => match self.batches.get(..n) {
                Some(parts) => Ok(parts.iter().enumerate().map(|(i, b)| (b.clone(), i * b.batch)).collect()),
                None => Err(ModelError::batch(
                    format!("the proxy wants {n} batches, there are {}", self.batches.len()),
                    "give more data, or a smaller batch",
                )),
            },
        }
    }
}

impl<T: Base> Source for Model<T> {
    fn outline(&self) -> &Outline {
        &self.outline
    }

    fn default_objective(&self) -> Objective {
        self.config.default_objective()
    }

    fn run(
        &mut self,
        spec: &CaptureSpec,
        wants: &[(SiteId, Field)],
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        let objective = self.objective(spec)?;
        let parts = self.parts(spec.batches)?;
        self.give_weights(spec, wants, sink);
        if !wants.is_empty() && wants.iter().all(|(_, f)| pass_of(*f) == Pass::Weights) {
            return Ok(());
        }
        let (stacked, single): (FxHashSet<_>, FxHashSet<_>) =
            wants.iter().copied().partition(|(_, f)| !parts.is_empty() && per_batch(*f));
        let all: FxHashSet<_> = wants.iter().copied().filter(|(_, f)| pass_of(*f) > Pass::Weights).collect();
        if !stacked.is_empty() && self.apart(spec.batches, objective, &all) {
            let report = self.each(spec, objective, &all, sink);
            announce(report, sink);
            return Ok(());
        }
        let mut report = Report::default();
        let once = single.iter().any(|(_, f)| pass_of(*f) > Pass::Weights);
        if once || parts.is_empty() || stacked.is_empty() {
            let watch = self.watch(&single);
            let backward = single.iter().any(|(_, f)| pass_of(*f) >= Pass::Backward);
            let head = wants.is_empty();
            let loss = head && self.config.causal();
            let batch = &self.batches[0];
            let job = Job { batch, first: 0, spec, objective, watch: &watch, backward, loss, head };
            report = self.orders(&job, &single, &mut |s, f, t| sink.field(s, f, t));
        }
        if !stacked.is_empty() {
            report = self.several(&parts, spec, objective, &stacked, sink);
        }
        announce(report, sink);
        Ok(())
    }
}

/// The numbers of a run.
fn announce(report: Report, sink: &mut dyn Sink) {
    for (name, value) in [("objective", report.objective), ("loss", report.loss)] {
        if let Some(value) = value {
            sink.number(name, value);
        }
    }
    if report.noise {
        sink.rounding_noise();
    }
}
