//! Why a model cannot be built, loaded or run.

use crate::site::SourceError;

/// What is wrong with a configuration, a checkpoint or a batch.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The configuration is not JSON.
    #[error("the configuration is not valid JSON: {0}")]
    Json(String),
    /// A field of the configuration does not fit.
    #[error("configuration field `{field}`: {problem}")]
    Field {
        /// Name of the field, with its place in lists: `nas_config.encoder_layers[2].operation_type`.
        field: String,
        /// What is wrong.
        problem: String,
        /// What would be right.
        help: String,
    },
    /// The model is larger than the machine.
    #[error("the model needs {need} for {what}, the machine has {have} free")]
    TooLarge {
        /// What the memory is for.
        what: String,
        /// How much.
        need: String,
        /// How much there is.
        have: String,
    },
    /// A checkpoint cannot be read.
    #[error("{problem}")]
    Checkpoint {
        /// What is wrong, with the file's name.
        problem: String,
        /// What to do about it.
        help: String,
    },
    /// A parameter of a checkpoint does not fit.
    #[error("{path}: parameter `{name}` {problem}")]
    Parameter {
        /// The file.
        path: String,
        /// The parameter.
        name: String,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        help: String,
    },
    /// A batch does not fit the model.
    #[error("{problem}")]
    Batch {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        help: String,
    },
}

impl ModelError {
    /// What to do about it.
    pub fn help(&self) -> Option<&str> {
        match self {
            ModelError::Json(_) => {
                Some("a model is a JSON object with a `family` or Hugging Face's `model_type`")
            }
            ModelError::TooLarge { .. } => Some("take a smaller model, batch or sequence"),
            ModelError::Field { help, .. }
            | ModelError::Checkpoint { help, .. }
            | ModelError::Parameter { help, .. }
            | ModelError::Batch { help, .. } => Some(help),
        }
    }

    pub(crate) fn field(
        field: impl Into<String>,
        problem: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        ModelError::Field { field: field.into(), problem: problem.into(), help: help.into() }
    }

    pub(crate) fn batch(problem: impl Into<String>, help: impl Into<String>) -> Self {
        ModelError::Batch { problem: problem.into(), help: help.into() }
    }
}

impl From<ModelError> for SourceError {
    fn from(e: ModelError) -> Self {
        SourceError { help: e.help().map(str::to_owned), message: e.to_string() }
    }
}

impl From<SourceError> for ModelError {
    /// What is wrong with a batch.
    fn from(e: SourceError) -> Self {
        ModelError::batch(e.message, e.help.unwrap_or_default())
    }
}
