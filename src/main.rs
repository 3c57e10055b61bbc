//! The `lpz` command: see `lpzero::cli`.

fn main() -> std::process::ExitCode {
    keep_memory();
    lpzero::cli::main()
}

/// Asks the allocator to keep what is freed instead of giving it back to the system and faulting it in
/// again: captured tensors come and go by the hundred, all of a few megabytes.
fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const M_TRIM_THRESHOLD: std::ffi::c_int = -1;
        const M_MMAP_THRESHOLD: std::ffi::c_int = -3;
        const M_ARENA_MAX: std::ffi::c_int = -8;
        unsafe extern "C" {
            fn mallopt(parameter: std::ffi::c_int, value: std::ffi::c_int) -> std::ffi::c_int;
        }
        // SAFETY: glibc's function of this signature; no other thread runs yet.
        unsafe {
            mallopt(M_TRIM_THRESHOLD, 512 << 20);
            mallopt(M_MMAP_THRESHOLD, 32 << 20);
            mallopt(M_ARENA_MAX, 1);
        }
    }
}
