//! The CUDA engine: passes of fused steps become generated CUDA C++, compiled by NVRTC.
//!
//! Libraries are loaded when asked for, so one binary runs with or without CUDA installed; what is
//! missing is an error that says what to do.

pub mod cache;
pub mod compile;
pub mod error;
pub mod probe;

pub use error::CudaError;
