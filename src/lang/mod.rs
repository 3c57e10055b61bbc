//! The language: from `.lpz` text to typed programs in an [`ir::Dag`](crate::ir::Dag), and back.
//!
//! ```text
//! text ──scan──► chunks ──grammar──► parts ──operators──► ast::File ──check──► CheckedProxy
//!                                                            │ print            │ print_program
//!                                                            ▼                  ▼
//!                                                        canonical text       .lpz text
//! ```
//!
//! [`Library`] is the way in: it holds the standard library, reads files and texts, resolves `use`,
//! and gives programs by name. Nothing here prints; everything wrong is a [`Diagnostic`].

pub mod assist;
pub mod ast;
mod check;
mod diagnostic;
mod habits;
mod layout;
mod library;
mod names;
mod needs;
mod operators;
mod parse;
mod print;
mod raise;
pub mod reference;
mod render;
mod scan;
pub mod session;
mod symbols;
mod syntax;

pub use ast::Span;
pub use check::{ATTRIBUTES, CAPTURE_OPTIONS, CONSTANTS, Checked, CheckedProxy, FUNCTION_ROLES, signature};
pub use diagnostic::{CODES, Diagnostic, Failure, Place, Related, Severity, Source, SourceId, Sources};
pub use library::{Def, Library, Module, ModuleId, STDLIB};
pub use names::suggest;
pub use needs::{GROUPS as NEEDS, Needs};
pub use parse::{parse_expression, parse_file};
pub use print::{number, print_expr, print_file, print_item};
pub use raise::{print_documented, print_node, print_program, raise};
pub use scan::incomplete;
