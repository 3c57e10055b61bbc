//! Errors as the user sees them: one message with the place and cause, and what to do.

use crate::cli::say::say;
use std::fmt::Display;

/// A failed command.
#[derive(Debug)]
pub struct CliError {
    message: String,
    help: Option<String>,
    code: u8,
}

impl CliError {
    /// Bad input or a failure: exit code 2.
    pub fn new(message: impl Into<String>) -> Self {
        CliError { message: message.into(), help: None, code: 2 }
    }

    /// Adds what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says where: `config.json: ...`.
    pub fn within(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// The run was interrupted: exit code 130.
    pub fn interrupted(message: impl Into<String>) -> Self {
        CliError { message: message.into(), help: None, code: 130 }
    }

    /// An empty message: everything was already reported (diagnostics).
    pub fn reported(code: u8) -> Self {
        CliError { message: String::new(), help: None, code }
    }

    /// A file that cannot be read or written.
    pub fn io(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        CliError::new(format!("cannot {what} {}: {error}", path.display()))
    }

    /// What is wrong and what to do, for a command that goes on.
    pub(super) fn parts(self) -> (String, Option<String>) {
        (self.message, self.help)
    }

    pub(super) fn code(&self) -> u8 {
        self.code
    }

    pub(super) fn print(&self) {
        if self.message.is_empty() {
            return;
        }
        say!("error: {}", self.message);
        if let Some(help) = &self.help {
            say!("  help: {help}");
        }
    }
}

/// Any error with an optional `help` keeps its text.
pub fn failed(error: impl Display) -> CliError {
    CliError::new(error.to_string())
}
