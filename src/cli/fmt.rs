//! `lpz fmt`: writes files in canonical form.

use super::error::CliError;
use super::{Global, output};
use crate::cli::say::{say, tell};
use crate::lang::{Diagnostic, Library, print_file};
use clap::Args;
use serde_json::json;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Bring programs into canonical form. A file that does not parse is left as it is.
#[derive(Args)]
#[command(
    after_help = "Example: lpz fmt --check proxies.lpz\n\nExit code 0: done; 1: --check found a difference; 2: a file does not parse."
)]
pub struct FmtArgs {
    /// Write nothing; say which files are not in canonical form
    #[arg(long)]
    check: bool,
    /// Files to format
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be written.
pub fn run(args: &FmtArgs, global: &Global) -> Result<ExitCode, CliError> {
    let mut code = 0;
    let mut reports = Vec::new();
    for path in &args.files {
        let (state, worst) = match canonical(path) {
            Err(message) => {
                tell(&message);
                ("error", 2)
            }
            Ok((before, after)) if before == after => ("canonical", 0),
            Ok(_) if args.check => ("different", 1),
            Ok((_, after)) => {
                output::write_atomic(path, after.as_bytes())?;
                ("formatted", 0)
            }
        };
        if state != "error" && !global.quiet && global.json.is_none() {
            say!("{}: {state}", path.display());
        }
        code = code.max(worst);
        reports.push(json!({ "path": path.display().to_string(), "state": state }));
    }
    output::json(global, &json!({ "files": reports }))?;
    Ok(ExitCode::from(code))
}

/// The text of a file and its canonical form, or what is wrong with it.
fn canonical(path: &Path) -> Result<(String, String), String> {
    let colour = std::io::stderr().is_terminal();
    let mut library = Library::new();
    let module = library.load_file(path).map_err(|f| f.render(colour))?;
    let module = library.module(module);
    let text = &library.sources().get(module.source).text;
    let (file, diagnostics) = crate::lang::parse_file(text, module.source);
    let wrong = module.diagnostics.iter().filter(|d| d.code == "E001").chain(&diagnostics);
    let errors: String =
        wrong.filter(|d| Diagnostic::is_error(d)).map(|d| d.render(library.sources(), colour)).collect();
    match errors.is_empty() {
        true => Ok((text.clone(), print_file(&file, text))),
        false => Err(errors),
    }
}
