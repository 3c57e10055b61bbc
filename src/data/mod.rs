//! Token batches: what enters the networks.
//!
//! Tokens come from text (bytes by default, a Hugging Face `tokenizer.json` otherwise), from a seeded
//! uniform stream, or from a file of ids. The same source, seed and index give the same batch.

mod text;

pub use text::Text;

use crate::random::Stream;
use crate::site::SourceError;
use crate::tensor::file::TensorFile;
use std::path::Path;

/// One batch of sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBatch {
    /// Number of sequences.
    pub batch: usize,
    /// Length of a sequence.
    pub seq: usize,
    /// Token ids, `[batch, seq]` row-major.
    pub ids: Vec<u32>,
    /// The token after each token, `[batch, seq]`; files of ids may not know it.
    pub next: Option<Vec<u32>>,
    /// Labels as a file gave them, `[batch, seq]`, in the convention of the model's family.
    pub labels: Option<Vec<u32>>,
}

impl TokenBatch {
    /// Every sequence as a batch of one.
    pub fn each_sample(&self) -> Vec<TokenBatch> {
        let part =
            |v: &Option<Vec<u32>>, i: usize| v.as_ref().map(|v| v[i * self.seq..(i + 1) * self.seq].to_vec());
        let sample = |i: usize| TokenBatch {
            batch: 1,
            seq: self.seq,
            ids: self.ids[i * self.seq..(i + 1) * self.seq].to_vec(),
            next: part(&self.next, i),
            labels: part(&self.labels, i),
        };
        (0..self.batch).map(sample).collect()
    }

    /// Reads `input_ids` and, where present, `labels` (I64, `[batch, seq]`).
    ///
    /// # Errors
    /// A file that cannot be read; other shapes; negative ids, named.
    pub fn read(path: &Path) -> Result<TokenBatch, SourceError> {
        let file = TensorFile::open(path)?;
        let (dims, ids) = file.integers("input_ids")?;
        let &[batch, seq] = dims.as_slice() else {
            let help = "one row of token ids per sequence";
            return Err(error(path, format!("input_ids has shape {dims:?}, not [batch, seq]"), help));
        };
        if ids.is_empty() {
            return Err(error(path, "input_ids is empty".to_owned(), "one row of token ids per sequence"));
        }
        let labels = if file.dims("labels").is_some() {
            let (label_dims, labels) = file.integers("labels")?;
            if label_dims != dims {
                let what = format!("labels has shape {label_dims:?}, input_ids {dims:?}");
                return Err(error(path, what, "give one label per token"));
            }
            Some(unsigned(path, "labels", &labels)?)
        } else {
            None
        };
        Ok(TokenBatch { batch, seq, ids: unsigned(path, "input_ids", &ids)?, next: None, labels })
    }

    /// Checks that every id has a row in a vocabulary of that size.
    ///
    /// # Errors
    /// The first id that has none, with its place.
    pub fn check_vocab(&self, vocab: usize) -> Result<(), SourceError> {
        let lists = [("input id", Some(&self.ids)), ("label", self.labels.as_ref())];
        for (what, list) in lists.into_iter().filter_map(|(w, l)| Some((w, l?))) {
            if let Some(at) = list.iter().position(|id| *id as usize >= vocab) {
                let (row, column) = (at / self.seq, at % self.seq);
                return Err(SourceError {
                    message: format!(
                        "{what} {} (sequence {row}, position {column}) is not in the vocabulary of {vocab}",
                        list[at]
                    ),
                    help: Some(
                        "use ids of the model's own tokenizer, or a config with a larger vocabulary"
                            .to_owned(),
                    ),
                });
            }
        }
        Ok(())
    }
}

fn unsigned(path: &Path, what: &str, ids: &[i64]) -> Result<Vec<u32>, SourceError> {
    let convert = |(i, id): (usize, &i64)| {
        u32::try_from(*id).map_err(|_| {
            error(path, format!("{what} number {i} is {id}"), "token ids are whole numbers from 0")
        })
    };
    ids.iter().enumerate().map(convert).collect()
}

fn error(path: &Path, what: String, help: &str) -> SourceError {
    SourceError { message: format!("{}: {what}", path.display()), help: Some(help.to_owned()) }
}

/// Where token batches come from.
#[derive(Clone, Debug)]
pub enum Tokens {
    /// Uniform ids below the vocabulary.
    Random,
    /// Windows of a text.
    Text(Text),
    /// The one batch of a file; it decides batch and seq.
    File(TokenBatch),
}

impl Tokens {
    /// Batch number `index` for a model with `vocab` tokens.
    ///
    /// # Errors
    /// A text that is too short; a token outside the vocabulary; a further batch of a file.
    pub fn batch(
        &self,
        index: usize,
        batch: usize,
        seq: usize,
        vocab: usize,
        seed: u64,
    ) -> Result<TokenBatch, SourceError> {
        match self {
            Tokens::Random => Ok(random(index, batch, seq, vocab, seed)),
            Tokens::Text(text) => text.batch(index, batch, seq, vocab, seed),
            Tokens::File(one) if index == 0 => one.check_vocab(vocab).map(|()| one.clone()),
            Tokens::File(_) => Err(SourceError {
                message: "several batches are asked for, the file of inputs holds one".to_owned(),
                help: Some("use --text or --random-tokens for proxies over several batches".to_owned()),
            }),
        }
    }

    /// Batch and seq that the source decides itself.
    pub fn shape(&self) -> Option<(usize, usize)> {
        match self {
            Tokens::File(one) => Some((one.batch, one.seq)),
            _ => None,
        }
    }
}

/// Uniform ids below `vocab`.
fn random(index: usize, batch: usize, seq: usize, vocab: usize, seed: u64) -> TokenBatch {
    let mut stream = Stream::new(seed, &format!("tokens/{index}"));
    let (mut ids, mut next) = (Vec::with_capacity(batch * seq), Vec::with_capacity(batch * seq));
    for _ in 0..batch {
        let window: Vec<u32> = (0..=seq).map(|_| stream.below(vocab) as u32).collect();
        ids.extend_from_slice(&window[..seq]);
        next.extend_from_slice(&window[1..]);
    }
    TokenBatch { batch, seq, ids, next: Some(next), labels: None }
}

#[cfg(test)]
mod tests;
