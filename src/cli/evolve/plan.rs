//! What a run does: from the options, or from the folder of an earlier session.

use super::super::Global;
use super::super::error::CliError;
use super::args::{EvolveArgs, SpaceName};
use super::setup::Subjects;
use crate::cli::say::tell;
use crate::evolve::folder::{Folder, FolderError, ModelUsed, Plan, RunFile, SpaceUsed, version};
use crate::evolve::language::vocabulary;
use crate::evolve::population::Algorithm;
use crate::evolve::rules::Counted;
use crate::evolve::settings::{Budget, Settings};
use crate::evolve::split::split;
use crate::ir::Dag;
use crate::lang::Library;
use crate::site::{CaptureSpec, OBJECTIVES, option_name};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// A run about to go on.
pub struct Start {
    /// Its folder.
    pub folder: Folder,
    /// `run.json`.
    pub run: RunFile,
    /// Architectures.
    pub subjects: Subjects,
}

/// A copy of the vocabulary in the run's folder, so that the run does not depend on the original.
const VOCABULARY: &str = "vocabulary.lpz";

/// Iterations where no budget is given.
const ITERATIONS: u64 = 100;

/// A new run. Everything is checked before the folder is made.
///
/// # Errors
/// Bad input; a folder that is not empty.
pub fn fresh(args: &EvolveArgs, global: &Global) -> Result<Start, CliError> {
    let model = model_used(args, global)?;
    let subjects = Subjects::load(&benches(args)?, &model)?;
    let settings = settings(args, global)?;
    Counted::without(&settings.no_rules).map_err(CliError::new)?;
    let vocab = vocab_text(args)?;
    check_split(&subjects, (args.search_share, args.validation_share), global.seed)?;
    let plan = Plan {
        version: version(),
        settings,
        space: SpaceUsed {
            name: args.space.text().into(),
            n_unary: args.n_unary.into(),
            n_nodes: args.n_nodes.into(),
            vocabulary: vocab.as_ref().map(|_| VOCABULARY.to_owned()),
        },
        benches: subjects.used.clone(),
        model,
        fractions: (args.search_share, args.validation_share),
        initial: initial(args)?,
        keep: args.keep,
    };
    let out = args.out.clone().unwrap_or_else(|| default_out(args, global));
    let folder = Folder::create(&out)?;
    if let Some(text) = vocab {
        folder.write(VOCABULARY, &text)?;
    }
    let run = RunFile {
        command: command(args, global, &plan),
        plan,
        budget: budget(args, None),
        stopped: None,
        generations: 0,
        evaluations: 0,
        ill_typed: 0,
        seconds: Vec::new(),
        rules: serde_json::Map::new(),
        cache: serde_json::Value::Null,
        whole: None,
    };
    folder.write_run(&run)?;
    Ok(Start { folder, run, subjects })
}

/// The control of a run: random programs, as many evaluations, in a folder within the run's.
///
/// # Errors
/// When the folder holds something already.
pub fn control(start: Start, done: &RunFile) -> Result<Start, CliError> {
    let folder = Folder::create(&start.folder.path().join("control"))?;
    if let Some(name) = &start.run.plan.space.vocabulary {
        folder.write(name, &start.folder.read(name)?)?;
    }
    let mut run = start.run;
    run.plan.settings.algorithm = Algorithm::Random;
    run.budget = Budget { evaluations: Some(done.evaluations), ..Budget::default() };
    run.command = format!("{} (its control)", run.command);
    folder.write_run(&run)?;
    Ok(Start { folder, run, subjects: start.subjects })
}

/// The run in `dir`, which must have been started by this program on the benchmark as it is.
///
/// # Errors
/// A folder that holds no run; another version; a changed benchmark.
pub fn resumed(args: &EvolveArgs, dir: &Path) -> Result<Start, CliError> {
    let (folder, mut run) = Folder::open(dir)?;
    let subjects = reopened(&folder, &run)?;
    if run.plan.version != version() {
        let what = format!("version of lpz ({}, this is {})", run.plan.version, version());
        return Err(FolderError::Changed(dir.to_owned(), what).into());
    }
    run.budget = budget(args, Some(run.budget));
    run.stopped = None;
    Ok(Start { folder, run, subjects })
}

/// The architectures of an earlier run, if the benchmarks are what they were.
///
/// # Errors
/// A benchmark that cannot be read or has changed.
pub fn reopened(folder: &Folder, run: &RunFile) -> Result<Subjects, CliError> {
    let benches: Vec<(String, Option<String>)> =
        run.plan.benches.iter().map(|b| (b.path.clone(), Some(b.metric.clone()))).collect();
    let subjects = Subjects::load(&benches, &run.plan.model)?;
    for (old, new) in run.plan.benches.iter().zip(&subjects.used) {
        if old.hash != new.hash {
            let what = format!("content of the benchmark {}", old.path);
            return Err(FolderError::Changed(folder.path().to_owned(), what).into());
        }
    }
    Ok(subjects)
}

fn benches(args: &EvolveArgs) -> Result<Vec<(String, Option<String>)>, CliError> {
    let (n, m) = (args.bench.len(), args.metric.len());
    if m > 1 && m != n {
        return Err(CliError::new(format!("{m} metrics for {n} benchmarks"))
            .help("give --metric once, or once for every --bench, in their order"));
    }
    let metric = |i: usize| args.metric.get(if m == 1 { 0 } else { i }).cloned();
    Ok(args.bench.iter().enumerate().map(|(i, b)| (b.display().to_string(), metric(i))).collect())
}

fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
}

fn model_used(args: &EvolveArgs, global: &Global) -> Result<ModelUsed, CliError> {
    let d = &args.data;
    Ok(ModelUsed {
        batch: d.batch,
        seq: d.seq,
        precision: name(d.precision),
        engine: name(d.engine),
        text: d.text.clone(),
        tokenizer: d.tokenizer.clone(),
        inputs: d.inputs.clone(),
        captures: args.captures.clone(),
        objective: d.one_objective()?.map(|o| option_name(OBJECTIVES, &o).to_owned()),
        limit: args.limit,
        seed: global.seed,
    })
}

fn settings(args: &EvolveArgs, global: &Global) -> Result<Settings, CliError> {
    let objective = args.data.one_objective()?;
    let capture = CaptureSpec { objective, ..CaptureSpec::default() };
    let islands = match (args.islands, args.algorithm) {
        (Some(n), _) => n.into(),
        (None, Algorithm::Lpzero) => 1,
        (None, _) => 2,
    };
    // A genome of the vocabulary spaces has a fixed length; what its functions expand to is not its size.
    let free = args.space == SpaceName::Free;
    Ok(Settings {
        seed: global.seed,
        algorithm: args.algorithm,
        population: args.population as usize,
        islands,
        plateau: if args.algorithm == Algorithm::Lpzero { u64::MAX } else { args.plateau },
        max_size: if free { args.max_size } else { usize::MAX },
        max_depth: if free { args.max_depth } else { usize::MAX },
        max_cost: args.max_cost,
        no_rules: args.no_rule.clone(),
        measure: args.fitness,
        over: args.over,
        capture,
        capture_text: objective
            .map(|o| format!("@capture(objective = {})\n", option_name(OBJECTIVES, &o)))
            .unwrap_or_default(),
        ..Settings::default()
    })
}

/// A benchmark that is too small is refused before anything is written.
fn check_split(subjects: &Subjects, shares: (f64, f64), seed: u64) -> Result<(), CliError> {
    split(&subjects.keys, shares.0, shares.1, seed).map(|_| ()).map_err(|e| {
        CliError::new(e.to_string())
            .help("take a larger benchmark or --limit, or other --search-share and --validation-share")
    })
}

fn vocab_text(args: &EvolveArgs) -> Result<Option<String>, CliError> {
    let Some(path) = &args.vocab else { return Ok(None) };
    if args.space == SpaceName::Free {
        return Err(CliError::new("--vocab is for linear, tree and graph; free draws from all operators"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| CliError::io("read", path, &e))?;
    // Errors in it show before a folder is made.
    vocabulary(Some(path), String::new(), args.space != SpaceName::Linear).map_err(CliError::new)?;
    Ok(Some(text))
}

/// Known proxies as expressions.
fn initial(args: &EvolveArgs) -> Result<Vec<String>, CliError> {
    if !args.init.is_empty() && args.space != SpaceName::Free {
        return Err(CliError::new(
            "--init is for the space free; the others hold only programs of their own form",
        ));
    }
    let mut out = Vec::new();
    let mut library = Library::new();
    for spec in &args.init {
        let mut dag = Dag::default();
        let found = library.resolve(spec, &mut dag).map_err(|f| {
            tell(&f.render(false));
            CliError::reported(2)
        })?;
        out.extend(found.iter().map(|p| crate::lang::print_node(&dag, p.program.root)));
    }
    Ok(out)
}

fn budget(args: &EvolveArgs, before: Option<Budget>) -> Budget {
    let given = Budget { iterations: args.iterations, evaluations: args.evaluations, seconds: args.time };
    if given != Budget::default() {
        return given;
    }
    before.unwrap_or(Budget { iterations: Some(ITERATIONS), ..given })
}

fn default_out(args: &EvolveArgs, global: &Global) -> PathBuf {
    PathBuf::from(format!("runs/{}-{}-s{}", args.space.text(), name(args.algorithm), global.seed))
}

/// The command that starts an equal run, for the documentation of what it finds.
fn command(args: &EvolveArgs, global: &Global, plan: &Plan) -> String {
    let mut c = String::from("lpz evolve");
    for b in &plan.benches {
        let file = Path::new(&b.path).file_name().unwrap_or_default().to_string_lossy();
        c += &format!(" --bench {file} --metric {}", b.metric);
    }
    c += &format!(
        " --space {} --algorithm {} --population {}",
        plan.space.name,
        name(args.algorithm),
        args.population
    );
    let mut option = |flag: &str, value: Option<String>| {
        if let Some(v) = value {
            c += &format!(" --{flag} {v}");
        }
    };
    option("iterations", args.iterations.map(|n| n.to_string()));
    option("evaluations", args.evaluations.map(|n| n.to_string()));
    option("time", args.time.map(|t| format!("{t}s")));
    option("limit", args.limit.map(|n| n.to_string()));
    option("batch", Some(plan.model.batch.to_string()));
    option("seq", Some(plan.model.seq.to_string()));
    option("seed", Some(global.seed.to_string()));
    c
}
