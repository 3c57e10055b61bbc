//! `lpz search`: the architectures of a space that a proxy likes best, under budgets.

use super::Global;
use super::error::CliError;
use super::model_args::DataArgs;
use super::output::{Progress, json, make_folder, print, table, write_atomic};
use super::programs::Programs;
use crate::cli::say::say;
use crate::data::Tokens;
use crate::engine::Engine;
use crate::ir::prepare::Prepared;
use crate::model::Config;
use crate::score::many::{Architecture, Many, Stopped};
use crate::search::latency::Table;
use crate::search::{Budget, Found, Judge, Measured, Search, SearchError, Space, cost};
use crate::site::SourceError;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Find architectures under budgets
#[derive(Args, Debug)]
#[command(
    after_help = "Example: lpz search --space flexibert --proxy std::depth_logwidth --params-max 20e6 --evaluations 200 --out found"
)]
pub struct SearchArgs {
    /// tiny-gpt2, flexibert, gpt2-flex, or a space file
    #[arg(long, value_name = "SPACE")]
    space: String,
    /// Program: std::NAME, FILE.lpz::NAME, or a FILE.lpz with one proxy
    #[arg(long, value_name = "P", required_unless_present = "expr")]
    proxy: Option<String>,
    /// The program as an expression
    #[arg(short = 'e', long, value_name = "EXPR", conflicts_with = "proxy")]
    expr: Option<String>,
    /// Most parameters
    #[arg(long, value_name = "N", value_parser = positive)]
    params_max: Option<f64>,
    /// Most floating-point operations of a forward pass over the batch
    #[arg(long, value_name = "N", value_parser = positive)]
    flops_max: Option<f64>,
    /// Most milliseconds of a forward pass over the batch, measured here; latency becomes an objective
    #[arg(long, value_name = "N", value_parser = positive)]
    latency_max_ms: Option<f64>,
    /// Make latency an objective without a limit
    #[arg(long)]
    latency: bool,
    /// Known latencies (JSON, as `latency.json` of an earlier search); others are measured
    #[arg(long, value_name = "FILE")]
    latency_table: Option<PathBuf>,
    /// Architectures to evaluate
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..))]
    evaluations: u32,
    /// Architectures kept from generation to generation
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(2..))]
    population: u32,
    /// Folder for the front: front.json, and a config per architecture for `lpz train --model`
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0);
    number.ok_or_else(|| "give a positive number, such as 20e6".to_owned())
}

/// Runs the command.
///
/// # Errors
/// A bad space, program or budget; a folder that cannot be written to.
pub fn run(mut args: SearchArgs, global: &Global) -> Result<ExitCode, CliError> {
    let started = Instant::now();
    let stop = super::interrupt::flag();
    let space = Space::open(&args.space)?;
    let programs = program(&args)?;
    args.out.as_deref().map_or(Ok(()), make_folder)?;
    fit_sequence(&mut args, &space, global)?;
    let mut latencies = latencies(&args)?;
    let mut progress = Progress::new(global, "search", u64::from(args.evaluations));
    let (batch, seq) = (args.data.batch as usize, args.data.seq as usize);
    let tokens = args.data.tokens()?;
    let search = Search {
        space: &space,
        budget: Budget { params: args.params_max, flops: args.flops_max, latency_ms: args.latency_max_ms },
        evaluations: args.evaluations as usize,
        population: args.population as usize,
        seed: global.seed,
    };
    let judge = |config: &Value| cost(config, batch, seq);
    let judge: &Judge<'_> = &judge;
    let found = search.run(judge, &mut |configs| {
        let data = (&args.data, &tokens);
        let mut measured = scores(configs, data, &programs, global, stop, &mut progress)?;
        if let Some(table) = &mut latencies {
            measure(table, configs, (batch, seq), stop, &mut measured)?;
        }
        Ok(measured)
    });
    drop(progress);
    let found = found.map_err(|e| match stop.load(Ordering::Relaxed) {
        true => CliError::interrupted(e.message),
        false => e.into(),
    })?;
    if let Some(dir) = &args.out {
        write(dir, &found, latencies.as_ref())?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let report = json!({"space": space.name, "front": found.front, "evaluations": found.evaluations,
        "degenerate": found.degenerate, "slow": found.slow, "seconds": seconds,
        "interrupted": found.interrupted});
    if !json(global, &report)? {
        print(&told(&found, &args, seconds))?;
    }
    if found.interrupted {
        return Err(CliError::interrupted(format!(
            "interrupted after {} architectures; the front is theirs",
            found.evaluations
        )));
    }
    Ok(ExitCode::SUCCESS)
}

fn program(args: &SearchArgs) -> Result<Programs, CliError> {
    let specs: Vec<String> = args.proxy.iter().cloned().collect();
    let exprs: Vec<String> = args.expr.iter().cloned().collect();
    let programs = Programs::resolve(&specs, &exprs)?;
    args.data.one_objective()?;
    match programs.programs.len() {
        1 => Ok(programs),
        n => {
            Err(CliError::new(format!("--proxy names {n} programs")).help("name one of them: FILE.lpz::NAME"))
        }
    }
}

/// Shortens the sequences to what the space's architectures take.
fn fit_sequence(args: &mut SearchArgs, space: &Space, global: &Global) -> Result<(), CliError> {
    let any = |config: &Value| Config::from_json(config).map(|_| (0.0, 0.0)).map_err(|e| e.to_string());
    let some = space.sample(1, global.seed, &any)?;
    let config = some.first().map(|g| space.config(g)).unwrap_or_default();
    let positions = Config::from_json(&config)?.positions() as u32;
    if args.data.seq > positions {
        args.data.seq = positions;
        if !global.quiet {
            say!("note: --seq {positions}, the positions of the space's architectures");
        }
    }
    Ok(())
}

fn latencies(args: &SearchArgs) -> Result<Option<Table>, CliError> {
    Ok(match &args.latency_table {
        Some(path) => Some(Table::read(path)?),
        None => (args.latency || args.latency_max_ms.is_some()).then(Table::default),
    })
}

/// Scores of configs, as far as it comes before `stop` is set.
fn scores(
    configs: &[Value],
    (data, tokens): (&DataArgs, &Tokens),
    programs: &Programs,
    global: &Global,
    stop: &AtomicBool,
    progress: &mut Progress,
) -> Result<Vec<Option<Measured>>, SearchError> {
    let engine = data.engine;
    let make = move || -> Box<dyn Engine> { engine.make() };
    let many = Many {
        engine: &make,
        cache: None,
        workers: super::workers(global),
        explain: false,
        costs: false,
        stop: Some(stop),
    };
    let open = |i: usize| {
        let config = Config::from_json(&configs[i]).map_err(SourceError::from)?;
        data.open(&config, None, tokens, programs.batches(), global.seed)
    };
    let prepared = Prepared::new(&programs.dag, &programs.programs);
    let score = |a: &Architecture| a.scores.scores.first()?.value.as_ref().ok().copied();
    let mut measured = vec![None; configs.len()];
    let mut done = |i: usize, a: &Architecture| {
        measured[i] = Some(Measured { score: score(a), latency_ms: None });
        progress.step("");
    };
    match many.score(&prepared, configs.len(), &open, &mut done) {
        Err(Stopped::Failed(_, e)) => Err(e.into()),
        Ok(_) | Err(Stopped::Interrupted) => Ok(measured),
    }
}

/// Latencies of the architectures that have a score; an interrupt leaves the rest unmeasured.
fn measure(
    table: &mut Table,
    configs: &[Value],
    (batch, seq): (usize, usize),
    stop: &AtomicBool,
    measured: &mut [Option<Measured>],
) -> Result<(), SearchError> {
    for (slot, config) in measured.iter_mut().zip(configs) {
        match slot {
            Some(m) if !stop.load(Ordering::Relaxed) => m.latency_ms = Some(table.get(config, batch, seq)?),
            _ => *slot = None,
        }
    }
    Ok(())
}

fn write(dir: &Path, found: &Found, latencies: Option<&Table>) -> Result<(), CliError> {
    let pretty = |value: &Value| serde_json::to_vec_pretty(value).map_err(super::error::failed);
    write_atomic(&dir.join("front.json"), &pretty(&json!({"front": found.front}))?)?;
    for (i, c) in found.front.iter().enumerate() {
        write_atomic(&dir.join(format!("{i:03}.json")), &pretty(&c.config)?)?;
    }
    match latencies {
        Some(table) => write_atomic(&dir.join("latency.json"), &pretty(&table.json())?),
        None => Ok(()),
    }
}

fn told(found: &Found, args: &SearchArgs, seconds: f64) -> String {
    let mut t = table(&["#", "score", "params", "GFLOP", "ms"]);
    for (i, c) in found.front.iter().enumerate() {
        let ms = c.latency_ms.map_or("-".to_owned(), |ms| format!("{ms:.2}"));
        let (params, gflop) = (format!("{:.0}", c.params), format!("{:.3}", c.flops / 1e9));
        t.add_row([format!("{i:03}"), format!("{:.6}", c.score), params, gflop, ms]);
    }
    let mut out = format!(
        "{t}\n{} architectures, {:.1} per second",
        found.evaluations,
        found.evaluations as f64 / seconds
    );
    for (n, what) in [(found.degenerate, "without a score"), (found.slow, "too slow")] {
        if n > 0 {
            out += &format!(", {n} {what}");
        }
    }
    if let Some(dir) = &args.out {
        out += &format!("\n{}: front.json and a config each, for `lpz train --model`", dir.display());
    }
    out + "\n"
}
