//! What there is of CUDA on this machine: libraries are loaded when asked for, nothing is linked,
//! and nothing here panics, so one binary runs with and without CUDA.

use super::error::CudaError;
use cudarc::driver::{CudaContext, sys::CUresult};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Environment variable with the path of `libnvrtc.so.12`, or of a folder that holds it, for
/// machines with a driver but no CUDA toolkit.
pub const NVRTC_PATH: &str = "LPZ_NVRTC";

/// One device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Number for `--device cuda:N`.
    pub ordinal: usize,
    /// The card's name.
    pub name: String,
    /// Compute capability: `(9, 0)`.
    pub capability: (i32, i32),
    /// Bytes of memory.
    pub memory: usize,
}

impl DeviceInfo {
    /// Architecture to compile for: `sm_90`.
    pub fn arch(&self) -> String {
        format!("sm_{}{}", self.capability.0, self.capability.1)
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Version of the driver as CUDA counts (12040 for 12.4), or why there is none.
    pub driver: Result<i32, CudaError>,
    /// Version of NVRTC, `(12, 9)`, or why there is none.
    pub nvrtc: Result<(i32, i32), CudaError>,
    /// Is cuBLAS there?
    pub cublas: Result<(), CudaError>,
    /// Devices, or why there are none.
    pub devices: Result<Vec<DeviceInfo>, CudaError>,
}

const DRIVER: CudaError = CudaError::Missing {
    library: "the NVIDIA driver (libcuda)",
    help: "install the NVIDIA driver, or use --device cpu",
};
const NVRTC: CudaError = CudaError::Missing {
    library: "the CUDA compiler (libnvrtc)",
    help: "install the CUDA toolkit or `pip install nvidia-cuda-nvrtc-cu12` and set LPZ_NVRTC to its libnvrtc.so.12, or use --device cpu",
};
const CUBLAS: CudaError = CudaError::Missing {
    library: "cuBLAS (libcublas)",
    help: "install the CUDA toolkit or `pip install nvidia-cublas-cu12`; only models on the device need it",
};

/// Runs `f`; a missing symbol, on which the bindings panic, becomes an error.
pub(super) fn guarded<T>(f: impl FnOnce() -> Result<T, CudaError>) -> Result<T, CudaError> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| {
        Err(CudaError::Driver { message: "the driver lacks a function of CUDA 12.0: it is too old".into() })
    })
}

/// A driver error in words.
pub(super) fn driver_error(e: cudarc::driver::DriverError) -> CudaError {
    let text = catch_unwind(AssertUnwindSafe(|| {
        e.error_string().map_or_else(|_| format!("{e:?}"), |s| s.to_string_lossy().into_owned())
    }));
    CudaError::Driver { message: text.unwrap_or_else(|_| format!("error {:?}", e.0)) }
}

fn cuda(result: CUresult) -> Result<(), CudaError> {
    result.result().map_err(driver_error)
}

/// Version of the driver.
///
/// # Errors
/// When there is none.
pub fn driver_version() -> Result<i32, CudaError> {
    // SAFETY: only opens the library; no CUDA call is made.
    if !unsafe { cudarc::driver::sys::is_culib_present() } {
        return Err(DRIVER);
    }
    guarded(|| {
        let mut version = 0;
        // SAFETY: writes one integer.
        cuda(unsafe { cudarc::driver::sys::cuDriverGetVersion(&raw mut version) })?;
        Ok(version)
    })
}

/// The devices.
///
/// # Errors
/// When there is no driver or it does not start.
pub fn devices() -> Result<Vec<DeviceInfo>, CudaError> {
    driver_version()?;
    guarded(|| {
        cudarc::driver::result::init().map_err(driver_error)?;
        let count = CudaContext::device_count().map_err(driver_error)?;
        (0..usize::try_from(count).unwrap_or(0)).map(info).collect()
    })
}

fn info(ordinal: usize) -> Result<DeviceInfo, CudaError> {
    let context = CudaContext::new(ordinal).map_err(driver_error)?;
    Ok(DeviceInfo {
        ordinal,
        name: context.name().map_err(driver_error)?,
        capability: context.compute_capability().map_err(driver_error)?,
        memory: context.total_mem().map_err(driver_error)?,
    })
}

/// Opens NVRTC from `LPZ_NVRTC`, where that is set, so that it is found by its name from then on.
fn preload_nvrtc() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        if let Some(path) = std::env::var_os(NVRTC_PATH) {
            open_nvrtc(Path::new(&path));
        }
    });
}

/// Opens NVRTC from a file or folder and keeps it open; returns whether that worked. The bindings,
/// which look for it by name, then find it.
pub fn open_nvrtc(path: &Path) -> bool {
    let file: PathBuf = if path.is_dir() { path.join("libnvrtc.so.12") } else { path.to_owned() };
    // SAFETY: loading runs the library's initialisers; it is NVIDIA's, named by the user.
    match unsafe { libloading::Library::new(file) } {
        Ok(library) => {
            std::mem::forget(library);
            true
        }
        Err(_) => false,
    }
}

/// Version of NVRTC.
///
/// # Errors
/// When it is not there.
pub fn nvrtc_version() -> Result<(i32, i32), CudaError> {
    preload_nvrtc();
    // SAFETY: only opens the library.
    if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
        return Err(NVRTC);
    }
    let (mut major, mut minor) = (0, 0);
    // SAFETY: writes two integers.
    let call =
        || unsafe { cudarc::nvrtc::sys::nvrtcVersion(&raw mut major, &raw mut minor) }.result().is_ok();
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(true) => Ok((major, minor)),
        _ => Err(NVRTC),
    }
}

/// Looks for everything.
pub fn probe() -> Probe {
    // SAFETY: only opens the library.
    let cublas = if unsafe { cudarc::cublas::sys::is_culib_present() } { Ok(()) } else { Err(CUBLAS) };
    Probe { driver: driver_version(), nvrtc: nvrtc_version(), cublas, devices: devices() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probing_never_panics_and_says_what_to_do() {
        let p = probe();
        for e in [p.driver.err(), p.nvrtc.err(), p.cublas.err(), p.devices.err()].into_iter().flatten() {
            assert!(!e.to_string().is_empty() && !e.help().is_empty());
        }
        assert!(!open_nvrtc(Path::new("/nonexistent")));
    }
}
