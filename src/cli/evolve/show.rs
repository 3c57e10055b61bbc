//! What `lpz evolve` says: rules, progress, the final table, JSON.

use super::super::Global;
use super::super::error::CliError;
use super::super::output;
use crate::evolve::figures::Figures;
use crate::evolve::finish::{Entry, Known, Report};
use crate::evolve::folder::{Folder, RunFile};
use crate::evolve::rules::{RULES, Stage};
use crate::evolve::run::Status;
use crate::evolve::settings::Budget;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// `--rules`.
///
/// # Errors
/// When output cannot be written.
pub fn rules(global: &Global) -> Result<ExitCode, CliError> {
    let stage = |s: Stage| if s == Stage::Static { "static" } else { "dynamic" };
    let list: Vec<Value> = RULES
        .iter()
        .map(|r| json!({"name": r.name, "stage": stage(r.stage()), "reason": r.reason}))
        .collect();
    if !output::json(global, &json!({ "rules": list }))? {
        let mut t = table(&["rule", "stage", "rejects because"]);
        for r in RULES {
            t.add_row([r.name, stage(r.stage()), r.reason]);
        }
        output::print(&format!("{t}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(header: &[&str]) -> Table {
    let mut t = output::table(header);
    t.set_content_arrangement(ContentArrangement::Dynamic);
    t
}

/// How much of the budgets is spent: of the one that is spent most.
pub fn share(s: &Status<'_>, b: &Budget) -> f64 {
    let of = |done: f64, all: Option<f64>| all.map_or(0.0, |n| done / n.max(1e-9));
    of(s.state.generation as f64, b.iterations.map(|n| n as f64))
        .max(of(s.state.evaluations as f64, b.evaluations.map(|n| n as f64)))
        .max(of(s.seconds, b.seconds))
}

/// Programs of the front that a line of progress shows.
const SHOWN: usize = 4;

/// The best of those that are no larger, the best first.
fn by_complexity(s: &Status<'_>) -> Vec<(f64, f64)> {
    let mut front: Vec<(f64, f64)> = Vec::new();
    for m in &s.state.hall.members {
        if front.last().is_none_or(|f| m.complexity < f.1) {
            front.push((m.fitness.value, m.complexity));
        }
    }
    front
}

/// One line of progress.
pub fn status(s: &Status<'_>) -> String {
    let front = by_complexity(s);
    let best: Vec<String> = match front.len() {
        0 => vec!["none yet".into()],
        // The best, the simplest, and some between.
        n => (0..SHOWN.min(n))
            .map(|i| front[i * (n - 1) / (SHOWN.min(n) - 1).max(1)])
            .map(|(v, c)| format!("{v:.3} ({c})"))
            .collect(),
    };
    let mut rules: Vec<(u64, &str)> =
        s.state.rules.counts.iter().zip(RULES).map(|(n, r)| (*n, r.name)).filter(|r| r.0 > 0).collect();
    rules.sort_by_key(|r| std::cmp::Reverse(r.0));
    let rejected: Vec<String> = rules.iter().take(3).map(|(n, r)| format!("{r} {n}")).collect();
    format!(
        "best by nodes {}; {} evaluated, {:.0}/s; rejected {}; {:.0} % of terms known",
        best.join(", "),
        s.state.evaluations,
        s.state.evaluations as f64 / s.seconds.max(1e-9),
        if rejected.is_empty() { "none".into() } else { rejected.join(", ") },
        100.0 * s.hits as f64 / (s.hits + s.misses).max(1) as f64
    )
}

/// `--json-lines`.
pub fn line(s: &Status<'_>) {
    let best = s.state.hall.members.first();
    let front: Vec<Value> =
        by_complexity(s).iter().map(|(v, c)| json!({"fitness": v, "complexity": c})).collect();
    let value = json!({
        "generation": s.state.generation,
        "evaluations": s.state.evaluations,
        "best": best.map(|b| b.fitness.value),
        "complexity": best.map(|b| b.complexity),
        "front": front,
        "rules": crate::evolve::folder::rejections(s.state),
        "cache": {"term_values_known": s.hits, "term_values_computed": s.misses},
        "seconds": s.seconds,
    });
    // A reader that went away does not end the run.
    let _ = output::print(&format!("{value}\n"));
}

/// How far the best of other runs is from the optimum of a space that was searched whole.
pub type Regret = (String, f64, f64);

/// Best search fitness and regret of every run in `dirs`.
///
/// # Errors
/// A folder that holds no run; a run on other architectures; a space that was not searched whole.
pub fn regrets(dirs: &[PathBuf], run: &RunFile) -> Result<Vec<Regret>, CliError> {
    let Some(whole) = &run.whole else {
        return match dirs.first() {
            None => Ok(Vec::new()),
            Some(_) => Err(CliError::new(
                "--compare tells the distance from the optimum, which only --algorithm exhaustive finds",
            )
            .help("`lpz compare` shows runs side by side")),
        };
    };
    dirs.iter()
        .map(|dir| {
            let (folder, other) = Folder::open(dir)?;
            let same = |p: &crate::evolve::folder::Plan| {
                (p.benches.clone(), p.model.clone(), p.fractions, p.settings.seed, p.settings.measure)
            };
            if same(&other.plan) != same(&run.plan) {
                return Err(CliError::new(format!(
                    "{} is a run on other architectures or another split",
                    dir.display()
                )));
            }
            let history = folder.read("history.csv")?;
            let last = history.lines().skip(1).last().and_then(|l| l.split(',').nth(2)?.parse::<f64>().ok());
            let best = last.unwrap_or(0.0);
            Ok((dir.display().to_string(), best, whole.optimum - best))
        })
        .collect()
}

/// The result, as a table or JSON.
///
/// # Errors
/// When output cannot be written.
pub fn outcome(
    global: &Global,
    folder: &Folder,
    run: &RunFile,
    report: &Report,
    regrets: &[Regret],
    control: Option<&(RunFile, Report)>,
) -> Result<(), CliError> {
    let path = folder.path().display().to_string();
    let value = json!({
        "run": path,
        "evaluations": run.evaluations,
        "generations": run.generations,
        "seconds": run.seconds.iter().sum::<f64>(),
        "stopped": run.stopped,
        "best": report.best,
        "known": report.known,
        "rules": run.rules,
        "cache": run.cache,
        "control": control.map(|(r, c)| json!({"evaluations": r.evaluations, "best": c.best})),
        "whole": run.whole,
        "regret": regrets.iter().map(|(d, b, r)| json!({"run": d, "best": b, "regret": r})).collect::<Vec<_>>(),
    });
    if output::json(global, &value)? {
        return Ok(());
    }
    output::print(&format!("{}\n", figures(report, control.and_then(|(_, c)| c.best.first()))))?;
    if let Some(w) = &run.whole {
        output::print(&format!(
            "the space holds {:.0} programs of {} branches; {} branches and {} programs differ; optimum {:.4}\n",
            w.programs, w.branches, w.distinct_branches, w.distinct, w.optimum
        ))?;
    }
    for (dir, best, regret) in regrets {
        output::print(&format!("{dir}: best {best:.4}, {regret:.4} from the optimum\n"))?;
    }
    let counted: Vec<String> =
        run.rules.iter().filter(|(_, n)| n.as_u64() != Some(0)).map(|(r, n)| format!("{r} {n}")).collect();
    output::print(&format!(
        "{} programs evaluated in {} generations, {:.1} s; rejected: {}\n{path}: {}\n",
        run.evaluations,
        run.generations,
        run.seconds.iter().sum::<f64>(),
        if counted.is_empty() { "none".into() } else { counted.join(", ") },
        run.stopped.as_deref().unwrap_or("running"),
    ))
}

fn figures(report: &Report, control: Option<&Entry>) -> Table {
    let mut t = table(&[
        "proxy",
        "search τ-a",
        "valid. τ-a",
        "test τ-a",
        "95 %",
        "test ρ",
        "test τ at equal size",
        "distinct",
        "all τ-a",
        "nodes",
    ]);
    for e in &report.best {
        t.add_row(found(e));
    }
    if let Some(e) = control {
        let mut row = found(e);
        row[0] = "(best of as many random programs)".into();
        t.add_row(row);
    }
    for k in &report.known {
        t.add_row(known(k));
    }
    t
}

fn found(e: &Entry) -> Vec<String> {
    let validation = if e.validation.n == 0 { "-".to_owned() } else { three(e.validation.tau_a) };
    let mut row = vec![e.name.clone(), three(e.search.tau_a), validation];
    row.extend(tested(&e.test));
    row.push(three(e.all.tau_a));
    row.push(format!("{}{}", e.complexity, e.same_as.as_ref().map_or(String::new(), |k| format!(" = {k}"))));
    row
}

fn known(k: &Known) -> Vec<String> {
    let mut row = vec![
        format!("({})", k.name),
        k.search.as_ref().map_or("-".into(), |f| three(f.tau_a)),
        String::new(),
    ];
    match &k.test {
        Some(f) => row.extend(tested(f)),
        None => row.push(k.degenerate.clone().unwrap_or_default()),
    }
    row
}

fn tested(f: &Figures) -> Vec<String> {
    if f.n == 0 {
        return vec!["-".to_owned(); 5];
    }
    let maybe = |x: Option<f64>| x.map_or("-".to_owned(), three);
    vec![
        three(f.tau_a),
        f.tau_a_ci.map_or(String::new(), |i| format!("{:.2}..{:.2}", i.lo, i.hi)),
        maybe(f.rho),
        maybe(f.tau_size_controlled),
        f.distinct.to_string(),
    ]
}

fn three(x: f64) -> String {
    format!("{x:.3}")
}
