//! Walks the operator table: every row is found, documented, and true on the reference engine and
//! on tiles; ranges and rewrites are sound; reductions agree with their plain meaning.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

mod examples;
mod nonfinite;
mod ranges;
mod reductions;
mod rewrites;
mod spectral;
mod support;
mod table;
