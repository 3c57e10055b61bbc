//! The operations on a device: the same values and gradients as their neighbours, by the kernels of
//! `kernels/*.cu`. Each returns nothing where the tape has no device (or the device no kernel for these
//! sizes), and is then computed here.

mod attention;
mod basic;
mod conv;
mod linear;
mod loss;
mod norm;
mod rows;
mod transform;

pub(super) use attention::{attend, attention_probs};
pub(super) use basic::{activation, add, add_table, concat_features, mul, scale};
pub(super) use conv::{conv_mix, depthwise, softmax_last};
pub(super) use linear::linear;
pub(super) use loss::{dot, pick_log_softmax};
pub(super) use norm::layer_norm;
pub(super) use rows::{concat_rows, gather, scatter_rows, slice_rows};
pub(super) use transform::{softmax_heads, transform2d};

use crate::tensor::device::{Held, Session};
use crate::tensor::gemm::Into;
use crate::tensor::real::Real;
use crate::tensor::tape::{Backward, Grad, Op, Tape, Var};
use std::sync::Arc;

/// What the backward pass of an operation sees.
struct Away<'a, 'b, R: Real> {
    s: Arc<dyn Session>,
    cx: &'a mut Backward<'b, R>,
}

impl<R: Real> Away<'_, '_, R> {
    /// Value of an input.
    fn value(&self, v: Var) -> Held {
        self.cx.held(v, &*self.s)
    }
    /// Value of the output.
    fn output(&self) -> Held {
        self.cx.held_output(&*self.s)
    }
    fn needs(&self, v: Var) -> bool {
        self.cx.needs(v)
    }
    fn samples(&self, v: Var) -> usize {
        self.cx.samples(v)
    }
    /// Adds to the gradient of an input.
    fn give(&mut self, v: Var, g: Held) {
        self.cx.give_held(v, g, &*self.s);
    }
    /// The gradient of an input, to be written to and put back.
    fn slot(&mut self, v: Var) -> (Held, Into) {
        self.cx.slot_held(v, &*self.s)
    }
    /// The same, zeros at first.
    fn zeroed(&mut self, v: Var) -> Held {
        let (d, into) = self.slot(v);
        if into == Into::Set {
            self.s.zero(&d);
        }
        d
    }
    fn put(&mut self, v: Var, g: Held) {
        self.cx.put_held(v, g);
    }
}

/// An operation whose backward pass is a function of its gradient.
struct Back<F>(F);

impl<R: Real, F: FnOnce(&Held, &mut Away<'_, '_, R>) + Send> Op<R> for Back<F> {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let Some(s) = cx.session() else { return };
        let held = g.held(&*s);
        cx.recycle(g);
        (self.0)(&held, &mut Away { s, cx });
    }
}

/// Records an operation on `inputs` with its value and backward pass.
fn push<R: Real>(
    t: &mut Tape<R>,
    dims: &[usize],
    y: Held,
    inputs: &[Var],
    back: impl FnOnce(&Held, &mut Away<'_, '_, R>) + Send + 'static,
) -> Option<Var> {
    let needs = inputs.iter().any(|&v| t.needs(v));
    Some(t.push_held(dims, y, needs, Back(back)))
}
