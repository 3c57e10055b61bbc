//! From a bound graph to work: [`demand`] says which runs deliver which fields and which nodes are
//! evaluated when a site is complete; [`lower`] and [`schedule`] turn those nodes into passes,
//! [`program`] a pass into code over tiles.

pub mod demand;
pub mod lower;
mod place;
pub mod program;
mod report;
pub mod schedule;

pub use report::{PassReport, Plan, WholeReport};
