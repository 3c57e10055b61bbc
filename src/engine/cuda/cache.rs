//! Compiled kernels on disk, under a hash of everything they depend on: the source, the options,
//! the architecture, and the versions of compiler and driver.

use super::compile::{OPTIONS, Output, compile};
use super::error::CudaError;
use crate::files;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// Environment variable with the folder; otherwise `$XDG_CACHE_HOME/lpz` or `~/.cache/lpz`.
pub const CACHE_DIR: &str = "LPZ_CACHE_DIR";

/// The cache of compiled kernels. A cache that cannot be read or written only costs time.
#[derive(Clone, Debug)]
pub struct KernelCache {
    folder: Option<PathBuf>,
    /// Version of the compiler.
    nvrtc: (i32, i32),
    /// Version of the driver.
    driver: i32,
}

impl KernelCache {
    /// The user's cache for these versions.
    pub fn new(nvrtc: (i32, i32), driver: i32) -> Self {
        let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let base = from(CACHE_DIR)
            .or_else(|| from("XDG_CACHE_HOME").map(|d| d.join("lpz")))
            .or_else(|| from("HOME").map(|d| d.join(".cache").join("lpz")));
        KernelCache { folder: base.map(|d| d.join("cuda")), nvrtc, driver }
    }

    /// A cache in a folder of its own.
    pub fn in_folder(folder: PathBuf, nvrtc: (i32, i32), driver: i32) -> Self {
        KernelCache { folder: Some(folder), nvrtc, driver }
    }

    fn path(&self, source: &str, arch: &str) -> Option<PathBuf> {
        let mut h = Xxh3::new();
        let versions = format!("{:?} {}", self.nvrtc, self.driver);
        for part in OPTIONS.iter().copied().chain([arch, &versions, source]) {
            h.update(part.as_bytes());
            h.update(&[0]);
        }
        self.folder.as_ref().map(|f| f.join(format!("{:032x}.cubin", h.digest128())))
    }

    /// Is the machine code of `source` kept?
    pub fn has(&self, source: &str, arch: &str) -> bool {
        self.path(source, arch).is_some_and(|p| p.exists())
    }

    /// A text that was kept about a card, for these versions and options.
    pub fn note(&self, card: &str) -> Option<String> {
        std::fs::read_to_string(self.path("", card)?.with_extension("txt")).ok()
    }

    /// Keeps a text about a card.
    pub fn keep_note(&self, card: &str, text: &str) {
        if let Some(path) = self.path("", card) {
            write(&path.with_extension("txt"), text.as_bytes());
        }
    }

    /// The machine code of `source` for `arch`, from the cache or compiled and kept.
    ///
    /// # Errors
    /// When it has to be compiled and that fails.
    pub fn get(&self, source: &str, program: &str, arch: &str) -> Result<Vec<u8>, CudaError> {
        let path = self.path(source, arch);
        if let Some(kept) = path.as_ref().and_then(|p| std::fs::read(p).ok()) {
            // Written atomically, so it is whole; what is not machine code is not ours.
            if kept.starts_with(b"\x7fELF") {
                return Ok(kept);
            }
        }
        let cubin = compile(source, program, arch, Output::Cubin)?;
        if let Some(path) = path {
            write(&path, &cubin);
        }
        Ok(cubin)
    }
}

/// What cannot be written is made anew next time.
fn write(path: &Path, bytes: &[u8]) {
    let folder = path.parent().map(std::fs::create_dir_all).transpose();
    let _ = folder.and_then(|_| files::write_atomic(path, bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_kernel_is_found_and_another_driver_compiles_again() {
        let dir = tempfile::tempdir().unwrap();
        let cache = |driver| KernelCache::in_folder(dir.path().to_owned(), (12, 9), driver);
        let path = cache(1).path("source", "sm_90").unwrap();
        std::fs::write(&path, b"\x7fELF kept").unwrap();
        assert_eq!(cache(1).get("source", "", "sm_90").unwrap(), b"\x7fELF kept");
        for (other, arch, source) in [(2, "sm_90", "source"), (1, "sm_80", "source"), (1, "sm_90", "other")] {
            assert_ne!(cache(other).path(source, arch).unwrap(), path);
        }
        std::fs::write(&path, b"garbage").unwrap();
        assert!(cache(1).get("not a kernel", "", "sm_90").is_err());
    }
}
