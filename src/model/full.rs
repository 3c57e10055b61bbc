//! Everything a model computes for one objective, under the keys of a full capture file.
//!
//! `output/NAME`, `grad/O/PARAM`, `linout/PARAM`, `linout_grad/O/PARAM`, `act/M`, `act_grad/O/M`,
//! `head/M`, `head_grad/O/M`, `softmax/M`, `softmax_grad/O/M`, `hvp/PARAM`; parameter-like tensors in
//! the layout the family stores.

use super::net::{Net, Watch};
use super::observe::{First, Second};
use super::run::Job;
use super::{Model, ModelError, forward};
use crate::site::{CaptureSpec, Field, Kind, Pass, SiteId, objective_key, pass_of};
use crate::tensor::Tensor;
use crate::tensor::real::Base;
use crate::tensor::tape::Var;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::RefCell;

/// The key of a site's field; `None` for fields a full capture does not keep.
fn key(kind: Kind, name: &str, field: Field, o: &str) -> Option<String> {
    Some(match (kind, field) {
        (Kind::Linear, Field::Output) => format!("linout/{name}"),
        (Kind::Linear, Field::OutputGrad) => format!("linout_grad/{o}/{name}"),
        (Kind::Linear, Field::Hvp) => format!("hvp/{name}"),
        (Kind::Act, Field::Value) => format!("act/{name}"),
        (Kind::Act, Field::Grad) => format!("act_grad/{o}/{name}"),
        (Kind::Head, Field::Value) => format!("head/{name}"),
        (Kind::Head, Field::Grad) => format!("head_grad/{o}/{name}"),
        (Kind::Softmax, Field::Value) => format!("softmax/{name}"),
        (Kind::Attn, Field::Grad) => format!("softmax_grad/{o}/{name}"),
        _ => return None,
    })
}

impl<T: Base> Model<T> {
    /// Runs the first batch for `spec` and hands out everything under its key, Hessian-vector products
    /// only with `hvp`. Returns the value of the objective.
    ///
    /// # Errors
    /// When the family does not have the objective.
    pub fn full(
        &self,
        spec: &CaptureSpec,
        hvp: bool,
        out: &mut dyn FnMut(&str, Tensor),
    ) -> Result<f64, ModelError> {
        let objective = self.objective(spec)?;
        let o = objective_key(objective);
        let out = RefCell::new(out);
        let emit = |key: String, t: Tensor| (out.borrow_mut())(&key, t);
        let wanted = self.keyed();
        let fields = wanted.iter().copied().filter(|(_, f)| pass_of(*f) < Pass::SecondOrder).collect();
        let watch = Watch { fields, grads: (0..self.plan.params.len()).collect(), ..Watch::default() };
        let give = |site: SiteId, field: Field, t: Tensor| {
            let s = &self.plan.sites[site];
            if let Some(k) = key(s.kind, &s.name, field, o) {
                emit(k, t);
            }
        };
        let mut give_first = give;
        let mut all = |id: usize, g: &[T]| {
            let p = &self.plan.params[id];
            emit(format!("grad/{o}/{}", p.name), Tensor::new(&p.dims, g.to_vec()));
        };
        let mut first = First {
            plan: &self.plan,
            wanted: &FxHashSet::default(),
            give: &mut give_first,
            all: Some(&mut all),
            keep: hvp.then(FxHashMap::default),
            samples: None,
        };
        let batch = &self.batches[0];
        let loss = self.config.causal();
        let job = Job { batch, first: 0, spec, objective, watch: &watch, backward: true, loss, head: true };
        let params = |id| self.used(id, spec.params);
        let mut outputs = |net: &mut Net<'_, T>, h: Var, head: &forward::HeadOut| {
            self.outputs(net, h, head, &mut |k, t| emit(format!("output/{k}"), t));
        };
        let report = self.pass::<T>(&job, &params, &mut first, Some(&mut outputs));
        if let Some(direction) = first.keep.take() {
            let watch = Watch { grads: direction.keys().copied().collect(), ..Watch::default() };
            let job = Job { watch: &watch, loss: false, ..job };
            let mut give = give;
            self.second(
                &job,
                &direction,
                &mut Second { plan: &self.plan, wanted: &wanted, give: &mut give, stored: true },
            );
        }
        Ok(report.objective.unwrap_or(f64::NAN))
    }

    /// The fields that have keys.
    fn keyed(&self) -> FxHashSet<(SiteId, Field)> {
        let sites = self.plan.sites.iter().enumerate();
        sites
            .flat_map(|(i, s)| s.fields.iter().map(move |(f, _)| (i, s, *f)))
            .filter(|(_, s, f)| key(s.kind, &s.name, *f, "").is_some())
            .map(|(i, _, f)| (i, f))
            .collect()
    }

    fn outputs(
        &self,
        net: &mut Net<'_, T>,
        h: Var,
        head: &forward::HeadOut,
        out: &mut dyn FnMut(&str, Tensor),
    ) {
        let tensor = |net: &Net<'_, T>, v: Var| Tensor::new(net.tape.dims(v), net.tape.value(v).to_vec());
        out("last_hidden_state", tensor(net, h));
        if let Some(logits) = head.logits {
            out("logits", tensor(net, logits));
        }
        if !head.picks.is_empty() {
            let b = &self.batches[0];
            out("nll", Tensor::new(&[b.batch, b.seq], forward::nll(net, b, &head.picks)));
        }
        if let Some((dims, data)) = forward::log_probs(&self.config, net, h) {
            out("log_probs", Tensor::new(&dims, data));
        }
    }
}
