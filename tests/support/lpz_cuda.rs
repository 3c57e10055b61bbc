//! The unchanged binary over stand-ins for driver, compiler and cuBLAS (`cudaemu/driver`).

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const SUPPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/cudaemu");

/// Builds the stand-ins; none where there is no C++ compiler.
pub fn stand_ins() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fakecuda");
            std::fs::create_dir_all(&folder).unwrap();
            let cxx = std::env::var("CXX").unwrap_or_else(|_| "g++".into());
            for name in ["libcuda", "libnvrtc", "libcublas"] {
                let made = Command::new(&cxx)
                    .args(["-std=c++17", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-o"])
                    .arg(folder.join(format!("{name}.so")))
                    .arg(format!("{SUPPORT}/driver/{name}.cpp"))
                    .arg("-ldl")
                    .output();
                match made {
                    Ok(out) => assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr)),
                    Err(_) => {
                        eprintln!("SKIPPED: no C++ compiler (g++) found; the device code is not run");
                        return None;
                    }
                }
            }
            Some(folder)
        })
        .as_deref()
}

/// Runs of `lpz` over the stand-ins, in a folder of their own.
pub struct Lpz {
    libraries: PathBuf,
    pub folder: tempfile::TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Lpz {
    pub fn new(libraries: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Lpz { libraries: libraries.into(), folder, settings: Vec::new() }
    }
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.settings.push((name, value.to_string()));
        self
    }
    pub fn run(&self, args: &[&str]) -> Output {
        // Kernels are built once for all tests; what is refused is kept nowhere.
        let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fakecuda-cache");
        Command::new(env!("CARGO_BIN_EXE_lpz"))
            .args(args)
            .current_dir(self.folder.path())
            .env("LD_LIBRARY_PATH", &self.libraries)
            .env("FAKECUDA_INCLUDE", format!("{SUPPORT}/include"))
            .env("LPZ_CACHE_DIR", cache)
            .envs(self.settings.iter().map(|(k, v)| (k, v)))
            .output()
            .unwrap()
    }
}
