//! `lpz evolve`: finds proxies.

mod args;
mod plan;
mod setup;
mod show;

pub use args::EvolveArgs;
pub(super) use plan::reopened;
pub(super) use setup::Subjects;

use crate::cli::say::say;
use setup::{references, space};

use super::Global;
use super::captures::Captures;
use super::error::CliError;
use super::interrupt;
use super::output::Progress;
use crate::capture::store::Wanted;
use crate::capture::stored::StoreSource;
use crate::engine::Engine;
use crate::evolve::driver::Driver;
use crate::evolve::evaluator::EvaluatorError;
use crate::evolve::expr::Expr;
use crate::evolve::finish::{Reference, Report};
use crate::evolve::folder::{FolderError, RunFile};
use crate::evolve::language::Language;
use crate::evolve::run::{Job, RunError, Status, run as go};
use crate::evolve::space::Genome;
use crate::evolve::space::free::Text;
use crate::ir::Dag;
use crate::ir::prepare::Prepared;
use crate::site::{Source, SourceError};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// Seconds that a run without a benchmark takes where no budget is given.
const FIRST_RUN: f64 = 60.0;

/// What `lpz evolve` means without a benchmark: the embedded one, on batches that fit it.
fn newcomer(mut args: EvolveArgs) -> EvolveArgs {
    args.bench = crate::bench::EMBEDDED.iter().take(1).map(|(name, _)| PathBuf::from(name)).collect();
    args.data.seq = args.data.seq.min(64);
    if args.iterations.is_none() && args.evaluations.is_none() && args.time.is_none() {
        args.time = Some(FIRST_RUN);
    }
    args
}

/// Runs the command.
///
/// # Errors
/// Bad input, and everything that can fail in a run.
pub fn run(args: &EvolveArgs, global: &Global) -> Result<ExitCode, CliError> {
    if args.rules {
        return show::rules(global);
    }
    let with_defaults;
    let args = match args.bench.is_empty() && args.resume.is_none() {
        true => {
            with_defaults = newcomer(args.clone());
            &with_defaults
        }
        false => args,
    };
    let started = match &args.resume {
        Some(dir) => plan::resumed(args, dir)?,
        None => plan::fresh(args, global)?,
    };
    // The search stops at the next barrier.
    let stop = interrupt::flag();
    let (file, report) = session(args, global, &started, args.resume.is_some())?;
    let regrets = show::regrets(&args.compare, &file)?;
    let folder = started.folder.clone();
    let control = match args.control && !stop.load(Ordering::Relaxed) {
        true => Some(session(args, global, &plan::control(started, &file)?, false)?),
        false => None,
    };
    show::outcome(global, &folder, &file, &report, &regrets, control.as_ref())?;
    if stop.load(Ordering::Relaxed) {
        return Err(CliError::interrupted(format!(
            "interrupted; everything is in {} and `lpz evolve --resume` goes on with it",
            folder.path().display()
        )));
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the search of a plan to its end.
fn session(
    args: &EvolveArgs,
    global: &Global,
    start: &plan::Start,
    resume: bool,
) -> Result<(RunFile, Report), CliError> {
    let plan = &start.run.plan;
    let subjects = &start.subjects;
    let (references, reference_dag) = references(args.beside());
    let batches = references.iter().map(|r| batches(&r.program)).max().unwrap_or(1);
    let source = |i: usize| open(subjects, i, batches);
    let engine = || -> Box<dyn Engine> { subjects.data.engine.make() };
    let mut driver = Driver::new(&subjects.identities, &source, &engine, args.max_memory)?;
    let references = match stored(subjects, 0)? {
        Some(capture) => {
            driver.offer_only(capture.fields());
            held(&capture, references, &reference_dag, global)
        }
        None => references,
    };
    let parts = subjects.parts(plan, &driver)?;
    let language = Rc::new(Language::new());
    let vocab = plan.space.vocabulary.as_ref().map(|v| start.folder.path().join(v));
    let limits = (plan.settings.max_size, plan.settings.max_depth);
    let space = space(&plan.space, vocab.as_deref(), limits, &driver, subjects.configs.len(), &language)?;
    let initial = plan.initial.iter().map(|text| initial(text, &language)).collect::<Result<_, _>>()?;
    let mut progress = Progress::share(global, "evolve");
    let mut seen = |s: &Status<'_>| {
        progress.reach(show::share(s, &start.run.budget), &show::status(s));
        if args.json_lines {
            show::line(s);
        }
    };
    let job = Job {
        folder: Some(&start.folder),
        run: start.run.clone(),
        space: space.as_ref(),
        text: language.as_ref(),
        parts: &parts,
        initial,
        references: &references,
        reference_dag: &reference_dag,
        format: &formatted,
        remark: &|text| note(global, text),
        stop: interrupt::flag(),
    };
    Ok(go(job, resume, &mut driver, &mut seen)?)
}

fn note(global: &Global, text: &str) {
    if !global.quiet {
        say!("{text}");
    }
}

fn batches(p: &crate::ir::Program) -> usize {
    match p.capture.batches {
        crate::site::Batches::Many(n) => n,
        _ => 1,
    }
}

/// The model of an architecture, with its data.
///
/// # Errors
/// When the data does not fit the model.
pub(super) fn open(s: &Subjects, i: usize, batches: usize) -> Result<Box<dyn Source>, SourceError> {
    match stored(s, i)? {
        Some(capture) => Ok(Box::new(capture)),
        None => Ok(Box::new(s.data.open(&s.configs[i], None, &s.tokens, batches, s.seed)?)),
    }
}

/// The stored capture of an architecture, where captures are read.
fn stored(s: &Subjects, i: usize) -> Result<Option<StoreSource>, SourceError> {
    let data = (&s.data, &s.tokens, s.seed);
    let open = |c: &Captures| c.open(&s.ids[i], &s.keys[i], &s.configs[i], data);
    s.captures.as_ref().map(open).transpose()
}

/// The known proxies whose fields the captures hold.
fn held(capture: &StoreSource, all: Vec<Reference>, dag: &Dag, global: &Global) -> Vec<Reference> {
    let wanted = |r: &Reference| {
        let programs = [r.program.clone()];
        Wanted::new(capture.outline(), capture.default_objective(), &Prepared::new(dag, &programs))
    };
    let (held, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|r| capture.missing(&wanted(r)).is_none());
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|r| r.name.as_str()).collect();
        note(
            global,
            &format!("note: not shown beside, for the captures lack what they read: {}", names.join(", ")),
        );
    }
    held
}

/// An initial program as a genome of the space `free`.
fn initial(text: &str, language: &Language) -> Result<Genome, CliError> {
    let mut dag = Dag::default();
    let root = language.parse(text, &mut dag).map_err(CliError::new)?;
    Ok(Genome::Expr(Expr::lift(&dag, root)))
}

/// A module in canonical form.
fn formatted(text: &str) -> String {
    let mut sources = crate::lang::Sources::default();
    let id = sources.add("hall_of_fame.lpz", text);
    let (file, diagnostics) = crate::lang::parse_file(text, id);
    match diagnostics.iter().any(crate::lang::Diagnostic::is_error) {
        true => text.to_owned(),
        false => crate::lang::print_file(&file, text),
    }
}

impl From<EvaluatorError> for CliError {
    fn from(e: EvaluatorError) -> Self {
        let error = CliError::new(e.message);
        match e.help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

impl From<FolderError> for CliError {
    fn from(e: FolderError) -> Self {
        let help = e.help();
        CliError::new(e.to_string()).help(help)
    }
}

impl From<RunError> for CliError {
    fn from(e: RunError) -> Self {
        match e {
            RunError::Evaluator(e) => e.into(),
            RunError::Folder(e) => e.into(),
            RunError::Plan(text) => CliError::new(text),
        }
    }
}
