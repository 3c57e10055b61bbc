//! Search for architectures: spaces as files, drawing from them, and the search under budgets.

pub mod draw;
mod error;
pub mod space;

pub use draw::Judge;
pub use error::SearchError;
pub use space::{Genotype, Space};
