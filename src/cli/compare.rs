//! `lpz compare`: runs side by side.

use super::error::CliError;
use super::{Global, output};
use crate::evolve::finish::Report;
use crate::evolve::folder::{Folder, RunFile};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Show runs of `lpz evolve` side by side
#[derive(Args, Debug)]
#[command(after_help = "Example: lpz compare runs/free-nsga2-s0 runs/free-random-s0")]
pub struct CompareArgs {
    /// Folders of runs
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// A folder that holds no run.
pub fn run(args: &CompareArgs, global: &Global) -> Result<ExitCode, CliError> {
    let runs: Vec<Value> = args.dirs.iter().map(|d| one(d)).collect::<Result<_, _>>()?;
    if output::json(global, &json!({ "runs": runs }))? {
        return Ok(ExitCode::SUCCESS);
    }
    let mut t = output::table(&[
        "run",
        "space",
        "algorithm",
        "seed",
        "evaluations",
        "seconds",
        "search τ-a",
        "valid. τ-a",
        "test τ-a",
        "test ρ",
        "equal size",
        "distinct",
    ]);
    for r in &runs {
        let best = &r["best"];
        let cell = |v: &Value| match v {
            Value::String(s) => s.clone(),
            Value::Number(n) if n.is_f64() => format!("{:.3}", n.as_f64().unwrap_or_default()),
            Value::Null => "-".into(),
            other => other.to_string(),
        };
        t.add_row(
            [
                &r["run"],
                &r["space"],
                &r["algorithm"],
                &r["seed"],
                &r["evaluations"],
                &r["seconds"],
                &best["search"]["tau_a"],
                &best["validation"]["tau_a"],
                &best["test"]["tau_a"],
                &best["test"]["rho"],
                &best["test"]["tau_size_controlled"],
                &best["test"]["distinct"],
            ]
            .map(cell),
        );
    }
    let mut text = format!("{t}\n");
    let splits: Vec<&Value> = runs.iter().map(|r| &r["split"]).collect();
    if splits.iter().any(|s| *s != splits[0]) {
        text += "The runs do not share benchmark, sample and split: their figures are of different architectures.\n";
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn one(dir: &Path) -> Result<Value, CliError> {
    let (folder, run): (Folder, RunFile) = Folder::open(dir)?;
    // A run that has not ended has no report.
    let report: Report = match folder.read("front.json") {
        Ok(text) => serde_json::from_str(&text)
            .map_err(|e| CliError::new(format!("{}/front.json: {e}", dir.display())))?,
        Err(_) => Report::default(),
    };
    let s = &run.plan.settings;
    Ok(json!({
        "run": dir.display().to_string(),
        "space": run.plan.space.name,
        "algorithm": s.algorithm,
        "seed": s.seed,
        "evaluations": run.evaluations,
        "generations": run.generations,
        "seconds": run.seconds.iter().sum::<f64>(),
        "stopped": run.stopped,
        "best": report.best.first(),
        "split": json!([run.plan.benches, run.plan.model.limit, run.plan.fractions, s.seed]),
    }))
}
