//! Builds kernels with the host compiler; results are kept by hash of everything they depend on.

use super::{Arg, Launch, drive, folder};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

const INCLUDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/cudaemu/include");
const FLAGS: &[&str] = &[
    "-std=c++17",
    "-O1",
    "-g1",
    "-fPIC",
    "-fno-strict-aliasing",
    "-ffp-contract=off",
    "-fno-extern-tls-init",
    "-Wno-unknown-pragmas",
];

/// How kernels run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Shared library in this process: fastest; a wild pointer takes the test process down.
    InProcess,
    /// Child process, no sanitizer.
    Child,
    /// Child process, `-fsanitize=address,undefined`: out-of-bounds and undefined behaviour.
    Bounds,
    /// Child process, `-fsanitize=thread`: races between CUDA threads, in shared and global memory.
    Races,
}

/// Compiled kernels of one source.
pub struct Library {
    names: Vec<String>,
    mode: Mode,
    file: PathBuf,
}

/// The C++ compiler: `$CXX`, `g++`, or `c++`, the first that answers.
pub fn compiler() -> Option<&'static str> {
    static FOUND: OnceLock<Option<String>> = OnceLock::new();
    let answers = |c: &String| Command::new(c).arg("--version").output().is_ok_and(|o| o.status.success());
    let find = || {
        let candidates = std::env::var("CXX").into_iter().chain(["g++".into(), "c++".into()]);
        candidates.into_iter().find(answers)
    };
    FOUND.get_or_init(find).as_deref()
}

impl Library {
    /// Compiles `source`, unless the same source was compiled before; `names` are its kernels.
    pub fn build(source: &str, names: &[&str], mode: Mode) -> Result<Self, String> {
        let text = program(source, names, mode);
        let header = std::fs::read(format!("{INCLUDE}/cudaemu.h")).map_err(|e| e.to_string())?;
        let mut h = DefaultHasher::new();
        (&text, &header, mode, FLAGS).hash(&mut h);
        let stem = folder().join(format!("{}-{:016x}", names[0], h.finish()));
        let file = stem.with_extension("bin");
        if !file.exists() {
            compile(&text, &stem, &file, mode)?;
        }
        Ok(Self { names: names.iter().map(|&n| n.to_owned()).collect(), mode, file })
    }

    /// Runs one kernel; buffers are updated in place. An error is the emulator's diagnosis.
    pub fn run(&self, name: &str, launch: Launch, args: &mut [Arg]) -> Result<(), String> {
        let at = self.names.iter().position(|n| n == name).ok_or(format!("no kernel {name}"))?;
        match self.mode {
            Mode::InProcess => drive::here(&self.file, name, launch, args),
            _ => drive::child(&self.file, at as u32, launch, args),
        }
    }
}

fn program(source: &str, names: &[&str], mode: Mode) -> String {
    let mut text = format!("#include \"cudaemu.h\"\n#line 1 \"{}.cu\"\n{source}\n", names[0]);
    for name in names {
        text += &format!("CUDAEMU_EXPORT({name})\n");
    }
    if mode != Mode::InProcess {
        let entries: Vec<String> = names.iter().map(|n| format!("cudaemu_launch_{n}")).collect();
        text += &format!("CUDAEMU_MAIN({})\n", entries.join(", "));
    }
    text
}

fn compile(text: &str, stem: &Path, file: &Path, mode: Mode) -> Result<(), String> {
    static TURN: AtomicU32 = AtomicU32::new(0);
    let flags: &[&str] = match mode {
        Mode::InProcess => &["-shared"],
        Mode::Child => &[],
        Mode::Bounds => &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
        Mode::Races => &["-fsanitize=thread"],
    };
    // Tests build at the same time, also the same kernel: each under a name of its own.
    let turn = format!("{}-{}", std::process::id(), TURN.fetch_add(1, Ordering::Relaxed));
    let (cpp, built) =
        (stem.with_extension(format!("{turn}.cpp")), stem.with_extension(format!("{turn}.tmp")));
    std::fs::create_dir_all(folder()).and_then(|()| std::fs::write(&cpp, text)).map_err(|e| e.to_string())?;
    let cxx = compiler().ok_or("no C++ compiler")?;
    let out = Command::new(cxx)
        .args(FLAGS)
        .args(flags)
        .arg(format!("-I{INCLUDE}"))
        .args([cpp.as_os_str(), "-o".as_ref(), built.as_os_str()])
        .output()
        .map_err(|e| format!("{cxx}: {e}"))?;
    let _ = std::fs::remove_file(&cpp);
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    std::fs::rename(&built, file).map_err(|e| e.to_string())
}
