//! A forward pass in progress: the tape, parameters by name, and taps that say what is observed.

use super::plan::{ParamId, Plan};
use crate::site::{Field, Inputs, Kind, SiteId};
use crate::tensor::device::Session;
use crate::tensor::nn::{self, Layout, Mask};
use crate::tensor::real::Real;
use crate::tensor::tape::{Grad, Tape, Var};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// What a pass has to observe.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    /// Observed fields, of every pass.
    pub fields: FxHashSet<(SiteId, Field)>,
    /// Parameters whose gradients are wanted.
    pub grads: FxHashSet<ParamId>,
    /// Gradients of the parameters are wanted of every sample apart; their number is 1 otherwise.
    pub samples: Samples,
}

/// Number of samples whose gradients are kept apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Samples(pub usize);

impl Default for Samples {
    fn default() -> Self {
        Samples(1)
    }
}

/// Takes what a pass observes.
pub(super) trait Observer<R> {
    /// A tensor seen in forward, or a gradient of one in backward.
    fn value(&mut self, site: SiteId, field: Field, dims: &[usize], data: Arc<Vec<R>>);
    /// The gradient of a parameter, as stored.
    fn param(&mut self, id: ParamId, grad: &mut Grad<R>);
}

/// What enters the network besides tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// What stands in for the token embedding.
    pub inputs: Inputs,
    /// Mask of decoders.
    pub mask: Mask,
    /// Seed of noise and projections.
    pub seed: u64,
    /// Which sequence of the whole batch is the first of this one.
    pub first: usize,
}

/// A forward pass.
pub(super) struct Net<'a, R: Real> {
    /// The tape.
    pub tape: Tape<R>,
    /// The plan.
    pub plan: &'a Plan,
    /// What enters.
    pub entry: Entry,
    params: &'a dyn Fn(ParamId) -> Arc<[R]>,
    leaves: FxHashMap<ParamId, Var>,
    taps: FxHashMap<Var, Vec<(SiteId, Field)>>,
    watch: &'a Watch,
    observer: &'a mut dyn Observer<R>,
}

impl<'a, R: Real> Net<'a, R> {
    pub(super) fn new(
        plan: &'a Plan,
        params: &'a dyn Fn(ParamId) -> Arc<[R]>,
        watch: &'a Watch,
        observer: &'a mut dyn Observer<R>,
        entry: Entry,
        record: bool,
        session: Option<Arc<dyn Session>>,
    ) -> Self {
        let mut tape = Tape::new(record);
        tape.reside(session);
        tape.tangents = R::PARTS > 1;
        Net {
            tape,
            plan,
            entry,
            params,
            leaves: FxHashMap::default(),
            taps: FxHashMap::default(),
            watch,
            observer,
        }
    }

    /// A parameter by name, where the architecture has it.
    pub(super) fn try_param(&mut self, name: &str) -> Option<Var> {
        let id = self.plan.param(name)?;
        if let Some(&v) = self.leaves.get(&id) {
            return Some(v);
        }
        let v = self.tape.leaf(&self.plan.params[id].dims, (self.params)(id), self.watch.grads.contains(&id));
        self.tape.apart(v, self.watch.samples.0);
        self.leaves.insert(id, v);
        Some(v)
    }

    /// A parameter by name.
    ///
    /// # Panics
    /// When the family did not declare it: a fault of the family's code that every run shows.
    #[allow(clippy::panic)]
    pub(super) fn param(&mut self, name: &str) -> Var {
        match self.try_param(name) {
            Some(v) => v,
            None => panic!("parameter {name} is used but not declared"),
        }
    }

    /// Is a field of a site observed?
    pub(super) fn watches(&self, kind: Kind, name: &str, field: Field) -> bool {
        self.plan.site(kind, name).is_some_and(|s| self.watch.fields.contains(&(s, field)))
    }

    /// Observes `v` as `value` of a site, and its gradient as `grad`.
    pub(super) fn tap(&mut self, kind: Kind, name: &str, v: Var, value: Field, grad: Option<Field>) {
        let Some(site) = self.plan.site(kind, name) else { return };
        if self.watch.fields.contains(&(site, value)) {
            let data = self.tape.share(v);
            self.observer.value(site, value, self.tape.dims(v), data);
        }
        if let Some(grad) = grad.filter(|&g| self.watch.fields.contains(&(site, g))) {
            self.tape.require(v);
            self.taps.entry(v).or_default().push((site, grad));
        }
    }

    /// A linear with its taps: `name.weight`, and `name.bias` where there is one.
    pub(super) fn linear(&mut self, x: Var, name: &str) -> Var {
        self.linear_as(x, name, self.plan.layout)
    }

    /// The same with a given layout.
    pub(super) fn linear_as(&mut self, x: Var, name: &str, layout: Layout) -> Var {
        let (weight, w, b) = self.enter_linear(x, name);
        let y = nn::linear(&mut self.tape, x, w, b, layout);
        self.leave_linear(y, name, &weight);
        y
    }

    /// A linear and its non-linearity, of name `act_name`, with their taps.
    pub(super) fn linear_act(&mut self, x: Var, name: &str, act: nn::Act, act_name: &str) -> Var {
        let (weight, w, b) = self.enter_linear(x, name);
        let observed = self.watches(Kind::Linear, &weight, Field::OutputGrad)
            || self.watches(Kind::Head, name, Field::Grad);
        let (y, a) = nn::linear_act(&mut self.tape, x, w, b, self.plan.layout, act, observed);
        self.leave_linear(y, name, &weight);
        self.tap(Kind::Act, act_name, a, Field::Value, Some(Field::Grad));
        a
    }

    /// The name of a linear's weight, the weight and the bias.
    fn enter_linear(&mut self, x: Var, name: &str) -> (String, Var, Option<Var>) {
        let weight = format!("{name}.weight");
        let w = self.param(&weight);
        let b = self.try_param(&format!("{name}.bias"));
        self.tap(Kind::Linear, &weight, x, Field::Input, None);
        (weight, w, b)
    }

    fn leave_linear(&mut self, y: Var, name: &str, weight: &str) {
        self.tap(Kind::Linear, weight, y, Field::Output, Some(Field::OutputGrad));
        self.tap(Kind::Head, name, y, Field::Value, Some(Field::Grad));
    }

    /// A layer norm by module name.
    pub(super) fn layer_norm(&mut self, x: Var, name: &str, eps: f64) -> Var {
        let w = self.param(&format!("{name}.weight"));
        let b = self.param(&format!("{name}.bias"));
        nn::layer_norm(&mut self.tape, x, w, b, eps)
    }

    /// Attention of three sets of heads, observed under the module's name.
    pub(super) fn attention(
        &mut self,
        q: nn::Heads,
        k: nn::Heads,
        v: nn::Heads,
        mask: Mask,
        module: &str,
    ) -> Var {
        let p = nn::attention_probs(&mut self.tape, q, k, mask);
        let name = format!("{module}.softmax");
        self.tap(Kind::Attn, &name, p, Field::Value, Some(Field::Grad));
        self.tap(Kind::Softmax, &name, p, Field::Value, None);
        nn::attend(&mut self.tape, p, v)
    }

    /// Ones or noise in place of token embeddings; `None` where tokens are used.
    pub(super) fn stand_in(&mut self, batch: usize, seq: usize, width: usize) -> Option<Var> {
        let dims = [batch, seq, width];
        match self.entry.inputs {
            Inputs::Data => None,
            Inputs::Ones => Some(self.tape.constant(&dims, vec![R::of(1.0); batch * seq * width])),
            Inputs::Noise => Some(self.normals("noise", &dims)),
        }
    }

    /// Seeded normal numbers as a constant; a sequence has the same ones whatever batch it is in.
    pub(super) fn normals(&mut self, name: &str, dims: &[usize]) -> Var {
        let n: usize = dims.iter().product();
        let skip = self.entry.first * (n / dims[0].max(1));
        let values = super::drawn::normals::<R::Base>(self.entry.seed, name, skip, n);
        self.tape.leaf(dims, R::share(&values), false)
    }

    /// Differentiates `scale` times the number `objective` and hands the observed gradients out. Returns how
    /// far the terms of the last normalisation's gradient cancelled.
    pub(super) fn backward(self, objective: Var, scale: f64) -> Option<f64> {
        let Net { mut tape, plan, leaves, taps, watch, observer, .. } = self;
        let params: FxHashMap<Var, ParamId> = leaves.iter().map(|(&id, &v)| (v, id)).collect();
        let mut seen: FxHashSet<Var> = FxHashSet::default();
        let dims: FxHashMap<Var, Vec<usize>> = taps.keys().map(|&v| (v, tape.dims(v).to_vec())).collect();
        tape.backward(objective, scale, &mut |v, g| {
            seen.insert(v);
            if let Some(taps) = taps.get(&v) {
                let data = g.share();
                for &(site, field) in taps {
                    observer.value(site, field, &dims[&v], data.clone());
                }
            }
            if let Some(&id) = params.get(&v) {
                observer.param(id, g);
            }
        });
        // What the objective does not depend on has gradient 0.
        let mut rest: Vec<(Var, &Vec<(SiteId, Field)>)> =
            taps.iter().filter(|(v, _)| !seen.contains(v)).map(|(v, t)| (*v, t)).collect();
        rest.sort_by_key(|(v, _)| *v);
        for (v, taps) in rest {
            let zeros = Arc::new(vec![R::default(); dims[&v].iter().product()]);
            for &(site, field) in taps {
                observer.value(site, field, &dims[&v], zeros.clone());
            }
        }
        let used: FxHashSet<ParamId> =
            leaves.iter().filter(|(_, v)| seen.contains(v)).map(|(&id, _)| id).collect();
        let mut unused: Vec<ParamId> = watch.grads.difference(&used).copied().collect();
        unused.sort_unstable();
        for id in unused {
            let zeros = vec![R::default(); plan.params[id].numel() * watch.samples.0];
            observer.param(id, &mut Grad::own(zeros));
        }
        tape.cancellation
    }
}
