//! The CUDA engine: passes of fused steps become generated CUDA C++, compiled by NVRTC.
//!
//! Libraries are loaded when asked for, so one binary runs with or without CUDA installed; what is
//! missing is an error that says what to do. Kernels run on a [`Backend`]: a device, or in tests an
//! emulator on the CPU.

pub mod backend;
mod batch;
pub mod blas;
pub mod cache;
mod card;
pub mod choose;
pub mod compile;
pub mod device;
pub mod error;
pub mod generate;
pub mod interpret;
mod lease;
mod models;
pub mod probe;
mod product;
pub mod recorder;
mod run;
mod session;
pub mod sources;

pub use backend::{Backend, Launch};
pub use device::Device;
pub use error::CudaError;

use super::{Cpu, Engine, Fault, Known};
use crate::ir::{Bound, BoundId};
use crate::tensor::Tensor;
use choose::Chooser;
use run::Context;
use std::sync::{Arc, Mutex};

/// What to do when the device fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Say so once, and compute this and everything that follows on the CPU.
    Finish,
    /// Report a [`Fault`].
    Stop,
}

/// Hears remarks: memory was short, the rest is computed on the CPU.
pub type Remark = Arc<dyn Fn(&str) + Send + Sync>;

/// Runs passes on a backend, and on the CPU what it cannot run.
pub struct Cuda<B> {
    backend: B,
    chooser: Chooser,
    on_failure: OnFailure,
    remark: Option<Remark>,
    /// Why the device is not used any more.
    failed: Option<CudaError>,
    fault: Option<Fault>,
    /// How often a batch had to be halved for lack of memory.
    halved: usize,
}

impl<B: Backend> Cuda<B> {
    /// An engine on `backend` that finishes on the CPU when it fails.
    pub fn new(backend: B) -> Self {
        Cuda {
            backend,
            chooser: Chooser::default(),
            on_failure: OnFailure::Finish,
            remark: None,
            failed: None,
            fault: None,
            halved: 0,
        }
    }

    /// What to do when the device fails, and who hears of it.
    #[must_use]
    pub fn reporting(self, on_failure: OnFailure, remark: Remark) -> Self {
        Cuda { on_failure, remark: Some(remark), ..self }
    }

    /// Always generates, or always interprets.
    #[must_use]
    pub fn always(mut self, how: choose::How) -> Self {
        self.chooser.always = Some(how);
        self
    }

    /// Why the device is not used any more.
    pub fn failure(&self) -> Option<&CudaError> {
        self.failed.as_ref()
    }

    /// How often a batch of programs had to be halved for lack of memory.
    pub fn halved(&self) -> usize {
        self.halved
    }

    /// What the choice between compiling and interpreting rests on, once it was measured.
    pub fn costs(&self) -> Option<choose::Costs> {
        self.chooser.costs()
    }

    /// The backend.
    pub fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    fn say(&self, text: &str) {
        if let Some(remark) = &self.remark {
            remark(text);
        }
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
        self.attempt(graph, want, known).map_err(|(e, _)| e)
    }

    /// Seconds of the kernels alone that an evaluation takes, copies and the host's work apart.
    ///
    /// # Errors
    /// When the device fails.
    pub fn kernel_seconds(
        &mut self,
        graph: &Bound,
        want: &[BoundId],
        known: &dyn Known,
    ) -> Result<f64, CudaError> {
        self.chooser.prepare(&mut self.backend)?;
        let mut launches = Vec::new();
        let mut context = Context { chooser: &mut self.chooser, blamed: None, tap: Some(&mut launches) };
        run::evaluate(&mut self.backend, &mut context, graph, want, known)?;
        launches.iter().map(|l| self.backend.seconds(l)).sum()
    }

    /// Evaluates; an error comes with a wanted node that it happened for.
    fn attempt(
        &mut self,
        graph: &Bound,
        want: &[BoundId],
        known: &dyn Known,
    ) -> Result<Vec<Tensor>, (CudaError, Option<BoundId>)> {
        self.chooser.prepare(&mut self.backend).map_err(|e| (e, None))?;
        let mut context = Context { chooser: &mut self.chooser, blamed: None, tap: None };
        match run::evaluate(&mut self.backend, &mut context, graph, want, known) {
            Err(CudaError::OutOfMemory { .. }) if want.len() > 1 => {
                self.halved += 1;
                self.say("device memory was short: batches of programs were halved");
                let (first, second) = want.split_at(want.len() / 2);
                let mut out = self.attempt(graph, first, known)?;
                out.extend(self.attempt(graph, second, known)?);
                Ok(out)
            }
            done => done.map_err(|e| (e, context.blamed)),
        }
    }
}

/// An engine on device `ordinal`. Where the device cannot be opened (any more), it fails as it would
/// on a device that breaks.
pub fn engine(ordinal: usize, on_failure: OnFailure, remark: Remark) -> Box<dyn Engine> {
    let broken = |e: CudaError| -> Box<dyn Engine> {
        match on_failure {
            OnFailure::Finish => {
                remark(&format!("finishing on the CPU: {e}"));
                Box::new(Cpu)
            }
            OnFailure::Stop => Box::new(Broken(e)),
        }
    };
    let idle = IDLE.lock().ok().and_then(|mut all| {
        let at = all.iter().position(|e| e.0 == ordinal)?;
        Some(all.swap_remove(at).1)
    });
    match idle.map_or_else(|| Device::open(ordinal).map(Cuda::new), Ok) {
        Ok(cuda) => Box::new(Pooled { ordinal, cuda: Some(cuda.reporting(on_failure, remark)) }),
        Err(e) => broken(e),
    }
}

/// Engines that nobody uses at present, by device: with them live loaded kernels, memory on the
/// device and what was learnt about the cost of kernels, from one generation to the next.
static IDLE: Mutex<Vec<(usize, Cuda<Device>)>> = Mutex::new(Vec::new());

/// An engine that goes back to [`IDLE`].
struct Pooled {
    ordinal: usize,
    cuda: Option<Cuda<Device>>,
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let (Some(cuda), Ok(mut idle)) = (self.cuda.take().filter(|c| c.failed.is_none()), IDLE.lock()) {
            idle.push((self.ordinal, cuda));
        }
    }
}

impl Engine for Pooled {
    fn name(&self) -> &'static str {
        "cuda"
    }
    fn evaluate(&mut self, graph: &Bound, want: &[BoundId], known: &dyn Known) -> Vec<Tensor> {
        match &mut self.cuda {
            Some(cuda) => cuda.evaluate(graph, want, known),
            None => Cpu.evaluate(graph, want, known),
        }
    }
    fn evaluate_each(
        &mut self,
        graph: &Bound,
        wants: &[Vec<BoundId>],
        known: &dyn Known,
    ) -> Vec<Vec<Tensor>> {
        match &mut self.cuda {
            Some(cuda) => cuda.evaluate_each(graph, wants, known),
            None => Cpu.evaluate_each(graph, wants, known),
        }
    }
    fn fault(&mut self) -> Option<Fault> {
        self.cuda.as_mut().and_then(Engine::fault)
    }
}

/// An engine without its device.
struct Broken(CudaError);

impl Engine for Broken {
    fn name(&self) -> &'static str {
        "cuda"
    }
    fn evaluate(&mut self, graph: &Bound, want: &[BoundId], known: &dyn Known) -> Vec<Tensor> {
        Cpu.evaluate(graph, want, known)
    }
    fn fault(&mut self) -> Option<Fault> {
        Some(Fault { message: self.0.to_string(), help: self.0.help(), node: None })
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
        if self.failed.is_some() {
            return Cpu.evaluate(graph, want, known);
        }
        let (error, node) = match self.attempt(graph, want, known) {
            Ok(out) => return out,
            Err(failure) => failure,
        };
        match self.on_failure {
            OnFailure::Finish => self.say(&format!("finishing on the CPU: {error}")),
            OnFailure::Stop => {
                self.fault = Some(Fault { message: error.to_string(), help: error.help(), node });
            }
        }
        self.failed = Some(error);
        Cpu.evaluate(graph, want, known)
    }

    /// All at once: passes of one kernel over several sites are one launch.
    fn evaluate_each(
        &mut self,
        graph: &Bound,
        wants: &[Vec<BoundId>],
        known: &dyn Known,
    ) -> Vec<Vec<Tensor>> {
        let mut all = self.evaluate(graph, &wants.concat(), known).into_iter();
        wants.iter().map(|want| all.by_ref().take(want.len()).collect()).collect()
    }

    fn fault(&mut self) -> Option<Fault> {
        self.fault.take()
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
