//! A device as models use it: what all passes share. A pass gets a *lane* (a stream with its cuBLAS handle and
//! the memory that earlier passes left), kernels are loaded once per process, and parameters are copied
//! once while they live.

use super::Remark;
use super::cache::KernelCache;
use super::device::out_of_memory;
use super::error::CudaError;
use super::probe::{devices, driver_error, driver_version, guarded, nvrtc_version};
use super::product::blas_error;
use super::sources::{FILES, source};
use crate::tensor::device::Held;
use cudarc::cublas::CudaBlas;
use cudarc::driver::{CudaContext, CudaFunction, CudaSlice, CudaStream};
use cudarc::nvrtc::Ptx;
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Parameters by where they lie in this machine's memory, with their copies.
type Kept = FxHashMap<usize, (Weak<[f32]>, Held)>;

/// A device, with what its passes share.
pub struct Card {
    /// The device's context.
    pub context: Arc<CudaContext>,
    arch: String,
    cache: KernelCache,
    functions: Mutex<FxHashMap<&'static str, CudaFunction>>,
    /// What has died is thrown away.
    kept: Mutex<Kept>,
    /// Lanes that no pass uses at present.
    idle: Mutex<Vec<Lane>>,
    /// What every lane was given back.
    free: Mutex<Vec<Weak<Mutex<Free>>>>,
    remark: Remark,
    failed: AtomicBool,
}

/// What a pass has for itself.
pub struct Lane {
    /// Everything of a pass happens on it.
    pub stream: Arc<CudaStream>,
    /// Products on the stream.
    pub blas: CudaBlas,
    /// Memory that was given back.
    pub free: Arc<Mutex<Free>>,
}

/// Memory that nobody uses, by size.
#[derive(Default)]
pub struct Free(FxHashMap<usize, Vec<CudaSlice<u8>>>);

impl Lane {
    /// Keeps memory for what comes after everything that was asked for so far.
    pub fn give(&self, slice: CudaSlice<u8>) {
        locked(&self.free).0.entry(slice.len()).or_default().push(slice);
    }
}

fn locked<T>(x: &Mutex<T>) -> MutexGuard<'_, T> {
    x.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Card {
    /// Opens device `ordinal`.
    ///
    /// # Errors
    /// When there is no driver, compiler or such device.
    pub fn open(ordinal: usize, remark: Remark) -> Result<Self, CudaError> {
        let (driver, nvrtc) = (driver_version()?, nvrtc_version()?);
        let found = devices()?;
        let message = || format!("there is no device {ordinal}, only {}", found.len());
        let info = found.get(ordinal).ok_or_else(|| CudaError::Driver { message: message() })?;
        let context = CudaContext::new(ordinal).map_err(driver_error)?;
        // SAFETY: everything of a pass happens on its one stream; what passes share is copied whole before
        // the second sees it, and freed when nothing runs.
        unsafe { context.disable_event_tracking() };
        Ok(Card {
            context,
            arch: info.arch(),
            cache: KernelCache::new(nvrtc, driver),
            functions: Mutex::default(),
            kept: Mutex::default(),
            idle: Mutex::default(),
            free: Mutex::default(),
            remark,
            failed: AtomicBool::new(false),
        })
    }

    /// Has nothing failed so far?
    pub fn works(&self) -> bool {
        !self.failed.load(Ordering::Relaxed)
    }

    /// A lane that no other pass uses.
    ///
    /// # Errors
    /// When the device gives no stream.
    pub fn lane(&self) -> Result<Lane, CudaError> {
        if let Some(lane) = locked(&self.idle).pop() {
            return Ok(lane);
        }
        guarded(|| {
            let stream = self.context.new_stream().map_err(driver_error)?;
            let blas = CudaBlas::new(stream.clone()).map_err(blas_error)?;
            let free = Arc::default();
            let mut all = locked(&self.free);
            all.retain(|f| f.strong_count() > 0);
            all.push(Arc::downgrade(&free));
            Ok(Lane { stream, blas, free })
        })
    }

    /// Takes a lane back.
    pub fn rest(&self, lane: Lane) {
        locked(&self.idle).push(lane);
        self.sweep();
    }

    /// Says what went wrong; unless memory was short, no pass uses the device any more.
    pub fn fail(&self, e: &CudaError) {
        if let CudaError::OutOfMemory { .. } = e {
            return (self.remark)("memory was short: passes of models that did not fit ran on the CPU");
        }
        self.failed.store(true, Ordering::Relaxed);
        (self.remark)(&format!("models run on the CPU: {e}"));
    }

    /// A kernel of `kernels/*.cu`, in single precision.
    ///
    /// # Errors
    /// When there is none of this name, or it does not compile or load.
    pub fn function(&self, name: &'static str) -> Result<CudaFunction, CudaError> {
        let mut functions = locked(&self.functions);
        if let Some(f) = functions.get(name) {
            return Ok(f.clone());
        }
        let fault = |message: &str| CudaError::Launch { kernel: name.into(), message: message.into() };
        let (kernel, typed) = typed(name);
        let made = format!("FOR_EACH_TYPE({kernel}, ");
        let file = FILES.iter().find(|f| f.1.contains(&made)).ok_or_else(|| fault("there is none"))?;
        let text = source(file.0).unwrap_or_default();
        let cubin = self.cache.get(&text, file.0, &self.arch)?;
        let module = self.context.load_module(Ptx::from_binary(cubin)).map_err(driver_error)?;
        let function = module.load_function(&typed).map_err(driver_error)?;
        functions.insert(name, function.clone());
        Ok(function)
    }

    /// Memory on a lane, from what was given back or new.
    ///
    /// # Errors
    /// When there is none left, even without what earlier passes and parameters hold.
    pub fn allocate(&self, lane: &Lane, bytes: usize) -> Result<CudaSlice<u8>, CudaError> {
        let found = locked(&lane.free).0.get_mut(&bytes).and_then(Vec::pop);
        if let Some(slice) = found {
            return Ok(slice);
        }
        // SAFETY: kernels read only what was written before.
        let new = || unsafe { lane.stream.alloc::<u8>(bytes) }.map_err(|e| out_of_memory(e, bytes));
        match new() {
            Err(CudaError::OutOfMemory { .. }) => {
                self.relieve();
                self.context.synchronize().map_err(driver_error)?;
                new()
            }
            done => done,
        }
    }

    /// Frees what no pass uses at present.
    pub fn relieve(&self) {
        let lists: Vec<Arc<Mutex<Free>>> = locked(&self.free).iter().filter_map(Weak::upgrade).collect();
        lists.iter().for_each(|free| drop(std::mem::take(&mut *locked(free))));
        drop(std::mem::take(&mut *locked(&self.idle)));
        drop(std::mem::take(&mut *locked(&self.kept)));
    }

    /// The copy of parameters that live, or what `make` gives, kept from then on.
    pub fn keep(&self, x: &Arc<[f32]>, make: impl FnOnce() -> Option<Held>) -> Option<Held> {
        let key = x.as_ptr() as usize;
        let mut kept = locked(&self.kept);
        if let Some((of, held)) = kept.get(&key)
            && of.strong_count() > 0
        {
            return Some(held.clone());
        }
        drop(kept);
        let held = make()?;
        kept = locked(&self.kept);
        let old = kept.insert(key, (Arc::downgrade(x), held.clone()));
        drop(kept);
        drop(old);
        Some(held)
    }

    /// Throws copies away whose parameters are no more.
    fn sweep(&self) {
        let dead: Vec<(Weak<[f32]>, Held)> =
            locked(&self.kept).extract_if(|_, (of, _)| of.strong_count() == 0).map(|(_, x)| x).collect();
        drop(dead);
    }
}

/// A kernel's name without its type, and with it: single precision unless it says another.
fn typed(name: &str) -> (&str, String) {
    for suffix in ["_f16", "_bf16"] {
        if let Some(kernel) = name.strip_suffix(suffix) {
            return (kernel, name.to_owned());
        }
    }
    (name, format!("{name}_f32"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_single_unless_they_say_otherwise() {
        assert_eq!(typed("softmax"), ("softmax", "softmax_f32".to_owned()));
        assert_eq!(typed("narrowed_bf16"), ("narrowed", "narrowed_bf16".to_owned()));
    }
}
