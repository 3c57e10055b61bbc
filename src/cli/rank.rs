//! `lpz rank`: how well programs order the architectures of a benchmark, beside trivial baselines.

use super::Global;
use super::captures::{Captures, left_out};
use super::error::CliError;
use super::model_args::DataArgs;
use super::output::{Progress, json, print, table};
use super::programs::Programs;
use super::rank_report::Subject;
use super::run::NOISE;
use crate::bench::Bench;
use crate::data::Tokens;
use crate::engine::Engine;
use crate::ir::prepare::Prepared;
use crate::metric::{Options, Summary, summarise};
use crate::model::Config;
use crate::repl::RankRequest;
use crate::report::statistic;
use crate::score::BASELINES;
use crate::score::many::{Architecture, Many, Stopped};
use crate::site::{Source, SourceError};
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write;
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

/// Scores of one program on every architecture.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) baseline: bool,
    /// Mean over seeds; `None` where it has no score.
    pub(super) scores: Vec<Option<f64>>,
    /// The first reason for having no score.
    reason: Option<String>,
    /// Some of it is built on rounding noise.
    pub(super) noise: bool,
    pub(super) seconds: f64,
    flops: f64,
    pub(super) summary: Option<Summary>,
    /// τ-b of every seed alone.
    tau_by_seed: Vec<f64>,
}

impl Row {
    /// What stands behind the name: a baseline, rounding noise, or nothing.
    pub(super) fn mark(&self) -> &'static str {
        match (self.baseline, self.noise) {
            (true, _) => " *",
            (_, true) => " ~",
            _ => "",
        }
    }

    /// Name, τ-b, its interval (ends joined by `to`), τ-a, ρ, r, weighted τ, τ-b in the top 30 %,
    /// size-controlled τ, P@10 %: what every table of ranks begins with.
    pub(super) fn statistics(&self, to: &str) -> Vec<String> {
        let s = self.summary.as_ref();
        let top = s.and_then(|s| s.top.iter().find(|t| t.percent == 30)?.tau_b);
        let ci = s.and_then(|s| s.tau_b_ci);
        vec![
            format!("{}{}", self.name, self.mark()),
            statistic(s.and_then(|s| s.tau_b)),
            ci.map_or("-".to_owned(), |c| format!("{:.3}{to}{:.3}", c.lo, c.hi)),
            statistic(s.map(|s| s.tau_a)),
            statistic(s.and_then(|s| s.rho)),
            statistic(s.and_then(|s| s.r)),
            statistic(s.and_then(|s| s.tau_weighted)),
            statistic(top),
            statistic(s.and_then(|s| s.size_controlled.as_ref()?.tau)),
            statistic(s.map(|s| s.precision_top)),
        ]
    }

    /// Distinct scores, and architectures with a score.
    pub(super) fn counts(&self) -> [String; 2] {
        let distinct = self.summary.as_ref().map_or("-".to_owned(), |s| s.distinct.to_string());
        [distinct, self.scores.iter().flatten().count().to_string()]
    }
}

/// Runs the command.
///
/// # Errors
/// Bad programs, benchmark or data.
pub fn run(args: &RankArgs, global: &Global) -> Result<ExitCode, CliError> {
    let started = Instant::now();
    let mut bench = Bench::read(&args.bench)?;
    let metric = bench.metric(args.metric.as_deref())?.to_owned();
    if let Some(limit) = args.limit {
        bench.sample(limit as usize, args.sample);
    }
    if let Some(dir) = &args.captures {
        let absent = Captures::new(dir).keep(&mut bench.records)?;
        if let (Some(note), false) = (left_out(absent, dir), global.quiet) {
            eprintln!("{note}");
        }
    }
    let programs = programs(args)?;
    let (truth, rows) = ranked(args, global, &bench, &metric, &programs)?;
    if let Some(path) = &args.csv {
        super::output::write_atomic(path, csv(&bench, &rows, &truth).as_bytes())?;
    }
    if let Some(dir) = &args.report {
        let subject =
            Subject { bench: &bench.header.bench, metric: &metric, seeds: args.seeds, truth: &truth };
        super::rank_report::write(dir, &subject, &rows)?;
    }
    let report = json!({
        "bench": bench.header.bench, "metric": metric, "n": truth.len(), "seeds": args.seeds,
        "seconds": started.elapsed().as_secs_f64(), "proxies": rows.iter().map(entry).collect::<Vec<_>>(),
    });
    if !json(global, &report)? {
        print(&printed(&bench, &metric, truth.len(), &rows))?;
    }
    if !global.quiet {
        remarks(&rows, started);
    }
    Ok(ExitCode::SUCCESS)
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
    let mut bench = Bench::read(&args.bench)?;
    let metric = bench.metric(args.metric.as_deref())?.to_owned();
    if let Some(limit) = request.limit {
        bench.sample(limit, args.sample);
    }
    let mut programs =
        Programs { dag: request.dag.clone(), programs: vec![request.program.clone()], baseline: vec![false] };
    programs.add_baselines(BASELINES)?;
    let (truth, rows) = ranked(&args, global, &bench, &metric, &programs)?;
    Ok(printed(&bench, &metric, truth.len(), &rows))
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
    let configs = configs(bench)?;
    let runs = score_all(args, global, programs, bench, &configs)?;
    let params: Vec<f64> = runs[0].iter().map(|a| a.params).collect();
    let mut rows: Vec<Row> = (0..programs.programs.len()).map(|p| row(programs, p, &runs, &truth)).collect();
    for row in &mut rows {
        row.summary = summary(&row.scores, &truth, &params, global.seed)?;
    }
    rows.sort_by(|a, b| tau(b).total_cmp(&tau(a)));
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

/// The architectures of a benchmark.
///
/// # Errors
/// A configuration that is wrong, named.
pub(super) fn configs(bench: &Bench) -> Result<Vec<(Config, Value)>, CliError> {
    let parse = |r: &crate::bench::Record| {
        let config = Config::from_json(&r.config).map_err(|e| {
            let e: CliError = e.into();
            e.within(&format!("{}: architecture \"{}\"", bench.path, r.id))
        })?;
        Ok((config, r.config.clone()))
    };
    bench.records.iter().map(parse).collect()
}

fn score_all(
    args: &RankArgs,
    global: &Global,
    programs: &Programs,
    bench: &Bench,
    configs: &[(Config, Value)],
) -> Result<Vec<Vec<Architecture>>, CliError> {
    let tokens: Tokens = args.data.tokens()?;
    let prepared = Prepared::new(&programs.dag, &programs.programs);
    let batches = programs.batches();
    let captures = args.captures.as_deref().map(Captures::new);
    let mut progress = Progress::new(global, "ranking", configs.len() as u64 * u64::from(args.seeds));
    let engine = args.data.engine;
    let make = move || -> Box<dyn Engine> { engine.make() };
    let many = Many {
        engine: &make,
        cache: None,
        workers: super::workers(global),
        explain: true,
        costs: true,
        stop: None,
    };
    let one_seed = |seed: u64, progress: &mut Progress| {
        let open = |i: usize| -> Result<Box<dyn Source>, SourceError> {
            let (record, config) = (&bench.records[i], &configs[i].0);
            let data = (&args.data, &tokens, seed);
            Ok(match &captures {
                Some(c) => Box::new(c.open(&record.id, &record.key(), config, data)?),
                None => Box::new(args.data.open(config, None, &tokens, batches, seed)?),
            })
        };
        many.score(&prepared, configs.len(), &open, &mut |_, _| progress.step("")).map_err(|e| match e {
            Stopped::Interrupted => CliError::interrupted("interrupted"),
            Stopped::Failed(i, e) => {
                CliError::from(e).within(&format!("architecture \"{}\"", bench.records[i].id))
            }
        })
    };
    (0..u64::from(args.seeds)).map(|k| one_seed(global.seed + k, &mut progress)).collect()
}

fn row(programs: &Programs, p: usize, runs: &[Vec<Architecture>], truth: &[f64]) -> Row {
    let n = runs[0].len();
    let score = |run: &Vec<Architecture>, i: usize| run[i].scores.scores[p].clone();
    let mean = |i: usize| {
        let values: Option<Vec<f64>> = runs.iter().map(|r| score(r, i).value.ok()).collect();
        values.map(|v| v.iter().sum::<f64>() / v.len() as f64)
    };
    let all = || runs.iter().flat_map(|r| (0..n).map(move |i| score(r, i)));
    let count = (n * runs.len()) as f64;
    let tau_by_seed = |r: &Vec<Architecture>| {
        let pairs: Vec<(f64, f64)> =
            (0..n).filter_map(|i| Some((score(r, i).value.ok()?, truth[i]))).collect();
        let (s, t): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        crate::metric::kendall(&s, &t).ok().and_then(|k| k.tau_b)
    };
    Row {
        name: programs.programs[p].name.clone(),
        baseline: programs.baseline[p],
        scores: (0..n).map(mean).collect(),
        reason: all().find_map(|s| s.value.err()).map(|d| format!("{} at {}", d.reason, d.at)),
        noise: all().any(|s| s.rounding_noise),
        seconds: all().map(|s| s.cost.unwrap_or_default().seconds).sum::<f64>() / count,
        flops: all().map(|s| s.cost.unwrap_or_default().flops).sum::<f64>() / count,
        summary: None,
        tau_by_seed: runs.iter().filter_map(tau_by_seed).collect(),
    }
}

fn summary(
    scores: &[Option<f64>],
    truth: &[f64],
    params: &[f64],
    seed: u64,
) -> Result<Option<Summary>, CliError> {
    let keep: Vec<usize> = (0..scores.len()).filter(|&i| scores[i].is_some()).collect();
    if keep.len() < 2 {
        return Ok(None);
    }
    let pick = |v: &[f64]| -> Vec<f64> { keep.iter().map(|&i| v[i]).collect() };
    let scored: Vec<f64> = scores.iter().flatten().copied().collect();
    let options = Options { seed, ..Options::default() };
    let done = summarise(&scored, &pick(truth), Some(&pick(params)), &options);
    done.map(Some).map_err(super::error::failed)
}

fn tau(row: &Row) -> f64 {
    row.summary.as_ref().and_then(|s| s.tau_b).unwrap_or(f64::NEG_INFINITY)
}

fn printed(bench: &Bench, metric: &str, n: usize, rows: &[Row]) -> String {
    let mut t = table(&[
        "proxy", "tau-b", "95% CI", "tau-a", "rho", "r", "w-tau", "top30", "sized", "P@10%", "distinct", "n",
        "GFLOP", "s",
    ]);
    for r in rows {
        let mut row = r.statistics("..");
        row.extend(r.counts());
        row.extend([format!("{:.2}", r.flops / 1e9), format!("{:.3}", r.seconds)]);
        t.add_row(row);
    }
    for c in 1..14 {
        if let Some(column) = t.column_mut(c) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    format!(
        "{} · {metric} · {n} architectures\n{t}\n* trivial baseline; GFLOP and s (seconds) per architecture\n",
        bench.header.bench
    )
}

fn remarks(rows: &[Row], started: Instant) {
    if rows.iter().any(|r| r.noise) {
        eprintln!("{NOISE}");
    }
    for r in rows {
        let missing = r.scores.iter().filter(|s| s.is_none()).count();
        if let (1.., Some(reason)) = (missing, &r.reason) {
            eprintln!(
                "note: {} has no score on {missing} of {} architectures: {reason}",
                r.name,
                r.scores.len()
            );
        }
    }
    eprintln!("{:.1} s", started.elapsed().as_secs_f64());
}

fn entry(r: &Row) -> Value {
    let s = r.summary.as_ref();
    let ci = |c: Option<crate::metric::Interval>| c.map(|c| json!([c.lo, c.hi]));
    let top = |s: &Summary| -> serde_json::Map<String, Value> {
        s.top.iter().map(|t| (t.percent.to_string(), json!({"tau_b": t.tau_b, "tau_a": t.tau_a}))).collect()
    };
    let sized = s.and_then(|s| s.size_controlled.as_ref());
    json!({
        "name": r.name, "baseline": r.baseline, "n": r.scores.iter().flatten().count(),
        "tau_b": s.and_then(|s| s.tau_b), "tau_a": s.map(|s| s.tau_a), "rho": s.and_then(|s| s.rho),
        "r": s.and_then(|s| s.r), "tau_weighted": s.and_then(|s| s.tau_weighted),
        "distinct": s.map(|s| s.distinct), "tau_size_controlled": sized.and_then(|c| c.tau),
        "size_controlled": sized, "top": s.map(top),
        "k": s.map(|s| s.k), "overlap": s.map(|s| s.overlap), "precision_top": s.map(|s| s.precision_top),
        "precision_bottom": s.map(|s| s.precision_bottom), "best_rank": s.map(|s| s.best_rank),
        "worst_rank": s.map(|s| s.worst_rank), "regret": s.map(|s| s.regret),
        "ci": {"tau_b": s.and_then(|s| ci(s.tau_b_ci)), "rho": s.and_then(|s| ci(s.rho_ci))},
        "tau_b_by_seed": r.tau_by_seed, "rounding_noise": r.noise, "degenerate": r.reason,
        "flops": r.flops, "seconds": r.seconds,
    })
}

fn csv(bench: &Bench, rows: &[Row], truth: &[f64]) -> String {
    let names: Vec<String> = rows.iter().map(|r| format!("\"{}\"", r.name.replace('"', "\"\""))).collect();
    let mut out = format!("id,truth,{}\n", names.join(","));
    for (i, record) in bench.records.iter().enumerate() {
        let scores: Vec<String> =
            rows.iter().map(|r| r.scores[i].map_or(String::new(), |x| x.to_string())).collect();
        let _ = writeln!(out, "{},{},{}", record.id, truth[i], scores.join(","));
    }
    out
}
