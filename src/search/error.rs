//! What can be wrong with a space or a search.

use crate::site::SourceError;

/// A search that cannot be done: what and where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SearchError {
    /// What is wrong, with the place.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl SearchError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        SearchError { message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<SourceError> for SearchError {
    fn from(e: SourceError) -> Self {
        SearchError { message: e.message, help: e.help }
    }
}
