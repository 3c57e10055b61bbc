//! CUDA C++ to machine code by NVRTC; neither a driver nor a device is needed.

use super::error::CudaError;
use super::probe::nvrtc_version;
use cudarc::nvrtc::{result, sys};
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Options of every compilation besides the architecture. IEEE division and square roots and no
/// flushing of subnormals are NVRTC's defaults. No contraction to fused multiply-add: where it
/// happens depends on what else is in a kernel, and a score must not depend on its company.
pub const OPTIONS: &[&str] = &["--std=c++17", "--fmad=false", "-lineinfo"];

/// What to produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Assembly for `ptxas`.
    Ptx,
    /// Machine code of one architecture.
    Cubin,
}

/// Compiles `source` for `arch` (`sm_80`); `program` says what it computes, for the error.
///
/// # Errors
/// When there is no compiler, or with the first error, its line and the line's text.
pub fn compile(source: &str, program: &str, arch: &str, output: Output) -> Result<Vec<u8>, CudaError> {
    nvrtc_version()?;
    catch_unwind(AssertUnwindSafe(|| run(source, program, arch, output)))
        .unwrap_or_else(|_| Err(internal("NVRTC is too old: a function is missing")))
}

struct Program(sys::nvrtcProgram);

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: created by `create_program`, destroyed once.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}

fn internal(e: impl ToString) -> CudaError {
    CudaError::Driver { message: e.to_string() }
}

fn run(source: &str, program: &str, arch: &str, output: Output) -> Result<Vec<u8>, CudaError> {
    let text = CString::new(source).map_err(internal)?;
    let handle = Program(result::create_program(&text, Some(c"pass.cu")).map_err(internal)?);
    let mut options = vec![format!("--gpu-architecture={arch}")];
    options.extend(OPTIONS.iter().map(|&o| o.to_owned()));
    // SAFETY: the handle is live and the options are plain strings.
    if unsafe { result::compile_program(handle.0, &options) }.is_err() {
        // SAFETY: the handle is live.
        let log = unsafe { result::get_program_log(handle.0) }.map_err(internal)?;
        let log: String = log.iter().take_while(|&&c| c != 0).map(|&c| c as u8 as char).collect();
        return Err(located(&log, source, program));
    }
    // SAFETY: the program was compiled.
    unsafe {
        match output {
            Output::Ptx => {
                let ptx = result::get_ptx(handle.0).map_err(internal)?;
                Ok(ptx.into_iter().map(|c| c as u8).filter(|&b| b != 0).collect())
            }
            Output::Cubin => {
                let mut size = 0;
                sys::nvrtcGetCUBINSize(handle.0, &raw mut size).result().map_err(internal)?;
                let mut cubin = vec![0u8; size];
                sys::nvrtcGetCUBIN(handle.0, cubin.as_mut_ptr().cast()).result().map_err(internal)?;
                Ok(cubin)
            }
        }
    }
}

/// The first error of a log such as `pass.cu(12): error: ...`.
fn located(log: &str, source: &str, program: &str) -> CudaError {
    let first =
        log.lines().find(|l| l.contains("error")).or_else(|| log.lines().next()).unwrap_or("no message");
    let line = first.split_once('(').and_then(|(_, r)| r.split_once(')')).and_then(|(n, _)| n.parse().ok());
    let line: usize = line.unwrap_or(0);
    let message = first.split_once("error:").map_or(first, |(_, m)| m).trim().to_owned();
    let text = source.lines().nth(line.wrapping_sub(1)).unwrap_or_default().to_owned();
    CudaError::Compile { message, line, text, program: program.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_line_and_program() {
        let log = "pass.cu(2): error: identifier \"b\" is undefined\n\n1 error detected";
        let e = located(log, "int a;\nint c = b;\n", "sum(exp(x))");
        let text = e.to_string();
        assert!(text.contains("sum(exp(x))") && text.contains("line 2: int c = b;"), "{text}");
        assert!(text.contains("identifier \"b\" is undefined"));
    }
}
