//! Commands: one row each. Help, completion and dispatch read the rows.
//!
//! `open` changes what a session runs on, `look` asks about expressions and sites, `items` is about definitions.

mod items;
mod look;
mod open;

use super::session::{Reply, Session, Wrong, wrong};
use crate::lang::suggest;
use std::fmt::Write;

type Outcome = Result<Reply, Wrong>;

/// What the argument of a command is, for completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// None.
    Nothing,
    /// An expression.
    Expression,
    /// A path.
    Path,
    /// A number.
    Number,
    /// A kind of site.
    Kind,
    /// A name that `lpz doc` knows.
    Name,
    /// Options of `@capture`.
    Capture,
}

/// A command.
pub struct CommandRow {
    /// Its name, without the colon.
    pub name: &'static str,
    /// How its arguments are written.
    pub arguments: &'static str,
    /// What they are.
    pub argument: Argument,
    /// What it does.
    pub doc: &'static str,
    run: fn(&mut Session, &str) -> Outcome,
}

const fn row(
    name: &'static str,
    arguments: &'static str,
    argument: Argument,
    doc: &'static str,
    run: fn(&mut Session, &str) -> Outcome,
) -> CommandRow {
    CommandRow { name, arguments, argument, doc, run }
}

/// All commands.
pub const COMMANDS: &[CommandRow] = &[
    row(
        "model",
        "[CONFIG|BENCH#ID]",
        Argument::Path,
        "open an architecture; without, say what is open",
        open::model,
    ),
    row(
        "weights",
        "[FILE]",
        Argument::Path,
        "load parameters; without, draw them from the seed",
        open::weights,
    ),
    row("text", "FILE [TOKENIZER]", Argument::Path, "take batches from a text", open::text),
    row("random", "", Argument::Nothing, "take batches of random tokens", open::random),
    row("batch", "[N]", Argument::Number, "sequences in a batch", open::batch),
    row("seq", "[N]", Argument::Number, "tokens in a sequence", open::seq),
    row("seed", "[N]", Argument::Number, "seed of parameters and data", open::seed),
    row(
        "capture",
        "[params = ..., inputs = ..., objective = ..., batches = ...|default]",
        Argument::Capture,
        "what is run for expressions that do not say so themselves",
        open::capture,
    ),
    row("sites", "[KIND]", Argument::Kind, "sites of the architecture", look::sites),
    row("type", "E", Argument::Expression, "the type of an expression", look::type_of),
    row("terms", "E", Argument::Expression, "what every site adds to an aggregate", look::terms),
    row("explain", "E", Argument::Expression, "what an expression reads and does", look::explained),
    row("time", "E", Argument::Expression, "how long an expression takes", look::time),
    row(
        "rank",
        "E --bench X [--metric M] [--limit N]",
        Argument::Expression,
        "rank a benchmark by it",
        look::rank,
    ),
    row("load", "FILE", Argument::Path, "bring the items of a file in", items::load),
    row("save", "FILE", Argument::Path, "write what was defined here to a file", items::save),
    row("doc", "[NAME]", Argument::Name, "what a name stands for", items::doc),
    row("help", "", Argument::Nothing, "this list", help),
    row("quit", "", Argument::Nothing, "leave", quit),
];

/// Runs a command, given without its colon.
pub(super) fn run(session: &mut Session, text: &str) -> Outcome {
    let text = text.trim();
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let Some(row) = named(name) else { return Err(unknown(name)) };
    if row.argument == Argument::Expression && rest.is_empty() {
        let usage = format!("`:{} {}`", row.name, row.arguments);
        return Err(wrong(format!("`:{}` needs an expression", row.name), usage));
    }
    (row.run)(session, rest)
}

/// The command of this name, or the only one that begins so.
fn named(name: &str) -> Option<&'static CommandRow> {
    let mut begins = COMMANDS.iter().filter(|c| !name.is_empty() && c.name.starts_with(name));
    let exact = COMMANDS.iter().find(|c| c.name == name);
    exact.or_else(|| begins.next().filter(|_| begins.next().is_none()))
}

fn unknown(name: &str) -> Wrong {
    let help = match suggest(name, COMMANDS.iter().map(|c| c.name)) {
        Some(s) => format!("did you mean `:{s}`?"),
        None => "`:help` lists the commands".into(),
    };
    let name: String = name.chars().take(40).collect();
    wrong(format!("there is no command `:{name}`"), help)
}

fn help(_: &mut Session, _: &str) -> Outcome {
    let mut out = String::from(
        "an expression is evaluated and shown: a number, a tensor, a collection of sites (`linear[ffn]`), a field \
of each (`linear.grad`)\n`let x = ...`, `fn f(x) = ...`, `proxy p = ...`, `use \"file.lpz\"` define; an empty \
line ends an unfinished one\n",
    );
    for c in COMMANDS {
        let left = format!(":{} {}", c.name, c.arguments);
        if left.chars().count() > 42 {
            let _ = writeln!(out, "  {left}\n  {:42} {}", "", c.doc);
        } else {
            let _ = writeln!(out, "  {left:42} {}", c.doc);
        }
    }
    Ok(Reply::of(out))
}

fn quit(_: &mut Session, _: &str) -> Outcome {
    Ok(Reply { quit: true, ..Reply::default() })
}
