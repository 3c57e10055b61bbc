//! What a session asks of the command line: models and ranks, as the other commands open and make them.

use crate::cli::Global;
use crate::cli::error::CliError;
use crate::cli::model_args::{DataArgs, EngineName, ModelArgs, Precision};
use crate::cli::rank;
use crate::engine::Engine;
use crate::repl::{COMMANDS, Host, Opened, RankRequest, Settings};
use crate::site::{Source, SourceError};

/// Opens models as the other commands do.
pub(super) struct Cli {
    pub(super) global: Global,
}

fn data(settings: &Settings) -> DataArgs {
    DataArgs {
        inputs: None,
        text: settings.text.clone(),
        tokenizer: settings.tokenizer.clone(),
        random_tokens: settings.text.is_none(),
        batch: settings.batch,
        seq: settings.seq,
        objective: Vec::new(),
        precision: Precision::F32,
        engine: EngineName::Cpu,
    }
}

fn said(e: CliError) -> SourceError {
    let (message, help) = e.parts();
    // Options of the command line are commands here.
    let here = |h: String| {
        COMMANDS.iter().fold(h, |h, c| h.replace(&format!("--{}", c.name), &format!(":{}", c.name)))
    };
    SourceError { message, help: help.map(here) }
}

impl Host for Cli {
    fn engine(&self) -> fn() -> Box<dyn Engine> {
        || EngineName::Cpu.make()
    }

    fn open(&self, settings: &Settings, batches: usize) -> Result<Opened, SourceError> {
        let name = settings.model.clone().unwrap_or_default();
        let args = ModelArgs {
            model: name.clone(),
            weights: settings.weights.clone(),
            random_init: settings.random_init,
            data: data(settings),
        };
        let global = Global { seed: settings.seed, ..self.global.clone() };
        let (model, _) = args.open(&global, batches).map_err(said)?;
        let outline = model.outline();
        let number = |n: &str| outline.numbers.iter().find(|(m, _)| *m == n).map_or(0.0, |x| x.1);
        let what = format!(
            "{name}: {} parameters, {} blocks of width {}, {} sites; batch {} of {} tokens",
            grouped(number("params")),
            number("depth"),
            number("width"),
            outline.sites.len(),
            settings.batch,
            settings.seq
        );
        Ok(Opened { source: Box::new(model), what })
    }

    fn rank(&self, settings: &Settings, request: &RankRequest<'_>) -> Result<String, SourceError> {
        let global = Global { seed: settings.seed, ..self.global.clone() };
        rank::one(&data(settings), &global, request).map_err(said)
    }
}

/// `3,204,672`.
fn grouped(x: f64) -> String {
    let digits = format!("{x:.0}");
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}
