//! `lpz bench`: brings published benchmarks into the project's format, makes new ones, and looks them
//! over.

use super::Global;
use super::error::CliError;
use super::output::{json, print};
use crate::bench::{Bench, BenchError, Info, info, lts, nasbench_bert};
use clap::{Args, Subcommand, ValueEnum};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Import, make and inspect benchmarks
#[derive(Args, Debug)]
#[command(after_help = "Example: lpz bench import nasbench-bert BERT_benchmark.json -o flexibert.jsonl")]
pub struct BenchArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Bring a published benchmark into JSON lines
    #[command(after_help = "Example: lpz bench import lts random_GPT2_wt103 -o gpt2.jsonl")]
    Import {
        /// What the data is
        format: Format,
        /// File (nasbench-bert) or folder (lts)
        path: PathBuf,
        /// Benchmark to write
        #[arg(short, long, value_name = "X.jsonl")]
        output: PathBuf,
    },
    /// Sample architectures of a space, train every one natively, record the losses
    #[command(
        after_help = "Example: lpz bench make --space tiny-gpt2 --count 96 --synthetic --steps 300 --seeds 2 -o tiny.jsonl"
    )]
    Make(super::bench_make::MakeArgs),
    /// Number of architectures, families, metrics with ranges, duplicates, noise ceiling
    #[command(after_help = "Example: lpz bench info flexibert.jsonl")]
    Info {
        /// Benchmark
        path: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// BERT_benchmark.json of NAS-Bench-BERT (Serianni and Kalita, ACL 2023)
    NasbenchBert,
    /// A folder of LiteTransformerSearch (Javaheripi et al., NeurIPS 2022)
    Lts,
}

impl From<BenchError> for CliError {
    fn from(error: BenchError) -> Self {
        let cli = CliError::new(error.to_string());
        match error.help {
            Some(help) => cli.help(help),
            None => cli,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Data that cannot be read or has another format; an output that cannot be written.
pub fn run(args: BenchArgs, global: &Global) -> Result<ExitCode, CliError> {
    let (bench, written) = match args.action {
        Action::Import { format, path, output } => {
            let bench = match format {
                Format::NasbenchBert => nasbench_bert(&path)?,
                Format::Lts => lts(&path)?,
            };
            bench.write(&output)?;
            (bench, Some(output))
        }
        Action::Make(args) => return super::bench_make::run(&args, global),
        Action::Info { path } => (Bench::read(&path)?, None),
    };
    let info = info(&bench, global.seed).map_err(super::error::failed)?;
    let value = serde_json::to_value(&info).map_err(super::error::failed)?;
    let silent = global.quiet && written.is_some();
    if !json(global, &value)? && !silent {
        let place = written.as_deref().unwrap_or(bench.path.as_ref()).display().to_string();
        print(&text(&info, &place))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn text(info: &Info, place: &str) -> String {
    let mut out = format!("{place}: {}, {} architectures", info.bench, info.n);
    let families: Vec<_> = info.families.iter().map(|(f, n)| format!("{f} {n}")).collect();
    let _ = writeln!(out, " ({})\nsource   {}\nlicence  {}", families.join(", "), info.source, info.licence);
    let d = &info.duplicates;
    let _ = writeln!(out, "distinct {} ({} of them measured more than once)", d.distinct, d.groups);
    for (name, m) in &info.metrics {
        let default = if info.default_metric.as_ref() == Some(name) { "  (default)" } else { "" };
        let unit = m.metric.unit.as_deref().map(|u| format!(" {u}")).unwrap_or_default();
        let better = match m.metric.better {
            crate::bench::Better::Higher => "higher",
            crate::bench::Better::Lower => "lower",
        };
        let _ = write!(out, "  {name:<22} {:>10.4} to {:>10.4}{unit}, {better} is better", m.min, m.max);
        if let Some(c) = m.noise_ceiling {
            let _ = write!(out, ", noise ±{:.3}, ceiling τ-b {:.3}", c.std, c.tau_b);
        }
        let _ = writeln!(out, "{default}");
    }
    out
}
