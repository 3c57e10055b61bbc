//! The `lpz` command: see `lpzero::cli`.

/// Captured tensors come and go by the hundred, from several threads: the system's allocator would either
/// fault their pages in anew or let threads wait for one another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    lpzero::cli::main()
}
