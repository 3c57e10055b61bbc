//! What can go wrong with a device, and what to do about it.

use std::fmt;

/// A failure of the CUDA engine. Under `--device auto` each of them means: finish on the CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CudaError {
    /// A library is not installed or cannot be loaded.
    Missing {
        /// Which: `the NVIDIA driver (libcuda)`.
        library: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// No device is called so.
    Name {
        /// What was given.
        given: String,
    },
    /// The driver refuses: too old, no device, no such device.
    Driver {
        /// What it said.
        message: String,
    },
    /// The device has too little memory, even for one program at a time.
    OutOfMemory {
        /// Bytes that were asked for.
        bytes: usize,
    },
    /// A kernel does not compile: a fault in an operator's CUDA text or in a skeleton.
    Compile {
        /// The compiler's first message.
        message: String,
        /// Line of the generated source, from 1.
        line: usize,
        /// Its text.
        text: String,
        /// What the kernel computes, as the engine describes it.
        program: String,
    },
    /// A launch failed, or a test's emulator found a fault.
    Launch {
        /// Kernel.
        kernel: String,
        /// What was reported.
        message: String,
    },
}

impl CudaError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            CudaError::Missing { help, .. } => (*help).to_owned(),
            CudaError::Name { .. } => "use --device cpu, cuda, cuda:N or auto".to_owned(),
            CudaError::Driver { .. } => {
                "`lpz devices` shows what was found; update the NVIDIA driver (12.0 or newer), or use --device cpu"
                    .to_owned()
            }
            CudaError::OutOfMemory { .. } => {
                "use smaller batches (--batch), half precision captures, or --device cpu".to_owned()
            }
            CudaError::Compile { .. } => {
                "this is a fault in lpz: --device cpu computes the same; please report the line above".to_owned()
            }
            CudaError::Launch { .. } => "--device cpu computes the same".to_owned(),
        }
    }
}

impl fmt::Display for CudaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CudaError::Missing { library, .. } => write!(f, "{library} is not there"),
            CudaError::Name { given } => write!(f, "`{given}` is no device"),
            CudaError::Driver { message } => write!(f, "the CUDA driver says: {message}"),
            CudaError::OutOfMemory { bytes } => {
                write!(f, "the device has no room for {} MiB", bytes.div_ceil(1 << 20))
            }
            CudaError::Compile { message, line, text, program } => {
                write!(
                    f,
                    "a kernel for {program} does not compile: {message}\n  line {line}: {}",
                    text.trim()
                )
            }
            CudaError::Launch { kernel, message } => write!(f, "kernel {kernel} failed: {message}"),
        }
    }
}

impl std::error::Error for CudaError {}
