//! Captured tensors on disk: written while a model runs, read back as a [`Source`](crate::site::Source).

pub mod full;
pub mod outline;
pub mod source;

#[cfg(test)]
mod tests;
