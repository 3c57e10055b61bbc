//! Ranks as a table, as JSON and as CSV.

use super::row::Row;
use crate::bench::Bench;
use crate::cli::output::table;
use crate::cli::run::NOISE;
use crate::cli::say::say;
use crate::metric::{Interval, Summary};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Instant;

pub(super) fn printed(bench: &Bench, metric: &str, n: usize, rows: &[Row]) -> String {
    let mut t = table(&[
        "proxy", "tau-b", "95% CI", "tau-a", "rho", "r", "w-tau", "top30", "sized", "P@10%", "distinct", "n",
        "GFLOP", "s",
    ]);
    for r in rows {
        let mut row = r.statistics("..");
        row.extend(r.counts());
        row.extend([format!("{:.2}", r.flops / 1e9), format!("{:.3}", r.seconds)]);
        t.add_row(row);
    }
    for c in 1..14 {
        if let Some(column) = t.column_mut(c) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    format!(
        "{} · {metric} · {n} architectures\n{t}\n* trivial baseline; GFLOP and s (seconds) per architecture\n",
        bench.header.bench
    )
}

/// What a reader of the table has to know, on standard error.
pub(super) fn remarks(rows: &[Row], truth: &[f64], started: Instant) {
    if truth.windows(2).all(|w| w[0] == w[1]) {
        say!("note: there are no ranks where the ground truth of all architectures is the same");
    }
    if rows.iter().any(|r| r.noise) {
        say!("{NOISE}");
    }
    for r in rows {
        let missing = r.scores.iter().filter(|s| s.is_none()).count();
        if let (1.., Some(reason)) = (missing, &r.reason) {
            say!("note: {} has no score on {missing} of {} architectures: {reason}", r.name, r.scores.len());
        }
    }
    say!("{:.1} s", started.elapsed().as_secs_f64());
}

pub(super) fn entry(r: &Row) -> Value {
    let s = r.summary.as_ref();
    let ci = |c: Option<Interval>| c.map(|c| json!([c.lo, c.hi]));
    let top = |s: &Summary| -> serde_json::Map<String, Value> {
        s.top.iter().map(|t| (t.percent.to_string(), json!({"tau_b": t.tau_b, "tau_a": t.tau_a}))).collect()
    };
    let sized = s.and_then(|s| s.size_controlled.as_ref());
    json!({
        "name": r.name, "baseline": r.baseline, "n": r.scores.iter().flatten().count(),
        "tau_b": s.and_then(|s| s.tau_b), "tau_a": s.map(|s| s.tau_a), "rho": s.and_then(|s| s.rho),
        "r": s.and_then(|s| s.r), "tau_weighted": s.and_then(|s| s.tau_weighted),
        "distinct": s.map(|s| s.distinct), "tau_size_controlled": sized.and_then(|c| c.tau),
        "size_controlled": sized, "top": s.map(top),
        "k": s.map(|s| s.k), "overlap": s.map(|s| s.overlap), "precision_top": s.map(|s| s.precision_top),
        "precision_bottom": s.map(|s| s.precision_bottom), "best_rank": s.map(|s| s.best_rank),
        "worst_rank": s.map(|s| s.worst_rank), "regret": s.map(|s| s.regret),
        "ci": {"tau_b": s.and_then(|s| ci(s.tau_b_ci)), "rho": s.and_then(|s| ci(s.rho_ci))},
        "tau_b_by_seed": r.tau_by_seed, "rounding_noise": r.noise, "degenerate": r.reason,
        "flops": r.flops, "seconds": r.seconds,
    })
}

pub(super) fn csv(bench: &Bench, rows: &[Row], truth: &[f64]) -> String {
    let names: Vec<String> = rows.iter().map(|r| quoted(&r.name)).collect();
    let mut out = format!("id,truth,{}\n", names.join(","));
    for (i, record) in bench.records.iter().enumerate() {
        let scores: Vec<String> =
            rows.iter().map(|r| r.scores[i].map_or(String::new(), |x| x.to_string())).collect();
        let _ = writeln!(out, "{},{},{}", field(&record.id), truth[i], scores.join(","));
    }
    out
}

/// A field of CSV, in quotes where it has to be (RFC 4180).
fn field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { quoted(text) } else { text.to_owned() }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
