//! A run's folder: `run.json`, `history.csv`, `hall_of_fame.lpz`, `front.json`, `checkpoint`.

use super::finish::Report;
use super::rules::RULES;
use super::search::{Line, State};
use super::settings::{Budget, Settings};
use crate::files::write_atomic;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A benchmark of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchUsed {
    /// File.
    pub path: String,
    /// Metric.
    pub metric: String,
    /// Hash of what it holds: architectures and ground truth.
    pub hash: String,
    /// Architectures taken.
    pub architectures: usize,
}

/// How architectures were run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelUsed {
    /// Sequences of a minibatch.
    pub batch: u32,
    /// Tokens of a sequence.
    pub seq: u32,
    /// `f32` or `f64`.
    pub precision: String,
    /// Engine.
    pub engine: String,
    /// Text that was read; none for random tokens.
    pub text: Option<PathBuf>,
    /// Tokenizer of the text.
    pub tokenizer: Option<PathBuf>,
    /// File of token ids.
    pub inputs: Option<PathBuf>,
    /// Folder of stored captures; none to run models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captures: Option<PathBuf>,
    /// Objective of programs that name none; none for the family's.
    pub objective: Option<String>,
    /// Architectures taken at most, per benchmark.
    pub limit: Option<usize>,
    /// Seed of parameters, tokens and the sample of architectures.
    pub seed: u64,
}

/// The space of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpaceUsed {
    /// `tree`, `linear`, `graph`, `free`.
    pub name: String,
    /// Unary operations per branch.
    pub n_unary: usize,
    /// Nodes of a graph.
    pub n_nodes: usize,
    /// Vocabulary module, copied into the folder; none for the default.
    pub vocabulary: Option<String>,
}

/// What decides the course of a run: two runs with equal plans are equal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Identity of the program: version, operators and rules.
    pub version: String,
    /// Search.
    pub settings: Settings,
    /// Space.
    pub space: SpaceUsed,
    /// Benchmarks.
    pub benches: Vec<BenchUsed>,
    /// Models.
    pub model: ModelUsed,
    /// Fractions of distinct architectures for search and validation.
    pub fractions: (f64, f64),
    /// Proxies that the first generation starts from, as expressions.
    pub initial: Vec<String>,
    /// Programs reported.
    pub keep: usize,
}

/// `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFile {
    /// What the run does.
    pub plan: Plan,
    /// The command that starts it.
    pub command: String,
    /// Budget of the latest session.
    pub budget: Budget,
    /// Why the latest session ended; none while it runs.
    pub stopped: Option<String>,
    /// Generations done.
    pub generations: u64,
    /// Programs evaluated.
    pub evaluations: u64,
    /// Proposals that did not type-check.
    pub ill_typed: u64,
    /// Seconds of every session.
    pub seconds: Vec<f64>,
    /// Rejections by rule.
    pub rules: serde_json::Map<String, serde_json::Value>,
    /// Reduction cache and term values.
    pub cache: serde_json::Value,
    /// The whole space in numbers, where it was searched whole.
    pub whole: Option<Whole>,
}

impl RunFile {
    /// The algorithm, as on the command line.
    pub fn algorithm(&self) -> String {
        let name = serde_json::to_value(self.plan.settings.algorithm).unwrap_or_default();
        name.as_str().unwrap_or_default().to_owned()
    }
}

/// A finite space, searched whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Whole {
    /// Programs.
    pub programs: f64,
    /// Branches.
    pub branches: usize,
    /// Branches with different values.
    pub distinct_branches: usize,
    /// Programs with different finite scores.
    pub distinct: u64,
    /// The best fitness that any program of the space has on the search part.
    pub optimum: f64,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It holds something already.
    #[error("{0} exists already and is not empty")]
    Occupied(PathBuf),
    /// No run there.
    #[error("{0} is no run of `lpz evolve`: {1}")]
    Foreign(PathBuf, String),
    /// A run of other settings.
    #[error("{0} was started with another {1}")]
    Changed(PathBuf, String),
    /// Reading or writing failed.
    #[error("cannot {1} {0}: {2}")]
    Io(PathBuf, &'static str, std::io::Error),
}

impl FolderError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            FolderError::Occupied(_) => {
                "choose another --out, or go on with --resume; a run is never overwritten"
            }
            FolderError::Foreign(..) => "give the folder that `lpz evolve --out` made",
            FolderError::Changed(..) => {
                "a run goes on only with the program and benchmark it began with; start a new one with --out"
            }
            FolderError::Io(..) => "check the path, permissions and free space",
        }
    }
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes a new folder, or takes an empty one.
    ///
    /// # Errors
    /// When it holds anything, or cannot be made or written.
    pub fn create(path: &Path) -> Result<Self, FolderError> {
        let io = |e| FolderError::Io(path.to_owned(), "make", e);
        std::fs::create_dir_all(path).map_err(io)?;
        let mut inside = std::fs::read_dir(path).map_err(io)?;
        if inside.next().is_some() {
            return Err(FolderError::Occupied(path.to_owned()));
        }
        Ok(Folder(path.to_owned()))
    }

    /// Opens the folder of a run.
    ///
    /// # Errors
    /// When there is none, or its `run.json` cannot be read.
    pub fn open(path: &Path) -> Result<(Self, RunFile), FolderError> {
        let folder = Folder(path.to_owned());
        let text = folder.read("run.json")?;
        let run = serde_json::from_str(&text)
            .map_err(|e| FolderError::Foreign(path.to_owned(), format!("run.json: {e}")))?;
        Ok((folder, run))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file's text.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, name: &str) -> Result<String, FolderError> {
        let path = self.0.join(name);
        match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Err(FolderError::Foreign(self.0.clone(), format!("it has no {name}")))
            }
            other => other.map_err(|e| FolderError::Io(path, "read", e)),
        }
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<(), FolderError> {
        let path = self.0.join(name);
        write_atomic(&path, text.as_bytes()).map_err(|e| FolderError::Io(path, "write", e))
    }

    /// Writes `run.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_run(&self, run: &RunFile) -> Result<(), FolderError> {
        self.write("run.json", &pretty(run))
    }

    /// Writes `front.json`: the report with all figures.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_report(&self, report: &Report) -> Result<(), FolderError> {
        self.write("front.json", &pretty(report))
    }

    /// Writes `history.csv`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_history(&self, lines: &[Line]) -> Result<(), FolderError> {
        self.write("history.csv", &history(lines))
    }
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn history(lines: &[Line]) -> String {
    let mut out = String::from("generation,evaluations,best,complexity,mean,members,restarts");
    for r in RULES {
        out.push_str(&format!(",rejected_{}", r.name.replace('-', "_")));
    }
    out.push('\n');
    for l in lines {
        out.push_str(&format!(
            "{},{},{},{},{},{},{}",
            l.generation, l.evaluations, l.best, l.complexity, l.mean, l.members, l.restarts
        ));
        for n in &l.rejected {
            out.push_str(&format!(",{n}"));
        }
        out.push('\n');
    }
    out
}

/// Rejections by rule.
pub fn rejections(state: &State) -> serde_json::Map<String, serde_json::Value> {
    RULES.iter().zip(&state.rules.counts).map(|(r, n)| (r.name.to_owned(), (*n).into())).collect()
}

/// Identity of this program as far as a run depends on it.
pub fn version() -> String {
    let operators: Vec<&str> = crate::ops::rows().iter().map(|r| r.name).collect();
    let rules: Vec<&str> = RULES.iter().map(|r| r.name).collect();
    let key = crate::ir::key::key_of(&(operators, rules));
    format!("{} {:08x}", env!("CARGO_PKG_VERSION"), key.0 as u32)
}
