//! Where programs run: the engine by name, and the device of this process.

use crate::cli::say::say;
use crate::engine::cuda::{self, CudaError, Device, OnFailure, Remark};
use crate::engine::{Cpu, Engine, Reference};
use crate::tensor::device::LEAST;
use clap::ValueEnum;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock};

/// Engines by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// Fused passes over tiles.
    Cpu,
    /// The definition: f64, slow, obvious.
    Reference,
}

/// Where fused passes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// All cores.
    Cpu,
    /// The CUDA device with this number.
    Cuda(usize, OnFailure),
}

/// The device of this process, and who hears of it: set once, before any engine is made.
static DEVICE: OnceLock<(DeviceName, Remark)> = OnceLock::new();

impl DeviceName {
    /// `cpu`, `cuda`, `cuda:N` or `auto`; a device that is asked for is opened to see that it works.
    ///
    /// # Errors
    /// Why a device that was asked for cannot be had, and what to do.
    pub fn parse(name: &str) -> Result<Self, String> {
        let said = |e: CudaError| format!("{e}; {}", e.help());
        match cuda::ordinal(name).map_err(said)? {
            None => Ok(DeviceName::Cpu),
            Some(n) => match Device::open(n) {
                Ok(_) if name == cuda::AUTO => Ok(DeviceName::Cuda(n, OnFailure::Finish)),
                Ok(_) => Ok(DeviceName::Cuda(n, OnFailure::Stop)),
                Err(_) if name == cuda::AUTO => Ok(DeviceName::Cpu),
                Err(e) => Err(said(e)),
            },
        }
    }

    /// Makes it the device of this process, for programs and for models; remarks on it go to standard error, once each.
    pub fn choose(self, quiet: bool) {
        let said = Mutex::new(HashSet::new());
        let remark = move |text: &str| {
            if !quiet && said.lock().is_ok_and(|mut s| s.insert(text.to_owned())) {
                say!("device: {text}");
            }
        };
        let remark: Remark = Arc::new(remark);
        if let DeviceName::Cuda(ordinal, _) = self {
            cuda::blas::install(ordinal, LEAST, remark.clone());
        }
        let _ = DEVICE.set((self, remark));
    }
}

impl EngineName {
    /// A new engine, on the device that `--device` names.
    pub fn make(self) -> Box<dyn Engine> {
        match (self, DEVICE.get()) {
            (EngineName::Reference, _) => Box::new(Reference),
            (EngineName::Cpu, Some((DeviceName::Cuda(n, on_failure), remark))) => {
                cuda::engine(*n, *on_failure, remark.clone())
            }
            (EngineName::Cpu, _) => Box::new(Cpu),
        }
    }
}

/// Is the device of this process a CUDA one?
pub(super) fn is_cuda() -> bool {
    matches!(DEVICE.get(), Some((DeviceName::Cuda(..), _)))
}
