//! Passes on a device, and again on this CPU where the device fails in the middle of one.
//!
//! A pass hands out what it observes in an order that its operations decide, on a device as on the CPU. So
//! the second pass leaves out as many as the first one handed out, which were right.

use super::net::Observer;
use crate::site::{Field, SiteId};
use crate::tensor::Dtype;
use crate::tensor::device::{self, Session};
use crate::tensor::real::Real;
use crate::tensor::tape::Grad;
use std::sync::Arc;

/// Hands on what is to be trusted and was not handed on before.
pub(super) struct Relay<'a, R> {
    to: &'a mut dyn Observer<R>,
    session: Option<Arc<dyn Session>>,
    /// What is to be left out.
    skip: usize,
    /// Handed on so far.
    given: usize,
}

impl<R> Relay<'_, R> {
    fn passes(&mut self) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        let trusted = self.session.as_ref().is_none_or(|s| !s.lost());
        self.given += usize::from(trusted);
        trusted
    }
}

impl<R: Real> Observer<R> for Relay<'_, R> {
    fn value(&mut self, site: SiteId, field: Field, dims: &[usize], data: Arc<Vec<R>>) {
        if self.passes() {
            self.to.value(site, field, dims, data);
        }
    }
    fn param(&mut self, id: usize, grad: &mut Grad<R>) {
        if self.passes() {
            self.to.param(id, grad);
        }
    }
}

/// Runs a pass of so many operations on a device, where there is one that it is worth it for, with products
/// of factors of a type; and here, where there is none or it failed.
pub(super) fn anywhere<R: Real, T>(
    (operations, factors): (f64, Dtype),
    observer: &mut dyn Observer<R>,
    mut pass: impl FnMut(Option<Arc<dyn Session>>, &mut Relay<'_, R>) -> T,
) -> T {
    let mut given = 0;
    if let Some(session) = device::session::<R>(operations, factors) {
        let mut relay = Relay { to: &mut *observer, session: Some(session.clone()), skip: 0, given: 0 };
        let out = pass(Some(session.clone()), &mut relay);
        if !session.lost() {
            return out;
        }
        given = relay.given;
    }
    pass(None, &mut Relay { to: observer, session: None, skip: given, given: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Seen(Vec<f32>);
    impl Observer<f32> for Seen {
        fn value(&mut self, _: SiteId, _: Field, _: &[usize], data: Arc<Vec<f32>>) {
            self.0.push(data[0]);
        }
        fn param(&mut self, _: usize, grad: &mut Grad<f32>) {
            self.0.push(grad[0]);
        }
    }

    #[test]
    fn what_was_handed_out_is_left_out() {
        let mut seen = Seen(vec![0.0, 1.0]);
        let mut relay = Relay { to: &mut seen, session: None, skip: 2, given: 0 };
        for x in [0.0, 1.0, 2.0] {
            relay.value(0, Field::Value, &[1], Arc::new(vec![x]));
        }
        relay.param(0, &mut Grad::own(vec![3.0]));
        assert_eq!(seen.0, [0.0, 1.0, 2.0, 3.0]);
    }
}
