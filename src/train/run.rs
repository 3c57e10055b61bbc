//! A whole training into a folder: steps, evaluations, checkpoints, and what is left at the end.
//!
//! The folder holds `config.json`, `checkpoint.safetensors` (to resume), and, when the training is
//! done, `model.safetensors`, `curve.csv` (loss of every step, evaluations) and `train.json`.

use super::TrainError;
use super::checkpoint;
use super::data::Dataset;
use super::trainer::{Step, Trainer};
use crate::files::write_atomic;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What happens during a training.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A step was done.
    Step(Step),
    /// The model was evaluated after so many steps.
    Evaluated {
        /// Steps done.
        step: usize,
        /// Loss on the evaluation text.
        loss: f64,
    },
}

/// What a training came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Steps done.
    pub steps: usize,
    /// Mean training loss over the last tenth of the steps, nats per predicted token.
    pub loss: f64,
    /// Loss on the evaluation text at the end.
    pub valid_loss: f64,
    /// Tokens per second, over the steps this process did, evaluations and checkpoints aside.
    pub tokens_per_second: f64,
    /// Parameters.
    pub params: usize,
    /// Evaluations: steps done before, loss.
    pub valid: Vec<(usize, f64)>,
    /// Entropy and unigram entropy of the synthetic language, nats per token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounds: Option<(f64, f64)>,
    /// Was it told to stop before the end?
    pub interrupted: bool,
}

/// Trains to the end, saving into `dir`. `stop` ends the training after the step in progress, with a
/// checkpoint.
///
/// # Errors
/// A loss that is not finite; a folder that cannot be written to. The last good checkpoint is kept.
pub fn train(
    t: &mut Trainer,
    data: &Dataset,
    dir: &Path,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Event),
) -> Result<Summary, TrainError> {
    prepare(t, dir)?;
    let steps = t.settings.schedule.steps;
    let (mut busy, first) = (Duration::ZERO, t.step);
    if t.step == 0 && t.valid.is_empty() {
        evaluate(t, data, tell)?;
    }
    while t.step < steps {
        let started = Instant::now();
        let step = t.advance(data)?;
        busy += started.elapsed();
        tell(Event::Step(step));
        let last = t.step == steps;
        if last || t.step.is_multiple_of(t.settings.eval_every) {
            evaluate(t, data, tell)?;
        }
        let stopped = stop.load(Ordering::Relaxed);
        if last || stopped || t.step.is_multiple_of(t.settings.save_every) {
            checkpoint::save(t, data, dir)?;
        }
        if stopped {
            break;
        }
    }
    let tokens = ((t.step - first) * t.settings.batch * t.settings.seq) as f64;
    let summary = summarise(t, data, tokens / busy.as_secs_f64().max(1e-9));
    finish(t, dir, &summary)?;
    Ok(summary)
}

fn evaluate(t: &mut Trainer, data: &Dataset, tell: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
    let loss = t.evaluate(data);
    if !loss.is_finite() {
        return Err(TrainError::new(format!(
            "training diverged: the evaluation loss after step {} is {loss}",
            t.step
        ))
        .help("train with a lower --lr; the last good checkpoint is kept"));
    }
    t.valid.push((t.step, loss));
    tell(Event::Evaluated { step: t.step, loss });
    Ok(())
}

fn written(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    write_atomic(path, bytes).map_err(|e| TrainError::new(format!("cannot write {}: {e}", path.display())))
}

fn pretty(value: &impl Serialize) -> Result<Vec<u8>, TrainError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|e| TrainError::new(e.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

fn prepare(t: &Trainer, dir: &Path) -> Result<(), TrainError> {
    std::fs::create_dir_all(dir)
        .map_err(|e| TrainError::new(format!("cannot create {}: {e}", dir.display())))?;
    // What a killed process left half-written.
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("checkpoint.safetensors.") && name.ends_with(".tmp") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    written(&dir.join("config.json"), &pretty(&t.config)?)
}

/// Mean of the last tenth.
fn recent(losses: &[f64]) -> f64 {
    let last = &losses[losses.len() - losses.len().div_ceil(10)..];
    last.iter().sum::<f64>() / last.len().max(1) as f64
}

fn summarise(t: &Trainer, data: &Dataset, tokens_per_second: f64) -> Summary {
    Summary {
        steps: t.step,
        loss: recent(&t.losses),
        valid_loss: t.valid.last().map_or(f64::NAN, |v| v.1),
        tokens_per_second,
        params: t.size(),
        valid: t.valid.clone(),
        bounds: data.bounds,
        interrupted: t.step < t.settings.schedule.steps,
    }
}

fn finish(t: &Trainer, dir: &Path, summary: &Summary) -> Result<(), TrainError> {
    let mut csv = "step,loss,valid_loss\n".to_owned();
    let valid =
        |step: usize| t.valid.iter().find(|v| v.0 == step).map(|v| v.1.to_string()).unwrap_or_default();
    for (i, loss) in t.losses.iter().enumerate() {
        let _ = writeln!(csv, "{},{loss},{}", i + 1, valid(i + 1));
    }
    written(&dir.join("curve.csv"), csv.as_bytes())?;
    if summary.interrupted {
        return Ok(());
    }
    checkpoint::export(t, &dir.join("model.safetensors"))?;
    written(&dir.join("train.json"), &pretty(summary)?)
}
