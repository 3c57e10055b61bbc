//! Captures of a benchmark: one file per architecture, one architecture per worker.

use super::CaptureArgs;
use crate::bench::Bench;
use crate::capture::store::{StoreError, Wanted, store};
use crate::capture::stored::StoreSource;
use crate::cli::captures::{Captures, identity};
use crate::cli::error::CliError;
use crate::cli::output::{Progress, json, make_folder};
use crate::cli::programs::Programs;
use crate::cli::say::say;
use crate::cli::{Global, interrupt, rank, workers};
use crate::data::Tokens;
use crate::evolve::inputs::{Input, inputs};
use crate::ir::prepare::Prepared;
use crate::model::Config;
use crate::score::lanes;
use crate::site::{Source, SourceError};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

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

/// How all of them ended.
struct Outcome {
    finished: Vec<bool>,
    /// So many were there before.
    kept: usize,
    bytes: usize,
    /// The first failure.
    failure: Option<(usize, StoreError)>,
}

/// Captures a benchmark.
///
/// # Errors
/// Bad programs, benchmark or data; the first architecture that fails; an interrupt.
pub(super) fn run(
    args: &CaptureArgs,
    bench: &Path,
    out: &Path,
    global: &Global,
) -> Result<ExitCode, CliError> {
    let started = Instant::now();
    args.data.one_objective()?;
    let mut bench = Bench::read(bench)?;
    if let Some(n) = args.limit {
        bench.sample(n as usize, args.sample);
    }
    let configs: Vec<Config> = rank::configs(&bench)?;
    let programs = programs(args, configs.iter().all(Config::causal))?;
    let prepared = Prepared::new(&programs.dag, &programs.programs);
    make_folder(out)?;
    crate::files::remove_abandoned(out);
    let work = Work {
        tokens: args.data.tokens()?,
        captures: Captures::new(out),
        batches: programs.batches(),
        seed: global.seed,
        stop: interrupt::flag(),
        programs: &prepared,
        args,
        configs,
        bench,
    };
    let outcome = work.all(global);
    let (kept, bytes) = (outcome.kept, outcome.bytes);
    let n = work.finished(outcome)?;
    let (captured, seconds) = (n - kept, started.elapsed().as_secs_f64());
    let report = json!({"bench": work.bench.header.bench, "out": out.display().to_string(), "n": n,
        "captured": captured, "kept": kept, "bytes": bytes, "seconds": seconds});
    if !json(global, &report)? && !global.quiet {
        let (size, place) = (bytes as f64 / 1e6, out.display());
        say!("{captured} captured, {kept} were there, {size:.0} MB in {place}, {seconds:.1} s");
    }
    Ok(ExitCode::SUCCESS)
}

/// The programs given, or what reads every input of LPZero's spaces.
fn programs(args: &CaptureArgs, causal: bool) -> Result<Programs, CliError> {
    if !args.proxies.is_empty() || !args.exprs.is_empty() {
        return Programs::resolve(&args.proxies, &args.exprs);
    }
    let read = |i: Input| format!("sum x in {} {{ sum({}) }}", i.sites, i.of("x"));
    let exprs: Vec<String> = inputs(causal, |_| true).into_iter().map(read).collect();
    Programs::resolve(&[], &exprs)
}

impl Work<'_> {
    /// Captures all, one worker per core.
    fn all(&self, global: &Global) -> Outcome {
        let count = self.configs.len();
        let mut progress = Progress::new(global, "capturing", count as u64);
        let mut outcome = Outcome { finished: vec![false; count], kept: 0, bytes: 0, failure: None };
        let stopped = || self.stop.load(Ordering::Relaxed);
        let worker = || -> lanes::Work<'_, (usize, bool), StoreError> { Box::new(|i| self.one(i)) };
        lanes::each((count, workers(global)), &stopped, &worker, |i, done| match done {
            Ok((size, old)) => {
                outcome.finished[i] = true;
                outcome.kept += usize::from(old);
                outcome.bytes += size;
                progress.step(&self.bench.records[i].id);
            }
            Err(e) => drop(outcome.failure.get_or_insert((i, e))),
        });
        outcome
    }

    /// How many are finished, where all are.
    ///
    /// # Errors
    /// The first failure, or the interrupt, and that the rest can be used.
    fn finished(&self, outcome: Outcome) -> Result<usize, CliError> {
        let (n, total) = (outcome.finished.iter().filter(|f| **f).count(), outcome.finished.len());
        let state = format!("{n} of {total} architectures are finished and can be used");
        let resume = "the same command goes on with the others";
        match outcome.failure {
            Some((i, StoreError::Source(e))) => {
                let id = &self.bench.records[i].id;
                Err(CliError::from(e).within(&format!("architecture \"{id}\"")))
            }
            Some((_, e @ StoreError::Io(..))) => {
                Err(CliError::new(format!("{e}; {state}")).help(format!("make room; then {resume}")))
            }
            None if n < total => Err(CliError::interrupted(format!("interrupted; {state}")).help(resume)),
            None => Ok(n),
        }
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
    fn there(&self, old: &StoreSource, wanted: &Wanted, path: &Path) -> Result<(usize, bool), SourceError> {
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
