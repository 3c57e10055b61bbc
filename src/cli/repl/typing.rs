//! While a line is typed: completion, hints, colours, and whether it is finished.

use crate::lang::assist::classes::{Shown, classes};
use crate::lang::assist::complete::{Own, complete, signature};
use crate::lang::assist::vocabulary::vocabulary;
use crate::repl::{Argument, COMMANDS, Session};
use crate::site::KINDS;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// What the prompt knows while a line is typed.
pub(super) struct Typing {
    pub(super) session: Rc<RefCell<Session>>,
    pub(super) own: Rc<RefCell<Own>>,
    pub(super) paths: FilenameCompleter,
    pub(super) colour: bool,
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
    let typed = line.get(..pos)?;
    let rest = typed.trim_start().strip_prefix(':')?;
    let offset = typed.len() - rest.len();
    let Some((name, argument)) = rest.split_once(char::is_whitespace) else {
        let names = COMMANDS.iter().filter(|c| c.name.starts_with(rest));
        return Some((offset, Some(names.map(|c| format!("{} ", c.name)).collect())));
    };
    let row = COMMANDS.iter().find(|c| c.name == name)?;
    let prefix = argument.trim_start();
    let start = typed.len() - prefix.len();
    match row.argument {
        Argument::Path => Some((start, None)),
        Argument::Kind => Some((start, Some(beginning(prefix, KINDS.iter().map(|k| k.name))))),
        Argument::Name => {
            let words = &vocabulary().words;
            Some((start, Some(beginning(prefix, words.iter().map(|w| w.text.as_str())))))
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

/// The names that begin so, sorted, each once.
fn beginning<'a>(prefix: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let found: BTreeSet<&str> = names.filter(|n| n.starts_with(prefix)).collect();
    found.into_iter().map(str::to_string).collect()
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
