//! What can go wrong in a training.

use crate::site::SourceError;

/// A training that cannot start or go on: what and where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TrainError {
    /// What is wrong, with the place.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl TrainError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        TrainError { message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<SourceError> for TrainError {
    fn from(e: SourceError) -> Self {
        TrainError { message: e.message, help: e.help }
    }
}
