//! Runs compiled kernels: in this process, or in a child that speaks over its standard streams.

use super::{Arg, Launch};
use std::ffi::{CStr, c_char, c_void};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// As the emulator's header declares it.
#[repr(C)]
struct RawLaunch {
    grid: [u32; 3],
    block: [u32; 3],
    smem: u32,
    seed: u32,
    nargs: u32,
    arg_sizes: *const u32,
}
type Entry = unsafe extern "C" fn(*const RawLaunch, *mut *mut c_void, *mut c_char) -> bool;

/// Guard bytes on both sides of every buffer; a multiple of 16 keeps the alignment.
const PAD: usize = 256;

/// In this process.
pub fn here(file: &Path, name: &str, l: Launch, args: &mut [Arg]) -> Result<(), String> {
    let mut copies: Vec<Vec<u128>> = args.iter().filter_map(guarded).collect();
    let mut ptrs: Vec<*mut c_void> =
        copies.iter_mut().map(|c| c.as_mut_ptr().cast::<u8>().wrapping_add(PAD).cast()).collect();
    let (mut values, mut sizes, mut next) = (Vec::new(), Vec::new(), 0);
    for a in args.iter_mut() {
        match a {
            Arg::Scalar(v) => {
                values.push(v.as_mut_ptr().cast::<c_void>());
                sizes.push(v.len() as u32);
            }
            Arg::Buffer(_) => {
                values.push((&raw mut ptrs[next]).cast());
                sizes.push(8);
                next += 1;
            }
        }
    }
    let raw = RawLaunch {
        grid: l.grid,
        block: l.block,
        smem: l.smem,
        seed: l.seed,
        nargs: values.len() as u32,
        arg_sizes: sizes.as_ptr(),
    };
    call(file, name, &raw, &mut values)?;
    give_back(args, &copies)
}

fn guarded(a: &Arg) -> Option<Vec<u128>> {
    let Arg::Buffer(b) = a else { return None };
    let mut c = vec![u128::MAX / 3; (2 * PAD + b.len()).div_ceil(16)];
    // SAFETY: the bytes of a u128 vector, and it is long enough.
    unsafe { c.as_mut_ptr().cast::<u8>().add(PAD).copy_from_nonoverlapping(b.as_ptr(), b.len()) };
    Some(c)
}

fn call(file: &Path, name: &str, raw: &RawLaunch, values: &mut [*mut c_void]) -> Result<(), String> {
    // SAFETY: the library was built for this call; the emulator checks `raw` and the argument sizes.
    unsafe {
        let lib = libloading::Library::new(file).map_err(|e| e.to_string())?;
        let f: libloading::Symbol<Entry> =
            lib.get(format!("cudaemu_launch_{name}").as_bytes()).map_err(|e| e.to_string())?;
        let mut error = [0; 256];
        if !f(raw, values.as_mut_ptr(), error.as_mut_ptr()) {
            return Err(CStr::from_ptr(error.as_ptr()).to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn give_back(args: &mut [Arg], copies: &[Vec<u128>]) -> Result<(), String> {
    let buffers = args.iter_mut().filter_map(|a| if let Arg::Buffer(b) = a { Some(b) } else { None });
    for (i, (b, c)) in buffers.zip(copies).enumerate() {
        let bytes: Vec<u8> = c.iter().flat_map(|w| w.to_ne_bytes()).collect();
        let (head, rest) = bytes.split_at(PAD);
        let (data, tail) = rest.split_at(b.len());
        if head.iter().chain(tail).any(|&x| x != 0x55) {
            return Err(format!("buffer {i}: written out of bounds"));
        }
        b.copy_from_slice(data);
    }
    Ok(())
}

/// In a child process; `which` is the kernel's place in the library.
pub fn child(file: &Path, which: u32, l: Launch, args: &mut [Arg]) -> Result<(), String> {
    let out = converse(file, job(which, l, args))?;
    if !out.status.success() {
        return Err(format!("{}: {}", out.status, String::from_utf8_lossy(&out.stderr)));
    }
    let mut r = &out.stdout[..];
    let mut n = [0; 4];
    r.read_exact(&mut n).map_err(|e| e.to_string())?;
    let mut message = vec![0; u32::from_le_bytes(n) as usize];
    r.read_exact(&mut message).map_err(|e| e.to_string())?;
    if !message.is_empty() {
        return Err(String::from_utf8_lossy(&message).into_owned());
    }
    for a in args {
        if let Arg::Buffer(b) = a {
            r.read_exact(b).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

fn job(which: u32, l: Launch, args: &[Arg]) -> Vec<u8> {
    let header = [which].into_iter().chain(l.grid).chain(l.block).chain([l.smem, l.seed, args.len() as u32]);
    let mut job: Vec<u8> = header.flat_map(u32::to_le_bytes).collect();
    for a in args {
        let (kind, data): (u32, &[u8]) = match a {
            Arg::Scalar(v) => (0, v),
            Arg::Buffer(b) => (1, b),
        };
        job.extend(kind.to_le_bytes());
        job.extend((data.len() as u32).to_le_bytes());
        job.extend(data);
    }
    job
}

fn converse(file: &Path, job: Vec<u8>) -> Result<Output, String> {
    let mut child = Command::new(file)
        .env("TSAN_OPTIONS", "halt_on_error=1:report_thread_leaks=0:exitcode=66")
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .env("UBSAN_OPTIONS", "print_stacktrace=0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    let writer = std::thread::spawn(move || drop(stdin.write_all(&job)));
    let out = child.wait_with_output().map_err(|e| e.to_string())?;
    writer.join().map_err(|_| "the writer of the job died".to_owned())?;
    Ok(out)
}
