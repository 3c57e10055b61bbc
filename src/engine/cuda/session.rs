//! What a model's pass asks of a device: memory, copies, kernels, products, in one order.

use super::error::CudaError;
use super::lease::{Block, Home, Lease};
use super::probe::driver_error;
use super::product::Call;
use crate::tensor::Dtype;
use crate::tensor::device::{Arg, Grid, Held, Session, at};
use crate::tensor::gemm::Into;
use crate::tensor::offload::Group;
use cudarc::driver::{LaunchConfig, PushKernelArg, result};
use half::{bf16, f16};
use std::sync::Arc;

/// Threads of a full block.
const THREADS: usize = 256;
/// The most blocks of a kernel that takes any number.
const BLOCKS: usize = 8192;
/// Kernels count elements in 32 bits, with room for a last step.
const MOST: usize = 1 << 31;

/// Sizes of memory: eight to a power of two, so that what is given back fits again.
fn class(bytes: usize) -> usize {
    let step = (bytes.next_power_of_two() / 16).max(256);
    bytes.max(1).div_ceil(step) * step
}

fn fault(kernel: &str, message: &str) -> CudaError {
    CudaError::Launch { kernel: kernel.into(), message: message.into() }
}

/// Where numbers are, and how many; none of a session that is lost.
fn place(x: &Held) -> Option<(u64, usize)> {
    x.as_any().downcast_ref::<Block>().and_then(|b| Some((b.address()?, x.len())))
}

/// An open session.
pub struct Opened(pub Arc<Lease>);

impl Opened {
    fn block(&self, len: usize, home: Home) -> Held {
        let slice = self.0.run(|lane| self.0.card.allocate(lane, class(4 * len)));
        Arc::new(Block::new(slice, len, home))
    }

    /// Copies elements of four bytes to new memory.
    fn send<T>(&self, x: &[T], home: Home) -> Held {
        let block = self.block(x.len(), home);
        self.0.run(|lane| {
            let Some((address, _)) = place(&block).filter(|_| !x.is_empty()) else { return Ok(()) };
            // SAFETY: the block has room for as many elements; they are staged before this returns.
            unsafe { result::memcpy_htod_async(address, x, lane.stream.cu_stream()) }.map_err(driver_error)
        });
        block
    }

    fn lane(&self) -> Home {
        Home::Lane(self.0.clone())
    }

    /// A factor in the type that products want.
    fn factor(&self, x: &Held) -> Held {
        let kernel = match self.0.factors {
            Dtype::Bf16 => "narrowed_bf16",
            Dtype::F16 => "narrowed_f16",
            Dtype::F32 | Dtype::F64 => return x.clone(),
        };
        let y = self.block(x.len().div_ceil(2), self.lane());
        self.kernel(kernel, Grid::Each(x.len()), &[at(x), at(&y), Arg::Size(x.len())]);
        y
    }
}

/// An argument as the driver wants it.
enum Raw {
    Address(u64),
    Unsigned(u32),
    Int(i32),
    Float(f32),
}

fn raw(name: &str, arg: &Arg) -> Result<Raw, CudaError> {
    Ok(match arg {
        Arg::At(x, first) => {
            let (address, len) = place(x).ok_or_else(|| fault(name, "memory of another device"))?;
            if *first > len {
                return Err(fault(name, "memory ends before"));
            }
            Raw::Address(address + 4 * *first as u64)
        }
        Arg::Null => Raw::Address(0),
        Arg::Size(n) if *n < MOST => Raw::Unsigned(*n as u32),
        Arg::Size(_) => return Err(fault(name, "more elements than kernels count")),
        Arg::Int(i) => Raw::Int(*i),
        Arg::Float(x) => Raw::Float(*x as f32),
    })
}

/// Blocks and threads; none where there is nothing to do.
fn config(grid: Grid) -> Option<LaunchConfig> {
    let (blocks, threads) = match grid {
        Grid::Each(n) => ([n.div_ceil(THREADS).min(BLOCKS), 1], THREADS),
        Grid::Rows(rows, width) => ([rows, 1], width.next_multiple_of(32).clamp(32, THREADS)),
        Grid::Columns(width, runs) => ([width.div_ceil(32), runs], THREADS),
        Grid::Blocks(n) => ([n, 1], THREADS),
    };
    let [x, y] = blocks.map(|n| n as u32);
    let config = LaunchConfig { grid_dim: (x, y, 1), block_dim: (threads as u32, 1, 1), shared_mem_bytes: 0 };
    (x > 0 && y > 0).then_some(config)
}

impl Session for Opened {
    fn room(&self, len: usize) -> Held {
        self.block(len, self.lane())
    }

    fn upload(&self, x: &[f32]) -> Held {
        self.send(x, self.lane())
    }

    fn indices(&self, x: &[u32]) -> Held {
        self.send(x, self.lane())
    }

    fn keep(&self, x: &Arc<[f32]>) -> Held {
        let make = || {
            let held = self.send(x, Home::Card(self.0.card.clone()));
            // Whole before another stream sees it.
            self.0.run(|lane| lane.stream.synchronize().map_err(driver_error)).map(|()| held)
        };
        self.0.card.keep(x, make).unwrap_or_else(|| self.block(x.len(), self.lane()))
    }

    fn kernel(&self, name: &'static str, grid: Grid, args: &[Arg]) {
        let Some(config) = config(grid) else { return };
        self.0.run(|lane| {
            let function = self.0.card.function(name)?;
            let values = args.iter().map(|a| raw(name, a)).collect::<Result<Vec<Raw>, _>>()?;
            let mut call = lane.stream.launch_builder(&function);
            for v in &values {
                match v {
                    Raw::Address(x) => call.arg(x),
                    Raw::Unsigned(x) => call.arg(x),
                    Raw::Int(x) => call.arg(x),
                    Raw::Float(x) => call.arg(x),
                };
            }
            // SAFETY: `nn` gives kernels what their files say, which is tested against the CPU.
            unsafe { call.launch(config) }.map(drop).map_err(driver_error)
        });
    }

    fn copy(&self, to: (&Held, usize), from: (&Held, usize), count: usize) {
        self.0.run(|lane| {
            let find = |(x, first): (&Held, usize)| {
                let (address, len) = place(x).ok_or_else(|| fault("copy", "memory of another device"))?;
                let inside = first + count <= len;
                inside
                    .then_some(address + 4 * first as u64)
                    .ok_or_else(|| fault("copy", "memory ends before"))
            };
            let (to, from) = (find(to)?, find(from)?);
            // SAFETY: both places have room for as many numbers.
            unsafe { result::memcpy_dtod_async(to, from, 4 * count, lane.stream.cu_stream()) }
                .map_err(driver_error)
        });
    }

    fn zero(&self, x: &Held) {
        self.0.run(|lane| {
            let Some((address, len)) = place(x).filter(|p| p.1 > 0) else { return Ok(()) };
            // SAFETY: the block has room for `len` numbers.
            unsafe { result::memset_d8_async(address, 0, 4 * len, lane.stream.cu_stream()) }
                .map_err(driver_error)
        });
    }

    fn products(&self, dst: &Held, factors: [&Held; 2], groups: &[Group], alpha: f64, into: Into) {
        let narrow = factors.map(|x| self.factor(x));
        let start = match self.0.factors {
            Dtype::Bf16 => Call::start::<bf16, f32>,
            Dtype::F16 => Call::start::<f16, f32>,
            Dtype::F32 | Dtype::F64 => Call::start::<f32, f32>,
        };
        self.0.run(|lane| {
            let find = |x: &Held| place(x).ok_or_else(|| fault("cuBLAS", "memory of another device"));
            let [to, a, b] = [find(dst)?, find(&narrow[0])?, find(&narrow[1])?].map(|p| p.0);
            let lens = [dst, factors[0], factors[1]].map(|x| x.len());
            for group in groups {
                let inside = |i: usize| {
                    let last = group.strides[i] * group.count.saturating_sub(1);
                    group.views[i].end() + last <= lens[i]
                };
                let call = Call::new(group).filter(|_| (0..3).all(inside));
                let call = call.ok_or_else(|| fault("cuBLAS", "a view of no known layout"))?;
                // SAFETY: `inside` saw that the views lie in the memory; `nn` gives no destination that is a factor.
                unsafe { start(&call, &lane.blas, [to, a, b], alpha, into) }?;
            }
            Ok(())
        });
    }

    fn lost(&self) -> bool {
        self.0.lost()
    }
}
