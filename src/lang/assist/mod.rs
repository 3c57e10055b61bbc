//! Help while typing, for the REPL and the language server alike: tokens and their classes,
//! completion, signatures, hover texts, and the TextMate grammar. All words come from the rows.

pub mod classes;
pub mod complete;
pub mod context;
pub mod lexer;
pub mod textmate;
pub mod vocabulary;
