//! Runs CUDA C++ kernels on the CPU: compiles their source unchanged with the host C++ compiler
//! after `include/cudaemu.h` and drives it. The threads of a block are fibers, every barrier or warp
//! collective is a switch, shared memory is poisoned before each block, and [`Launch::seed`] shuffles
//! the order of blocks, warps and lanes.
//!
//! Blind spots: library mathematics without contraction (compare with tolerances); a missing
//! `__threadfence` is hidden; races are seen on executed paths only; inter-block spinning,
//! cooperative groups, tensor cores and inline PTX are not supported. Linux on x86-64, GCC.
#![allow(dead_code)]

mod compile;
mod drive;

pub use compile::{Library, Mode, compiler};
use std::path::PathBuf;

/// Schedules that every kernel has to pass: ascending, descending, and two shuffled ones; the three
/// patterns of poisoned shared memory are among them.
pub const SCHEDULES: [u32; 4] = [0, 1, 7, 8];

/// Grid, block, dynamic shared memory and schedule of a launch.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub smem: u32,
    pub seed: u32,
}

impl Launch {
    pub fn new(grid: u32, block: u32) -> Self {
        Self { grid: [grid, 1, 1], block: [block, 1, 1], smem: 0, seed: 0 }
    }
    pub fn smem(self, smem: u32) -> Self {
        Self { smem, ..self }
    }
    pub fn seed(self, seed: u32) -> Self {
        Self { seed, ..self }
    }
}

/// A kernel parameter: a scalar by value, or the bytes behind a pointer.
pub enum Arg<'a> {
    Scalar(Vec<u8>),
    Buffer(&'a mut [u8]),
}

/// A kernel of a library of its own.
pub struct Kernel {
    library: Library,
    name: String,
}

impl Kernel {
    /// Compiles `source`, unless the same source was compiled before.
    pub fn build(source: &str, name: &str, mode: Mode) -> Result<Self, String> {
        Ok(Kernel { library: Library::build(source, &[name], mode)?, name: name.into() })
    }
    /// Runs the kernel; buffers are updated in place. An error is the emulator's diagnosis.
    pub fn run(&self, launch: Launch, args: &mut [Arg]) -> Result<(), String> {
        self.library.run(&self.name, launch, args)
    }
}

/// Where compiled kernels are kept.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cudaemu")
}

/// Says that there is no C++ compiler and what that means; tests return early when this is true.
pub fn unavailable() -> bool {
    let missing = compiler().is_none();
    if missing {
        eprintln!("SKIPPED: no C++ compiler (g++) found; CUDA kernels are not run in emulation");
    }
    missing
}
