//! What there is to know of the language, from the rows: entries by name for `lpz doc` and
//! completion, and the tables of the language reference.

use super::ast::{Item, ItemKind};
use super::check::{self, ATTRIBUTES, CAPTURE_OPTIONS, CONSTANTS, JOINS};
use super::diagnostic::CODES;
use super::library::{Def, Library};
use super::names;
use super::needs::{self, Needs};
use crate::ir::Dag;
use crate::ops::{self, Fixity, OpRow};
use crate::site;
use std::fmt::Write;

/// One thing that can be looked up.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is: a heading of the documentation.
    pub section: &'static str,
    /// How it is written.
    pub signature: String,
    /// What it does.
    pub doc: String,
    /// Examples and their values.
    pub examples: Vec<(String, String)>,
    /// Its definition, for what is written in the language.
    pub source: Option<String>,
    /// What a proxy needs run, in words.
    pub needs: Option<String>,
}

fn entry(name: &str, section: &'static str, signature: impl Into<String>, doc: impl Into<String>) -> Entry {
    let (signature, doc) = (signature.into(), doc.into());
    Entry { name: name.to_string(), section, signature, doc, examples: Vec::new(), source: None, needs: None }
}

/// Everything, section by section.
pub fn entries(library: &Library) -> Vec<Entry> {
    let mut all: Vec<Entry> = ops::rows().iter().map(operator).collect();
    all.sort_by_key(|e| GROUPS.iter().position(|g| *g == e.section));
    all.extend(
        ops::reducers()
            .iter()
            .map(|r| entry(r.name, "Reducers", format!("{} x in sites {{ ... }}", r.name), r.doc)),
    );
    all.extend(JOINS.iter().map(|(n, d)| entry(n, "Collections", format!("{n}(a, b, ...)"), *d)));
    all.extend(site::KINDS.iter().map(|k| {
        let fields: Vec<&str> = k.fields.iter().map(|(f, _)| check::field_name(*f)).collect();
        entry(k.name, "Sites", k.name, format!("{}; fields {}", k.doc, names::list(fields)))
    }));
    all.extend(site::FIELDS.iter().map(|f| entry(f.name, "Fields", format!("x.{}", f.name), f.doc)));
    all.extend(
        site::SITE_NUMBERS.iter().map(|(_, n, d)| entry(n, "Numbers of a site", format!("x.{n}"), *d)),
    );
    all.extend(site::NUMBERS.iter().map(|n| entry(n.name, "Numbers of a model", n.name, n.doc)));
    all.extend(CONSTANTS.iter().map(|(n, _, d)| entry(n, "Constants", *n, *d)));
    all.extend(site::ROLES.iter().map(|r| {
        let uses = match (r.sites, r.params) {
            (true, true) => format!("sites[{0}], params[{0}]", r.name),
            (true, false) => format!("sites[{}]", r.name),
            _ => format!("params[{}]", r.name),
        };
        entry(r.name, "Roles", uses, r.doc)
    }));
    all.extend(options());
    all.extend(ATTRIBUTES.iter().map(|(n, on, d)| entry(n, "Attributes", format!("@{n} (on a {on})"), *d)));
    all.extend(CODES.iter().map(|(c, d)| entry(c, "Diagnostics", *c, *d)));
    all.extend(standard_library(library));
    all
}

/// The standard library: functions by module, then proxies by what they need run.
fn standard_library(library: &Library) -> Vec<Entry> {
    let mut dag = Dag::default();
    let mut all = Vec::new();
    for (id, module) in library.std_modules() {
        for (place, i) in module.file.items.iter().enumerate() {
            let Some(mut e) = item(&module.name, i) else { continue };
            let def = Def { module: id, item: place };
            let lowered = if library.is_proxy(def) { library.lower(&[def], &mut dag).ok() } else { None };
            if let Some(proxy) = lowered.as_ref().and_then(|p| p.first()) {
                let needs = Needs::of(&dag, &proxy.program);
                e.section = needs.group();
                e.needs = Some(needs.describe());
            }
            all.push(e);
        }
    }
    all.sort_by_key(|e| needs::GROUPS.iter().position(|g| *g == e.section));
    all
}

const GROUPS: &[&str] =
    &["Elementwise", "Shapes", "Reductions", "Normalisers", "Contractions", "Spectral", "Pairs"];

fn operator(row: &OpRow) -> Entry {
    let mut e = entry(row.name, row.group.title(), written(row), row.doc);
    e.examples = row.examples.iter().map(|(p, v)| ((*p).to_string(), (*v).to_string())).collect();
    e
}

/// The forms of an operator: `add(x, y)`, `x + y`.
fn written(row: &OpRow) -> String {
    let call = check::signature(row);
    let v = |i: usize| row.values.get(i).copied().unwrap_or("x");
    match row.symbol {
        None => call,
        Some(s) => match s.fixity {
            Fixity::Prefix => format!("{call}, {}{}", s.text, v(0)),
            Fixity::Left | Fixity::Right => format!("{call}, {} {} {}", v(0), s.text, v(1)),
            Fixity::Postfix => format!("{call}, {}.{}", v(0), s.text),
            Fixity::Index => format!("{call}, {}[i]", v(0)),
        },
    }
}

fn options() -> Vec<Entry> {
    let values = |name: &str, rows: Vec<(&'static str, &'static str)>| {
        let signature = rows.iter().map(|r| r.0).collect::<Vec<_>>().join(" | ");
        let doc = rows.iter().map(|(n, d)| format!("`{n}`: {d}")).collect::<Vec<_>>().join("; ");
        entry(name, "Options of @capture", format!("{name} = {signature}"), doc)
    };
    CAPTURE_OPTIONS
        .iter()
        .map(|&name| match name {
            "params" => values(name, site::PARAMS_MODES.iter().map(|r| (r.1, r.2)).collect()),
            "inputs" => values(name, site::INPUTS.iter().map(|r| (r.1, r.2)).collect()),
            "objective" => values(name, site::OBJECTIVES.iter().map(|r| (r.1, r.2)).collect()),
            _ => entry(
                name,
                "Options of @capture",
                format!("{name} = N | each_sample"),
                "over several minibatches, or over every sequence alone; gradients get a leading axis over them",
            ),
        })
        .collect()
}

fn item(module: &str, item: &Item) -> Option<Entry> {
    let name = item.name()?;
    let signature = match &item.kind {
        ItemKind::Fn { params, .. } => {
            let params: Vec<&str> = params.iter().map(|p| p.name.text.as_str()).collect();
            format!("fn {}({})", name.text, params.join(", "))
        }
        _ => format!("proxy {}", name.text),
    };
    let mut e = entry(
        &name.text,
        "Functions of the standard library",
        format!("{signature}  (std::{module})"),
        item.docs.join("\n"),
    );
    let bare = Item { docs: Vec::new(), ..item.clone() };
    e.source = Some(super::print_item(&bare));
    Some(e)
}

/// The tables of the language reference: a marker's name and Markdown.
pub fn tables() -> Vec<(&'static str, String)> {
    let all = entries(&Library::new());
    let table = |sections: &[&str]| {
        let mut out = String::new();
        for section in sections {
            let rows: Vec<&Entry> = all.iter().filter(|e| e.section == *section).collect();
            let examples = rows.iter().any(|e| !e.examples.is_empty());
            if sections.len() > 1 {
                let _ = write!(out, "\n### {section}\n\n");
            }
            out.push_str(if examples {
                "| written | meaning | example |\n|---|---|---|\n"
            } else {
                "| written | meaning |\n|---|---|\n"
            });
            for e in rows {
                let _ = write!(out, "| {} | {} |", code(&e.signature), cell(&e.doc));
                if examples {
                    let first = e.examples.first().map(|(p, v)| format!("{} is {}", code(p), code(v)));
                    let _ = write!(out, " {} |", first.unwrap_or_default());
                }
                out.push('\n');
            }
        }
        out.trim_start().to_string()
    };
    vec![
        ("operators", table(GROUPS)),
        ("reducers", table(&["Reducers"])),
        ("collections", table(&["Collections"])),
        ("sites", table(&["Sites"])),
        ("fields", table(&["Fields"])),
        ("numbers", table(&["Numbers of a model", "Numbers of a site", "Constants"])),
        ("roles", table(&["Roles"])),
        ("capture", table(&["Options of @capture"])),
        ("attributes", table(&["Attributes"])),
        ("diagnostics", table(&["Diagnostics"])),
    ]
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn code(text: &str) -> String {
    format!("`{}`", cell(text))
}

/// A page with its generated parts, `<!-- begin NAME -->` to `<!-- end NAME -->`, made anew.
pub fn regenerate(page: &str) -> String {
    let mut out = page.to_string();
    for (name, table) in tables() {
        let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
        if let (Some(a), Some(b)) = (out.find(&begin), out.find(&end))
            && a + begin.len() <= b
        {
            out.replace_range(a + begin.len()..b, &table);
        }
    }
    out
}
