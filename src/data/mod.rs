//! Token batches: what enters the networks.
//!
//! Tokens come from text (bytes by default, a Hugging Face `tokenizer.json` otherwise), from a seeded
//! uniform stream, or from a file of ids. The same source, seed and index give the same batch.

mod batch;
mod text;

pub use batch::Batch;
pub use text::Text;

use crate::random::Stream;
use crate::site::SourceError;
use std::path::Path;

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
    File(Batch),
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
    ) -> Result<Batch, SourceError> {
        match self {
            Tokens::Random => random(index, batch, seq, vocab, seed),
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
fn random(index: usize, batch: usize, seq: usize, vocab: usize, seed: u64) -> Result<Batch, SourceError> {
    let mut stream = Stream::new(seed, &format!("tokens/{index}"));
    let windows = (0..batch).map(|_| (0..=seq).map(|_| stream.below(vocab) as u32).collect::<Vec<_>>());
    Batch::of_windows(windows, batch, seq)
}

#[cfg(test)]
mod tests;
