//! What runs kernels: a device, or (in tests) an emulator. Tensors live in one *arena*; kernels get
//! its address and the offset of their jobs in it, so that nothing depends on real addresses.

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
    /// Runs launches that do not depend on one another.
    ///
    /// # Errors
    /// When a kernel does not compile or the device fails.
    fn launch(&mut self, launches: &[Launch]) -> Result<(), CudaError>;
    /// Copies out of the arena, after everything launched is done.
    ///
    /// # Errors
    /// When the device fails.
    fn read(&mut self, at: usize, into: &mut [u8]) -> Result<(), CudaError>;
}
