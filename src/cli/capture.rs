//! `lpz capture`: keeps what a model computes.

use super::captures::{Captures, identity};
use super::error::{CliError, failed};
use super::model_args::{AnyModel, DataArgs, ModelArgs};
use super::output::{Progress, json, make_folder};
use super::programs::Programs;
use super::{Global, rank};
use crate::bench::Bench;
use crate::capture::full::capture_full;
use crate::capture::store::{StoreError, Wanted, store};
use crate::capture::stored::StoreSource;
use crate::data::Tokens;
use crate::evolve::inputs::inputs;
use crate::ir::prepare::Prepared;
use crate::model::Config;
use crate::score::lanes;
use crate::site::{Source, SourceError};
use crate::tensor::Dtype;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

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
        (_, _, Some(bench), Some(out)) => many(args, bench.clone(), out.clone(), global),
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
        eprintln!("wrote {count} tensors to {}", output.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// What is captured of a benchmark, and how.
struct Work<'a> {
    args: &'a CaptureArgs,
    bench: Bench,
    configs: Vec<Config>,
    captures: Captures,
    tokens: Tokens,
    programs: &'a Prepared<'a>,
    batches: usize,
    seed: u64,
    /// Set by Ctrl-C: architectures at hand are finished.
    stop: &'static AtomicBool,
}

/// How an architecture ended: bytes of its file, and whether it was there before.
type Done = Result<(usize, bool), StoreError>;

fn many(args: &CaptureArgs, bench: PathBuf, out: PathBuf, global: &Global) -> Result<ExitCode, CliError> {
    let started = Instant::now();
    args.data.one_objective()?;
    let mut bench = Bench::read(&bench)?;
    if let Some(n) = args.limit {
        bench.sample(n as usize, args.sample);
    }
    let configs: Vec<Config> = rank::configs(&bench)?;
    let programs = programs(args, configs.iter().all(Config::causal))?;
    let prepared = Prepared::new(&programs.dag, &programs.programs);
    make_folder(&out)?;
    crate::files::remove_abandoned(&out);
    let work = Work {
        tokens: args.data.tokens()?,
        captures: Captures::new(&out),
        batches: programs.batches(),
        seed: global.seed,
        stop: super::interrupt::flag(),
        programs: &prepared,
        args,
        configs,
        bench,
    };
    let (finished, kept, bytes, failure) = work.all(global);
    let (n, total) = (finished.iter().filter(|f| **f).count(), finished.len());
    let state = format!("{n} of {total} architectures are finished and can be used");
    let resume = "the same command goes on with the others";
    if let Some((i, e)) = failure {
        let id = &work.bench.records[i].id;
        return Err(match e {
            StoreError::Source(e) => CliError::from(e).within(&format!("architecture \"{id}\"")),
            e @ StoreError::Io(..) => {
                CliError::new(format!("{e}; {state}")).help(format!("make room; then {resume}"))
            }
        });
    }
    if n < total {
        return Err(CliError::interrupted(format!("interrupted; {state}")).help(resume));
    }
    let seconds = started.elapsed().as_secs_f64();
    let report = json!({"bench": work.bench.header.bench, "out": out.display().to_string(), "n": n,
        "captured": n - kept, "kept": kept, "bytes": bytes, "seconds": seconds});
    if !json(global, &report)? && !global.quiet {
        let size = bytes as f64 / 1e6;
        eprintln!(
            "{} captured, {kept} were there, {size:.0} MB in {}, {seconds:.1} s",
            n - kept,
            out.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The programs given, or what reads every input of LPZero's spaces.
fn programs(args: &CaptureArgs, causal: bool) -> Result<Programs, CliError> {
    if !args.proxies.is_empty() || !args.exprs.is_empty() {
        return Programs::resolve(&args.proxies, &args.exprs);
    }
    let read = |i: crate::evolve::inputs::Input| format!("sum x in {} {{ sum({}) }}", i.sites, i.of("x"));
    let exprs: Vec<String> = inputs(causal, |_| true).into_iter().map(read).collect();
    Programs::resolve(&[], &exprs)
}

impl Work<'_> {
    /// Captures all, one worker per core. Gives which are finished, how many were there, their bytes,
    /// and the first failure.
    fn all(&self, global: &Global) -> (Vec<bool>, usize, usize, Option<(usize, StoreError)>) {
        let count = self.configs.len();
        let mut progress = Progress::new(global, "capturing", count as u64);
        let halt = AtomicBool::new(false);
        let (mut finished, mut kept, mut bytes, mut failure) =
            (vec![false; count], 0, 0, None::<(usize, StoreError)>);
        let stopped = || halt.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed);
        let worker = || -> lanes::Work<'_, Done> {
            Box::new(|i| {
                let done = self.one(i);
                halt.fetch_or(done.is_err(), Ordering::Relaxed);
                done
            })
        };
        lanes::each((count, super::workers(global)), &stopped, &worker, |i, done| match done {
            Ok((size, old)) => {
                finished[i] = true;
                kept += usize::from(old);
                bytes += size;
                progress.step(&self.bench.records[i].id);
            }
            Err(e) => {
                failure.get_or_insert((i, e));
            }
        });
        (finished, kept, bytes, failure)
    }

    fn one(&self, i: usize) -> Done {
        let (record, config, data) = (&self.bench.records[i], &self.configs[i], &self.args.data);
        let identity = identity(data, config, &record.key(), &self.tokens, self.seed)?;
        let path = self.captures.path(&record.id);
        let mut model = data.open(config, None, &self.tokens, self.batches, self.seed)?;
        let wanted = Wanted::new(model.outline(), model.default_objective(), self.programs);
        if path.exists() {
            // A damaged file is captured anew; one of something else is the user's to remove.
            match StoreSource::open(&path, &identity, Some(model.default_objective())) {
                Ok(old) => return self.there(&old, &wanted, &path).map_err(StoreError::Source),
                Err(e) if e.message.contains("was captured") => return Err(e.into()),
                Err(_) => {}
            }
        }
        store(&mut model, &wanted, self.args.dtype.dtype(), &identity, &path)?;
        let size = path.metadata().map_or(0, |m| m.len() as usize);
        Ok((size, false))
    }

    /// A capture that is there: does it hold what is wanted?
    fn there(
        &self,
        old: &StoreSource,
        wanted: &Wanted,
        path: &std::path::Path,
    ) -> Result<(usize, bool), SourceError> {
        let fail = |what: String| SourceError {
            message: format!("{}: {what}", path.display()),
            help: Some("capture into another folder, or remove this one first".to_owned()),
        };
        if let Some(what) = old.missing(wanted) {
            return Err(fail(format!("was captured without {what}")));
        }
        match old.dtype() {
            Some(d) if d != self.args.dtype.dtype() => {
                Err(fail(format!("was captured as {d:?} and not {:?}", self.args.dtype.dtype())))
            }
            _ => Ok((old.bytes(), true)),
        }
    }
}
