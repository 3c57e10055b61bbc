//! Elements of a value or a gradient: in this machine's memory, on a device, or both. Whatever is asked
//! for where it is not yet is copied there, once.

use super::device::{Held, Session};
use super::pool::Pool;
use super::real::Real;
use std::any::Any;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

enum Here<R> {
    /// The tape's own.
    Own(Vec<R>),
    /// Somebody observes it.
    Seen(Arc<Vec<R>>),
    Shared(Arc<[R]>),
}

impl<R> Deref for Here<R> {
    type Target = [R];
    fn deref(&self) -> &[R] {
        match self {
            Here::Own(x) => x,
            Here::Seen(x) => x,
            Here::Shared(x) => x,
        }
    }
}

/// Elements; reads like a slice.
pub struct Stored<R> {
    here: OnceLock<Here<R>>,
    away: OnceLock<Held>,
}

impl<R: Real> Deref for Stored<R> {
    type Target = [R];
    fn deref(&self) -> &[R] {
        self.here.get_or_init(|| Here::Own(self.fetch()))
    }
}

impl<R: Real> Default for Stored<R> {
    fn default() -> Self {
        Stored::own(Vec::new())
    }
}

impl<R: Real> Stored<R> {
    fn here(here: Here<R>) -> Self {
        Stored { here: OnceLock::from(here), away: OnceLock::new() }
    }

    /// A tape's own.
    pub fn own(x: Vec<R>) -> Self {
        Stored::here(Here::Own(x))
    }

    /// Somebody else's.
    pub fn shared(x: Arc<[R]>) -> Self {
        Stored::here(Here::Shared(x))
    }

    /// On a device alone.
    pub fn away(x: Held) -> Self {
        Stored { here: OnceLock::new(), away: OnceLock::from(x) }
    }

    fn fetch(&self) -> Vec<R> {
        let Some(held) = self.away.get() else { return Vec::new() };
        let mut x = vec![R::default(); held.len()];
        if let Some(x) = (&mut x as &mut dyn Any).downcast_mut::<Vec<f32>>() {
            held.read(x);
        }
        x
    }

    /// Are they on a device?
    pub fn is_away(&self) -> bool {
        self.away.get().is_some()
    }

    /// The elements on a device.
    pub fn held(&self, session: &dyn Session) -> Held {
        let send = || {
            let shared = match self.here.get() {
                Some(Here::Shared(x)) => (x as &dyn Any).downcast_ref::<Arc<[f32]>>(),
                _ => None,
            };
            match (shared, self.here.get()) {
                (Some(x), _) => session.keep(x),
                (None, Some(Here::Own(x))) => upload(session, x),
                (None, Some(Here::Seen(x))) => upload(session, x.as_ref()),
                (None, _) => session.room(0),
            }
        };
        self.away.get_or_init(send).clone()
    }

    /// The elements, shared with the tape where it made them.
    pub fn share(&mut self) -> Arc<Vec<R>> {
        let _: &[R] = self;
        match self.here.take() {
            Some(Here::Own(x)) => {
                let x = Arc::new(x);
                self.here = OnceLock::from(Here::Seen(x.clone()));
                x
            }
            Some(Here::Seen(x)) => {
                self.here = OnceLock::from(Here::Seen(x.clone()));
                x
            }
            Some(Here::Shared(x)) => {
                let copy = Arc::new(x.to_vec());
                self.here = OnceLock::from(Here::Shared(x));
                copy
            }
            None => Arc::default(),
        }
    }

    /// The buffer, where it is the tape's own, nobody observes it any more and no copy of it is elsewhere.
    pub fn take(&mut self) -> Option<Vec<R>> {
        if self.is_away() {
            return None;
        }
        match self.here.get_mut() {
            Some(Here::Own(x)) => Some(std::mem::take(x)),
            Some(Here::Seen(x)) => Arc::get_mut(x).map(std::mem::take),
            _ => None,
        }
    }

    /// A buffer to write to with the elements in it: itself, or a copy where somebody else has it.
    pub(super) fn into_vec(self, pool: &mut Pool<R>) -> Vec<R> {
        let _: &[R] = &self;
        let mut copy = |x: &[R]| {
            let mut own = pool.take(x.len());
            super::par::copy(&mut own, x);
            own
        };
        match self.here.into_inner() {
            Some(Here::Own(x)) => x,
            Some(Here::Seen(x)) => Arc::try_unwrap(x).unwrap_or_else(|x| copy(&x)),
            Some(Here::Shared(x)) => copy(&x),
            None => Vec::new(),
        }
    }

    /// Keeps the buffer of elements that nobody else holds.
    pub(super) fn release(self, pool: &mut Pool<R>) {
        match self.here.into_inner() {
            Some(Here::Own(x)) => pool.give(x),
            Some(Here::Seen(x)) => Arc::try_unwrap(x).into_iter().for_each(|x| pool.give(x)),
            Some(Here::Shared(_)) | None => {}
        }
    }
}

/// A copy of elements on a device.
#[allow(clippy::ptr_arg)] // `Any` sees what a vector holds, not what a slice does.
pub fn upload<R: Real>(session: &dyn Session, x: &Vec<R>) -> Held {
    match (x as &dyn Any).downcast_ref::<Vec<f32>>() {
        Some(x) => session.upload(x),
        None => session.room(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_shared_and_taken_without_copies() {
        let mut own = Stored::own(vec![1.0f32, 2.0]);
        let at = own.as_ptr();
        let taken = own.take().unwrap();
        assert_eq!(taken.as_ptr(), at);
        let mut own = Stored::own(vec![1.0f32, 2.0]);
        let at = own.as_ptr();
        let seen = own.share();
        assert_eq!((seen.as_ptr(), own.as_ptr()), (at, at));
        assert!(own.take().is_none());
        let mut pool = Pool::inherit();
        let copy = own.into_vec(&mut pool);
        assert_ne!(copy.as_ptr(), at);
        let mut own = Stored::own(vec![1.0f32, 2.0]);
        let at = own.as_ptr();
        drop(own.share());
        let again = own.into_vec(&mut pool);
        assert_eq!(again.as_ptr(), at);
        let leaf: Arc<[f32]> = vec![3.0].into();
        let mut shared = Stored::shared(leaf.clone());
        assert_eq!((shared.as_ptr(), shared.share().to_vec()), (leaf.as_ptr(), vec![3.0]));
        assert!(!shared.is_away() && shared.take().is_none());
    }
}
