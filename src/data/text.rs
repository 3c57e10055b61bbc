//! Text as tokens.

use super::{Batch, error};
use crate::random::Stream;
use crate::site::SourceError;
use std::path::Path;
use std::sync::Arc;
use tokenizers::Tokenizer;

/// A tokenised text.
#[derive(Clone, Debug)]
pub struct Text {
    /// File, for messages.
    path: Arc<str>,
    tokens: Arc<[u32]>,
    /// Place of the largest id, and how the token reads.
    largest: (usize, String),
}

impl Text {
    /// Reads a text; without a tokenizer every byte is a token.
    ///
    /// # Errors
    /// Files that cannot be read; a tokenizer of another format; with a tokenizer, text that is not UTF-8.
    pub fn open(path: &Path, tokenizer: Option<&Path>) -> Result<Text, SourceError> {
        let bytes = std::fs::read(path)
            .map_err(|e| error(path, format!("cannot read: {e}"), "--text takes a plain text file"))?;
        let (tokens, names): (Vec<u32>, Option<Tokenizer>) = match tokenizer {
            None => (bytes.iter().map(|b| u32::from(*b)).collect(), None),
            Some(file) => {
                let tokenizer = open_tokenizer(file)?;
                let text = String::from_utf8(bytes).map_err(|e| {
                    error(
                        path,
                        format!("is not UTF-8: {e}"),
                        "convert it, or leave --tokenizer out to use bytes",
                    )
                })?;
                let encoding = tokenizer
                    .encode_fast(text.as_str(), false)
                    .map_err(|e| error(path, format!("cannot be tokenised: {e}"), "check the tokenizer"))?;
                (encoding.get_ids().to_vec(), Some(tokenizer))
            }
        };
        let at = (0..tokens.len()).rev().max_by_key(|&i| tokens[i]).unwrap_or(0);
        let id = tokens.get(at).copied().unwrap_or(0);
        let name = match &names {
            Some(t) => format!("token {:?}", t.id_to_token(id).unwrap_or_default()),
            None => match u8::try_from(id) {
                Ok(byte) if byte.is_ascii_graphic() => format!("byte 0x{byte:02x} ({:?})", char::from(byte)),
                _ => format!("byte 0x{id:02x}"),
            },
        };
        Ok(Text { path: path.display().to_string().into(), tokens: tokens.into(), largest: (at, name) })
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Is there no token?
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// All tokens.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Batch number `index`: the text is cut into windows of `seq` tokens, the windows are put into an
    /// order by `seed`, and batches take them in turn (starting over when all are used).
    ///
    /// # Errors
    /// A text shorter than a batch; a token outside the vocabulary, named.
    pub fn batch(
        &self,
        index: usize,
        batch: usize,
        seq: usize,
        vocab: usize,
        seed: u64,
    ) -> Result<Batch, SourceError> {
        self.check(batch, seq, vocab)?;
        let windows = (self.tokens.len() - 1) / seq;
        let mut order: Vec<usize> = (0..windows).collect();
        Stream::new(seed, "text").shuffle(&mut order);
        let window = |i: usize| {
            let start = order[(index * batch + i) % windows] * seq;
            &self.tokens[start..=start + seq]
        };
        Batch::of_windows((0..batch).map(window), batch, seq)
    }

    fn check(&self, batch: usize, seq: usize, vocab: usize) -> Result<(), SourceError> {
        let fail = |what: String, help: String| SourceError {
            message: format!("{}: {what}", self.path),
            help: Some(help),
        };
        let needed = batch.saturating_mul(seq).saturating_add(1);
        if seq == 0 || self.tokens.len() < needed {
            return Err(fail(
                format!(
                    "holds {} tokens, a batch of {batch} sequences of {seq} needs {needed}",
                    self.tokens.len()
                ),
                "give a longer text, or a smaller --batch or --seq".to_owned(),
            ));
        }
        let (at, name) = &self.largest;
        let id = self.tokens[*at];
        if id as usize >= vocab {
            return Err(fail(
                format!(
                    "{name}, number {at} of the text, has id {id}; the model's vocabulary has {vocab} tokens"
                ),
                "use the model's own tokenizer (--tokenizer), or a config with a larger vocabulary"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

fn open_tokenizer(path: &Path) -> Result<Tokenizer, SourceError> {
    let help = "--tokenizer takes a Hugging Face tokenizer.json";
    if let Err(e) = std::fs::metadata(path) {
        return Err(error(path, format!("cannot read: {e}"), help));
    }
    let mut tokenizer =
        Tokenizer::from_file(path).map_err(|e| error(path, format!("is not a tokenizer: {e}"), help))?;
    // Sequences are cut here; the file's own limits are for other uses.
    tokenizer.with_padding(None);
    tokenizer
        .with_truncation(None)
        .map_err(|e| error(path, format!("cannot switch truncation off: {e}"), help))?;
    Ok(tokenizer)
}
