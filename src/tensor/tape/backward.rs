//! What operations see and do on the way back: values, gradients so far, buffers.

use super::{Grad, Tape, Var};
use crate::tensor::device::{Held, Session};
use crate::tensor::gemm::Into;
use crate::tensor::par;
use crate::tensor::real::Real;
use crate::tensor::stored::Stored;
use std::sync::Arc;

/// What an operation sees while it pushes its gradient back.
pub struct Backward<'a, R: Real> {
    pub(super) tape: &'a mut Tape<R>,
    pub(super) node: Var,
}

impl<R: Real> Backward<'_, R> {
    /// Value of an input.
    pub fn value(&self, v: Var) -> &[R] {
        self.tape.value(v)
    }
    /// Value of the output.
    pub fn output(&self) -> &[R] {
        self.tape.value(self.node)
    }
    /// Is the gradient of this input wanted?
    pub fn needs(&self, v: Var) -> bool {
        self.tape.needs(v)
    }
    /// Has the gradient of this input a part already?
    pub fn holds(&self, v: Var) -> bool {
        self.tape.grads[v.0].is_some()
    }
    /// Are the tangents of parameters' gradients enough?
    pub fn tangents(&self) -> bool {
        self.tape.tangents
    }
    /// How many gradients of this input are kept apart.
    pub fn samples(&self, v: Var) -> usize {
        self.tape.nodes[v.0].samples
    }
    /// A buffer with arbitrary contents.
    pub fn buffer(&mut self, n: usize) -> Vec<R> {
        self.tape.pool.take(n)
    }
    /// Returns a buffer.
    pub fn reuse(&mut self, buffer: Vec<R>) {
        self.tape.pool.give(buffer);
    }
    /// Returns the buffer of a gradient.
    pub fn recycle(&mut self, g: Grad<R>) {
        g.release(&mut self.tape.pool);
    }
    /// The gradient to write to: itself, or a copy where it is observed.
    pub fn own(&mut self, g: Grad<R>) -> Vec<R> {
        g.into_vec(&mut self.tape.pool)
    }
    /// The buffer of an input that nothing walked after this operation reads; `None` where it is observed
    /// or not the tape's own.
    pub fn take_value(&mut self, v: Var) -> Option<Vec<R>> {
        self.tape.nodes[v.0].value.take()
    }
    /// Adds a copy of `g` to the gradient of `v`.
    pub fn add(&mut self, v: Var, g: &[R]) {
        if !self.tape.needs(v) {
            return;
        }
        let sum = match self.tape.grads[v.0].take() {
            Some(sum) => {
                let mut sum = self.own(sum);
                par::add(&mut sum, g);
                sum
            }
            None => {
                let mut own = self.tape.pool.take(g.len());
                par::copy(&mut own, g);
                own
            }
        };
        self.put(v, sum);
    }
    /// Adds `g` to the gradient of `v`.
    pub fn give(&mut self, v: Var, g: Vec<R>) {
        if self.tape.needs(v) && self.tape.grads[v.0].is_none() {
            return self.put(v, g);
        }
        self.add(v, &g);
        self.tape.pool.give(g);
    }
    /// The gradient of `v` so far, to be written to and put back with [`Self::put`]; the flag says
    /// whether it holds anything (otherwise its contents are arbitrary).
    pub fn slot(&mut self, v: Var) -> (Vec<R>, bool) {
        match self.tape.grads[v.0].take() {
            Some(g) => (self.own(g), true),
            None => {
                let n = self.tape.len(v) * self.samples(v);
                (self.tape.pool.take(n), false)
            }
        }
    }
    /// The gradient of `v` so far, zeros at first.
    pub fn zeroed(&mut self, v: Var) -> Vec<R> {
        let (mut g, held) = self.slot(v);
        if !held {
            g.fill(R::default());
        }
        g
    }
    /// Puts a gradient back.
    pub fn put(&mut self, v: Var, g: Vec<R>) {
        self.tape.grads[v.0] = Some(Stored::own(g));
    }
    /// Notes how far the terms of a normalisation's gradient cancelled.
    pub fn note_cancellation(&mut self, ratio: f64) {
        self.tape.cancellation.get_or_insert(ratio);
    }
    /// Is that still to be noted?
    pub fn asks_cancellation(&self) -> bool {
        self.tape.cancellation.is_none()
    }
}

/// The same for operations on a device.
impl<R: Real> Backward<'_, R> {
    /// The device's session.
    pub fn session(&self) -> Option<Arc<dyn Session>> {
        self.tape.session()
    }
    /// Value of an input.
    pub fn held(&self, v: Var, session: &dyn Session) -> Held {
        self.tape.held(v, session)
    }
    /// Value of the output.
    pub fn held_output(&self, session: &dyn Session) -> Held {
        self.tape.held(self.node, session)
    }
    /// Adds `g`, which nobody writes to again, to the gradient of `v`.
    pub fn give_held(&mut self, v: Var, g: Held, session: &dyn Session) {
        if self.tape.needs(v) {
            let sum = self.tape.grads[v.0].take().map(|sum| session.sum(&sum.held(session), &g, 1.0));
            self.put_held(v, sum.unwrap_or(g));
        }
    }
    /// The gradient of `v` so far, to be written to and put back; how what is written enters it.
    pub fn slot_held(&mut self, v: Var, session: &dyn Session) -> (Held, Into) {
        let Some(sum) = self.tape.grads[v.0].take() else {
            return (session.room(self.tape.len(v) * self.samples(v)), Into::Set);
        };
        let held = sum.held(session);
        drop(sum);
        match Arc::strong_count(&held) {
            1 => (held, Into::Add),
            _ => (session.part(&held, 0, held.len()), Into::Add),
        }
    }
    /// Puts a gradient back.
    pub fn put_held(&mut self, v: Var, g: Held) {
        self.tape.grads[v.0] = Some(Stored::away(g));
    }
}
