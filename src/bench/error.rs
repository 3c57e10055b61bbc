//! What can be wrong with a benchmark.

use std::fmt;

/// A benchmark that cannot be used: where, what and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchError {
    /// File.
    pub file: String,
    /// Line, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl BenchError {
    pub(super) fn new(file: &str, what: impl Into<String>) -> Self {
        BenchError { file: file.to_owned(), line: None, what: what.into(), help: None }
    }

    pub(super) fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

impl std::error::Error for BenchError {}
