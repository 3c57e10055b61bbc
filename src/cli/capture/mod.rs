//! `lpz capture`: keeps what a model computes.

mod many;

use super::Global;
use super::error::{CliError, failed};
use super::model_args::{AnyModel, DataArgs, ModelArgs};
use super::output::Progress;
use crate::capture::full::capture_full;
use crate::cli::say::say;
use crate::site::Source;
use crate::tensor::Dtype;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Keep captured tensors: of one model everything, of a benchmark what programs read
#[derive(Args, Debug)]
#[command(
    after_help = "Examples: lpz capture --model config.json --objective loss -o captured.safetensors\n\
              \u{20}         lpz capture --bench flexibert.jsonl --out captures --dtype bf16\n\n\
    Of a model: output/NAME, weight/PARAMETER, grad/OBJECTIVE/PARAMETER, linout/PARAMETER, linout_grad/OBJECTIVE/PARAMETER,\n\
    act/MODULE, head/MODULE, softmax/MODULE and their gradients, hvp/PARAMETER. `lpz eval` scores such a file.\n\
    Of a benchmark: a file per architecture with what --proxy reads [default: what LPZero's spaces read],\n\
    for `lpz rank --captures` and `lpz evolve --captures`. Finished files are kept, so the same command goes on\n\
    where it was stopped."
)]
pub struct CaptureArgs {
    /// Architecture: a config.json, a Hugging Face folder, or X.jsonl#ID
    #[arg(long, value_name = "MODEL", required_unless_present = "bench", conflicts_with = "bench")]
    model: Option<String>,
    /// Parameters (safetensors) [default: a folder's model.safetensors, else drawn from the seed]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["random_init", "bench"])]
    weights: Option<PathBuf>,
    /// Draw the parameters from the seed even where a checkpoint is there
    #[arg(long)]
    random_init: bool,
    /// File to write
    #[arg(short, long, value_name = "F.safetensors", required_unless_present = "bench")]
    output: Option<PathBuf>,
    /// Leave out Hessian-vector products, which cost three more passes
    #[arg(long)]
    no_hvp: bool,
    /// Capture every architecture of this benchmark
    #[arg(long, value_name = "X.jsonl", requires = "out")]
    bench: Option<PathBuf>,
    /// Folder for the benchmark's captures
    #[arg(long, value_name = "DIR", requires = "bench")]
    out: Option<PathBuf>,
    /// Element type in the files
    #[arg(long, value_enum, default_value_t = DtypeName::F32, requires = "bench")]
    dtype: DtypeName,
    /// Programs whose fields are kept: std::NAME, FILE.lpz or FILE.lpz::NAME
    #[arg(long = "proxy", value_name = "P", num_args = 1.., requires = "bench")]
    proxies: Vec<String>,
    /// A program as an expression; may be given several times
    #[arg(short = 'e', long = "expr", value_name = "EXPR", requires = "bench")]
    exprs: Vec<String>,
    /// Take only so many architectures
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), requires = "bench")]
    limit: Option<u32>,
    /// Seed of the choice of architectures under --limit
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    sample: u64,
    #[command(flatten)]
    data: DataArgs,
}

/// Element types by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DtypeName {
    F32,
    Bf16,
    F16,
}

impl DtypeName {
    fn dtype(self) -> Dtype {
        match self {
            DtypeName::F32 => Dtype::F32,
            DtypeName::Bf16 => Dtype::Bf16,
            DtypeName::F16 => Dtype::F16,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Bad model or data; a file that cannot be written. Nothing half-written is left.
pub fn run(args: &CaptureArgs, global: &Global) -> Result<ExitCode, CliError> {
    match (&args.model, &args.output, &args.bench, &args.out) {
        (_, _, Some(bench), Some(out)) => many::run(args, bench, out, global),
        (Some(model), Some(output), _, _) => one(args, model, output, global),
        _ => Err(CliError::new("give --model with -o, or --bench with --out")),
    }
}

fn one(args: &CaptureArgs, model: &str, output: &Path, global: &Global) -> Result<ExitCode, CliError> {
    let model = ModelArgs {
        model: model.to_owned(),
        weights: args.weights.clone(),
        random_init: args.random_init,
        data: args.data.clone(),
    };
    let (model, _) = model.open(global, 1)?;
    let objectives = match args.data.objective.as_slice() {
        [] => vec![model.default_objective()],
        given => given.to_vec(),
    };
    let mut progress = Progress::new(global, "capturing", objectives.len() as u64);
    let mut each = |name: &str| progress.step(name);
    let written = match &model {
        AnyModel::F32(m, _) => capture_full(m, &objectives, !args.no_hvp, output, &mut each),
        AnyModel::F64(m, _) => capture_full(m, &objectives, !args.no_hvp, output, &mut each),
    };
    let count = written.map_err(failed)?;
    drop(progress);
    if !global.quiet {
        say!("wrote {count} tensors to {}", output.display());
    }
    Ok(ExitCode::SUCCESS)
}
