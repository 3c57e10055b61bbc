//! Native training: a synthetic language or a text, AdamW, checkpoints that resume bit for bit.

pub mod adamw;
pub mod corpus;
pub mod data;
mod error;

pub use error::TrainError;
