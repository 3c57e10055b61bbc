//! Non-dominated sorting and crowding of the architectures found; see [`crate::metric::pareto`].

pub use crate::metric::pareto::{crowding, dominates, fronts, select};
