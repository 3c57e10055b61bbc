//! Language modelling for training: the loss of given targets, with the gradient of every parameter.
//!
//! Decoders predict the next token with their own heads. FlexiBERT has no head; here it is a masked
//! language model whose output table is the word table (tied, no bias): the last hidden state, brought
//! back to the embedding width by the transpose of `embeddings_project` where the widths differ, times
//! the word embeddings. So training adds no parameter to any family.

use super::net::{Entry, Net, Observer, Watch};
use super::params::Params;
use super::plan::{ParamId, Plan};
use super::relay::anywhere;
use super::{Batch, Config, ModelError, flexibert, forward, gpt2, gpt2flex};
use crate::site::{Field, Inputs, Outline, SiteId};
use crate::tensor::Dtype;
use crate::tensor::nn::{self, IGNORE, Mask};
use crate::tensor::tape::{Grad, Var};
use std::sync::Arc;

/// What is known of an architecture without running it, at a batch's sizes.
///
/// # Errors
/// As [`LanguageModel::new`].
pub fn describe(config: &Config, batch: usize, seq: usize) -> Result<Outline, ModelError> {
    Ok(LanguageModel::new(config.clone(), batch, seq)?.outline())
}

/// An architecture to be trained, in f32; the values of its parameters are the caller's.
pub struct LanguageModel {
    config: Config,
    plan: Plan,
    here: bool,
}

/// Takes the gradient of a parameter.
pub type TakeGradient<'a> = dyn FnMut(ParamId, &[f32]) + 'a;

struct Gradients<'a, 'b>(&'a mut TakeGradient<'b>);

impl Observer<f32> for Gradients<'_, '_> {
    fn value(&mut self, _: SiteId, _: Field, _: &[usize], _: Arc<Vec<f32>>) {}
    fn param(&mut self, id: ParamId, grad: &mut Grad<f32>) {
        (self.0)(id, grad);
    }
}

impl LanguageModel {
    /// The architecture at a batch's sizes.
    ///
    /// # Errors
    /// When sequences are longer than its positions, or the machine's memory is too small.
    pub fn new(config: Config, batch: usize, seq: usize) -> Result<Self, ModelError> {
        if seq > config.positions() {
            return Err(ModelError::batch(
                format!("sequences of {seq} tokens, but the model has {} positions", config.positions()),
                format!("take --seq {} or less", config.positions()),
            ));
        }
        let plan = forward::declare(&config, batch, seq);
        plan.check_memory(size_of::<f32>())?;
        Ok(LanguageModel { config, plan, here: false })
    }

    /// On this machine's CPU, whatever device there is.
    #[must_use]
    pub fn here(self) -> Self {
        LanguageModel { here: true, ..self }
    }

    /// The architecture.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its parameters and sites.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Sites, numbers, parameter counts.
    pub fn outline(&self) -> Outline {
        super::outline(&self.config, &self.plan)
    }

    /// Initial values of all parameters, drawn per name from `seed`.
    pub fn init(&self, seed: u64) -> Vec<Arc<[f32]>> {
        let params = Params::new(&self.plan, seed);
        (0..self.plan.params.len()).map(|id| params.get(&self.plan, id)).collect()
    }

    /// Mean cross entropy (nats) of `targets`, one per position ([`IGNORE`] where nothing is asked).
    /// Where `gradients` is given it takes the gradient of every parameter, once each.
    pub fn loss(
        &self,
        params: &[Arc<[f32]>],
        (ids, targets): (Vec<u32>, Vec<u32>),
        [batch, seq]: [usize; 2],
        gradients: Option<&mut TakeGradient<'_>>,
    ) -> f64 {
        let b = Batch { ids, labels: Some(targets), batch, seq };
        let record = gradients.is_some();
        let mut watch = Watch::default();
        if record {
            watch.grads.extend(0..params.len());
        }
        let get = |id: ParamId| params[id].clone();
        let mut ignore = |_: ParamId, _: &[f32]| {};
        let mut observer = Gradients(gradients.unwrap_or(&mut ignore));
        let entry = Entry { inputs: Inputs::Data, mask: Mask::Causal, seed: 0, first: 0 };
        let operations = if self.here { 0.0 } else { self.plan.flops() * if record { 3.0 } else { 1.0 } };
        anywhere((operations, Dtype::F32), &mut observer, |session, observer| {
            let mut net = Net::new(&self.plan, &get, &watch, observer, entry, record, session);
            let h = forward::hidden(&self.config, &mut net, &b);
            let loss = objective(&self.config, &mut net, h, &b);
            let value = f64::from(net.tape.value(loss)[0]);
            if record {
                net.backward(loss, 1.0);
            }
            value
        })
    }
}

fn objective(config: &Config, net: &mut Net<'_, f32>, h: Var, b: &Batch) -> Var {
    let targets = gpt2flex::targets(b);
    match config {
        Config::Gpt2Flex(c) => gpt2flex::loss(c, net, h, b).0,
        Config::Gpt2(c) => {
            let logits = gpt2::logits(c, net, h);
            mean_loss(net, logits, targets)
        }
        Config::FlexiBert(c) => {
            let asked = |r: &u32| targets[*r as usize] != IGNORE;
            let rows: Vec<u32> = (0..targets.len() as u32).filter(asked).collect();
            let targets = rows.iter().map(|&r| targets[r as usize]).collect();
            let h = nn::select_rows(&mut net.tape, h, rows);
            let logits = flexibert::word_logits(c, net, h);
            mean_loss(net, logits, targets)
        }
    }
}

fn mean_loss(net: &mut Net<'_, f32>, logits: Var, targets: Vec<u32>) -> Var {
    let count = targets.iter().filter(|&&t| t != IGNORE).count();
    let picks = nn::pick_log_softmax(&mut net.tape, logits, targets);
    let sum = nn::dot(&mut net.tape, picks, None);
    nn::combine(&mut net.tape, vec![(sum, -1.0 / count.max(1) as f64)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flexibert(hidden: usize) -> Config {
        let layer = json!({"operation_type": "SA", "operation_parameter": "SDP", "num_operation_heads": 2,
            "feed_forward_dimension": 8, "num_feed_forward": 1});
        Config::from_json(
            &json!({"family": "flexibert", "vocab_size": 11, "embedding_size": 6, "hidden_size": hidden,
            "max_position_embeddings": 8, "layer_norm_eps": 1e-3, "nas_config": {"encoder_layers": [layer]}}),
        )
        .unwrap()
    }

    /// The tied masked language model has right gradients: along the gradient, the loss changes by its
    /// squared norm.
    #[test]
    fn gradients_of_the_tied_masked_model() {
        for hidden in [6, 8] {
            let m = LanguageModel::new(flexibert(hidden), 2, 4).unwrap();
            let params: Vec<Arc<[f32]>> =
                m.init(3).iter().map(|p| p.iter().map(|x| x * 10.0).collect()).collect();
            let ids = vec![1, 2, 3, 4, 5, 6, 7, 8];
            let mut targets = vec![IGNORE; 8];
            (targets[1], targets[6]) = (9, 3);
            let mut grads = vec![Vec::new(); params.len()];
            let data = || (ids.clone(), targets.clone());
            m.loss(&params, data(), [2, 4], Some(&mut |id, g: &[f32]| grads[id] = g.to_vec()));
            let squares: f64 = grads.iter().flatten().map(|&g| f64::from(g) * f64::from(g)).sum();
            let moved = |h: f32| -> f64 {
                let step =
                    |(p, g): (&Arc<[f32]>, &Vec<f32>)| p.iter().zip(g).map(|(p, g)| p + h * g).collect();
                let params: Vec<Arc<[f32]>> = params.iter().zip(&grads).map(step).collect();
                m.loss(&params, data(), [2, 4], None)
            };
            let h = (0.01 / squares.sqrt()) as f32;
            let slope = (moved(h) - moved(-h)) / (2.0 * f64::from(h));
            assert!((slope / squares - 1.0).abs() < 0.01, "{slope} {squares}");
        }
    }
}
