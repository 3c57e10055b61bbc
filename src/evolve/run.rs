//! A run from its plan to its report: generations until a budget is spent or somebody interrupts,
//! checkpoints on the way, and everything written at the end.

use super::checkpoint;
use super::clock::{Clock, ending, spent};
use super::evaluator::{Evaluator, EvaluatorError};
use super::exhaustive;
use super::finish::{self, Finish, Parts, Reference, Report};
use super::folder::{Folder, FolderError, RunFile, Whole, rejections};
use super::judge::Judge;
use super::population::Algorithm;
use super::rules::Counted;
use super::search::{Search, State};
use super::space::free::Text;
use super::space::{Genome, Space};
use crate::ir::Dag;
use std::cell::Cell;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Scores.
    #[error(transparent)]
    Evaluator(#[from] EvaluatorError),
    /// Folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Settings or checkpoint.
    #[error("{0}")]
    Plan(String),
}

/// Everything a run needs besides the evaluator.
pub struct Job<'a> {
    /// Folder; none keeps everything in memory.
    pub folder: Option<&'a Folder>,
    /// `run.json` so far.
    pub run: RunFile,
    /// Space.
    pub space: &'a dyn Space,
    /// The language.
    pub text: &'a dyn Text,
    /// Split.
    pub parts: &'a Parts,
    /// First programs.
    pub initial: Vec<Genome>,
    /// Known proxies to compare with.
    pub references: &'a [Reference],
    /// Where they live.
    pub reference_dag: &'a Dag,
    /// Formats a module.
    pub format: &'a dyn Fn(&str) -> String,
    /// Told what goes on in a search that has no generations.
    pub remark: &'a dyn Fn(&str),
    /// Set from outside to stop at the next barrier.
    pub stop: &'a AtomicBool,
}

/// How far a run is; for progress.
pub struct Status<'a> {
    /// State after the latest generation.
    pub state: &'a State,
    /// Seconds of this session.
    pub seconds: f64,
    /// Values of terms that were known.
    pub hits: u64,
    /// Values of terms that were computed.
    pub misses: u64,
}

/// Seconds between checkpoints.
const EVERY: Duration = Duration::from_secs(5);

/// Runs (or goes on with) a job; `report` sees every generation.
///
/// # Errors
/// When an architecture cannot be run or a file cannot be written; what was written stays.
pub fn run(
    mut job: Job<'_>,
    resume: bool,
    eval: &mut dyn Evaluator,
    progress: &mut dyn FnMut(&Status<'_>),
) -> Result<(RunFile, Report), RunError> {
    let started = Instant::now();
    let settings = job.run.plan.settings.clone();
    if settings.algorithm == Algorithm::Exhaustive {
        return whole(&job, eval, started);
    }
    let part = &job.parts.search;
    let mut search = Search::new(&settings, job.space, eval, &part.archs, &part.truth, &part.bench)
        .map_err(RunError::Plan)?;
    search.seed_with(std::mem::take(&mut job.initial));
    let clock = Clock { started, seconds: job.run.budget.seconds, left: Cell::new(0.0), stop: job.stop };
    let halt = || clock.over();
    search.halt_when(&halt);
    if resume && let Some(folder) = job.folder {
        restore(&mut search, folder, &job)?;
    }
    let stopped = until_spent(&mut search, &job, &clock, progress)?;
    save(&search, &job)?;
    let (state, hits, misses) = (search.state.clone(), search.terms.hits, search.terms.misses);
    drop(search);
    let mut file = job.run.clone();
    file.stopped = Some(stopped);
    note(&mut file, &state, started, hits, misses);
    let report = conclude(&job, &state, eval)?;
    file.seconds.pop();
    note(&mut file, &state, started, hits, misses);
    if let Some(folder) = job.folder {
        publish(folder, &job, &file, &report, &state)?;
    }
    Ok((file, report))
}

/// Steps until a budget is spent, with checkpoints; returns which.
fn until_spent(
    search: &mut Search<'_>,
    job: &Job<'_>,
    clock: &Clock<'_>,
    progress: &mut dyn FnMut(&Status<'_>),
) -> Result<String, RunError> {
    let (mut saved, mut pause) = (Instant::now(), EVERY);
    loop {
        if let Some(reason) = spent(&search.state, &job.run.budget, clock) {
            return Ok(reason);
        }
        match search.step() {
            // The look at the clock above says why.
            Err(e) if e.halted => continue,
            other => other?,
        }
        let each = ending(job.parts, job.run.plan.settings.capture, job.references);
        clock.left.set(search.seconds_per_architecture() * each);
        let (hits, misses) = (search.terms.hits, search.terms.misses);
        let seconds = clock.started.elapsed().as_secs_f64();
        progress(&Status { state: &search.state, seconds, hits, misses });
        if saved.elapsed() >= pause {
            let began = Instant::now();
            save(search, job)?;
            // At most a twentieth of the time goes into checkpoints.
            pause = EVERY.max(20 * began.elapsed());
            saved = Instant::now();
        }
    }
}

/// Searches the whole space.
fn whole(job: &Job<'_>, eval: &mut dyn Evaluator, started: Instant) -> Result<(RunFile, Report), RunError> {
    let Some(space) = job.space.over_vocabulary() else {
        return Err(RunError::Plan("the space free is not finite; use linear or tree".into()));
    };
    let settings = &job.run.plan.settings;
    let part = &job.parts.search;
    let judge = Judge::new(settings.measure, settings.over, part.truth.clone(), &part.bench);
    let mut found = exhaustive::search(space, eval, &part.archs, &judge, settings.capture, job.remark)?;
    exhaustive::annotate(&mut found, space, eval, settings.capture);
    let mut state = State::new(0, Counted::without(&settings.no_rules).map_err(RunError::Plan)?);
    state.evaluations = found.distinct;
    let mut file = job.run.clone();
    file.stopped = Some("the whole space was searched".into());
    file.whole = Some(Whole {
        programs: found.programs,
        branches: found.branches.0,
        distinct_branches: found.branches.1,
        distinct: found.distinct,
        optimum: found.hall.members.first().map_or(0.0, |m| m.fitness.value),
    });
    state.hall = found.hall;
    let report = conclude(job, &state, eval)?;
    note(&mut file, &state, started, 0, 0);
    if let Some(folder) = job.folder {
        publish(folder, job, &file, &report, &state)?;
    }
    Ok((file, report))
}

fn restore(search: &mut Search<'_>, folder: &Folder, job: &Job<'_>) -> Result<(), RunError> {
    let stored = match folder.read("checkpoint") {
        // Killed before the first checkpoint: the run begins anew, and ends the same.
        Err(FolderError::Foreign(..)) => return Ok(()),
        other => other?,
    };
    let rules = Counted::without(&job.run.plan.settings.no_rules).map_err(RunError::Plan)?;
    let (state, terms) = checkpoint::read(&stored, rules, job.space, job.text).map_err(|e| {
        RunError::Plan(format!("the checkpoint in {} is damaged: {e}", folder.path().display()))
    })?;
    search.resume(state, terms);
    Ok(())
}

fn save(search: &Search<'_>, job: &Job<'_>) -> Result<(), RunError> {
    let Some(folder) = job.folder else { return Ok(()) };
    let text =
        checkpoint::write(&search.state, &search.terms, job.space, job.text).map_err(RunError::Plan)?;
    folder.write("checkpoint", &text)?;
    folder.write_history(&search.state.history)?;
    Ok(())
}

fn note(file: &mut RunFile, state: &State, started: Instant, hits: u64, misses: u64) {
    file.generations = state.generation;
    file.evaluations = state.evaluations;
    file.ill_typed = state.ill_typed;
    file.rules = rejections(state);
    file.cache = serde_json::json!({ "term_values_known": hits, "term_values_computed": misses });
    file.seconds.push(started.elapsed().as_secs_f64());
}

fn conclude(job: &Job<'_>, state: &State, eval: &mut dyn Evaluator) -> Result<Report, RunError> {
    let (settings, part) = (&job.run.plan.settings, &job.parts.search);
    let judge = Judge::new(settings.measure, settings.over, part.truth.clone(), &part.bench);
    let finish = Finish {
        space: job.space,
        parts: job.parts,
        judge: &judge,
        capture: job.run.plan.settings.capture,
        keep: job.run.plan.keep,
        references: job.references,
        reference_dag: job.reference_dag,
    };
    Ok(finish::report(&state.hall, &finish, eval)?)
}

fn publish(
    folder: &Folder,
    job: &Job<'_>,
    file: &RunFile,
    report: &Report,
    state: &State,
) -> Result<(), RunError> {
    let plan = &file.plan;
    let module = super::emit::module(
        report,
        &job.space.preamble(),
        &plan.settings.capture_text,
        &file.command,
        plan.settings.seed,
    );
    let module = (job.format)(&module);
    folder.write("hall_of_fame.lpz", &module)?;
    folder.write("report.html", &super::page::page(file, report, state, job.parts, &module))?;
    folder.write_report(report)?;
    folder.write_history(&state.history)?;
    folder.write_run(file)?;
    Ok(())
}
