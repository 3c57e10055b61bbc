//! `lpz check`: parses and type-checks files.

use super::error::CliError;
use super::{Global, output};
use crate::cli::say::{say, tell};
use crate::ir::Dag;
use crate::lang::{Diagnostic, Library, Sources};
use clap::Args;
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Parse and type-check programs; says everything that is wrong.
#[derive(Args)]
#[command(
    after_help = "Example: lpz check proxies.lpz\n\nExit code 0: no errors; 1: errors; 2: a file cannot be read."
)]
pub struct CheckArgs {
    /// Files to check
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// When output cannot be written.
pub fn run(args: &CheckArgs, global: &Global) -> Result<ExitCode, CliError> {
    let mut reports = Vec::new();
    let mut code = 0;
    for path in &args.files {
        let (report, worst) = check(path, global);
        code = code.max(worst);
        reports.push(report);
    }
    output::json(global, &json!({ "files": reports }))?;
    Ok(ExitCode::from(code))
}

fn check(path: &Path, global: &Global) -> (Value, u8) {
    let mut library = Library::new();
    let (diagnostics, sources, unreadable) = match library.load_file(path) {
        Ok(module) => {
            let diagnostics = library.check(module, &mut Dag::default()).diagnostics;
            (diagnostics, library.sources().clone(), false)
        }
        Err(failure) => (failure.diagnostics, failure.sources, true),
    };
    let ok = !diagnostics.iter().any(Diagnostic::is_error);
    if global.json.is_none() {
        let colour = std::io::stderr().is_terminal();
        for d in diagnostics.iter().filter(|d| d.is_error() || !global.quiet) {
            tell(&d.render(&sources, colour));
        }
        if !global.quiet && ok {
            say!("{}: ok", path.display());
        }
    }
    let list: Vec<Value> = diagnostics.iter().map(|d| record(d, &sources)).collect();
    let report = json!({ "path": path.display().to_string(), "ok": ok, "diagnostics": list });
    (report, if unreadable { 2 } else { u8::from(!ok) })
}

/// A diagnostic as JSON.
fn record(d: &Diagnostic, sources: &Sources) -> Value {
    let place = sources.place(d.source, d.span);
    json!({
        "code": d.code, "severity": d.severity.name(), "message": d.message, "help": d.help,
        "label": d.label, "line": place.line, "column": place.column, "length": place.length,
    })
}
