//! One minibatch of token sequences.

use super::error;
use crate::random::Stream;
use crate::site::SourceError;
use crate::tensor::file::TensorFile;
use std::path::Path;

/// So many tokens may be in a batch: a gibibyte of ids. The model says where fewer are too many for it.
const MOST: usize = 1 << 28;

/// One minibatch of token sequences, row-major `[batch, seq]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Token ids.
    pub ids: Vec<u32>,
    /// The token after every position, where it is known. Families that shift labels themselves
    /// (`gpt2`, `llama`) do not read them.
    pub labels: Option<Vec<u32>>,
    /// Sequences.
    pub batch: usize,
    /// Tokens of a sequence.
    pub seq: usize,
}

impl Batch {
    /// A batch of given ids and labels.
    ///
    /// # Errors
    /// When the numbers of tokens do not agree or are zero.
    pub fn new(
        ids: Vec<u32>,
        labels: Option<Vec<u32>>,
        batch: usize,
        seq: usize,
    ) -> Result<Self, SourceError> {
        let n = batch.checked_mul(seq);
        if batch == 0 || seq == 0 || n != Some(ids.len()) {
            return Err(wrong(
                format!("a batch of {batch} sequences of {seq} tokens cannot have {} token ids", ids.len()),
                "give batch * seq token ids, at least one",
            ));
        }
        if let Some(l) = labels.as_ref().filter(|l| l.len() != ids.len()) {
            return Err(wrong(
                format!("{} labels for {} token ids", l.len(), ids.len()),
                "give one label per token id",
            ));
        }
        Ok(Batch { ids, labels, batch, seq })
    }

    /// A batch of windows of `seq + 1` tokens, the first of which are its ids and the last its labels.
    ///
    /// # Errors
    /// More tokens than any model here could take.
    pub(super) fn of_windows<W: AsRef<[u32]>>(
        windows: impl Iterator<Item = W>,
        batch: usize,
        seq: usize,
    ) -> Result<Self, SourceError> {
        let n = batch.saturating_mul(seq);
        if n > MOST {
            let what = format!("a batch of {batch} sequences of {seq} tokens is too large");
            return Err(wrong(
                what,
                format!("take a smaller --batch or --seq, at most {MOST} tokens in all"),
            ));
        }
        let (mut ids, mut labels) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for window in windows {
            ids.extend_from_slice(&window.as_ref()[..seq]);
            labels.extend_from_slice(&window.as_ref()[1..]);
        }
        Ok(Batch { ids, labels: Some(labels), batch, seq })
    }

    /// `count` batches cut from a stream of tokens without overlap; each sequence takes `seq + 1`
    /// tokens, the last of which is only a label.
    ///
    /// # Errors
    /// When the stream is too short.
    pub fn from_stream(
        tokens: &[u32],
        batch: usize,
        seq: usize,
        count: usize,
    ) -> Result<Vec<Self>, SourceError> {
        let span = seq.saturating_add(1);
        let need = span.saturating_mul(batch).saturating_mul(count);
        if batch == 0 || seq == 0 || tokens.len() < need {
            return Err(wrong(
                format!(
                    "{count} batches of {batch} sequences of {seq} tokens need {need} tokens, there are {}",
                    tokens.len()
                ),
                "give a longer text, or a smaller batch or sequence",
            ));
        }
        let one = |chunk: &[u32]| {
            let pick =
                |from: usize| chunk.chunks(span).flat_map(|s| s[from..from + seq].iter().copied()).collect();
            Batch { ids: pick(0), labels: Some(pick(1)), batch, seq }
        };
        Ok(tokens.chunks(span * batch).take(count).map(one).collect())
    }

    /// `count` batches of uniformly random tokens below `vocab`.
    ///
    /// # Errors
    /// When a size is zero.
    pub fn random(
        vocab: usize,
        batch: usize,
        seq: usize,
        count: usize,
        seed: u64,
    ) -> Result<Vec<Self>, SourceError> {
        let mut stream = Stream::new(seed, "tokens");
        let n = seq.saturating_add(1).saturating_mul(batch).saturating_mul(count);
        if n > 1 << 32 {
            return Err(wrong(format!("{n} random tokens are too many"), "take a smaller batch"));
        }
        let tokens: Vec<u32> = (0..n).map(|_| stream.below(vocab) as u32).collect();
        Batch::from_stream(&tokens, batch, seq, count)
    }

    /// Reads `input_ids` and, where present, `labels` (I64, `[batch, seq]`).
    ///
    /// # Errors
    /// A file that cannot be read; other shapes; negative ids, named.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
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
        Ok(Batch { ids: unsigned(path, "input_ids", &ids)?, labels, batch, seq })
    }

    /// Sequence `i` alone.
    pub fn sample(&self, i: usize) -> Self {
        let at = i * self.seq..(i + 1) * self.seq;
        Batch {
            ids: self.ids[at.clone()].to_vec(),
            labels: self.labels.as_ref().map(|l| l[at].to_vec()),
            batch: 1,
            seq: self.seq,
        }
    }

    /// Checks that every token has a row in a table of `vocab` rows and every position one in a table
    /// of `positions` rows.
    ///
    /// # Errors
    /// When a token or a position has none.
    pub fn check(&self, vocab: usize, positions: usize) -> Result<(), SourceError> {
        if self.seq > positions {
            return Err(wrong(
                format!("sequences of {} tokens, but the model has {positions} positions", self.seq),
                format!("take --seq {positions} or less"),
            ));
        }
        self.check_vocab(vocab)
    }

    /// Checks that every token has a row in a vocabulary of that size.
    ///
    /// # Errors
    /// The first token that has none, with its place.
    pub fn check_vocab(&self, vocab: usize) -> Result<(), SourceError> {
        for list in [Some(&self.ids), self.labels.as_ref()].into_iter().flatten() {
            if let Some(at) = list.iter().position(|id| *id as usize >= vocab) {
                let (row, column) = (at / self.seq, at % self.seq);
                return Err(wrong(
                    format!(
                        "token {} (sequence {row}, position {column}) is not in the vocabulary of {vocab}",
                        list[at]
                    ),
                    "use ids of the model's own tokenizer, or a config with a larger vocabulary",
                ));
            }
        }
        Ok(())
    }
}

fn wrong(message: impl Into<String>, help: impl Into<String>) -> SourceError {
    SourceError { message: message.into(), help: Some(help.into()) }
}

fn unsigned(path: &Path, what: &str, ids: &[i64]) -> Result<Vec<u32>, SourceError> {
    let convert = |(i, id): (usize, &i64)| {
        u32::try_from(*id).map_err(|_| {
            error(path, format!("{what} number {i} is {id}"), "token ids are whole numbers from 0")
        })
    };
    ids.iter().enumerate().map(convert).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_give_the_next_token_as_label() {
        let tokens: Vec<u32> = (0..12).collect();
        let b = Batch::from_stream(&tokens, 2, 2, 2).unwrap();
        assert_eq!(b[1].ids, [6, 7, 9, 10]);
        assert_eq!(b[1].labels.as_deref(), Some(&[7, 8, 10, 11][..]));
        assert_eq!(b[1].sample(1).ids, [9, 10]);
        assert!(Batch::from_stream(&tokens, 2, 2, 3).is_err());
    }

    #[test]
    fn checks_name_what_is_missing() {
        let b = Batch::new(vec![1, 9], None, 1, 2).unwrap();
        assert!(b.check(9, 2).unwrap_err().to_string().contains("token 9"));
        assert!(b.check(10, 1).unwrap_err().to_string().contains("1 positions"));
        assert!(b.check(10, 2).is_ok());
    }
}
