//! What a session runs on: architecture, parameters, data. And who opens it.

use crate::engine::{Cpu, Engine};
use crate::ir::{Dag, Program};
use crate::site::{Source, SourceError};
use std::path::PathBuf;

/// What to open.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Architecture: a config.json, a folder, `X.jsonl#ID`.
    pub model: Option<String>,
    /// Parameters; `None` is the folder's own, or drawn from the seed.
    pub weights: Option<PathBuf>,
    /// Draw parameters even where a checkpoint is there.
    pub random_init: bool,
    /// Text to take batches from; `None` is random tokens.
    pub text: Option<PathBuf>,
    /// Its tokenizer.
    pub tokenizer: Option<PathBuf>,
    /// Sequences in a batch.
    pub batch: u32,
    /// Tokens in a sequence.
    pub seq: u32,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            model: None,
            weights: None,
            random_init: false,
            text: None,
            tokenizer: None,
            batch: 8,
            seq: 128,
            seed: 0,
        }
    }
}

/// An opened model.
pub struct Opened {
    /// The model with its data.
    pub source: Box<dyn Source + Send>,
    /// What it is, in a few words.
    pub what: String,
}

/// What `:rank` asks for.
pub struct RankRequest<'a> {
    /// Nodes.
    pub dag: &'a Dag,
    /// The program.
    pub program: &'a Program,
    /// Benchmark.
    pub bench: PathBuf,
    /// Ground truth, where not the benchmark's own choice.
    pub metric: Option<String>,
    /// So many architectures.
    pub limit: Option<usize>,
}

/// Opens models and ranks: what a session cannot do by itself.
pub trait Host {
    /// Opens a model with so many batches of data.
    ///
    /// # Errors
    /// What is wrong with the architecture, the parameters or the data.
    fn open(&self, settings: &Settings, batches: usize) -> Result<Opened, SourceError>;

    /// Ranks a benchmark by a program; the text to show.
    ///
    /// # Errors
    /// What is wrong with the benchmark.
    fn rank(&self, settings: &Settings, request: &RankRequest<'_>) -> Result<String, SourceError>;

    /// Makes the engine that evaluates lines.
    fn engine(&self) -> fn() -> Box<dyn Engine> {
        || Box::new(Cpu)
    }
}
