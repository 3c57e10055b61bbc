//! What expressions run on: architecture, parameters, data and capture.

use super::Outcome;
use crate::ir::Dag;
use crate::lang::Failure;
use crate::repl::resident::Resident;
use crate::repl::session::{CACHE, Reply, Session, Wrong, wrong};
use crate::repl::settings::Settings;
use crate::repl::{show, summary};
use crate::score::ReductionCache;
use crate::site::CaptureSpec;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) fn model(s: &mut Session, rest: &str) -> Outcome {
    if rest.is_empty() {
        return Ok(Reply::of(state(s)));
    }
    change(s, |to| to.model = Some(rest.to_string()))
}

/// What is open, with which settings.
fn state(s: &Session) -> String {
    let mut out = String::new();
    let set = &s.settings;
    let name = set.model.as_deref().unwrap_or("none; open one with `:model CONFIG.json`");
    let _ = writeln!(out, "model    {name}");
    let weights = match &set.weights {
        Some(w) => w.display().to_string(),
        None if set.random_init => "drawn from the seed".into(),
        None => "the folder's own, else drawn from the seed".into(),
    };
    let _ = writeln!(out, "weights  {weights}");
    let text = set.text.as_ref().map_or("random tokens".into(), |t| t.display().to_string());
    let _ = writeln!(out, "data     {text}, batch {}, seq {}, seed {}", set.batch, set.seq, set.seed);
    let _ = writeln!(out, "capture  {}", show::capture(&s.capture));
    if let Some(r) = &s.resident {
        let (bytes, count) = r.held();
        let _ = writeln!(out, "resident {count} tensors, {}", summary::bytes(bytes));
    }
    out
}

/// Opens with changed settings; where that fails, everything stays as it was.
fn change(s: &mut Session, f: impl FnOnce(&mut Settings)) -> Outcome {
    let mut settings = s.settings.clone();
    f(&mut settings);
    if settings.model.is_none() {
        s.settings = settings;
        return Ok(Reply::of("set; no model is open yet\n"));
    }
    let opened = s.host.open(&settings, 1)?;
    s.settings = settings;
    s.batches = 1;
    s.cache = Arc::new(ReductionCache::new(CACHE));
    s.resident = Some(Resident::new(opened.source, s.memory));
    Ok(Reply::of(format!("{}\n", opened.what)))
}

pub(super) fn weights(s: &mut Session, rest: &str) -> Outcome {
    change(s, |to| {
        to.weights = (!rest.is_empty()).then(|| PathBuf::from(rest));
        to.random_init = rest.is_empty();
    })
}

pub(super) fn text(s: &mut Session, rest: &str) -> Outcome {
    let mut parts = rest.split_whitespace();
    let Some(file) = parts.next() else {
        return Err(wrong(
            "`:text` needs a file",
            "`:text FILE [TOKENIZER]`, or `:random` for random tokens",
        ));
    };
    let tokenizer = parts.next().map(PathBuf::from);
    change(s, |to| {
        to.text = Some(PathBuf::from(file));
        to.tokenizer = tokenizer;
    })
}

pub(super) fn random(s: &mut Session, _: &str) -> Outcome {
    change(s, |to| {
        to.text = None;
        to.tokenizer = None;
    })
}

pub(super) fn whole<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
    rest: &str,
    least: T,
    most: T,
) -> Result<T, Wrong> {
    let bad = || wrong(format!("`{rest}` is no whole number from {least} to {most}"), "write digits only");
    rest.parse::<T>().ok().filter(|n| *n >= least && *n <= most).ok_or_else(bad)
}

pub(super) fn batch(s: &mut Session, rest: &str) -> Outcome {
    if rest.is_empty() {
        return Ok(Reply::of(format!("{}\n", s.settings.batch)));
    }
    let n = whole(rest, 1, 65_536)?;
    change(s, |to| to.batch = n)
}

pub(super) fn seq(s: &mut Session, rest: &str) -> Outcome {
    if rest.is_empty() {
        return Ok(Reply::of(format!("{}\n", s.settings.seq)));
    }
    let n = whole(rest, 1, 1_048_576)?;
    change(s, |to| to.seq = n)
}

pub(super) fn seed(s: &mut Session, rest: &str) -> Outcome {
    if rest.is_empty() {
        return Ok(Reply::of(format!("{}\n", s.settings.seed)));
    }
    let n = whole(rest, 0, u64::MAX)?;
    change(s, |to| to.seed = n)
}

pub(super) fn capture(s: &mut Session, rest: &str) -> Outcome {
    if rest == "default" {
        s.capture = CaptureSpec::default();
    } else if !rest.is_empty() {
        let mut dag = Dag::default();
        let text = format!("@capture({rest})\nproxy capture = 1");
        let mark = s.library.mark();
        let module = s.library.items_in(&s.name(), &text, &s.scope);
        let checked = s.library.check(module, &mut dag);
        let sources = s.library.sources().clone();
        s.library.forget(mark);
        match checked.proxies.first() {
            Some(p) if checked.is_ok() => s.capture = p.program.capture,
            _ => return Err(Failure { diagnostics: checked.diagnostics, sources }.into()),
        }
    }
    Ok(Reply::of(format!("{}\n", show::capture(&s.capture))))
}
