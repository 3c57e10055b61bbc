//! Search for architectures: spaces as files, drawing from them, and the search under budgets.

mod constraint;
mod cost;
pub mod draw;
mod error;
pub mod latency;
pub mod pareto;
mod run;
pub mod space;

pub use constraint::Limits;
pub use cost::cost;
pub use draw::Judge;
pub use error::SearchError;
pub use run::{Budget, Candidate, Found, Measured, Search};
pub use space::{Genotype, Space};
