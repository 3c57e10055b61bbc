//! Programs named on the command line: `std::name`, `file.lpz`, `file.lpz::name`, `-e 'EXPR'`.

use super::error::CliError;
use crate::cli::say::{say, tell};
use crate::ir::{Dag, Program};
use crate::lang::{CheckedProxy, Failure, Library};
use clap::Args;
use std::io::IsTerminal;

/// Which programs.
#[derive(Args, Clone, Debug)]
pub struct ProgramArgs {
    /// Programs: std::NAME, FILE.lpz (every proxy in it) or FILE.lpz::NAME
    #[arg(value_name = "P")]
    pub programs: Vec<String>,
    /// A program as an expression; may be given several times
    #[arg(short = 'e', long = "expr", value_name = "EXPR")]
    pub exprs: Vec<String>,
}

/// Programs of one command, in one DAG.
#[derive(Default)]
pub struct Programs {
    /// Their nodes.
    pub dag: Dag,
    /// The programs.
    pub programs: Vec<Program>,
    /// For each, is it one of the baselines that every rank table shows?
    pub baseline: Vec<bool>,
}

impl Programs {
    /// Resolves `specs`, then `exprs`.
    ///
    /// # Errors
    /// Reports every diagnostic and returns the exit code.
    pub fn resolve(specs: &[String], exprs: &[String]) -> Result<Self, CliError> {
        let mut library = Library::new();
        let mut all = Programs::default();
        for spec in specs {
            let found = library.resolve(spec, &mut all.dag).map_err(|f| shown(&f))?;
            all.extend(found);
        }
        for text in exprs {
            let found = library.expression(text, text, &mut all.dag).map_err(|f| shown(&f))?;
            all.extend([found]);
        }
        if all.programs.is_empty() {
            return Err(CliError::new("no program was given")
                .help("name one, such as std::snip, FILE.lpz or -e 'sum l in linear { norm(l.weight) }'"));
        }
        Ok(all)
    }

    /// Adds programs of the standard library as baselines, leaving out those that are there.
    ///
    /// # Errors
    /// As [`Programs::resolve`].
    pub fn add_baselines(&mut self, names: &[&str]) -> Result<(), CliError> {
        let mut library = Library::new();
        for name in names {
            let found = library.resolve(&format!("std::{name}"), &mut self.dag).map_err(|f| shown(&f))?;
            for proxy in found {
                let program = proxy.program;
                let twin = |p: &Program| p.root == program.root && p.capture == program.capture;
                match self.programs.iter().position(twin) {
                    Some(at) => self.baseline[at] = true,
                    None => {
                        self.programs.push(program);
                        self.baseline.push(true);
                    }
                }
            }
        }
        Ok(())
    }

    fn extend(&mut self, found: impl IntoIterator<Item = CheckedProxy>) {
        for proxy in found {
            let p = proxy.program;
            if !self.programs.iter().any(|q| q.name == p.name && q.root == p.root && q.capture == p.capture) {
                self.programs.push(p);
                self.baseline.push(false);
            }
        }
    }

    /// The most minibatches that any program takes gradients over.
    pub fn batches(&self) -> usize {
        let count = |p: &Program| match p.capture.batches {
            crate::site::Batches::Many(n) => n,
            _ => 1,
        };
        self.programs.iter().map(count).max().unwrap_or(1)
    }
}

/// So many diagnostics are printed; those after them mostly follow from the first.
const SHOWN: usize = 5;

/// Prints diagnostics.
pub fn shown(failure: &Failure) -> CliError {
    let mut failure = failure.clone();
    let more = failure.diagnostics.len().saturating_sub(SHOWN);
    failure.diagnostics.truncate(SHOWN);
    tell(&failure.render(std::io::stderr().is_terminal()));
    if more > 0 {
        say!("... and {more} more; `lpz check` lists everything");
    }
    CliError::reported(2)
}
