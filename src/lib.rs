//! `lpzero`: rank language-model architectures without training them.
//!
//! The data path, one way:
//!
//! ```text
//! .lpz text ──lang──► typed programs ──lower──► ir::Dag (hash-consed over the batch)
//!                                                  │ ir::bind with a site::Outline
//! architecture config ──model──► sites ──capture──► engine (fused passes over tiles)
//!                                                  │ scalars per site
//!                                score ──metric──► ranks, hall of fame, .lpz
//! ```
//!
//! The language knows no model and a model knows no language; they meet at [`site`].

pub mod bench;
pub mod capture;
pub mod cli;
pub mod data;
pub mod engine;
pub mod evolve;
pub mod files;
pub mod ir;
pub mod lang;
pub mod lsp;
pub mod markup;
pub mod metric;
pub mod model;
pub mod ops;
pub mod plan;
pub mod random;
pub mod repl;
pub mod report;
pub mod score;
pub mod search;
pub mod site;
pub mod tensor;
pub mod train;
