//! `lpz repl`: the session at a prompt (rustyline), or over a pipe.

use super::Global;
use super::error::CliError;
use super::model_args::{DataArgs, EngineName, ModelArgs, Precision};
use super::rank;
use crate::engine::Engine;
use crate::lang::assist::classes::{Shown, classes};
use crate::lang::assist::complete::{Own, complete, signature};
use crate::repl::{COMMANDS, Host, Opened, RankRequest, Reply, Session, Settings};
use crate::site::{Source, SourceError};
use clap::Args;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    /// Mebibytes of captured tensors that stay between lines
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    resident: u32,
    /// Lines typed before are kept here [default: .lpz_history in the home folder]
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Programs whose items are in scope
    #[arg(value_name = "FILES")]
    files: Vec<PathBuf>,
}

/// Opens models as the other commands do.
struct Cli {
    global: Global,
}

fn data(settings: &Settings) -> DataArgs {
    DataArgs {
        inputs: None,
        text: settings.text.clone(),
        tokenizer: settings.tokenizer.clone(),
        random_tokens: settings.text.is_none(),
        batch: settings.batch,
        seq: settings.seq,
        objective: Vec::new(),
        precision: Precision::F32,
        engine: EngineName::Cpu,
    }
}

fn said(e: CliError) -> SourceError {
    let (message, help) = e.parts();
    // Options of the command line are commands here.
    let here = |h: String| {
        COMMANDS.iter().fold(h, |h, c| h.replace(&format!("--{}", c.name), &format!(":{}", c.name)))
    };
    SourceError { message, help: help.map(here) }
}

impl Host for Cli {
    fn engine(&self) -> fn() -> Box<dyn Engine> {
        || EngineName::Cpu.make()
    }

    fn open(&self, settings: &Settings, batches: usize) -> Result<Opened, SourceError> {
        let name = settings.model.clone().unwrap_or_default();
        let args = ModelArgs {
            model: name.clone(),
            weights: settings.weights.clone(),
            random_init: settings.random_init,
            data: data(settings),
        };
        let global = Global { seed: settings.seed, ..self.global.clone() };
        let (model, _) = args.open(&global, batches).map_err(said)?;
        let outline = model.outline();
        let number = |n: &str| outline.numbers.iter().find(|(m, _)| *m == n).map_or(0.0, |x| x.1);
        let what = format!(
            "{name}: {} parameters, {} blocks of width {}, {} sites; batch {} of {} tokens",
            grouped(number("params")),
            number("depth"),
            number("width"),
            outline.sites.len(),
            settings.batch,
            settings.seq
        );
        Ok(Opened { source: Box::new(model), what })
    }

    fn rank(&self, settings: &Settings, request: &RankRequest<'_>) -> Result<String, SourceError> {
        let global = Global { seed: settings.seed, ..self.global.clone() };
        rank::one(&data(settings), &global, request).map_err(said)
    }
}

/// `3,204,672`.
fn grouped(x: f64) -> String {
    let digits = format!("{x:.0}");
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Runs the command.
///
/// # Errors
/// A model or file given on the command line that cannot be read.
pub fn run(args: ReplArgs, global: &Global) -> Result<ExitCode, CliError> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let terminal = std::io::stdin().is_terminal();
    // At a prompt an interrupt ends the line that is evaluated; in a pipe it ends everything.
    let _ = ctrlc::set_handler(move || {
        if !terminal {
            std::process::exit(130);
        }
        flag.store(true, Ordering::Relaxed);
    });
    let settings = Settings {
        weights: args.weights,
        text: args.text,
        tokenizer: args.tokenizer,
        batch: args.batch,
        seq: args.seq,
        seed: global.seed,
        ..Settings::default()
    };
    let colour = std::io::stderr().is_terminal();
    let memory = (args.resident as usize) << 20;
    let mut session =
        Session::new(Box::new(Cli { global: global.clone() }), settings, stop).colour(colour).memory(memory);
    let opening = args.model.iter().map(|m| format!(":model {m}"));
    let loading = args.files.iter().map(|f| format!(":load {}", f.display()));
    for line in opening.chain(loading) {
        let reply = session.line(&line);
        if !reply.error.is_empty() {
            eprint!("{}", reply.error);
            return Err(CliError::reported(2));
        }
        if terminal && !global.quiet {
            print!("{}", reply.out);
        }
    }
    match terminal {
        true => prompt(session, args.history, global),
        false => piped(session, global),
    }
}

/// Shows a reply; is the session over?
fn show(reply: &Reply, quiet: bool) -> Result<bool, CliError> {
    if !quiet && !reply.notes.is_empty() {
        eprint!("{}", reply.notes);
    }
    if !reply.error.is_empty() {
        eprint!("{}", reply.error);
    }
    super::output::print(&reply.out)?;
    Ok(reply.quit)
}

/// Lines from a pipe. A line that is begun goes on until it is finished, an empty line comes, or a
/// command.
fn piped(mut session: Session, global: &Global) -> Result<ExitCode, CliError> {
    let mut input = std::io::stdin().lock();
    let mut pending = String::new();
    let mut number = 0;
    loop {
        let mut bytes = Vec::new();
        let read = input.read_until(b'\n', &mut bytes);
        let n = read.map_err(|e| CliError::new(format!("cannot read standard input: {e}")))?;
        number += 1;
        let Ok(line) = String::from_utf8(bytes) else {
            eprintln!("error: line {number} is not UTF-8 text; it is left out");
            continue;
        };
        let ends = n == 0 || line.trim().is_empty() || line.trim_start().starts_with(':');
        if ends && !pending.is_empty() {
            let text = std::mem::take(&mut pending);
            if show(&session.line(&text), global.quiet)? {
                break;
            }
        }
        if n == 0 {
            break;
        }
        pending.push_str(&line);
        if !Session::incomplete(&pending) {
            let text = std::mem::take(&mut pending);
            if show(&session.line(&text), global.quiet)? {
                break;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

type Shared = Rc<RefCell<Session>>;

/// What the prompt knows while a line is typed.
struct Typing {
    session: Shared,
    own: Rc<RefCell<Own>>,
    paths: FilenameCompleter,
    colour: bool,
}

impl Helper for Typing {}

impl Completer for Typing {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let pair = |display: &str, with: &str| Pair { display: display.into(), replacement: with.into() };
        if let Some((start, found)) = commands(line, pos) {
            return match found {
                Some(words) => Ok((start, words.iter().map(|w| pair(w, w)).collect())),
                None => self.paths.complete_path(line, pos),
            };
        }
        let found = complete(line, pos, &self.own.borrow());
        if found.path {
            return self.paths.complete_path(line, pos);
        }
        Ok((found.start, found.candidates.iter().map(|c| pair(&c.text, &c.insert)).collect()))
    }
}

/// Completion of commands and of arguments that are no expressions: where the word begins and what
/// may stand there; no words where a path is wanted. Nothing where the language decides.
fn commands(line: &str, pos: usize) -> Option<(usize, Option<Vec<String>>)> {
    use crate::repl::Argument;
    let typed = line.get(..pos)?;
    let rest = typed.trim_start().strip_prefix(':')?;
    let offset = typed.len() - rest.len();
    let Some((name, argument)) = rest.split_once(char::is_whitespace) else {
        let names = COMMANDS.iter().filter(|c| c.name.starts_with(rest));
        return Some((offset, Some(names.map(|c| format!("{} ", c.name)).collect())));
    };
    let row = COMMANDS.iter().find(|c| c.name == name)?;
    let start = typed.len() - argument.trim_start().len();
    let prefix = argument.trim_start();
    let from = |all: Vec<&str>| -> Vec<String> {
        all.into_iter().filter(|n| n.starts_with(prefix)).map(str::to_string).collect()
    };
    match row.argument {
        Argument::Path => Some((start, None)),
        Argument::Kind => Some((start, Some(from(crate::site::KINDS.iter().map(|k| k.name).collect())))),
        Argument::Name => {
            let words = &crate::lang::assist::vocabulary::vocabulary().words;
            let mut all = from(words.iter().map(|w| w.text.as_str()).collect());
            all.sort_unstable();
            all.dedup();
            Some((start, Some(all)))
        }
        Argument::Capture => {
            let text = format!("@capture({argument}");
            let found = complete(&text, text.len(), &Own::default());
            let start = typed.len() - (text.len() - found.start);
            Some((start, Some(found.candidates.into_iter().map(|c| c.insert).collect())))
        }
        Argument::Nothing | Argument::Number => Some((start, Some(Vec::new()))),
        Argument::Expression => None,
    }
}

impl Hinter for Typing {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<String> {
        if pos < line.len() || line.trim().is_empty() {
            return None;
        }
        if let Some((call, _, _)) = signature(line, pos, &self.own.borrow()) {
            return Some(format!("   {call}"));
        }
        let kind = self.session.borrow_mut().type_of(line)?;
        Some(format!("   : {kind}"))
    }
}

fn ansi(shown: Shown) -> Option<&'static str> {
    Some(match shown {
        Shown::Keyword => "35",
        Shown::Operator => "36",
        Shown::Reducer => "1;35",
        Shown::Site => "32",
        Shown::Field => "33",
        Shown::Number => "34",
        Shown::Std => "1;36",
        Shown::Literal => "34",
        Shown::Text => "32",
        Shown::Comment => "2",
        Shown::Plain => return None,
    })
}

/// The line with colours.
fn coloured(line: &str) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    let mut at = 0;
    for (span, shown) in classes(line) {
        out.push_str(&line[at..span.start]);
        match ansi(shown) {
            Some(code) => out += &format!("\x1b[{code}m{}\x1b[0m", &line[span.range()]),
            None => out.push_str(&line[span.range()]),
        }
        at = span.end;
    }
    out.push_str(&line[at..]);
    out
}

impl Highlighter for Typing {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        match self.colour && line.len() < 20_000 && !line.trim_start().starts_with(':') {
            true => Cow::Owned(coloured(line)),
            false => Cow::Borrowed(line),
        }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("\x1b[2m{hint}\x1b[0m"))
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        kind != CmdKind::MoveCursor
    }
}

impl Validator for Typing {
    fn validate(&self, ctx: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = ctx.input();
        // An empty line ends what is not finished; what is wrong is then said.
        let ended = text.trim_end_matches([' ', '\t']).ends_with('\n');
        Ok(match Session::incomplete(text) && !ended {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Valid(None),
        })
    }
}

fn history_file(given: Option<PathBuf>) -> Option<PathBuf> {
    given.or_else(|| std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".lpz_history")))
}

/// Lines from a terminal.
fn prompt(session: Session, history: Option<PathBuf>, global: &Global) -> Result<ExitCode, CliError> {
    let failed = |e: ReadlineError| CliError::new(format!("cannot use the terminal: {e}"));
    let own = Rc::new(RefCell::new(session.own()));
    let session = Rc::new(RefCell::new(session));
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(10_000)
        .map_err(failed)?
        .history_ignore_space(true)
        .build();
    let mut editor: Editor<Typing, DefaultHistory> = Editor::with_config(config).map_err(failed)?;
    let colour = std::env::var_os("NO_COLOR").is_none();
    let paths = FilenameCompleter::new();
    editor.set_helper(Some(Typing { session: session.clone(), own: own.clone(), paths, colour }));
    let history = history_file(history);
    if let Some(path) = &history {
        let _ = editor.load_history(path);
    }
    if !global.quiet {
        println!(
            "lpz {} · :help lists the commands, Tab completes, Ctrl-D leaves",
            env!("CARGO_PKG_VERSION")
        );
    }
    loop {
        match editor.readline("lpz> ") {
            Ok(line) => {
                let _ = editor.add_history_entry(line.as_str());
                let reply = session.borrow_mut().line(&line);
                *own.borrow_mut() = session.borrow().own();
                if show(&reply, global.quiet)? {
                    break;
                }
            }
            // What was typed is dropped; the session lives.
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            // A line that is no text, for example.
            Err(ReadlineError::Io(e)) if e.kind() == std::io::ErrorKind::InvalidData => {
                eprintln!("error: that was not UTF-8 text");
            }
            Err(e) => return Err(failed(e)),
        }
        let _ = std::io::stdout().flush();
    }
    if let Some(path) = &history {
        let _ = editor.save_history(path);
    }
    Ok(ExitCode::SUCCESS)
}
