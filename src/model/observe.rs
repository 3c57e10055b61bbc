//! Turns what a pass observes into tensors of sites.

use super::net::Observer;
use super::plan::{ParamId, Plan};
use crate::site::{Field, Kind, SiteId, per_batch};
use crate::tensor::nn::Layout;
use crate::tensor::par;
use crate::tensor::real::{Base, Dual, Real};
use crate::tensor::tape::Grad;
use crate::tensor::{Dims, Tensor};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// Takes a tensor of a site.
pub(super) type Give<'a> = dyn FnMut(SiteId, Field, Tensor) + 'a;

/// Takes the gradient of a parameter, as stored.
pub(super) type All<'a, T> = dyn FnMut(ParamId, &[T]) + 'a;

/// Is this parameter stored transposed to the site's view of it?
pub(super) fn transposed(plan: &Plan, id: ParamId) -> bool {
    plan.layout == Layout::InOut && plan.is_block_linear(id)
}

/// A parameter-like tensor in the site's layout.
pub(super) fn site_layout<T: Base>(plan: &Plan, id: ParamId, data: &[T]) -> Tensor {
    let dims = &plan.params[id].dims;
    if !transposed(plan, id) {
        return Tensor::new(dims, data.to_vec());
    }
    Tensor::new(&[dims[1], dims[0]], par::transpose(data, dims[0], dims[1]))
}

/// Hands out values and gradients; keeps gradients of block linears where a second order follows.
pub(super) struct First<'a, T> {
    pub plan: &'a Plan,
    /// What is handed out.
    pub wanted: &'a FxHashSet<(SiteId, Field)>,
    pub give: &'a mut Give<'a>,
    /// Every parameter's gradient, where somebody wants them all.
    pub all: Option<&'a mut All<'a, T>>,
    /// Gradients kept for the second order.
    pub keep: Option<FxHashMap<ParamId, Arc<[T]>>>,
    /// Samples whose gradients come apart: each gradient then has a leading axis for them.
    pub samples: Option<usize>,
}

impl<T: Base> First<'_, T> {
    /// A gradient in the site's layout, or as stored.
    fn gradient(&self, id: ParamId, grad: &mut Grad<T>, stored: bool) -> Tensor {
        let dims = &self.plan.params[id].dims;
        let turn = !stored && transposed(self.plan, id);
        let mut shape: Dims = self.samples.into_iter().collect();
        shape.extend(dims.iter().copied());
        if turn {
            let last = shape.len() - 1;
            shape.swap(last - 1, last);
            let turned = |g: &[T]| par::transpose(g, dims[0], dims[1]);
            let data = match self.samples {
                None => turned(grad),
                Some(_) => grad.chunks(dims[0] * dims[1]).flat_map(turned).collect(),
            };
            return Tensor::new(&shape, data);
        }
        Tensor::new(&shape, grad.share())
    }
}

impl<T: Base> Observer<T> for First<'_, T> {
    fn value(&mut self, site: SiteId, field: Field, dims: &[usize], data: Arc<Vec<T>>) {
        // Over samples a gradient has the axis of the batches before that of the sequences of each.
        let apart = self.samples.is_some() && per_batch(field);
        let mut shape: Dims = dims.into();
        if apart {
            shape.insert(1, 1);
        }
        (self.give)(site, field, Tensor::new(&shape, data));
    }

    fn param(&mut self, id: ParamId, grad: &mut Grad<T>) {
        if let Some(all) = &mut self.all {
            all(id, grad);
        }
        if let Some(site) = self.plan.params[id].site {
            if self.wanted.contains(&(site, Field::Grad)) {
                let tensor = self.gradient(id, grad, false);
                (self.give)(site, Field::Grad, tensor);
            }
            if self.wanted.contains(&(site, Field::StoredGrad)) {
                let tensor = self.gradient(id, grad, true);
                (self.give)(site, Field::StoredGrad, tensor);
            }
        }
        if let Some(keep) = self.keep.as_mut().filter(|_| self.plan.is_block_linear(id)) {
            keep.insert(id, (&**grad).into());
        }
    }
}

/// Hands out the tangents of gradients: Hessian-vector products.
pub(super) struct Second<'a> {
    pub plan: &'a Plan,
    pub wanted: &'a FxHashSet<(SiteId, Field)>,
    pub give: &'a mut Give<'a>,
    /// Hand out as stored instead of in the site's layout.
    pub stored: bool,
}

impl<T: Base> Observer<Dual<T>> for Second<'_> {
    fn value(&mut self, _: SiteId, _: Field, _: &[usize], _: Arc<Vec<Dual<T>>>) {}

    fn param(&mut self, id: ParamId, grad: &mut Grad<Dual<T>>) {
        let Some(site) = self.plan.params[id].site else { return };
        if self.plan.sites[site].kind != Kind::Linear || !self.wanted.contains(&(site, Field::Hvp)) {
            return;
        }
        let tangents: Vec<T> = grad.iter().map(|g| g.tangent()).collect();
        let tensor = if self.stored {
            Tensor::new(&self.plan.params[id].dims, tangents)
        } else {
            site_layout(self.plan, id, &tangents)
        };
        (self.give)(site, Field::Hvp, tensor);
    }
}
