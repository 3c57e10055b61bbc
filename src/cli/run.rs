//! `lpz run`: scores of programs on one model. `lpz eval`: on tensors captured elsewhere.

use super::Global;
use super::error::CliError;
use super::model_args::{EngineName, ModelArgs};
use super::output::{json, print, table};
use super::programs::{ProgramArgs, Programs};
use crate::capture::source::FileSource;
use crate::cli::say::say;
use crate::ir::prepare::Prepared;
use crate::score::{Score, Scorer};
use crate::site::Source;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Score programs on a model
#[derive(Args, Debug)]
#[command(after_help = "Example: lpz run std::snip -e 'depth * log(width)' --model flexibert.jsonl#0")]
pub struct RunArgs {
    #[command(flatten)]
    programs: ProgramArgs,
    #[command(flatten)]
    model: ModelArgs,
}

/// Score programs on tensors that were captured before, here or elsewhere
#[derive(Args, Debug)]
#[command(after_help = "Example: lpz eval std::snip --tensors captured.safetensors")]
pub struct EvalArgs {
    #[command(flatten)]
    programs: ProgramArgs,
    /// Tensors under the keys that `lpz capture` writes: weight/NAME, grad/OBJECTIVE/NAME, act/NAME, ...
    #[arg(long, value_name = "F.safetensors")]
    tensors: PathBuf,
    /// Engine that evaluates programs
    #[arg(long, value_enum, default_value_t = EngineName::Cpu)]
    engine: EngineName,
}

/// Runs `lpz run`.
///
/// # Errors
/// Bad programs, model or data.
pub fn run(args: &RunArgs, global: &Global) -> Result<ExitCode, CliError> {
    let programs = Programs::resolve(&args.programs.programs, &args.programs.exprs)?;
    args.model.data.one_objective()?;
    let (mut model, _) = args.model.open(global, programs.batches())?;
    scored(&programs, &mut model, args.model.data.engine, &args.model.model, global)
}

/// Runs `lpz eval`.
///
/// # Errors
/// Bad programs, or a file that does not hold what they need.
pub fn eval(args: &EvalArgs, global: &Global) -> Result<ExitCode, CliError> {
    let programs = Programs::resolve(&args.programs.programs, &args.programs.exprs)?;
    let mut source = FileSource::open(&args.tensors)?;
    scored(&programs, &mut source, args.engine, &args.tensors.display().to_string(), global)
}

fn scored(
    programs: &Programs,
    source: &mut dyn Source,
    engine: EngineName,
    name: &str,
    global: &Global,
) -> Result<ExitCode, CliError> {
    let prepared = Prepared::new(&programs.dag, &programs.programs);
    let mut engine = engine.make();
    let mut scorer = Scorer { costs: true, ..Scorer::new(engine.as_mut()) };
    let scores = scorer.score(&prepared, source)?.scores;
    let params = source.outline().numbers.iter().find(|(n, _)| *n == "params").map(|(_, x)| *x);
    let rows = programs.programs.iter().zip(&scores);
    let entries: Vec<Value> = rows.clone().map(|(p, s)| entry(&p.name, s)).collect();
    if json(global, &json!({"model": name, "params": params, "scores": entries}))? {
        return Ok(ExitCode::SUCCESS);
    }
    let mut t = table(&["program", "score", "seconds", "GFLOP"]);
    for (p, s) in rows {
        let cost = s.cost.unwrap_or_default();
        t.add_row([
            p.name.clone(),
            shown(s),
            format!("{:.3}", cost.seconds),
            format!("{:.2}", cost.flops / 1e9),
        ]);
    }
    print(&format!("{t}\n"))?;
    if scores.iter().any(|s| s.rounding_noise) && !global.quiet {
        say!("{NOISE}");
    }
    Ok(ExitCode::SUCCESS)
}

/// What is said of programs on gradients that are rounding noise.
pub const NOISE: &str = "note: scores marked ~ are built on gradients whose size is what rounding alone would give \
(the sum of a LayerNorm's output is constant); they mean nothing. Use objective = projection.";

/// A score in a table.
pub fn shown(score: &Score) -> String {
    match &score.value {
        Ok(x) if score.rounding_noise => format!("~{x:.6e}"),
        Ok(x) => format!("{x}"),
        Err(d) => format!("none: {} at {}", d.reason, d.at),
    }
}

/// A score in JSON.
pub fn value(score: &Score) -> Value {
    match &score.value {
        Ok(x) => json!(x),
        Err(d) => match score.non_finite {
            Some(x) => json!({"degenerate": d.reason, "at": d.at, "value": x.to_string().to_lowercase()}),
            None => json!({"degenerate": d.reason, "at": d.at}),
        },
    }
}

fn entry(name: &str, score: &Score) -> Value {
    let cost = score.cost.unwrap_or_default();
    let mut entry =
        json!({"name": name, "value": value(score), "seconds": cost.seconds, "flops": cost.flops});
    if score.rounding_noise {
        entry["rounding_noise"] = json!(true);
    }
    entry
}
