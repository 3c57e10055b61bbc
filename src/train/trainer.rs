//! One model in training: parameters, optimiser state, and what a step does to them.

use super::TrainError;
use super::adamw::{Moments, Move, sum_of_squares};
use super::data::{Dataset, Windows, mask};
use super::settings::Settings;
use crate::model::{Config, LanguageModel, ModelError};
use crate::random::Stream;
use crate::site::SourceError;
use crate::tensor::nn::IGNORE;
use serde_json::Value;
use std::sync::Arc;

impl From<ModelError> for TrainError {
    fn from(e: ModelError) -> Self {
        SourceError::from(e).into()
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Number of the step, from 1.
    pub step: usize,
    /// Loss of its batch before the update, nats per predicted token.
    pub loss: f64,
    /// Norm of the whole gradient before clipping.
    pub norm: f64,
    /// Learning rate.
    pub lr: f64,
}

/// A model in training.
pub struct Trainer {
    /// The model.
    pub model: LanguageModel,
    /// Its config as JSON, as given.
    pub config: Value,
    /// How it is trained.
    pub settings: Settings,
    /// Values of the parameters, by id.
    pub params: Vec<Arc<[f32]>>,
    /// Optimiser state, by id.
    pub moments: Vec<Moments>,
    /// Steps done.
    pub step: usize,
    /// Loss of every step done.
    pub losses: Vec<f64>,
    /// Evaluations: steps done before, loss.
    pub valid: Vec<(usize, f64)>,
    grads: Vec<Vec<f32>>,
}

/// The token that stands for a masked one: `mask_token_id` of the config, or the last of the vocabulary;
/// none for decoders.
fn mask_id(config: &Config, json: &Value) -> Option<u32> {
    let given = json.get("mask_token_id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
    (!config.causal()).then(|| given.unwrap_or(config.vocab().saturating_sub(1) as u32))
}

/// How many token ids text may use: all of the vocabulary, less the mask where it is the last one.
///
/// # Errors
/// A config that does not fit its family.
pub fn text_vocab(json: &Value) -> Result<usize, TrainError> {
    let config = Config::from_json(json)?;
    let vocab = config.vocab();
    Ok(match mask_id(&config, json) {
        Some(id) if id as usize + 1 == vocab => vocab - 1,
        _ => vocab,
    })
}

impl Trainer {
    /// A model at the start of its training.
    ///
    /// # Errors
    /// A config that does not fit its family, or the sequence length; too little memory.
    pub fn new(config: &Value, settings: Settings) -> Result<Self, TrainError> {
        let parsed = Config::from_json(config)?;
        if let Some(id) = mask_id(&parsed, config).filter(|&id| id as usize >= parsed.vocab()) {
            return Err(TrainError::new(format!(
                "`mask_token_id` {id} is not in the vocabulary of {}",
                parsed.vocab()
            )));
        }
        let model = LanguageModel::new(parsed, settings.batch, settings.seq)?;
        let params = model.init(settings.seed);
        Ok(Trainer {
            moments: params.iter().map(|p| Moments::zero(p.len())).collect(),
            grads: vec![Vec::new(); params.len()],
            config: config.clone(),
            step: 0,
            losses: Vec::new(),
            valid: Vec::new(),
            model,
            settings,
            params,
        })
    }

    /// Number of parameters.
    pub fn size(&self) -> usize {
        self.params.iter().map(|p| p.len()).sum()
    }

    /// What goes in, and what is to be predicted at every position.
    fn examples(&self, windows: Windows, name: &str, seed: u64) -> (Vec<u32>, Vec<u32>) {
        let Some(id) = mask_id(self.model.config(), &self.config) else { return (windows.ids, windows.next) };
        let vocab = self.model.config().vocab();
        let (shown, targets) = mask(&windows, vocab, id, &mut Stream::new(seed, name));
        (shown, targets.into_iter().map(|t| t.unwrap_or(IGNORE)).collect())
    }

    /// Inputs and targets of a step.
    pub fn batch(&self, data: &Dataset, step: usize) -> (Vec<u32>, Vec<u32>) {
        let Settings { batch, seq, seed, .. } = self.settings;
        self.examples(data.batch(step, batch, seq, seed), &format!("train/mask/{step}"), seed)
    }

    /// One step: loss and gradients of the step's batch, clipping, AdamW.
    ///
    /// # Errors
    /// A loss or gradient that is not finite, with its place; the parameters are as they were before.
    pub fn advance(&mut self, data: &Dataset) -> Result<Step, TrainError> {
        let Settings { batch, seq, .. } = self.settings;
        let step = self.step;
        let examples = self.batch(data, step);
        let grads = &mut self.grads;
        let mut take = |id: usize, g: &[f32]| {
            grads[id].clear();
            grads[id].extend_from_slice(g);
        };
        let loss = self.model.loss(&self.params, examples, [batch, seq], Some(&mut take));
        let squares: Vec<f64> = self.grads.iter().map(|g| sum_of_squares(g)).collect();
        let norm = squares.iter().sum::<f64>().sqrt();
        let lr = self.settings.schedule.at(step);
        if !loss.is_finite() || !norm.is_finite() {
            return Err(self.diverged(loss, &squares, lr));
        }
        self.update(norm, lr);
        self.step += 1;
        self.losses.push(loss);
        Ok(Step { step: self.step, loss, norm, lr })
    }

    fn update(&mut self, norm: f64, lr: f64) {
        let adamw = &self.settings.adamw;
        let scale = adamw.clip_factor(norm);
        let specs = &self.model.plan().params;
        for (id, spec) in specs.iter().enumerate() {
            let matrix = spec.dims.iter().filter(|&&d| d > 1).count() > 1;
            let how = Move { step: self.step, lr, scale, matrix };
            adamw.update(Arc::make_mut(&mut self.params[id]), &mut self.moments[id], &self.grads[id], &how);
        }
    }

    fn diverged(&self, loss: f64, squares: &[f64], lr: f64) -> TrainError {
        let specs = &self.model.plan().params;
        let bad = |finite: &dyn Fn(usize) -> bool| (0..specs.len()).find(|&id| !finite(id));
        let place = match (
            bad(&|id| self.params[id].iter().all(|x| x.is_finite())),
            bad(&|id| squares[id].is_finite()),
        ) {
            (Some(id), _) => format!("; parameter `{}` is not finite", specs[id].name),
            (None, Some(id)) => format!("; the gradient of `{}` is not finite", specs[id].name),
            (None, None) => String::new(),
        };
        TrainError::new(format!(
            "training diverged at step {}: the loss is {loss:.4e} (learning rate {lr:.3e}){place}",
            self.step + 1
        ))
        .help("train with a lower --lr; the last good checkpoint is kept")
    }

    /// Mean loss over the evaluation text, nats per predicted token; for a masked model the same
    /// masks every time.
    pub fn evaluate(&self, data: &Dataset) -> f64 {
        let Settings { batch, seq, eval_batches, .. } = self.settings;
        let mut sum = 0.0;
        let mut n = 0;
        while let Some(windows) = data.evaluation(n, batch, seq).filter(|_| n < eval_batches) {
            let examples = self.examples(windows, &format!("train/mask/valid/{n}"), 0);
            sum += self.model.loss(&self.params, examples, [batch, seq], None);
            n += 1;
        }
        sum / n.max(1) as f64
    }
}
