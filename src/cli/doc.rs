//! `lpz doc`: operators, sites, numbers, the standard library.

use super::error::CliError;
use super::{Global, output};
use crate::lang::reference::{Entry, entries};
use crate::lang::{Library, suggest};
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Say what an operator, a site, a number or a part of the standard library is.
#[derive(Args)]
#[command(
    after_help = "Examples: lpz doc\n          lpz doc softmax\n          lpz doc std::snip\n          lpz doc --html site --man man"
)]
pub struct DocArgs {
    /// What to look up; everything when left out
    name: Option<String>,
    /// Write the reference as a page into a folder
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    html: Option<PathBuf>,
    /// Write man pages of the commands and the language into a folder
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    man: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// When there is nothing of that name.
pub fn run(args: &DocArgs, global: &Global, command: clap::Command) -> Result<ExitCode, CliError> {
    let mut all = entries(&Library::new());
    if args.html.is_some() || args.man.is_some() {
        if let Some(folder) = &args.html {
            super::doc_pages::html(&all, folder)?;
        }
        if let Some(folder) = &args.man {
            super::doc_pages::man(&all, command, folder)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = &args.name {
        let bare = name.strip_prefix("std::").unwrap_or(name);
        let names: Vec<String> = all.iter().map(|e| e.name.clone()).collect();
        all.retain(|e| e.name == bare && (bare == name || e.source.is_some()));
        if all.is_empty() {
            let error = CliError::new(format!("there is nothing called `{name}`"));
            return Err(match suggest(bare, names.iter().map(String::as_str)) {
                Some(s) => error.help(format!("did you mean `{s}`?")),
                None => error.help("`lpz doc` lists everything"),
            });
        }
    }
    let list: Vec<Value> = all.iter().map(record).collect();
    if !output::json(global, &json!({ "entries": list }))? {
        output::print(&if args.name.is_some() { page(&all) } else { index(&all) })?;
    }
    Ok(ExitCode::SUCCESS)
}

fn record(e: &Entry) -> Value {
    let examples: Vec<Value> = e.examples.iter().map(|(p, v)| json!({ "program": p, "value": v })).collect();
    json!({
        "name": e.name, "section": e.section, "signature": e.signature, "doc": e.doc,
        "examples": examples, "source": e.source, "needs": e.needs,
    })
}

/// Every entry on a line, under its section.
fn index(all: &[Entry]) -> String {
    let mut out = String::new();
    let mut section = "";
    for e in all {
        if e.section != section {
            section = e.section;
            let _ = writeln!(out, "{}{section}", if out.is_empty() { "" } else { "\n" });
        }
        let doc = e.doc.lines().next().unwrap_or("");
        let _ = writeln!(out, "  {:<42} {doc}", e.signature);
    }
    out
}

/// Entries in full.
fn page(all: &[Entry]) -> String {
    let mut out = String::new();
    for e in all {
        let _ = writeln!(out, "{}  [{}]", e.signature, e.section);
        for line in e.doc.lines() {
            let _ = writeln!(out, "  {line}");
        }
        if let Some(needs) = &e.needs {
            let _ = writeln!(out, "  Needs {needs}.");
        }
        for (program, value) in &e.examples {
            let _ = writeln!(out, "  {program}  is  {value}");
        }
        for line in e.source.iter().flat_map(|s| s.lines()) {
            let _ = writeln!(out, "    {line}");
        }
        out.push('\n');
    }
    out
}
