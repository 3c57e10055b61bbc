//! The CUDA engine: passes of fused steps become generated CUDA C++, compiled by NVRTC.
//!
//! Libraries are loaded when asked for, so one binary runs with or without CUDA installed; what is
//! missing is an error that says what to do. Kernels run on a [`Backend`]: a device, or in tests an
//! emulator on the CPU.

pub mod backend;
mod batch;
pub mod cache;
pub mod compile;
pub mod device;
pub mod error;
pub mod generate;
pub mod probe;
mod run;
pub mod sources;

pub use backend::{Backend, Launch};
pub use device::Device;
pub use error::CudaError;

use super::{Cpu, Engine, Known};
use crate::ir::{Bound, BoundId};
use crate::tensor::Tensor;

/// Runs passes on a backend, and on the CPU what it cannot run.
pub struct Cuda<B> {
    backend: B,
    /// Why something was computed on the CPU; the first time only.
    failed: Option<CudaError>,
    /// How often a batch had to be halved for lack of memory.
    halved: usize,
}

impl<B: Backend> Cuda<B> {
    /// An engine on `backend`.
    pub fn new(backend: B) -> Self {
        Cuda { backend, failed: None, halved: 0 }
    }

    /// Why something was computed on the CPU instead, since this was last asked.
    pub fn take_failure(&mut self) -> Option<CudaError> {
        self.failed.take()
    }

    /// A remark on batches that were made smaller for lack of memory.
    pub fn remark(&self) -> Option<String> {
        (self.halved > 0).then(|| {
            format!("device memory was short: batches of programs were halved {} times", self.halved)
        })
    }

    /// The backend.
    pub fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    /// Evaluates, in smaller batches where the device has no room for all.
    ///
    /// # Errors
    /// When the device fails, or has no room for a single node.
    pub fn try_evaluate(
        &mut self,
        graph: &Bound,
        want: &[BoundId],
        known: &dyn Known,
    ) -> Result<Vec<Tensor>, CudaError> {
        match run::evaluate(&mut self.backend, graph, want, known) {
            Err(CudaError::OutOfMemory { .. }) if want.len() > 1 => {
                self.halved += 1;
                let (first, second) = want.split_at(want.len() / 2);
                let mut out = self.try_evaluate(graph, first, known)?;
                out.extend(self.try_evaluate(graph, second, known)?);
                Ok(out)
            }
            done => done,
        }
    }
}

/// The name of "a device where there is one, else the CPU".
pub const AUTO: &str = "auto";

/// The number of the device that a name means: `cuda`, `cuda:N`, `auto`; none for `cpu`.
///
/// # Errors
/// When the name is not one of these.
pub fn ordinal(name: &str) -> Result<Option<usize>, CudaError> {
    let number = |n: &str| n.strip_prefix(':').and_then(|n| n.parse().ok());
    match name.strip_prefix("cuda") {
        Some("") => Ok(Some(0)),
        Some(n) => number(n).map(Some).ok_or_else(|| CudaError::Name { given: name.to_owned() }),
        None if name == "cpu" => Ok(None),
        None if name == AUTO => Ok(Some(0)),
        None => Err(CudaError::Name { given: name.to_owned() }),
    }
}

impl<B: Backend> Engine for Cuda<B> {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    fn evaluate(&mut self, graph: &Bound, want: &[BoundId], known: &dyn Known) -> Vec<Tensor> {
        self.try_evaluate(graph, want, known).unwrap_or_else(|e| {
            self.failed.get_or_insert(e);
            Cpu.evaluate(graph, want, known)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_by_name() {
        assert_eq!(ordinal("cpu").unwrap(), None);
        assert_eq!(ordinal("auto").unwrap(), Some(0));
        assert_eq!((ordinal("cuda").unwrap(), ordinal("cuda:3").unwrap()), (Some(0), Some(3)));
        for wrong in ["gpu", "cuda:", "cuda:x", "cuda1"] {
            assert!(ordinal(wrong).unwrap_err().to_string().contains("is no device"), "{wrong}");
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error_that_says_what_to_do() {
        if let Err(e) = Device::open(999) {
            assert!(e.help().contains("--device cpu"), "{e}");
        }
    }
}
