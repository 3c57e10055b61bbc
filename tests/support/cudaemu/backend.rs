//! The emulator as a backend of the CUDA engine: generated kernels run on the CPU.

use super::{Arg, Launch, Library, Mode};
use lpzero::engine::cuda::{Backend, CudaError, backend, generate::Kind};

/// Runs generated kernels in emulation, in one mode and schedule.
pub struct Emulated {
    arena: Vec<u8>,
    mode: Mode,
    seed: u32,
    /// Bytes that may be reserved, to play a small device.
    pub memory: usize,
    /// Kernels launched so far, by source.
    pub sources: Vec<(Kind, String)>,
}

/// What the arena holds where nothing was written: NaN in every element type.
const POISON: u8 = 0xff;

impl Emulated {
    pub fn new(mode: Mode, seed: u32) -> Self {
        Emulated { arena: Vec::new(), mode, seed, memory: usize::MAX, sources: Vec::new() }
    }
}

impl Backend for Emulated {
    fn name(&self) -> &'static str {
        "cuda-emulated"
    }
    fn reserve(&mut self, bytes: usize) -> Result<(), CudaError> {
        if bytes > self.memory {
            return Err(CudaError::OutOfMemory { bytes });
        }
        self.arena = vec![POISON; bytes];
        Ok(())
    }
    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), CudaError> {
        self.arena[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
    fn launch(&mut self, launches: &[backend::Launch]) -> Result<(), CudaError> {
        for l in launches {
            let failed = |message| CudaError::Launch { kernel: l.program.clone(), message };
            let library = Library::build(&l.source, l.kind.kernels(), self.mode).map_err(failed)?;
            for (i, kernel) in l.kind.kernels().iter().enumerate() {
                let (blocks, threads) = if i == 0 { (l.blocks, backend::THREADS) } else { (1, 32) };
                let mut launch = Launch::new(blocks, threads).seed(self.seed);
                launch.grid[1] = l.jobs;
                let jobs = (l.jobs_at as i64).to_le_bytes().to_vec();
                let args = &mut [Arg::Buffer(&mut self.arena), Arg::Scalar(jobs)];
                library.run(kernel, launch, args).map_err(failed)?;
            }
            self.sources.push((l.kind, l.source.to_string()));
        }
        Ok(())
    }
    fn read(&mut self, at: usize, into: &mut [u8]) -> Result<(), CudaError> {
        into.copy_from_slice(&self.arena[at..at + into.len()]);
        Ok(())
    }
}
