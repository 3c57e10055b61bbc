//! Model options: which architecture, with which parameters, on which data, in which precision.
//!
//! `device` says where programs run, `model` opens models in either precision.

mod device;
mod model;

pub use device::{DeviceName, EngineName};
pub use model::{AnyModel, Precision};

use super::Global;
use super::error::CliError;
use crate::bench::Bench;
use crate::data::{Batch, Text, Tokens};
use crate::ir::key::{Key, key_of};
use crate::model::{Config, ModelError};
use crate::site::{OBJECTIVES, Objective, SourceError, option};
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Options of every command that runs a model.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Model")]
pub struct DataArgs {
    /// Token ids (input_ids, labels) as safetensors
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "random_tokens"])]
    pub inputs: Option<PathBuf>,
    /// Text to take batches from, as bytes or through --tokenizer
    #[arg(long, value_name = "FILE", conflicts_with = "random_tokens")]
    pub text: Option<PathBuf>,
    /// Hugging Face tokenizer.json
    #[arg(long, value_name = "FILE", requires = "text")]
    pub tokenizer: Option<PathBuf>,
    /// Uniform random tokens (the default)
    #[arg(long)]
    pub random_tokens: bool,
    /// Sequences in a batch
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub batch: u32,
    /// Tokens in a sequence
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1048576))]
    pub seq: u32,
    /// Objective of programs whose @capture names none [default: the family's]
    #[arg(long, value_name = "O", value_parser = objective)]
    pub objective: Vec<Objective>,
    /// Precision of model and engine
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub precision: Precision,
    /// Engine that evaluates programs
    #[arg(long, value_enum, default_value_t = EngineName::Cpu)]
    pub engine: EngineName,
}

/// A model and its parameters.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Architecture: a config.json, a Hugging Face folder, or X.jsonl#ID
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// Parameters (safetensors) [default: a folder's model.safetensors, else drawn from the seed]
    #[arg(long, value_name = "FILE", conflicts_with = "random_init")]
    pub weights: Option<PathBuf>,
    /// Draw the parameters from the seed even where a checkpoint is there
    #[arg(long)]
    pub random_init: bool,
    /// Data and precision.
    #[command(flatten)]
    pub data: DataArgs,
}

fn objective(name: &str) -> Result<Objective, String> {
    let names: Vec<&str> = OBJECTIVES.iter().map(|(_, n, _)| *n).collect();
    option(OBJECTIVES, name).ok_or_else(|| format!("objectives are {}", names.join(", ")))
}

impl From<SourceError> for CliError {
    fn from(e: SourceError) -> Self {
        let error = CliError::new(e.message);
        match e.help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

impl From<ModelError> for CliError {
    fn from(e: ModelError) -> Self {
        SourceError::from(e).into()
    }
}

impl DataArgs {
    /// Opens what tokens come from.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn tokens(&self) -> Result<Tokens, CliError> {
        Ok(match (&self.inputs, &self.text) {
            (Some(path), _) => Tokens::File(Batch::read(path)?),
            (_, Some(path)) => Tokens::Text(Text::open(path, self.tokenizer.as_deref())?),
            _ => Tokens::Random,
        })
    }

    /// The one objective given, if any.
    ///
    /// # Errors
    /// When several were given.
    pub fn one_objective(&self) -> Result<Option<Objective>, CliError> {
        match self.objective.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            _ => Err(CliError::new("--objective was given several times").help("this command takes one")),
        }
    }

    /// `count` batches for an architecture.
    ///
    /// # Errors
    /// Data that is too short or does not fit.
    pub fn batches(
        &self,
        config: &Config,
        tokens: &Tokens,
        count: usize,
        seed: u64,
    ) -> Result<Vec<Batch>, SourceError> {
        let (batch, seq) = (self.batch as usize, self.seq as usize);
        (0..count).map(|i| tokens.batch(i, batch, seq, config.vocab(), seed)).collect()
    }

    /// What decides the values of an architecture, for the reduction cache.
    pub fn identity(&self, config: &Value, seed: u64) -> Key {
        let data =
            format!("{:?} {:?} {:?} {} {}", self.inputs, self.text, self.tokenizer, self.batch, self.seq);
        key_of(&(config.to_string(), data, self.precision as u8, seed))
    }
}

/// The configuration that `--model` names, and the checkpoint that may lie beside it.
///
/// # Errors
/// A file that cannot be read or is not JSON; an architecture that is not in the benchmark.
pub(super) fn read_config(model: &str) -> Result<(Value, Option<PathBuf>), CliError> {
    const HELP: &str = "--model takes a config.json, a Hugging Face folder or X.jsonl#ID";
    if let Some((file, id)) = model.rsplit_once('#') {
        let bench = Bench::read(Path::new(file))?;
        let record = bench.record(id)?;
        return Ok((record.config.clone(), None));
    }
    let path = Path::new(model);
    let (path, beside) = match path.is_dir() {
        true => (path.join("config.json"), Some(path.join("model.safetensors"))),
        false => (path.to_owned(), None),
    };
    let text = std::fs::read_to_string(&path).map_err(|e| CliError::io("read", &path, &e).help(HELP))?;
    let json = serde_json::from_str(&text)
        .map_err(|e| CliError::new(format!("{}: not JSON: {e}", path.display())).help(HELP))?;
    Ok((json, beside))
}

impl ModelArgs {
    /// Reads the configuration and finds the parameters.
    ///
    /// # Errors
    /// A file that cannot be read; a configuration that is wrong.
    pub fn config(&self) -> Result<(Config, Value, Option<PathBuf>), CliError> {
        let (json, beside) = read_config(&self.model)?;
        let config = Config::from_json(&json).map_err(|e| {
            let e: CliError = e.into();
            e.within(&self.model)
        })?;
        let weights = match (&self.weights, self.random_init) {
            (Some(path), _) => Some(path.clone()),
            (None, false) => beside.filter(|p| p.is_file()),
            (None, true) => None,
        };
        Ok((config, json, weights))
    }

    /// The model, ready to run.
    ///
    /// # Errors
    /// Anything wrong with configuration, parameters or data.
    pub fn open(&self, global: &Global, batches: usize) -> Result<(AnyModel, Config), CliError> {
        let (config, _, weights) = self.config()?;
        let tokens = self.data.tokens()?;
        let model = self.data.open(&config, weights.as_deref(), &tokens, batches, global.seed)?;
        Ok((model, config))
    }
}
