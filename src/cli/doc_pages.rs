//! The reference as files: one HTML page, and man pages of the commands and the language.

use super::error::CliError;
use super::output::{make_folder, write_atomic};
use crate::lang::assist::classes::{Shown, classes};
use crate::lang::reference::Entry;
use crate::markup::escape;
use clap::Command;
use std::fmt::Write;
use std::path::Path;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0;display:flex;color:#222}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1rem;min-width:15rem;background:#f6f6f8;font-size:14px}
nav a{display:block;color:#345;text-decoration:none}main{padding:1rem 2rem;max-width:56rem}
h2{border-bottom:1px solid #ddd;margin-top:2.5rem}article{margin:1rem 0}code,pre{font:14px ui-monospace,monospace}
h3{margin:.2rem 0;font-size:15px}pre{background:#f6f6f8;padding:.6rem;border-radius:6px;overflow:auto}
input{width:100%;padding:.3rem;margin-bottom:.6rem}p{margin:.2rem 0}
.k{color:#8b3fa8}.o{color:#00708a}.s{color:#1f7a3a}.f{color:#a05a00}.n{color:#2255cc}.c{color:#888}";

const SEARCH: &str = "const box=document.querySelector('input');box.addEventListener('input',()=>{
const words=box.value.toLowerCase().split(/\\s+/);for(const a of document.querySelectorAll('article')){
const text=a.textContent.toLowerCase();a.hidden=!words.every(w=>text.includes(w))}
for(const s of document.querySelectorAll('section'))s.hidden=![...s.querySelectorAll('article')].some(a=>!a.hidden)})";

/// Writes `index.html`.
///
/// # Errors
/// When the folder cannot be made or written.
pub fn html(all: &[Entry], folder: &Path) -> Result<(), CliError> {
    make_folder(folder)?;
    write_atomic(&folder.join("index.html"), page(all).as_bytes())
}

fn page(all: &[Entry]) -> String {
    let mut sections: Vec<&str> = Vec::new();
    for e in all {
        if !sections.contains(&e.section) {
            sections.push(e.section);
        }
    }
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>lpz reference</title>\
<meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\n<nav><b>lpz {}</b>\
<input placeholder=\"search\" aria-label=\"search\">\n",
        env!("CARGO_PKG_VERSION")
    );
    for s in &sections {
        let _ = writeln!(out, "<a href=\"#{}\">{}</a>", anchor(s), escape(s));
    }
    out += "</nav>\n<main><h1>Reference</h1>\n";
    for s in &sections {
        let _ = writeln!(out, "<section id=\"{}\"><h2>{}</h2>", anchor(s), escape(s));
        for e in all.iter().filter(|e| e.section == *s) {
            article(e, &mut out);
        }
        out += "</section>\n";
    }
    out + &format!("</main><script>{SEARCH}</script></body></html>\n")
}

fn article(e: &Entry, out: &mut String) {
    let id = anchor(&format!("{} {}", e.section, e.name));
    let _ = writeln!(out, "<article id=\"{id}\"><h3><code>{}</code></h3>", coloured(&e.signature));
    for line in e.doc.lines() {
        let _ = writeln!(out, "<p>{}</p>", inline(line));
    }
    if let Some(needs) = &e.needs {
        let _ = writeln!(out, "<p>Needs {}.</p>", escape(needs));
    }
    for (program, value) in &e.examples {
        let _ =
            writeln!(out, "<p><code>{}</code> is <code>{}</code></p>", coloured(program), coloured(value));
    }
    if let Some(source) = &e.source {
        let _ = writeln!(out, "<pre>{}</pre>", coloured(source.trim_end()));
    }
    out.push_str("</article>\n");
}

fn anchor(text: &str) -> String {
    text.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect()
}

/// Text in which `` `code` `` is code.
fn inline(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(i, p)| if i % 2 == 1 { format!("<code>{}</code>", coloured(p)) } else { escape(p) }).collect()
}

/// A program with its classes as spans.
fn coloured(text: &str) -> String {
    let mut out = String::new();
    let mut at = 0;
    for (span, shown) in classes(text) {
        out += &escape(&text[at..span.start]);
        let word = escape(&text[span.range()]);
        let class = match shown {
            Shown::Keyword | Shown::Reducer => "k",
            Shown::Operator | Shown::Std => "o",
            Shown::Site | Shown::Text => "s",
            Shown::Field => "f",
            Shown::Number | Shown::Literal => "n",
            Shown::Comment => "c",
            Shown::Plain => "",
        };
        match class {
            "" => out += &word,
            c => drop(write!(out, "<span class=\"{c}\">{word}</span>")),
        }
        at = span.end;
    }
    out + &escape(&text[at..])
}

/// Writes `lpz.1`, `lpz-COMMAND.1` and `lpz-language.7`.
///
/// # Errors
/// When the folder cannot be made or written.
pub fn man(all: &[Entry], command: Command, folder: &Path) -> Result<(), CliError> {
    let failed = |e: std::io::Error| CliError::io("write", folder, &e);
    make_folder(folder)?;
    clap_mangen::generate_to(command, folder).map_err(failed)?;
    write_atomic(&folder.join("lpz-language.7"), language(all).as_bytes())
}

/// The reference as roff.
fn language(all: &[Entry]) -> String {
    let mut out = format!(
        ".TH lpz-language 7 \"\" \"lpz {}\"\n.SH NAME\nlpz-language \\- operators, sites and standard library\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut section = "";
    for e in all {
        if e.section != section {
            section = e.section;
            let _ = writeln!(out, ".SH {}", roff(&section.to_uppercase()));
        }
        let _ = writeln!(out, ".TP\n.B {}", roff(&e.signature));
        for line in e.doc.lines() {
            let _ = writeln!(out, "{}", roff(line));
        }
        for (program, value) in &e.examples {
            let _ = writeln!(out, ".br\n{} is {}", roff(program), roff(value));
        }
        if let Some(source) = &e.source {
            let lines: Vec<String> = source.trim_end().lines().map(roff).collect();
            let _ = writeln!(out, ".nf\n{}\n.fi", lines.join("\n"));
        }
    }
    out
}

fn roff(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}
