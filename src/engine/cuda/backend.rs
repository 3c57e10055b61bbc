//! What runs kernels: a device, or (in tests) an emulator. Tensors live in one *arena*; kernels get
//! its address and the offset of their jobs in it, so that nothing depends on real addresses.

use super::choose::Costs;
use super::error::CudaError;
use super::generate::Kind;
use std::sync::Arc;

/// Threads of a block, for every skeleton.
pub const THREADS: u32 = 256;

/// Kernels of one source over one table of jobs.
#[derive(Clone, Debug)]
pub struct Launch {
    /// CUDA C++.
    pub source: Arc<str>,
    /// Which skeleton: it says which kernels the source has.
    pub kind: Kind,
    /// What it computes, for errors.
    pub program: String,
    /// Blocks per job.
    pub blocks: u32,
    /// Number of jobs.
    pub jobs: u32,
    /// Offset of the jobs in the arena.
    pub jobs_at: usize,
}

/// Runs kernels over an arena of bytes.
pub trait Backend {
    /// Name on the command line.
    fn name(&self) -> &'static str;
    /// An arena of at least `bytes`; what was in it is forgotten.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`] when there is no room.
    fn reserve(&mut self, bytes: usize) -> Result<(), CudaError>;
    /// Copies into the arena.
    ///
    /// # Errors
    /// When the device fails.
    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), CudaError>;
    /// Starts a launch. What was written before is there when it runs; it does not depend on other
    /// launches since the last [`Self::read`].
    ///
    /// # Errors
    /// When a kernel does not compile or the device fails.
    fn launch(&mut self, launch: Launch) -> Result<(), CudaError>;
    /// Copies out of the arena, after everything launched is done.
    ///
    /// # Errors
    /// When the device fails, or a launch failed.
    fn read(&mut self, at: usize, into: &mut [u8]) -> Result<(), CudaError>;
    /// Is this source compiled already, here or in the cache on disk?
    fn ready(&self, _source: &Arc<str>) -> bool {
        false
    }
    /// Measured seconds to compile a kernel; none where nothing is compiled.
    ///
    /// # Errors
    /// When there is no compiler.
    fn compile_seconds(&mut self) -> Result<Option<f64>, CudaError> {
        Ok(None)
    }
    /// Measured seconds of a launch whose jobs are still in the arena.
    ///
    /// # Errors
    /// When the device fails.
    fn seconds(&mut self, _launch: &Launch) -> Result<f64, CudaError> {
        Ok(0.0)
    }
    /// Costs that an earlier process measured on this device.
    fn recall(&self) -> Option<Costs> {
        None
    }
    /// Keeps measured costs for later processes.
    fn keep(&self, _costs: &Costs) {}
}
