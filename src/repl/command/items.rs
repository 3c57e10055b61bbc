//! Definitions: from files, into files, and what names stand for.

use super::{COMMANDS, Outcome};
use crate::lang::reference::{Entry, entries};
use crate::lang::{Library, suggest};
use crate::repl::session::{Reply, Session, Wrong, wrong};
use std::fmt::Write;
use std::path::Path;

pub(super) fn load(s: &mut Session, rest: &str) -> Outcome {
    if rest.is_empty() {
        return Err(wrong("`:load` needs a file", "`:load FILE.lpz`"));
    }
    // Read anew every time, for it may have changed.
    let path = Path::new(rest);
    let module = s.library.reload_file(path)?;
    s.take_in(module, false)
}

pub(super) fn save(s: &mut Session, rest: &str) -> Outcome {
    if rest.is_empty() {
        return Err(wrong("`:save` needs a file", "`:save FILE.lpz`"));
    }
    if s.defined.is_empty() {
        return Err(wrong(
            "nothing was defined here yet",
            "`proxy name = ...` and `fn name(x) = ...` define",
        ));
    }
    let text =
        s.defined.iter().map(|(_, t)| t.trim_end().to_string()).collect::<Vec<_>>().join("\n\n") + "\n";
    let path = Path::new(rest);
    let failed = |e: std::io::Error| Wrong::Other(format!("cannot write {}: {e}", path.display()), None);
    crate::files::write_atomic(path, text.as_bytes()).map_err(failed)?;
    Ok(Reply::of(format!("{} items written to {}\n", s.defined.len(), path.display())))
}

pub(super) fn doc(s: &mut Session, rest: &str) -> Outcome {
    if rest.is_empty() {
        return Ok(Reply::of("`:doc NAME` says what a name stands for; Tab completes names\n"));
    }
    let bare = rest.strip_prefix("std::").unwrap_or(rest);
    let mut out = String::new();
    if let Some(def) = s.scope.item(bare) {
        out += &crate::lang::print_item(s.library.item(def));
        out.push('\n');
    }
    for e in entries(&Library::new()).iter().filter(|e| e.name == bare) {
        entry(e, &mut out);
    }
    let known = !out.is_empty();
    for c in COMMANDS.iter().filter(|c| c.name == bare.trim_start_matches(':') && !known) {
        let _ = writeln!(out, ":{} {}  {}", c.name, c.arguments, c.doc);
    }
    if !out.is_empty() {
        return Ok(Reply::of(out));
    }
    let all = entries(&s.library);
    let help = match suggest(bare, all.iter().map(|e| e.name.as_str())) {
        Some(n) => format!("did you mean `{n}`?"),
        None => "Tab completes names; `lpz doc` lists everything".into(),
    };
    Err(wrong(format!("there is nothing called `{rest}`"), help))
}

/// What the reference says of a name.
fn entry(e: &Entry, out: &mut String) {
    let _ = writeln!(out, "{}  [{}]", e.signature, e.section);
    for line in e.doc.lines() {
        let _ = writeln!(out, "  {line}");
    }
    for (program, value) in &e.examples {
        let _ = writeln!(out, "  {program}  is  {value}");
    }
    for line in e.source.iter().flat_map(|s| s.lines()) {
        let _ = writeln!(out, "    {line}");
    }
}
