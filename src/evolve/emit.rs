//! Programs as a person reads them: names that say what they are, figures in the documentation.

use super::finish::{Entry, Report};
use std::fmt::Write;

/// Words of a name.
const WORDS: usize = 4;

/// A name from the most telling words; numbered where it is taken.
pub fn name(words: &[String], taken: &[String]) -> String {
    let clean =
        |w: &String| w.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect::<String>();
    let mut base = words.iter().take(WORDS).map(clean).collect::<Vec<_>>().join("_");
    if base.is_empty() || base.starts_with(|c: char| c.is_ascii_digit()) {
        base = format!("proxy_{base}");
    }
    // A name of the language or the standard library must not be hidden.
    let base = format!("found_{base}");
    if !taken.contains(&base) {
        return base;
    }
    let numbered = |i: usize| format!("{base}_{i}");
    (2..).map(numbered).find(|n| !taken.contains(n)).unwrap_or(base)
}

/// The module `hall_of_fame.lpz`, to be formatted.
pub fn module(report: &Report, preamble: &str, capture: &str, command: &str, seed: u64) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "//! Proxies that `lpz evolve` found, the best on the validation part first.");
    let _ = writeln!(out, "//! Command: `{command}`; seed {seed}.");
    if !preamble.is_empty() {
        let _ = writeln!(out, "{preamble}");
    }
    for e in &report.best {
        let _ = write!(out, "\n{}", entry(e));
        let _ = writeln!(out, "{capture}proxy {} = {}", e.name, e.source);
    }
    out
}

fn entry(e: &Entry) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "/// Test: {}.", e.test.line());
    let _ = writeln!(out, "/// Validation: {}.", e.validation.line());
    let _ = writeln!(out, "/// Search: {}.", e.search.line());
    let _ = writeln!(out, "/// All, as `lpz rank` prints: {}.", e.all.line());
    let _ = writeln!(
        out,
        "/// Complexity {} nodes, cost {:.3e} operations, found after {} evaluations.",
        e.complexity, e.cost, e.born
    );
    if let Some(k) = &e.same_as {
        let _ = writeln!(out, "/// It ranks exactly as the trivial baseline `{k}` does.");
    }
    out
}
