//! Passes of models on a device: opens it when the first pass wants it, and says so where it cannot.

use super::Remark;
use super::card::Card;
use super::lease::Lease;
use super::probe::guarded;
use super::session::Opened;
use crate::tensor::Dtype;
use crate::tensor::device::{Device, Session};
use std::sync::{Arc, OnceLock};

/// Models on device `ordinal`, which is opened when the first pass wants it.
pub struct Models {
    ordinal: usize,
    remark: Remark,
    card: OnceLock<Option<Arc<Card>>>,
}

impl Models {
    /// Nothing is opened yet; `remark` hears what goes wrong.
    pub fn new(ordinal: usize, remark: Remark) -> Self {
        Models { ordinal, remark, card: OnceLock::new() }
    }

    fn card(&self) -> Option<&Arc<Card>> {
        let open = || match guarded(|| Card::open(self.ordinal, self.remark.clone())) {
            Ok(card) => Some(Arc::new(card)),
            Err(e) => {
                (self.remark)(&format!("models run on the CPU: {e}"));
                None
            }
        };
        self.card.get_or_init(open).as_ref().filter(|c| c.works())
    }
}

impl Device for Models {
    fn session(&self, factors: Dtype) -> Option<Arc<dyn Session>> {
        let card = self.card()?;
        match card.lane() {
            Ok(lane) => Some(Arc::new(Opened(Arc::new(Lease::new(card.clone(), lane, factors))))),
            Err(e) => {
                card.fail(&e);
                None
            }
        }
    }
    fn relieve(&self) {
        if let Some(Some(card)) = self.card.get() {
            card.relieve();
        }
    }
}
