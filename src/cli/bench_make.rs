//! `lpz bench make`: a benchmark of architectures trained here.

use super::Global;
use super::error::{CliError, failed};
use super::output::{Progress, json, print};
use super::train::{DataArgs, HowArgs};
use crate::bench::info;
use crate::search::{SearchError, Space};
use crate::train::make::{EVAL_BATCHES, Making, sample, seed_agreement};
use crate::train::{Settings, text_vocab};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args, Debug)]
pub struct MakeArgs {
    /// tiny-gpt2, flexibert, gpt2-flex, or a space file
    #[arg(long, value_name = "SPACE")]
    space: String,
    /// Architectures
    #[arg(long, value_name = "N")]
    count: usize,
    /// Trainings of each
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    seeds: u16,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    how: HowArgs,
    /// Benchmark to write; a journal beside it (X.jsonl.partial) lets a killed run go on
    #[arg(short, long, value_name = "X.jsonl")]
    output: PathBuf,
}

impl From<SearchError> for CliError {
    fn from(error: SearchError) -> Self {
        let cli = CliError::new(error.message);
        match error.help {
            Some(help) => cli.help(help),
            None => cli,
        }
    }
}

impl MakeArgs {
    /// The command that makes the same benchmark.
    fn command(&self, seed: u64) -> String {
        let data = match &self.data.text {
            Some(text) => format!("--text {}", text.file_name().unwrap_or_default().to_string_lossy()),
            None => "--synthetic".to_owned(),
        };
        let HowArgs { steps, batch, seq, lr } = self.how;
        format!(
            "lpz bench make --space {} --count {} {data} --steps {steps} --batch {batch} --seq {seq} --lr {lr} --seeds {} --seed {seed}",
            self.space, self.count, self.seeds
        )
    }
}

/// Beside the benchmark.
fn journal(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    output.with_file_name(name)
}

pub(super) fn run(args: &MakeArgs, global: &Global) -> Result<ExitCode, CliError> {
    if args.output.exists() {
        return Err(
            CliError::new(format!("{} is there already", args.output.display())).help("give another file")
        );
    }
    let how = &args.how;
    let space = Space::open(&args.space)?;
    let settings = Settings {
        eval_batches: EVAL_BATCHES,
        ..Settings::new(how.steps, how.batch, how.seq, how.lr, global.seed)?
    };
    let architectures = sample(&space, args.count, global.seed, how.batch, how.seq)?;
    let Some(first) = architectures.first() else {
        return Err(CliError::new("--count is 0").help("give the number of architectures"));
    };
    let data = args.data.open(text_vocab(&first.config)?, how.batch, how.seq)?;
    let making = Making {
        architectures: &architectures,
        settings: &settings,
        seeds: usize::from(args.seeds),
        data: &data,
        threads: rayon::current_num_threads(),
        stop: super::interrupt::flag(),
    };
    let mut progress = Progress::new(global, "trainings", (args.count * making.seeds) as u64);
    let journal = journal(&args.output);
    let mut diverged = Vec::new();
    let done = making.run(&journal, &mut |d| {
        progress.step(&d.loss.map_or("diverged".to_owned(), |l| format!("loss {l:.3}")));
        diverged.extend(d.problem.clone().map(|p| (d.architecture, p)));
    })?;
    for (i, problem) in &diverged {
        progress.note(&format!("architecture {i} is left out: {problem}"));
    }
    drop(progress);
    let all = args.count * making.seeds;
    if done.len() < all {
        let (done, kept) = (done.len(), journal.display());
        return Err(CliError::interrupted(format!(
            "interrupted; {done} of {all} trainings are kept in {kept}, the same command goes on with them"
        )));
    }
    let licence = if args.data.synthetic { "MIT" } else { "that of the text" };
    let bench = making.bench(&space, &done, args.command(global.seed), licence, &args.output);
    bench.write(&args.output)?;
    let _ = std::fs::remove_file(&journal);
    report(args, &bench, making.seeds, global)
}

fn report(
    args: &MakeArgs,
    bench: &crate::bench::Bench,
    seeds: usize,
    global: &Global,
) -> Result<ExitCode, CliError> {
    let info = info(bench, global.seed).map_err(failed)?;
    let agreement = seed_agreement(bench, seeds);
    let mut value = serde_json::to_value(&info).map_err(failed)?;
    value["seed_tau_b"] = agreement.into();
    if !json(global, &value)? && !global.quiet {
        let mut text = super::bench::text(&info, &args.output.display().to_string());
        if let Some(tau) = agreement {
            text += &format!("seeds agree with τ-b {tau:.3}: the noise ceiling of a single seed\n");
        }
        print(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}
