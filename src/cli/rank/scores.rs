//! Scores of programs on the architectures of a benchmark.

use super::RankArgs;
use crate::bench::{Bench, Record};
use crate::cli::Global;
use crate::cli::captures::Captures;
use crate::cli::error::CliError;
use crate::cli::output::Progress;
use crate::cli::programs::Programs;
use crate::data::Tokens;
use crate::engine::Engine;
use crate::ir::prepare::Prepared;
use crate::model::Config;
use crate::score::many::{Architecture, Many, Stopped};
use crate::site::{Source, SourceError};

/// The architectures of a benchmark.
///
/// # Errors
/// A configuration that is wrong, named.
pub(in crate::cli) fn configs(bench: &Bench) -> Result<Vec<Config>, CliError> {
    let parse = |r: &Record| {
        let wrong = |e| CliError::from(e).within(&format!("{}: architecture \"{}\"", bench.path, r.id));
        Config::from_json(&r.config).map_err(wrong)
    };
    bench.records.iter().map(parse).collect()
}

/// Scores on every architecture, once for every seed.
///
/// # Errors
/// Data or captures that do not fit; an interrupt.
pub(super) fn all(
    args: &RankArgs,
    global: &Global,
    programs: &Programs,
    bench: &Bench,
    configs: &[Config],
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
        workers: crate::cli::workers(global),
        explain: true,
        costs: true,
        stop: None,
    };
    let one_seed = |seed: u64, progress: &mut Progress| {
        let open = |i: usize| -> Result<Box<dyn Source>, SourceError> {
            let (record, config) = (&bench.records[i], &configs[i]);
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
    (0..u64::from(args.seeds)).map(|k| one_seed(global.seed.wrapping_add(k), &mut progress)).collect()
}
