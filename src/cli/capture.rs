//! `lpz capture`: keeps what a model computes.

use super::Global;
use super::error::{CliError, failed};
use super::model_args::{AnyModel, ModelArgs};
use super::output::Progress;
use crate::capture::full::capture_full;
use crate::site::Source;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Keep captured tensors: outputs, gradients, activations, Hessian-vector products
#[derive(Args, Debug)]
#[command(after_help = "Example: lpz capture --model config.json --objective loss -o captured.safetensors\n\
    Keys: output/NAME, weight/PARAMETER, grad/OBJECTIVE/PARAMETER, linout/PARAMETER, linout_grad/OBJECTIVE/PARAMETER,\n\
    act/MODULE, head/MODULE, softmax/MODULE and their gradients, hvp/PARAMETER. `lpz eval` scores such a file.")]
pub struct CaptureArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// File to write
    #[arg(short, long, value_name = "F.safetensors")]
    output: PathBuf,
    /// Leave out Hessian-vector products, which cost three more passes
    #[arg(long)]
    no_hvp: bool,
}

/// Runs the command.
///
/// # Errors
/// Bad model or data; a file that cannot be written. Nothing half-written is left.
pub fn run(args: &CaptureArgs, global: &Global) -> Result<ExitCode, CliError> {
    let (model, _) = args.model.open(global, 1)?;
    let objectives = match args.model.data.objective.as_slice() {
        [] => vec![model.default_objective()],
        given => given.to_vec(),
    };
    let mut progress = Progress::new(global, "capturing", objectives.len() as u64);
    let mut each = |name: &str| progress.step(name);
    let written = match &model {
        AnyModel::F32(m, _) => capture_full(m, &objectives, !args.no_hvp, &args.output, &mut each),
        AnyModel::F64(m, _) => capture_full(m, &objectives, !args.no_hvp, &args.output, &mut each),
    };
    let count = written.map_err(failed)?;
    drop(progress);
    if !global.quiet {
        eprintln!("wrote {count} tensors to {}", args.output.display());
    }
    Ok(ExitCode::SUCCESS)
}
