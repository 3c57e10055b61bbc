//! `lpz completions`: completion scripts for shells.

use super::Global;
use super::error::CliError;
use clap::{Args, Command};
use clap_complete::Shell;
use std::process::ExitCode;

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(after_help = "Example: lpz completions bash > ~/.local/share/bash-completion/completions/lpz")]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command.
///
/// # Errors
/// When output cannot be written.
pub fn run(args: &CompletionsArgs, _: &Global, mut command: Command) -> Result<ExitCode, CliError> {
    let mut out = Vec::new();
    clap_complete::generate(args.shell, &mut command, "lpz", &mut out);
    super::output::print(&String::from_utf8_lossy(&out))?;
    Ok(ExitCode::SUCCESS)
}
