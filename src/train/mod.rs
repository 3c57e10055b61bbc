//! Native training: a synthetic language or a text, AdamW, checkpoints that resume bit for bit.

pub mod adamw;
pub mod checkpoint;
pub mod corpus;
pub mod curve;
pub mod data;
mod error;
mod journal;
pub mod make;
mod run;
mod settings;
mod trace;
mod trainer;

pub use data::Dataset;
pub use error::TrainError;
pub use journal::Done;
pub use run::{Event, Summary, train};
pub use settings::Settings;
pub use trace::trace;
pub use trainer::{Step, Trainer, text_vocab};
