//! The `lpz` command: see `lpzero::cli`.

fn main() -> std::process::ExitCode {
    lpzero::cli::main()
}
