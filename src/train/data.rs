//! What a model is trained on: a stream of tokens, the last part kept for evaluation, cut into
//! windows at random places. Batch `step` depends on the seed and the step alone, so that a resumed
//! training sees what the uninterrupted one would have seen.

use super::TrainError;
use super::corpus::{Corpus, SMALLEST_VOCAB};
use crate::data::Text;
use crate::random::Stream;
use std::sync::Arc;

/// Tokens of the synthetic language that commands train on.
pub const SYNTHETIC: usize = 2_000_000;
/// Seed of that language: it does not change with the seed of a training, so that losses compare.
pub const LANGUAGE: u64 = 0;
/// Part of a text that is kept for evaluation.
const VALID: f64 = 0.05;

/// Tokens to train and to evaluate on.
#[derive(Clone, Debug)]
pub struct Dataset {
    name: String,
    train: Arc<[u32]>,
    valid: Arc<[u32]>,
    /// What is known of the loss: entropy (no model is better), unigram entropy (no context needed).
    pub bounds: Option<(f64, f64)>,
}

/// Sequences and what follows each of their tokens, `[batch, seq]` row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Sequences.
    pub batch: usize,
    /// Their length.
    pub seq: usize,
    /// Token ids.
    pub ids: Vec<u32>,
    /// The token after each.
    pub next: Vec<u32>,
}

impl Dataset {
    /// A text; its last twentieth (a batch at least) is for evaluation.
    ///
    /// # Errors
    /// A text that is shorter than two batches; a token outside the vocabulary.
    pub fn text(text: &Text, vocab: usize, batch: usize, seq: usize) -> Result<Self, TrainError> {
        // Checks length and vocabulary with the text's own messages.
        text.batch(0, batch, seq, vocab, 0)?;
        let all = text.tokens();
        let window = seq + 1;
        let kept = ((all.len() as f64 * VALID) as usize).max(window * batch);
        if all.len() < kept + window {
            return Err(TrainError::new(format!(
                "the text holds {} tokens; evaluation keeps {kept} of them and training needs {window} more",
                all.len()
            ))
            .help("give a longer text, or a smaller --batch or --seq"));
        }
        let (train, valid) = all.split_at(all.len() - kept);
        Ok(Dataset { name: "text".into(), train: train.into(), valid: valid.into(), bounds: None })
    }

    /// `tokens` tokens of the synthetic language of `seed`, and a fresh twentieth for evaluation.
    ///
    /// # Errors
    /// A vocabulary too small for the language.
    pub fn synthetic(
        vocab: usize,
        seed: u64,
        tokens: usize,
        batch: usize,
        seq: usize,
    ) -> Result<Self, TrainError> {
        let corpus = Corpus::new(vocab, seed).ok_or_else(|| {
            TrainError::new(format!("a vocabulary of {vocab} is too small for the synthetic language"))
                .help(format!("give a config with a vocabulary of {SMALLEST_VOCAB} or more"))
        })?;
        let window = (seq + 1) * batch;
        let train = corpus.tokens("train", tokens.max(window));
        let valid = corpus.tokens("valid", ((tokens as f64 * VALID) as usize).max(window));
        let bounds = Some((corpus.entropy(), corpus.unigram_entropy()));
        Ok(Dataset { name: "synthetic".into(), train: train.into(), valid: valid.into(), bounds })
    }

    /// What it is: `text` or `synthetic`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of tokens to train on.
    pub fn len(&self) -> usize {
        self.train.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.train.is_empty()
    }

    /// A checksum of all tokens, for checkpoints.
    pub fn checksum(&self) -> u64 {
        let bytes: Vec<u8> =
            self.train.iter().chain(self.valid.iter()).flat_map(|t| t.to_le_bytes()).collect();
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }

    /// The batch of a step.
    pub fn batch(&self, step: usize, batch: usize, seq: usize, seed: u64) -> Windows {
        let mut stream = Stream::new(seed, &format!("train/batch/{step}"));
        let starts = (0..batch).map(|_| stream.below(self.train.len() - seq));
        cut(&self.train, starts, batch, seq)
    }

    /// Evaluation batch `index`: windows one after another, the same for every seed; `None` after the
    /// last whole batch.
    pub fn evaluation(&self, index: usize, batch: usize, seq: usize) -> Option<Windows> {
        let first = index * batch * seq;
        (first + batch * seq < self.valid.len())
            .then(|| cut(&self.valid, (0..batch).map(|i| first + i * seq), batch, seq))
    }
}

fn cut(tokens: &[u32], starts: impl Iterator<Item = usize>, batch: usize, seq: usize) -> Windows {
    let (mut ids, mut next) = (Vec::with_capacity(batch * seq), Vec::with_capacity(batch * seq));
    for s in starts {
        ids.extend_from_slice(&tokens[s..s + seq]);
        next.extend_from_slice(&tokens[s + 1..=s + seq]);
    }
    Windows { batch, seq, ids, next }
}

/// Masks for masked language modelling as BERT does it (Devlin et al., NAACL 2019): 15 % of the
/// positions (one at least) are to be predicted; of these 80 % show the mask token, 10 % a random
/// token, 10 % themselves. Returns the ids to show and the targets (`None` where nothing is asked).
pub fn mask(
    windows: &Windows,
    vocab: usize,
    mask_id: u32,
    stream: &mut Stream,
) -> (Vec<u32>, Vec<Option<u32>>) {
    let mut shown = windows.ids.clone();
    let mut targets = vec![None; shown.len()];
    for (id, target) in shown.iter_mut().zip(&mut targets) {
        if stream.uniform() >= 0.15 {
            continue;
        }
        *target = Some(*id);
        let u = stream.uniform();
        if u < 0.8 {
            *id = mask_id;
        } else if u < 0.9 {
            *id = stream.below(vocab) as u32;
        }
    }
    if targets.iter().all(Option::is_none) {
        let at = stream.below(shown.len());
        targets[at] = Some(shown[at]);
        shown[at] = mask_id;
    }
    (shown, targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_cut_from_their_part() {
        let d = Dataset::synthetic(64, 0, 2000, 4, 16).unwrap();
        let w = d.batch(3, 4, 16, 9);
        assert_eq!(w, d.batch(3, 4, 16, 9));
        assert_ne!(w, d.batch(4, 4, 16, 9));
        assert_eq!(w.ids[1..16], w.next[..15]);
        assert!(d.evaluation(0, 4, 16).is_some() && d.evaluation(99, 4, 16).is_none());
        assert!(Dataset::synthetic(10, 0, 2000, 4, 16).unwrap_err().help.is_some());
    }

    #[test]
    fn masks_as_bert() {
        let d = Dataset::synthetic(64, 0, 90_000, 64, 64).unwrap();
        let w = d.batch(0, 64, 64, 0);
        let (shown, targets) = mask(&w, 63, 63, &mut Stream::new(0, "mask"));
        let asked = targets.iter().flatten().count() as f64 / 4096.0;
        let masked = shown.iter().filter(|&&s| s == 63).count() as f64 / 4096.0;
        assert!((asked - 0.15).abs() < 0.02 && (masked - 0.12).abs() < 0.02, "{asked} {masked}");
        assert!(targets.iter().zip(&w.ids).all(|(t, id)| t.is_none_or(|t| t == *id)));
    }
}
