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

/// The engine that `--device` names: `cpu`, `cuda`, `cuda:N`, or `auto` (a device where there is one,
/// else the CPU); a remark says why `auto` took the CPU although a driver is there.
///
/// # Errors
/// When a device was asked for and cannot be had, or the name is not one of these.
pub fn open(device: &str) -> Result<(Box<dyn Engine>, Option<String>), CudaError> {
    let ordinal = match device.strip_prefix("cuda") {
        Some("") => 0,
        Some(n) => n.strip_prefix(':').and_then(|n| n.parse().ok()).ok_or_else(|| unknown(device))?,
        None if device == "cpu" => return Ok((Box::new(Cpu), None)),
        None if device == "auto" => 0,
        None => return Err(unknown(device)),
    };
    match Device::open(ordinal) {
        Ok(d) => Ok((Box::new(Cuda::new(d)), None)),
        Err(_) if device == "auto" && probe::driver_version().is_err() => Ok((Box::new(Cpu), None)),
        Err(e) if device == "auto" => Ok((Box::new(Cpu), Some(format!("using the CPU: {e}")))),
        Err(e) => Err(e),
    }
}

fn unknown(device: &str) -> CudaError {
    CudaError::Name { given: device.to_owned() }
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
        assert_eq!(open("cpu").unwrap().0.name(), "cpu");
        assert!(["cpu", "cuda"].contains(&open("auto").unwrap().0.name()));
        for wrong in ["gpu", "cuda:", "cuda:x", "cuda1"] {
            assert!(open(wrong).err().unwrap().to_string().contains("is no device"), "{wrong}");
        }
        // Without a driver, asking for a device is an error that says what to do.
        if let Err(e) = open("cuda:0") {
            assert!(e.help().contains("--device cpu"), "{e}");
        }
    }
}
