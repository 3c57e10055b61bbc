//! `lpz train`: trains one architecture natively.

use super::Global;
use super::error::CliError;
use super::model_args::read_config;
use super::output::{Progress, json, print};
use crate::data::Text;
use crate::train::data::{LANGUAGE, SYNTHETIC};
use crate::train::{
    Dataset, Event, Settings, Summary, TrainError, Trainer, checkpoint, curve, text_vocab, trace, train,
};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Train an architecture
#[derive(Args, Debug)]
#[command(after_help = "Example: lpz train --model gpt2.json --text shakespeare.txt --steps 300 -o run")]
pub struct TrainArgs {
    /// config.json, a folder that holds one, or X.jsonl#ID
    #[arg(long, value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    how: HowArgs,
    /// Folder for config, checkpoint, model and loss curve
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Go on from the checkpoint in the folder
    #[arg(long)]
    resume: bool,
    /// Also write initial parameters and all batches (safetensors), for other programs to repeat
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    trace: Option<PathBuf>,
}

/// What is trained on.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("corpus").required(true).args(["text", "synthetic"]))]
pub struct DataArgs {
    /// Text; bytes are tokens unless a tokenizer is given
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// Hugging Face tokenizer.json
    #[arg(long, value_name = "FILE", requires = "text")]
    pub tokenizer: Option<PathBuf>,
    /// The generated language, with known entropy
    #[arg(long)]
    pub synthetic: bool,
}

/// How it is trained.
#[derive(Args, Debug)]
pub struct HowArgs {
    /// Steps
    #[arg(long, default_value_t = 300)]
    pub steps: usize,
    /// Sequences per step
    #[arg(long, default_value_t = 8)]
    pub batch: usize,
    /// Tokens per sequence
    #[arg(long, default_value_t = 64)]
    pub seq: usize,
    /// Largest learning rate (a tenth of the steps of warm-up, then a cosine down to a tenth)
    #[arg(long, default_value_t = 1e-3)]
    pub lr: f64,
}

impl From<TrainError> for CliError {
    fn from(error: TrainError) -> Self {
        let cli = CliError::new(error.message);
        match error.help {
            Some(help) => cli.help(help),
            None => cli,
        }
    }
}

impl DataArgs {
    /// Reads or makes what is trained on, for a vocabulary.
    pub(super) fn open(&self, vocab: usize, batch: usize, seq: usize) -> Result<Dataset, CliError> {
        match &self.text {
            Some(path) => {
                let text = Text::open(path, self.tokenizer.as_deref()).map_err(TrainError::from)?;
                Ok(Dataset::text(&text, vocab, batch, seq)?)
            }
            None => Ok(Dataset::synthetic(vocab, LANGUAGE, SYNTHETIC, batch, seq)?),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Bad input; a loss that is not finite; a folder that cannot be written to.
pub fn run(args: TrainArgs, global: &Global) -> Result<ExitCode, CliError> {
    let how = &args.how;
    let settings = Settings::new(how.steps, how.batch, how.seq, how.lr, global.seed)?;
    let (config, _) = read_config(&args.model)?;
    let data = args.data.open(text_vocab(&config)?, how.batch, how.seq)?;
    let mut trainer = Trainer::new(&config, settings)?;
    let saved = checkpoint::path(&args.output);
    if args.resume {
        checkpoint::resume(&mut trainer, &data, &args.output)?;
    } else if saved.exists() {
        return Err(CliError::new(format!("{} is there already", saved.display()))
            .help("go on with --resume, or give another folder"));
    }
    if let Some(path) = &args.trace {
        trace(&trainer, &data, path)?;
    }
    let summary = run_with_progress(&mut trainer, &data, &args.output, global)?;
    let value = serde_json::to_value(&summary).map_err(super::error::failed)?;
    if !json(global, &value)? && !global.quiet {
        print(&told(&trainer, &summary, &args.output))?;
    }
    if summary.interrupted {
        return Err(CliError::interrupted(format!(
            "stopped after step {}; go on with --resume",
            summary.steps
        )));
    }
    Ok(ExitCode::SUCCESS)
}

fn run_with_progress(
    t: &mut Trainer,
    data: &Dataset,
    dir: &Path,
    global: &Global,
) -> Result<Summary, CliError> {
    let stop = super::interrupt::flag();
    let mut progress = Progress::new(global, "train", t.settings.schedule.steps as u64);
    progress.note(&format!("{} parameters, {} tokens of {}", t.size(), data.len(), data.name()));
    for _ in 0..t.step {
        progress.step("resumed");
    }
    let summary = train(t, data, dir, stop, &mut |event| match event {
        Event::Step(s) => progress.step(&format!("loss {:.3}", s.loss)),
        Event::Evaluated { step, loss } => {
            progress.note(&format!("step {step:>6}  evaluation loss {loss:.4}"))
        }
    })?;
    Ok(summary)
}

fn told(t: &Trainer, s: &Summary, dir: &Path) -> String {
    let mut out = curve::plot(&t.losses, 72, 12);
    out += &format!(
        "loss {:.4}, evaluation {:.4} (perplexity {:.2}), {:.0} tokens/s\n",
        s.loss,
        s.valid_loss,
        s.valid_loss.exp(),
        s.tokens_per_second
    );
    if let Some((entropy, unigram)) = s.bounds {
        out += &format!("the language: no model is below {entropy:.4}, without context {unigram:.4}\n");
    }
    out + &format!("{}\n", dir.join("model.safetensors").display())
}
