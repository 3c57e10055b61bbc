//! Token batches.

use super::error::ModelError;
use crate::random::Stream;

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
    ) -> Result<Self, ModelError> {
        let n = batch.checked_mul(seq);
        if batch == 0 || seq == 0 || n != Some(ids.len()) {
            return Err(ModelError::batch(
                format!("a batch of {batch} sequences of {seq} tokens cannot have {} token ids", ids.len()),
                "give batch * seq token ids, at least one",
            ));
        }
        if let Some(l) = labels.as_ref().filter(|l| l.len() != ids.len()) {
            return Err(ModelError::batch(
                format!("{} labels for {} token ids", l.len(), ids.len()),
                "give one label per token id",
            ));
        }
        Ok(Batch { ids, labels, batch, seq })
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
    ) -> Result<Vec<Self>, ModelError> {
        let span = seq.saturating_add(1);
        let need = span.saturating_mul(batch).saturating_mul(count);
        if batch == 0 || seq == 0 || tokens.len() < need {
            return Err(ModelError::batch(
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
    ) -> Result<Vec<Self>, ModelError> {
        let mut stream = Stream::new(seed, "tokens");
        let n = seq.saturating_add(1).saturating_mul(batch).saturating_mul(count);
        if n > 1 << 32 {
            return Err(ModelError::batch(format!("{n} random tokens are too many"), "take a smaller batch"));
        }
        let tokens: Vec<u32> = (0..n).map(|_| stream.below(vocab) as u32).collect();
        Batch::from_stream(&tokens, batch, seq, count)
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
    pub fn check(&self, vocab: usize, positions: usize) -> Result<(), ModelError> {
        if self.seq > positions {
            return Err(ModelError::batch(
                format!("sequences of {} tokens, but the model has {positions} positions", self.seq),
                format!("take --seq {positions} or less"),
            ));
        }
        let labels = self.labels.iter().flatten();
        if let Some(id) = self.ids.iter().chain(labels).find(|&&id| id as usize >= vocab) {
            return Err(ModelError::batch(
                format!("token {id} in the batch, but the vocabulary has {vocab} tokens"),
                "use the tokenizer the model was made for, or a model with a larger vocabulary",
            ));
        }
        Ok(())
    }
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
