//! `lpz repl`: the session at a prompt (rustyline), or over a pipe.

mod host;
mod prompt;
mod typing;

use super::Global;
use super::error::CliError;
use super::units::size;
use crate::cli::say::{say, tell};
use crate::repl::{Reply, Session, Settings};
use clap::Args;
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

/// Write expressions and see what they give on a model
#[derive(Args, Debug)]
#[command(after_help = "Example: lpz repl --model flexibert.jsonl#0 mine.lpz\n         \
    echo ':terms sum l in linear { norm(l.weight) }' | lpz repl --model config.json\n\n\
    `:help` lists the commands. Captured tensors stay between lines; only a changed demand runs the model again.")]
pub struct ReplArgs {
    /// Architecture to open: a config.json, a Hugging Face folder, or X.jsonl#ID
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Parameters (safetensors)
    #[arg(long, value_name = "FILE", requires = "model")]
    weights: Option<PathBuf>,
    /// Text to take batches from
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Its tokenizer.json
    #[arg(long, value_name = "FILE", requires = "text")]
    tokenizer: Option<PathBuf>,
    /// Sequences in a batch
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
    /// Tokens in a sequence
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1048576))]
    seq: u32,
    /// Bytes of tensors kept between lines
    #[arg(long, default_value = "4G", value_name = "SIZE", value_parser = size)]
    max_memory: usize,
    /// Lines typed before are kept here [default: .lpz_history in the home folder]
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Programs whose items are in scope
    #[arg(value_name = "FILES")]
    files: Vec<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// A model or file given on the command line that cannot be read.
pub fn run(args: ReplArgs, global: &Global) -> Result<ExitCode, CliError> {
    let terminal = std::io::stdin().is_terminal();
    let stop = super::interrupt::line(terminal);
    let opening = args.model.iter().map(|m| format!(":model {m}"));
    let loading = args.files.iter().map(|f| format!(":load {}", f.display()));
    let lines: Vec<String> = opening.chain(loading).collect();
    let settings = Settings {
        weights: args.weights,
        text: args.text,
        tokenizer: args.tokenizer,
        batch: args.batch,
        seq: args.seq,
        seed: global.seed,
        ..Settings::default()
    };
    let host = Box::new(host::Cli { global: global.clone() });
    let mut session =
        Session::new(host, settings, stop).colour(std::io::stderr().is_terminal()).memory(args.max_memory);
    for line in lines {
        let reply = session.line(&line);
        if !reply.error.is_empty() {
            tell(&reply.error);
            return Err(CliError::reported(2));
        }
        if terminal && !global.quiet {
            super::output::print(&reply.out)?;
        }
    }
    match terminal {
        true => prompt::prompt(session, args.history, global)?,
        false => piped(session, global)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows a reply; is the session over?
fn show(reply: &Reply, quiet: bool) -> Result<bool, CliError> {
    if !quiet && !reply.notes.is_empty() {
        tell(&reply.notes);
    }
    if !reply.error.is_empty() {
        tell(&reply.error);
    }
    super::output::print(&reply.out)?;
    Ok(reply.quit)
}

/// Lines from a pipe. A line that is begun goes on until it is finished, an empty line comes, or a
/// command.
fn piped(mut session: Session, global: &Global) -> Result<(), CliError> {
    let mut input = std::io::stdin().lock();
    let mut pending = String::new();
    for number in 1.. {
        let mut bytes = Vec::new();
        let read = input.read_until(b'\n', &mut bytes);
        let n = read.map_err(|e| CliError::new(format!("cannot read standard input: {e}")))?;
        let Ok(line) = String::from_utf8(bytes) else {
            say!("error: line {number} is not UTF-8 text; it is left out");
            continue;
        };
        let ends = n == 0 || line.trim().is_empty() || line.trim_start().starts_with(':');
        if ends && !pending.is_empty() && show(&session.line(&std::mem::take(&mut pending)), global.quiet)? {
            break;
        }
        if n == 0 {
            break;
        }
        pending.push_str(&line);
        let whole = !Session::incomplete(&pending);
        if whole && show(&session.line(&std::mem::take(&mut pending)), global.quiet)? {
            break;
        }
    }
    Ok(())
}
