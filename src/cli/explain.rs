//! `lpz explain`: the typed program, what it demands, the passes of the engine, and what they cost.

use super::Global;
use super::error::CliError;
use super::model_args::{ModelArgs, Precision};
use super::output::{json, print, write_atomic};
use super::programs::{ProgramArgs, Programs};
use crate::cli::say::say;
use crate::ir::Program;
use crate::score::explain::{Explanation, Group, explain, machine, nominal};
use crate::site::{Objective, Outline, Source};
use crate::tensor::Dtype;
use clap::Args;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;

/// Say what programs read and do: demand, passes, bytes, operations
#[derive(Args, Debug)]
#[command(after_help = "Example: lpz explain std::snip --model flexibert.jsonl#0 --time --svg snip.svg\n\n\
    Without --model the sizes are those of a small FlexiBERT.")]
pub struct ExplainArgs {
    #[command(flatten)]
    programs: ProgramArgs,
    /// Architecture: a config.json, a Hugging Face folder, or X.jsonl#ID
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Parameters (safetensors)
    #[arg(long, value_name = "FILE", requires = "model")]
    weights: Option<PathBuf>,
    /// Run the programs, and put the measured time of every pass beside the predicted one
    #[arg(long, requires = "model")]
    time: bool,
    /// Print the CUDA source of the passes
    #[arg(long)]
    cuda: bool,
    /// The graph of the first program with its passes, as a picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Data and precision.
    #[command(flatten)]
    data: super::model_args::DataArgs,
}

/// Runs the command.
///
/// # Errors
/// Bad programs or model.
pub fn run(args: &ExplainArgs, global: &Global) -> Result<ExitCode, CliError> {
    let programs = Programs::resolve(&args.programs.programs, &args.programs.exprs)?;
    args.data.one_objective()?;
    let mut model = match &args.model {
        None => None,
        Some(model) => {
            let (model, weights) = (model.clone(), args.weights.clone());
            let args = ModelArgs { model, weights, random_init: false, data: args.data.clone() };
            Some(args.open(global, programs.batches())?.0)
        }
    };
    let (outline, objective): (Outline, Objective) = match &model {
        Some(m) => (m.outline().clone(), m.default_objective()),
        None => nominal()?,
    };
    let machine = args.time.then(machine);
    let (mut texts, mut entries) = (Vec::new(), Vec::new());
    for (i, program) in programs.programs.iter().enumerate() {
        let mut e = explain(&programs.dag, program, &outline, objective).map_err(|why| {
            CliError::new(format!("{} has no value: {} at {}", program.name, why.reason, why.at))
        })?;
        let mut timing = String::new();
        if let (Some(machine), Some(model)) = (machine, &mut model) {
            e.predict(machine);
            let (source, engine) = e.measure(&programs.dag, program, model)?;
            timing =
                format!("measured: the model {:.2} ms, the engine {:.2} ms\n", source * 1e3, engine * 1e3);
        }
        if let (Some(path), 0) = (&args.svg, i) {
            write_atomic(path, e.svg().as_bytes())?;
        }
        let mut entry = entry(program, &e);
        if args.cuda {
            let kernels = kernels(&e, args.data.precision)?;
            timing += &kernels.iter().map(kernel_text).collect::<String>();
            entry["cuda"] = kernels.into();
        }
        entries.push(entry);
        texts.push(e.text() + &timing);
    }
    if !json(global, &json!({ "programs": entries }))? {
        print(&texts.join("\n"))?;
        if args.model.is_none() && !global.quiet {
            say!(
                "no --model: the sizes are those of a small FlexiBERT (2 blocks of width 128, batch 8 of 128 tokens)"
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The kernels of the CUDA engine, equal ones once: where, what they compute, their source.
fn kernels(e: &Explanation, precision: Precision) -> Result<Vec<Value>, CliError> {
    let dtype = match precision {
        // Half precision is for products of models; their tensors are single.
        Precision::F32 | Precision::Bf16 | Precision::F16 => Dtype::F32,
        Precision::F64 => Dtype::F64,
    };
    let all = e.launches(dtype).map_err(|e| CliError::new(e.to_string()).help(e.help()))?;
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for (group, l) in all.iter().flat_map(|(g, launches)| launches.iter().map(move |l| (g, l))) {
        if seen.insert(l.source.clone()) {
            out.push(json!({
                "at": group.at, "computes": l.program, "skeleton": l.kind.file(),
                "blocks": l.blocks, "source": &*l.source,
            }));
        }
    }
    Ok(out)
}

fn kernel_text(kernel: &Value) -> String {
    let word = |key: &str| kernel[key].as_str().unwrap_or_default();
    format!("\n// {}, {} blocks, for {}\n{}", word("skeleton"), kernel["blocks"], word("at"), word("source"))
}

fn entry(program: &Program, e: &Explanation) -> Value {
    let demand: Vec<Value> = e
        .demand
        .iter()
        .map(|w| json!({"run": w.run, "kind": w.kind, "field": w.field, "sites": w.sites, "bytes": w.bytes}))
        .collect();
    json!({
        "name": program.name, "type": "number", "program": e.program,
        "passes": e.passes(), "reads_bytes": e.reads_bytes(), "ops": e.ops(),
        "model_flops": e.model_flops, "demand": demand,
        "groups": e.groups.iter().map(group).collect::<Vec<_>>(),
    })
}

fn group(g: &Group) -> Value {
    let pass = |(i, p): (usize, &crate::plan::PassReport)| {
        json!({
            "step": p.step, "elements": p.elements, "reads_bytes": p.reads_bytes,
            "writes_bytes": p.writes_bytes, "ops": p.ops, "maps": p.maps, "reductions": p.reductions,
            "predicted_seconds": g.predicted.get(i), "measured_seconds": g.measured.get(i),
        })
    };
    let whole: Vec<Value> =
        g.plan.whole.iter().map(|w| json!({"name": w.name, "elements": w.elements})).collect();
    json!({
        "at": g.at, "times": g.times,
        "passes": g.plan.passes.iter().enumerate().map(pass).collect::<Vec<_>>(), "whole": whole,
    })
}
