//! A CUDA device as a backend: one arena in its memory, kernels loaded once per source, copies on
//! one stream and kernels on another, so that a kernel runs while the next one's tensors are copied.

use super::backend::{Backend, Launch, THREADS};
use super::cache::KernelCache;
use super::choose::Costs;
use super::compile::{Output, compile};
use super::error::CudaError;
use super::probe::{devices, driver_error, driver_version, guarded, nvrtc_version};
use super::sources::source;
use crate::tensor::device::relieve;
use cudarc::driver::sys::CUresult;
use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DriverError, LaunchConfig, PushKernelArg,
};
use cudarc::nvrtc::Ptx;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::Instant;

/// The oldest driver that runs what the compiler of CUDA 12 makes.
const OLDEST_DRIVER: i32 = 12000;
/// Times that a launch is repeated to be timed.
const REPEATS: u32 = 20;

/// A device.
pub struct Device {
    context: Arc<CudaContext>,
    /// Runs kernels and brings results back.
    kernels: Arc<CudaStream>,
    /// Copies to the device.
    copies: Arc<CudaStream>,
    arch: String,
    name: String,
    cache: KernelCache,
    loaded: FxHashMap<Arc<str>, Vec<CudaFunction>>,
    arena: Option<CudaSlice<u8>>,
}

impl Device {
    /// Opens device `ordinal`.
    ///
    /// # Errors
    /// When there is no driver, compiler or such device, or the driver is too old.
    pub fn open(ordinal: usize) -> Result<Self, CudaError> {
        let driver = driver_version()?;
        if driver < OLDEST_DRIVER {
            let (major, minor) = (driver / 1000, driver % 1000 / 10);
            return Err(CudaError::Driver {
                message: format!("it is for CUDA {major}.{minor}, 12.0 is needed"),
            });
        }
        let nvrtc = nvrtc_version()?;
        let found = devices()?;
        let Some(info) = found.get(ordinal) else {
            let message = format!("there is no device {ordinal}, only {}", found.len());
            return Err(CudaError::Driver { message });
        };
        guarded(|| {
            let context = CudaContext::new(ordinal).map_err(driver_error)?;
            // SAFETY: the two streams are ordered by `launch` and `read`, slices are never freed
            // while something runs; tracking would make every copy wait for every kernel.
            unsafe { context.disable_event_tracking() };
            let kernels = context.new_stream().map_err(driver_error)?;
            let copies = context.new_stream().map_err(driver_error)?;
            let (arch, name) = (info.arch(), info.name.clone());
            let cache = KernelCache::new(nvrtc, driver);
            let loaded = FxHashMap::default();
            Ok(Device { context, kernels, copies, arch, name, cache, loaded, arena: None })
        })
    }

    /// The card's name.
    pub fn card(&self) -> &str {
        &self.name
    }

    /// The kernels of a source, compiled and loaded once.
    fn load(&mut self, launch: &Launch) -> Result<(), CudaError> {
        if self.loaded.contains_key(&launch.source) {
            return Ok(());
        }
        let cubin = self.cache.get(&launch.source, &launch.program, &self.arch)?;
        let module = self.context.load_module(Ptx::from_binary(cubin)).map_err(driver_error)?;
        let load = |name: &&str| module.load_function(name).map_err(driver_error);
        let functions = launch.kind.kernels().iter().map(load).collect::<Result<Vec<_>, _>>()?;
        self.loaded.insert(launch.source.clone(), functions);
        Ok(())
    }

    fn start(&mut self, launch: &Launch) -> Result<(), CudaError> {
        let (Some(functions), Some(arena)) = (self.loaded.get(&launch.source), self.arena.as_mut()) else {
            return Err(CudaError::Driver { message: "nothing was reserved".into() });
        };
        let jobs_at = launch.jobs_at as i64;
        for (i, function) in functions.iter().enumerate() {
            let (blocks, threads) = if i == 0 { (launch.blocks, THREADS) } else { (1, 32) };
            let config = LaunchConfig {
                grid_dim: (blocks, launch.jobs, 1),
                block_dim: (threads, 1, 1),
                shared_mem_bytes: 0,
            };
            let mut call = self.kernels.launch_builder(function);
            call.arg(&mut *arena).arg(&jobs_at);
            // SAFETY: the kernel was generated for these two arguments, and its jobs name offsets of
            // the arena that `run` allocated for them.
            unsafe { call.launch(config) }.map_err(driver_error)?;
        }
        Ok(())
    }

    /// Seconds that copying `bytes` within the device takes, the best of some tries: the bandwidth
    /// that fused passes are measured against.
    ///
    /// # Errors
    /// When the device fails.
    pub fn copy_seconds(&mut self, bytes: usize) -> Result<f64, CudaError> {
        guarded(|| {
            let stream = &self.kernels;
            let from = stream.alloc_zeros::<u8>(bytes).map_err(|e| out_of_memory(e, bytes))?;
            let mut to = stream.alloc_zeros::<u8>(bytes).map_err(|e| out_of_memory(e, bytes))?;
            let mut best = f64::INFINITY;
            for _ in 0..10 {
                stream.synchronize().map_err(driver_error)?;
                let start = Instant::now();
                stream.memcpy_dtod(&from, &mut to).map_err(driver_error)?;
                stream.synchronize().map_err(driver_error)?;
                best = best.min(start.elapsed().as_secs_f64());
            }
            Ok(best)
        })
    }
}

pub(super) fn out_of_memory(e: DriverError, bytes: usize) -> CudaError {
    match e.0 {
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => CudaError::OutOfMemory { bytes },
        _ => driver_error(e),
    }
}

impl Backend for Device {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), CudaError> {
        // After an error something may still run.
        guarded(|| self.kernels.synchronize().map_err(driver_error))?;
        if self.arena.as_ref().is_some_and(|a| a.len() >= bytes) {
            return Ok(());
        }
        guarded(|| {
            // The old arena goes first: both together may not fit.
            self.arena = None;
            self.copies.synchronize().map_err(driver_error)?;
            // SAFETY: kernels read only what was written before (inputs and jobs are copied in).
            let alloc = || unsafe { self.copies.alloc::<u8>(bytes) };
            // What passes of models left may be all that is missing.
            let arena = alloc().or_else(|_| {
                relieve();
                self.context.synchronize().and_then(|()| alloc())
            });
            self.arena = Some(arena.map_err(|e| out_of_memory(e, bytes))?);
            self.copies.synchronize().map_err(driver_error)
        })
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), CudaError> {
        guarded(|| {
            let place = self.arena.as_mut().and_then(|a| a.try_slice_mut(at..at + bytes.len()));
            let mut place = place.ok_or(CudaError::OutOfMemory { bytes: at + bytes.len() })?;
            self.copies.memcpy_htod(bytes, &mut place).map_err(driver_error)
        })
    }

    fn launch(&mut self, launch: Launch) -> Result<(), CudaError> {
        guarded(|| {
            self.load(&launch)?;
            self.kernels.join(&self.copies).map_err(driver_error)?;
            self.start(&launch)
        })
    }

    fn read(&mut self, at: usize, into: &mut [u8]) -> Result<(), CudaError> {
        guarded(|| {
            let place = self.arena.as_ref().and_then(|a| a.try_slice(at..at + into.len()));
            let place = place.ok_or(CudaError::OutOfMemory { bytes: at + into.len() })?;
            self.kernels.memcpy_dtoh(&place, into).map_err(driver_error)?;
            // Both: an error leaves nothing running that still reads the caller's memory.
            self.copies.synchronize().and(self.kernels.synchronize()).map_err(driver_error)
        })
    }

    fn ready(&self, source: &Arc<str>) -> bool {
        self.loaded.contains_key(source) || self.cache.has(source, &self.arch)
    }

    fn compile_seconds(&mut self) -> Result<Option<f64>, CudaError> {
        let sample = source("pass_whole.cu").unwrap_or_default();
        let start = Instant::now();
        compile(&sample, "a sample", &self.arch, Output::Cubin)?;
        Ok(Some(start.elapsed().as_secs_f64()))
    }

    fn seconds(&mut self, launch: &Launch) -> Result<f64, CudaError> {
        guarded(|| {
            self.start(launch)?;
            self.kernels.synchronize().map_err(driver_error)?;
            let start = Instant::now();
            (0..REPEATS).try_for_each(|_| self.start(launch))?;
            self.kernels.synchronize().map_err(driver_error)?;
            Ok(start.elapsed().as_secs_f64() / f64::from(REPEATS))
        })
    }

    fn recall(&self) -> Option<Costs> {
        let text = self.cache.note(&self.name)?;
        let mut numbers = text.split_whitespace().map(|x| x.parse::<f64>().ok().filter(|x| x.is_finite()));
        let mut next = || numbers.next().flatten();
        Some(Costs { compile: next()?, generated: next()?, interpreted: next()? })
    }

    fn keep(&self, c: &Costs) {
        self.cache.keep_note(&self.name, &format!("{:e} {:e} {:e}\n", c.compile, c.generated, c.interpreted));
    }
}
