//! A model's pass on a device: a stream in whose order everything happens, and memory that is taken and
//! given back in that order, so that nothing waits.

use super::card::{Card, Lane};
use super::error::CudaError;
use super::probe::{driver_error, guarded};
use crate::tensor::Dtype;
use crate::tensor::device::Memory;
use cudarc::driver::{CudaSlice, DevicePtr, result};
use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A lane, for as long as a pass and its memory live.
pub struct Lease {
    /// Where the lane is from.
    pub card: Arc<Card>,
    lane: Mutex<Option<Lane>>,
    /// What factors of products are narrowed to; single precision where they are not.
    pub factors: Dtype,
    lost: AtomicBool,
}

impl Lease {
    /// A lane of a card, for products of factors of a type.
    pub fn new(card: Arc<Card>, lane: Lane, factors: Dtype) -> Self {
        Lease { card, lane: Mutex::new(Some(lane)), factors, lost: AtomicBool::new(false) }
    }

    fn lane(&self) -> MutexGuard<'_, Option<Lane>> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the lane, unless the pass is lost; what fails loses it.
    pub fn run<T>(&self, f: impl FnOnce(&Lane) -> Result<T, CudaError>) -> Option<T> {
        if self.lost.load(Ordering::Relaxed) {
            return None;
        }
        let lane = self.lane();
        let lane = lane.as_ref()?;
        let bound = || {
            self.card.context.bind_to_thread().map_err(driver_error)?;
            f(lane)
        };
        guarded(bound).map_err(|e| self.lose(&e)).ok()
    }

    /// Did anything fail?
    pub fn lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    fn lose(&self, e: &CudaError) {
        if !self.lost.swap(true, Ordering::Relaxed) {
            self.card.fail(e);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let lane = self.lane.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // Parameters that this pass read may be thrown away from now on.
        if let Some(lane) = lane.filter(|l| l.stream.synchronize().is_ok()) {
            self.card.rest(lane);
        }
    }
}

/// Memory of a pass, given back to its lane; or of the card, for all passes.
pub struct Block {
    slice: Option<CudaSlice<u8>>,
    address: u64,
    len: usize,
    home: Home,
}

/// Whose memory it is.
pub enum Home {
    /// A pass's.
    Lane(Arc<Lease>),
    /// For all passes.
    Card(Arc<Card>),
}

impl Block {
    /// Room for numbers; none where the pass is lost.
    pub fn new(slice: Option<CudaSlice<u8>>, len: usize, home: Home) -> Self {
        let address = slice.as_ref().map_or(0, |s| s.device_ptr(s.stream()).0);
        Block { slice, address, len, home }
    }

    /// Where the numbers are; none where the pass is lost.
    pub fn address(&self) -> Option<u64> {
        self.slice.as_ref().map(|_| self.address)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let Some(slice) = self.slice.take() else { return };
        match &self.home {
            Home::Lane(lease) => {
                if let Some(lane) = lease.lane().as_ref() {
                    lane.give(slice);
                }
            }
            // Another stream may read it still.
            Home::Card(card) => {
                let _ = card.context.synchronize();
            }
        }
    }
}

impl Memory for Block {
    fn len(&self) -> usize {
        self.len
    }
    fn read(&self, into: &mut [f32]) {
        let Home::Lane(lease) = &self.home else { return };
        lease.run(|lane| {
            if self.slice.is_none() || into.len() != self.len {
                return Ok(());
            }
            // SAFETY: the block has room for `len` numbers, and the copy is waited for.
            unsafe { result::memcpy_dtoh_async(into, self.address, lane.stream.cu_stream()) }
                .map_err(driver_error)?;
            lane.stream.synchronize().map_err(driver_error)
        });
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
