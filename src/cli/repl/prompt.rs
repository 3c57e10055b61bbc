//! Lines from a terminal.

use super::show;
use super::typing::Typing;
use crate::cli::Global;
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::cli::say::say;
use crate::repl::Session;
use rustyline::completion::FilenameCompleter;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor};
use std::cell::RefCell;
use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;

fn history_file(given: Option<PathBuf>) -> Option<PathBuf> {
    given.or_else(|| std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".lpz_history")))
}

fn failed(e: ReadlineError) -> CliError {
    CliError::new(format!("cannot use the terminal: {e}"))
}

/// Reads and answers lines until the session is over; what was typed is kept.
pub(super) fn prompt(session: Session, history: Option<PathBuf>, global: &Global) -> Result<(), CliError> {
    let own = Rc::new(RefCell::new(session.own()));
    let session = Rc::new(RefCell::new(session));
    let history = history_file(history);
    let mut editor = editor(Typing {
        session: session.clone(),
        own: own.clone(),
        paths: FilenameCompleter::new(),
        colour: std::env::var_os("NO_COLOR").is_none(),
    })?;
    if let Some(path) = &history {
        let _ = editor.load_history(path);
    }
    if !global.quiet {
        let version = env!("CARGO_PKG_VERSION");
        print(&format!("lpz {version} · :help lists the commands, Tab completes, Ctrl-D leaves\n"))?;
    }
    while let Some(line) = read(&mut editor)? {
        let reply = session.borrow_mut().line(&line);
        *own.borrow_mut() = session.borrow().own();
        if show(&reply, global.quiet)? {
            break;
        }
        let _ = std::io::stdout().flush();
    }
    if let Some(path) = &history {
        let _ = editor.save_history(path);
    }
    Ok(())
}

fn editor(typing: Typing) -> Result<Editor<Typing, DefaultHistory>, CliError> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(10_000)
        .map_err(failed)?
        .history_ignore_space(true)
        .build();
    let mut editor = Editor::with_config(config).map_err(failed)?;
    editor.set_helper(Some(typing));
    Ok(editor)
}

/// The next line; none at the end.
fn read(editor: &mut Editor<Typing, DefaultHistory>) -> Result<Option<String>, CliError> {
    loop {
        match editor.readline("lpz> ") {
            Ok(line) => {
                let _ = editor.add_history_entry(line.as_str());
                return Ok(Some(line));
            }
            // What was typed is dropped; the session lives.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(None),
            // A line that is no text, for example.
            Err(ReadlineError::Io(e)) if e.kind() == std::io::ErrorKind::InvalidData => {
                say!("error: that was not UTF-8 text");
            }
            Err(e) => return Err(failed(e)),
        }
    }
}
