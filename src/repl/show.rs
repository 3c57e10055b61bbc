//! Meanings, runs and terms as text.

use super::resident::Ran;
use super::summary::{Summary, seconds, short, summarise};
use crate::lang::session::Meaning;
use crate::ops::{Shape, UNKNOWN};
use crate::score::inspect::Terms;
use crate::site::{Batches, CaptureSpec, FIELDS, Field, INPUTS, KINDS, Kind, OBJECTIVES, PARAMS_MODES};
use crate::site::{Outline, Pass, SiteId, option_name};
use crate::tensor::Tensor;
use std::fmt::Write;

pub(super) fn kind(kind: Kind) -> &'static str {
    KINDS.iter().find(|k| k.kind == kind).map_or("", |k| k.name)
}

pub(super) fn field(field: Field) -> &'static str {
    FIELDS.iter().find(|r| r.field == field).map_or("", |r| r.name)
}

/// `number`, `tensor [_, _]`, `sites of linear`.
pub(super) fn meaning(m: &Meaning) -> String {
    match m {
        Meaning::Value(_, s) => shape(s),
        Meaning::Sites(_, kinds) => {
            let names: Vec<&str> = kinds.iter().map(|k| kind(*k)).collect();
            format!("sites of {}", names.join(" and "))
        }
        Meaning::Field(_, k, f) => {
            let rank = KINDS.iter().find(|r| r.kind == *k).and_then(|r| r.fields.iter().find(|x| x.0 == *f));
            let rank = rank.map_or(0, |x| x.1);
            format!("{}, of every site", shape(&Shape::of(&vec![UNKNOWN; rank])))
        }
    }
}

/// `number`, `tensor [_, 3]`.
pub(super) fn shape(s: &Shape) -> String {
    if s.dims.is_empty() {
        return "number".into();
    }
    let dim = |&d: &usize| if d == UNKNOWN { "_".to_string() } else { d.to_string() };
    format!("tensor [{}]", s.dims.iter().map(dim).collect::<Vec<_>>().join(", "))
}

/// A capture of which nothing is said.
const DEFAULT: &str = "the default";

/// What was run, for a person.
pub(super) fn ran(runs: &[Ran]) -> String {
    let mut out = String::new();
    for r in runs {
        let pass = match r.pass {
            Pass::Weights => "took weights",
            Pass::Forward => "ran the model forward",
            Pass::Backward => "ran the model forward and backward",
            Pass::SecondOrder => "ran the model to second order",
        };
        let fields: Vec<String> = r.fields.iter().map(|(f, n)| format!("{f} of {n} sites")).collect();
        let fields = if fields.is_empty() { "numbers".to_string() } else { fields.join(", ") };
        // The objective decides gradients alone.
        let objective = r.spec.objective.filter(|_| r.pass >= Pass::Backward || r.fields.is_empty());
        let spec = match capture(&CaptureSpec { objective, ..r.spec }) {
            s if r.pass == Pass::Weights && r.spec.params == CaptureSpec::default().params
                || s == DEFAULT =>
            {
                String::new()
            }
            s => format!(" ({s})"),
        };
        let _ = writeln!(out, "· {pass}{spec}: {fields}, {}", seconds(r.seconds));
    }
    out
}

/// `params = abs, objective = loss`; only what differs from the default.
pub(super) fn capture(spec: &CaptureSpec) -> String {
    let d = CaptureSpec::default();
    let mut parts = Vec::new();
    if spec.params != d.params {
        parts.push(format!("params = {}", option_name(PARAMS_MODES, &spec.params)));
    }
    if spec.inputs != d.inputs {
        parts.push(format!("inputs = {}", option_name(INPUTS, &spec.inputs)));
    }
    parts.extend(spec.objective.map(|o| format!("objective = {}", option_name(OBJECTIVES, &o))));
    match spec.batches {
        Batches::One => {}
        Batches::Many(n) => parts.push(format!("batches = {n}")),
        Batches::EachSample => parts.push("batches = each_sample".into()),
    }
    if parts.is_empty() { DEFAULT.into() } else { parts.join(", ") }
}

/// A number, or a tensor's summary.
pub(super) fn value(t: &Tensor) -> String {
    match t.item().filter(|_| t.rank() == 0) {
        Some(x) => format!("{x}\n"),
        None => summarise(t).text() + "\n",
    }
}

/// A value in few characters.
fn brief(t: Option<&Tensor>) -> String {
    match t {
        None => "?".into(),
        Some(t) => match t.item().filter(|_| t.rank() == 0) {
            Some(x) => short(x),
            None => {
                let s = summarise(t);
                format!("{} mean {} std {}", s.shape(), short(s.mean), short(s.std))
            }
        },
    }
}

/// So many rows of a table are shown; the rest is counted.
const ROWS: usize = 200;

/// The terms of aggregates, each with its share of the whole.
pub(super) fn terms(all: &[Terms]) -> String {
    let mut out = String::new();
    for t in all {
        let _ = writeln!(out, "{} of {} terms = {}", t.reducer, t.terms.len(), brief(t.value.as_ref()));
        let numbers: Vec<f64> =
            t.terms.iter().filter_map(|x| x.value.as_ref()?.item()).filter(|x| x.is_finite()).collect();
        let most = numbers.iter().fold(0.0f64, |a, x| a.max(x.abs()));
        let width = t.terms.iter().take(ROWS).map(|x| x.at.chars().count()).max().unwrap_or(0);
        for x in t.terms.iter().take(ROWS) {
            let share = x.value.as_ref().and_then(Tensor::item).map_or(String::new(), |v| bar(v, most));
            let _ = writeln!(out, "  {:width$}  {:>12}  {share}", x.at, brief(x.value.as_ref()));
        }
        if t.terms.len() > ROWS {
            let _ = writeln!(out, "  ... and {} more", t.terms.len() - ROWS);
        }
    }
    out
}

fn bar(x: f64, most: f64) -> String {
    if !x.is_finite() || most == 0.0 {
        return String::new();
    }
    let n = (x.abs() / most * 24.0).round() as usize;
    format!("{}{}", if x < 0.0 { "-" } else { "" }, "█".repeat(n))
}

/// One line per tensor.
pub(super) fn rows(rows: &[(String, Summary)]) -> String {
    let width = rows.iter().map(|(n, _)| n.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for (name, s) in rows.iter().take(ROWS) {
        let trouble = match s.trouble() {
            t if t.is_empty() => String::new(),
            t => format!("  not finite: {t}"),
        };
        let _ = writeln!(
            out,
            "{name:width$}  {:<18} mean {:>11} std {:>11} min {:>11} max {:>11} |{}|{trouble}",
            s.shape(),
            short(s.mean),
            short(s.std),
            short(s.min),
            short(s.max),
            s.bars()
        );
    }
    if rows.len() > ROWS {
        let _ = writeln!(out, "... and {} more", rows.len() - ROWS);
    }
    out
}

/// Sites: layer, kind, name, roles, fields with their sizes.
pub(super) fn sites(outline: &Outline, ids: &[SiteId]) -> String {
    let width = ids.iter().take(ROWS).map(|&i| outline.sites[i].name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for &i in ids.iter().take(ROWS) {
        let s = &outline.sites[i];
        let layer = s.layer.map_or("-".into(), |l| l.to_string());
        let fields: Vec<String> = s.fields.iter().map(|(f, d)| format!("{} {:?}", field(*f), d)).collect();
        let roles = if s.roles.is_empty() { String::new() } else { format!("[{}] ", s.roles.join(", ")) };
        let _ =
            writeln!(out, "{layer:>3} {:<7} {:width$}  {roles}{}", kind(s.kind), s.name, fields.join("  "));
    }
    if ids.len() > ROWS {
        let _ = writeln!(out, "... and {} more", ids.len() - ROWS);
    }
    out
}
