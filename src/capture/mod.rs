//! Captured tensors on disk: written while a model runs, read back as a [`Source`](crate::site::Source).

pub mod full;
pub mod outline;
pub mod source;
pub mod store;
pub mod stored;

#[cfg(test)]
mod tests;
