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
    let t = table(&runs);
    let mut text = format!("{t}\n");
    let splits: Vec<&Value> = runs.iter().map(|r| &r["split"]).collect();
    if splits.iter().any(|s| *s != splits[0]) {
        text += "The runs do not share benchmark, sample and split: their figures are of different architectures.\n";
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Columns of the table: their heads, and where the figures stand in the JSON of a run.
const COLUMNS: &[(&str, &str)] = &[
    ("run", "/run"),
    ("space", "/space"),
    ("algorithm", "/algorithm"),
    ("seed", "/seed"),
    ("evaluations", "/evaluations"),
    ("seconds", "/seconds"),
    ("search τ-a", "/best/search/tau_a"),
    ("valid. τ-a", "/best/validation/tau_a"),
    ("test τ-a", "/best/test/tau_a"),
    ("test ρ", "/best/test/rho"),
    ("equal size", "/best/test/tau_size_controlled"),
    ("distinct", "/best/test/distinct"),
];

fn table(runs: &[Value]) -> comfy_table::Table {
    let heads: Vec<&str> = COLUMNS.iter().map(|(head, _)| *head).collect();
    let mut table = output::table(&heads);
    for run in runs {
        table.add_row(COLUMNS.iter().map(|(_, at)| cell(run.pointer(at))));
    }
    table
}

fn cell(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(s)) => s.clone(),
        Some(Value::Number(n)) if n.is_f64() => format!("{:.3}", n.as_f64().unwrap_or_default()),
        None | Some(Value::Null) => "-".into(),
        Some(other) => other.to_string(),
    }
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
