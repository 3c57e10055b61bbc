//! The interactive session, without a terminal: lines in, texts out. `lpz repl` gives it lines from
//! a prompt or from a pipe.
//!
//! ```text
//! line ──command──► settings, tables
//!      └─lang──► meaning ──► Scorer::inspect over a Resident source ──► summaries
//! ```

mod ask;
mod command;
pub mod job;
pub mod resident;
mod session;
pub mod settings;
mod show;
pub mod summary;
mod values;

pub use command::{Argument, COMMANDS, CommandRow};
pub use session::{Reply, Session};
pub use settings::{Host, Opened, RankRequest, Settings};
