//! How a model is trained.

use super::TrainError;
use super::adamw::{AdamW, Schedule};
use serde::{Deserialize, Serialize};

/// Settings of a training; two trainings with equal settings, config and data are equal bit for bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Sequences per step.
    pub batch: usize,
    /// Tokens per sequence.
    pub seq: usize,
    /// Seed of the initial parameters, the order of the data and the masks.
    pub seed: u64,
    /// Learning rate over the steps.
    pub schedule: Schedule,
    /// The optimiser.
    pub adamw: AdamW,
    /// Steps between evaluations.
    pub eval_every: usize,
    /// Batches of an evaluation (fewer where the evaluation text is shorter).
    pub eval_batches: usize,
    /// Steps between checkpoints.
    pub save_every: usize,
}

/// Warm-up, as a fraction of all steps.
const WARMUP: f64 = 0.1;
/// Learning rate at the end, as a fraction of the largest.
const FLOOR: f64 = 0.1;
/// Evaluations and checkpoints of a training.
const PARTS: usize = 10;

impl Settings {
    /// The usual settings for so many steps: a tenth of warm-up, ten evaluations and checkpoints.
    ///
    /// # Errors
    /// Sizes of 0, a learning rate that is not a positive number.
    pub fn new(steps: usize, batch: usize, seq: usize, lr: f64, seed: u64) -> Result<Self, TrainError> {
        for (name, n) in [("steps", steps), ("batch", batch), ("seq", seq)] {
            if n == 0 {
                return Err(TrainError::new(format!("--{name} is 0")).help("give a positive number"));
            }
        }
        if !(lr.is_finite() && lr > 0.0) {
            return Err(TrainError::new(format!("the learning rate {lr} is not a positive number"))
                .help("give one such as --lr 1e-3"));
        }
        let warmup = ((steps as f64 * WARMUP) as usize).max(1);
        Ok(Settings {
            batch,
            seq,
            seed,
            schedule: Schedule { lr, warmup, steps, floor: FLOOR },
            adamw: AdamW::default(),
            eval_every: steps.div_ceil(PARTS),
            eval_batches: 8,
            save_every: steps.div_ceil(PARTS),
        })
    }
}
