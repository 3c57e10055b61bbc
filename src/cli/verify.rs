//! `lpz verify`: computes every figure of a run again, from the programs as they were written.

use super::error::CliError;
use super::evolve::{Subjects, open, reopened};
use super::{Global, output};
use crate::cli::say::tell;
use crate::engine::Engine;
use crate::evolve::driver::Driver;
use crate::evolve::evaluator::Evaluator;
use crate::evolve::figures::Figures;
use crate::evolve::finish::{Entry, Report};
use crate::evolve::folder::{Folder, RunFile};
use crate::ir::{Dag, Program};
use crate::lang::Library;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Compute every figure of a run again and compare
#[derive(Args, Debug)]
#[command(after_help = "Example: lpz verify runs/first\n\nExit code 0: all figures are met; 1: one differs.")]
pub struct VerifyArgs {
    /// Folder of the run
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Figures may differ by the rounding of their decimal form only.
const CLOSE: f64 = 1e-12;

/// Runs the command.
///
/// # Errors
/// A folder that holds no finished run; a benchmark that changed; programs that cannot be read.
pub fn run(args: &VerifyArgs, global: &Global) -> Result<ExitCode, CliError> {
    let (folder, file) = Folder::open(&args.dir)?;
    let report: Report = serde_json::from_str(&folder.read("front.json")?)
        .map_err(|e| CliError::new(format!("{}/front.json: {e}", args.dir.display())))?;
    let subjects = reopened(&folder, &file)?;
    let (dag, programs) = programs(&folder)?;
    let found = again(&subjects, &file, &dag, &programs)?;
    let mut list: Vec<Value> = Vec::new();
    let mut ok = true;
    for e in &report.best {
        let differences = match found.iter().find(|(name, _)| *name == e.name) {
            None => vec!["it is not in hall_of_fame.lpz".to_owned()],
            Some((_, Err(why))) => vec![why.clone()],
            Some((_, Ok(parts))) => differences(e, parts),
        };
        ok &= differences.is_empty();
        list.push(json!({"name": e.name, "ok": differences.is_empty(), "differences": differences}));
    }
    let value = json!({"run": args.dir.display().to_string(), "ok": ok, "programs": list});
    if !output::json(global, &value)? {
        for p in &list {
            let all = p["differences"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let text: Vec<&str> = all.collect();
            let verdict = if text.is_empty() { "ok".to_owned() } else { text.join("; ") };
            output::print(&format!("{}: {verdict}\n", p["name"].as_str().unwrap_or_default()))?;
        }
    }
    Ok(ExitCode::from(u8::from(!ok)))
}

fn programs(folder: &Folder) -> Result<(Dag, Vec<Program>), CliError> {
    let mut dag = Dag::default();
    let path = folder.path().join("hall_of_fame.lpz");
    let text = folder.read("hall_of_fame.lpz")?;
    if !text.contains("\nproxy ") {
        return Ok((dag, Vec::new()));
    }
    let found = Library::new().resolve(&path.display().to_string(), &mut dag).map_err(|f| {
        tell(&f.render(false));
        CliError::reported(2)
    })?;
    Ok((dag, found.into_iter().map(|p| p.program).collect()))
}

/// Search, validation, test and joint figures by program.
type Again = Vec<(String, Result<[Figures; 4], String>)>;

fn again(subjects: &Subjects, file: &RunFile, dag: &Dag, programs: &[Program]) -> Result<Again, CliError> {
    let source = |i: usize| open(subjects, i, 1);
    let engine = || -> Box<dyn Engine> { subjects.data.engine.make() };
    let mut driver = Driver::new(&subjects.identities, &source, &engine, 0)?;
    let parts = subjects.parts(&file.plan, &driver)?;
    let mut out: Again = programs.iter().map(|p| (p.name.clone(), Err(String::new()))).collect();
    let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); programs.len()];
    for part in [&parts.search, &parts.validation, &parts.test, &parts.all()] {
        let rows = driver.scores(dag, programs, &part.archs)?;
        for (i, row) in rows.iter().enumerate() {
            match row.iter().map(|o| o.as_ref().ok().copied()).collect::<Option<Vec<f64>>>() {
                Some(scores) => figures[i].push(part.figures(&scores, parts.seed)),
                None => {
                    let why = row.iter().find_map(|o| o.as_ref().err());
                    out[i].1 =
                        Err(why.map_or(String::new(), |d| format!("no score: {} at {}", d.reason, d.at)));
                }
            }
        }
    }
    for (slot, f) in out.iter_mut().zip(figures) {
        if let Ok(four) = <[Figures; 4]>::try_from(f) {
            slot.1 = Ok(four);
        }
    }
    Ok(out)
}

fn differences(e: &Entry, now: &[Figures; 4]) -> Vec<String> {
    let parts = [
        ("search", &e.search, &now[0]),
        ("validation", &e.validation, &now[1]),
        ("test", &e.test, &now[2]),
        ("all", &e.all, &now[3]),
    ];
    parts.iter().flat_map(|(part, old, new)| compare(part, old, new)).collect()
}

fn compare(part: &str, old: &Figures, new: &Figures) -> Vec<String> {
    let pairs = [
        ("τ-a", Some(old.tau_a), Some(new.tau_a)),
        ("τ-b", old.tau_b, new.tau_b),
        ("ρ", old.rho, new.rho),
        ("τ at equal size", old.tau_size_controlled, new.tau_size_controlled),
        ("distinct scores", Some(old.distinct as f64), Some(new.distinct as f64)),
        ("architectures", Some(old.n as f64), Some(new.n as f64)),
        ("lower end of τ-a", old.tau_a_ci.map(|i| i.lo), new.tau_a_ci.map(|i| i.lo)),
        ("upper end of τ-a", old.tau_a_ci.map(|i| i.hi), new.tau_a_ci.map(|i| i.hi)),
    ];
    let differs = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() > CLOSE,
        (a, b) => a.is_some() != b.is_some(),
    };
    let show = |x: Option<f64>| x.map_or("none".to_owned(), |x| x.to_string());
    pairs
        .iter()
        .filter(|(_, a, b)| differs(*a, *b))
        .map(|(what, a, b)| format!("{part} {what}: {} was written, {} is computed", show(*a), show(*b)))
        .collect()
}
