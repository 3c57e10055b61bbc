//! Native training: a synthetic language or a text, AdamW, checkpoints that resume bit for bit.

pub mod adamw;
pub mod checkpoint;
pub mod corpus;
pub mod curve;
pub mod data;
mod error;
mod run;
mod settings;
mod trainer;

pub use data::Dataset;
pub use error::TrainError;
pub use run::{Event, Summary, train};
pub use settings::Settings;
pub use trainer::{Step, Trainer, text_vocab};
