//! Captured tensors on disk: written while a model runs, read back as a [`Source`](crate::site::Source).

pub mod file;
pub mod outline;
pub mod source;
pub mod write;

#[cfg(test)]
mod tests;
