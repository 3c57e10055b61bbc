//! Single matrix products of the models by cuBLAS, for numbers that passes on a device are not for. Factors are copied to the device and the result back: a
//! product is handed over only where that is small beside the arithmetic (`tensor::offload`).

use super::Remark;
use super::error::CudaError;
use super::models::Models;
use super::probe::{driver_error, guarded};
use super::product::{Call, Sum, blas_error};
use crate::tensor::device;
use crate::tensor::gemm::Into;
use crate::tensor::offload::{self, Elements, Group, Products};
use cudarc::cublas::CudaBlas;
use cudarc::cublas::sys::is_culib_present;
use cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Lets the models run on device `ordinal`: passes in single precision whole, where
/// they have `least` operations or more ([`device::LEAST`]); of others the large products.
/// Where they cannot, `remark` hears why.
pub fn install(ordinal: usize, least: f64, remark: Remark) {
    // SAFETY: only opens the library.
    if !unsafe { is_culib_present() } {
        return remark("cuBLAS (libcublas) is not there: models run on the CPU, programs on the device");
    }
    device::install(Box::new(Models::new(ordinal, remark.clone())), least);
    offload::install(Box::new(Blas {
        ordinal,
        remark,
        idle: Mutex::default(),
        failed: AtomicBool::new(false),
    }));
}

/// Products on one device, for any number of threads.
struct Blas {
    ordinal: usize,
    remark: Remark,
    /// States that no thread uses at present.
    idle: Mutex<Vec<State>>,
    failed: AtomicBool,
}

/// A stream with its handle, and memory for a destination and two factors.
struct State {
    stream: Arc<CudaStream>,
    blas: CudaBlas,
    buffers: [Option<CudaSlice<u8>>; 3],
}

impl Products for Blas {
    fn products(&self, elements: Elements<'_>, groups: &[Group], alpha: f64, into: Into) -> bool {
        let Some(calls) = groups.iter().map(Call::new).collect::<Option<Vec<_>>>() else { return false };
        if self.failed.load(Ordering::Relaxed) {
            return false;
        }
        let done = match elements {
            Elements::F32(d, a, b) => self.run(d, [a, b], groups, &calls, alpha, into),
            Elements::F64(d, a, b) => self.run(d, [a, b], groups, &calls, alpha, into),
        };
        if let Err(e) = &done {
            self.failed.store(true, Ordering::Relaxed);
            (self.remark)(&format!("products of the model run on the CPU: {e}"));
        }
        done.is_ok()
    }
}

impl Blas {
    fn run<T: Sum>(
        &self,
        dst: &mut [T],
        [a, b]: [&[T]; 2],
        groups: &[Group],
        calls: &[Call],
        alpha: f64,
        into: Into,
    ) -> Result<(), CudaError> {
        let idle = self.idle.lock().ok().and_then(|mut all| all.pop());
        let mut state = match idle {
            Some(state) => state,
            None => guarded(|| State::new(self.ordinal))?,
        };
        guarded(|| state.run(dst, [a, b], groups, calls, alpha, into))?;
        if let Ok(mut all) = self.idle.lock() {
            all.push(state);
        }
        Ok(())
    }
}

impl State {
    fn new(ordinal: usize) -> Result<Self, CudaError> {
        let context = CudaContext::new(ordinal).map_err(driver_error)?;
        // SAFETY: everything of a state happens on its one stream.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(driver_error)?;
        let blas = CudaBlas::new(stream.clone()).map_err(blas_error)?;
        Ok(State { stream, blas, buffers: [const { None }; 3] })
    }

    fn run<T: Sum>(
        &mut self,
        dst: &mut [T],
        [a, b]: [&[T]; 2],
        groups: &[Group],
        calls: &[Call],
        alpha: f64,
        into: Into,
    ) -> Result<(), CudaError> {
        self.upload(1, bytemuck::cast_slice(a))?;
        self.upload(2, bytemuck::cast_slice(b))?;
        // What is not overwritten comes back as it was.
        let whole = |g: &Group| g.count == 1 && g.views[0].rows * g.views[0].cols == dst.len();
        match into == Into::Set && groups.iter().any(whole) {
            true => self.room(0, size_of_val(dst))?,
            false => self.upload(0, bytemuck::cast_slice(dst))?,
        }
        let at = |x: &Option<CudaSlice<u8>>| x.as_ref().map_or(0, |x| x.device_ptr(&self.stream).0);
        let places = self.buffers.each_ref().map(at);
        for call in calls {
            // SAFETY: the views lie in slices that were copied whole; sizes were checked by `gemm`.
            unsafe { call.start::<T, T>(&self.blas, places, alpha, into) }?;
        }
        let n = size_of_val(dst);
        let result = self.buffers[0].as_ref().and_then(|x| x.try_slice(..n));
        let result = result.ok_or(CudaError::OutOfMemory { bytes: n })?;
        // The destination is written only once everything went well.
        let mut back = vec![0u8; n];
        self.stream.memcpy_dtoh(&result, &mut back).map_err(driver_error)?;
        self.stream.synchronize().map_err(driver_error)?;
        bytemuck::cast_slice_mut::<T, u8>(dst).copy_from_slice(&back);
        Ok(())
    }

    fn room(&mut self, which: usize, bytes: usize) -> Result<(), CudaError> {
        if self.buffers[which].as_ref().is_none_or(|x| x.len() < bytes) {
            self.buffers[which] = None;
            self.stream.synchronize().map_err(driver_error)?;
            // SAFETY: products read only what is uploaded or overwritten first.
            let made = unsafe { self.stream.alloc::<u8>(bytes) };
            self.buffers[which] = Some(made.map_err(|e| super::device::out_of_memory(e, bytes))?);
        }
        Ok(())
    }

    fn upload(&mut self, which: usize, bytes: &[u8]) -> Result<(), CudaError> {
        self.room(which, bytes.len())?;
        let place = self.buffers[which].as_mut().and_then(|x| x.try_slice_mut(..bytes.len()));
        let mut place = place.ok_or(CudaError::OutOfMemory { bytes: bytes.len() })?;
        self.stream.memcpy_htod(bytes, &mut place).map_err(driver_error)
    }
}
