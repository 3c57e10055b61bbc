//! The language server, without input and output: messages in, messages out. `lpz lsp` connects it
//! to standard input and output.

mod document;
mod place;
mod server;

pub use server::Server;
