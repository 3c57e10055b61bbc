//! `lpz rank`: how well programs order the architectures of a benchmark, beside trivial baselines.
//!
//! `scores` computes them, `row` is what one program comes to, `show` and `report` say it.

mod report;
mod row;
mod scores;
mod show;

pub(super) use scores::configs;

use super::Global;
use super::captures::{Captures, left_out};
use super::error::CliError;
use super::model_args::DataArgs;
use super::output::{check_writable, json, make_folder, print, write_atomic};
use super::programs::Programs;
use crate::bench::Bench;
use crate::cli::say::say;
use crate::repl::RankRequest;
use crate::score::BASELINES;
use clap::Args;
use row::Row;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Rank the architectures of a benchmark by programs, and say how well
#[derive(Args, Debug)]
#[command(
    after_help = "Example: lpz rank --bench flexibert.jsonl --proxy std::snip std::synflow mine.lpz --limit 100"
)]
pub struct RankArgs {
    /// Benchmark (JSON lines)
    #[arg(long, value_name = "X.jsonl")]
    bench: PathBuf,
    /// Ground truth [default: the benchmark's own choice]
    #[arg(long, value_name = "M")]
    metric: Option<String>,
    /// Programs: std::NAME, FILE.lpz or FILE.lpz::NAME
    #[arg(long = "proxy", value_name = "P", num_args = 1..)]
    proxies: Vec<String>,
    /// A program as an expression; may be given several times
    #[arg(short = 'e', long = "expr", value_name = "EXPR")]
    exprs: Vec<String>,
    /// Take only so many architectures
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    limit: Option<u32>,
    /// Seed of the choice of architectures under --limit
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    sample: u64,
    /// Repeat with so many seeds of parameters and data; scores are averaged
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: u32,
    /// Scores of every architecture as CSV
    #[arg(long, value_name = "F")]
    csv: Option<PathBuf>,
    /// A page with the table and plots of scores against the truth, as DIR/index.html
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Leave the trivial baselines out
    #[arg(long)]
    no_baselines: bool,
    /// Read captures that `lpz capture --bench --out` stored, instead of running models
    #[arg(long, value_name = "DIR")]
    captures: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
}

/// Runs the command.
///
/// # Errors
/// Bad programs, benchmark or data.
pub fn run(args: &RankArgs, global: &Global) -> Result<ExitCode, CliError> {
    let started = Instant::now();
    let (mut bench, metric) = opened(args)?;
    if let Some(dir) = &args.captures {
        let absent = Captures::new(dir).keep(&mut bench.records)?;
        if let (Some(note), false) = (left_out(absent, dir), global.quiet) {
            say!("{note}");
        }
    }
    let programs = programs(args)?;
    args.csv.as_deref().map_or(Ok(()), check_writable)?;
    args.report.as_deref().map_or(Ok(()), make_folder)?;
    let (truth, rows) = ranked(args, global, &bench, &metric, &programs)?;
    if let Some(path) = &args.csv {
        write_atomic(path, show::csv(&bench, &rows, &truth).as_bytes())?;
    }
    if let Some(dir) = &args.report {
        let (name, seeds) = (&bench.header.bench, args.seeds);
        let subject = report::Subject { bench: name, metric: &metric, seeds, truth: &truth };
        report::write(dir, &subject, &rows)?;
    }
    let report = json!({
        "bench": bench.header.bench, "metric": metric, "n": truth.len(), "seeds": args.seeds,
        "seconds": started.elapsed().as_secs_f64(),
        "proxies": rows.iter().map(show::entry).collect::<Vec<_>>(),
    });
    if !json(global, &report)? {
        print(&show::printed(&bench, &metric, truth.len(), &rows))?;
    }
    if !global.quiet {
        show::remarks(&rows, &truth, started);
    }
    Ok(ExitCode::SUCCESS)
}

/// The benchmark, as many architectures of it as are asked for, and the ground truth's name.
fn opened(args: &RankArgs) -> Result<(Bench, String), CliError> {
    let mut bench = Bench::read(&args.bench)?;
    let metric = bench.metric(args.metric.as_deref())?.to_owned();
    if let Some(limit) = args.limit {
        bench.sample(limit as usize, args.sample);
    }
    Ok((bench, metric))
}

/// Ranks a benchmark by one program, beside the baselines; the table as text.
///
/// # Errors
/// A bad benchmark, or data that does not fit.
pub fn one(data: &DataArgs, global: &Global, request: &RankRequest<'_>) -> Result<String, CliError> {
    let args = RankArgs {
        bench: request.bench.clone(),
        metric: request.metric.clone(),
        proxies: Vec::new(),
        exprs: Vec::new(),
        limit: request.limit.map(|n| n as u32),
        sample: 0,
        seeds: 1,
        csv: None,
        report: None,
        no_baselines: false,
        captures: None,
        data: data.clone(),
    };
    let (bench, metric) = opened(&args)?;
    let mut programs =
        Programs { dag: request.dag.clone(), programs: vec![request.program.clone()], baseline: vec![false] };
    programs.add_baselines(BASELINES)?;
    let (truth, rows) = ranked(&args, global, &bench, &metric, &programs)?;
    Ok(show::printed(&bench, &metric, truth.len(), &rows))
}

/// The ground truth, and the rows of the table, best first.
fn ranked(
    args: &RankArgs,
    global: &Global,
    bench: &Bench,
    metric: &str,
    programs: &Programs,
) -> Result<(Vec<f64>, Vec<Row>), CliError> {
    let truth = bench.truth(metric)?;
    let configs = scores::configs(bench)?;
    let runs = scores::all(args, global, programs, bench, &configs)?;
    let params: Vec<f64> = runs[0].iter().map(|a| a.params).collect();
    let mut rows: Vec<Row> =
        (0..programs.programs.len()).map(|p| Row::new(programs, p, &runs, &truth)).collect();
    for row in &mut rows {
        row.summarise(&truth, &params, global.seed)?;
    }
    rows.sort_by(|a, b| b.tau().total_cmp(&a.tau()));
    Ok((truth, rows))
}

fn programs(args: &RankArgs) -> Result<Programs, CliError> {
    let mut programs = match (args.proxies.is_empty() && args.exprs.is_empty(), args.no_baselines) {
        (true, false) => Programs::default(),
        _ => Programs::resolve(&args.proxies, &args.exprs)?,
    };
    args.data.one_objective()?;
    if !args.no_baselines {
        programs.add_baselines(BASELINES)?;
    }
    Ok(programs)
}
