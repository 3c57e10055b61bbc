//! Configuration of GPT-2, with Hugging Face's names.

use super::fields::Fields;
use crate::model::error::ModelError;
use crate::tensor::nn::Act;

/// A GPT-2 decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpt2 {
    /// Rows of the token table.
    pub vocab: usize,
    /// Rows of the position table.
    pub positions: usize,
    /// Model width.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads.
    pub heads: usize,
    /// Feed-forward width.
    pub inner: usize,
    /// Non-linearity of the feed-forward.
    pub act: Act,
    /// LayerNorm epsilon.
    pub eps: f64,
    /// Is the output table the token table?
    pub tied: bool,
}

impl Gpt2 {
    pub(super) fn read(f: &Fields<'_>) -> Result<Self, ModelError> {
        let width = f.size(&["n_embd", "hidden_size"], Some(768))?;
        let heads = f.size(&["n_head", "num_attention_heads"], Some(12))?;
        f.divides("n_head", heads, width, "n_embd")?;
        Ok(Gpt2 {
            vocab: f.size(&["vocab_size"], Some(50_257))?,
            positions: f.size(&["n_positions", "n_ctx"], Some(1024))?,
            depth: f.size(&["n_layer", "num_hidden_layers"], Some(12))?,
            inner: f.size(&["n_inner"], Some(4 * width))?,
            act: f.act("activation_function", "gelu_new")?,
            eps: f.number(&["layer_norm_epsilon"], 1e-5)?,
            tied: f.flag("tie_word_embeddings", true)?,
            width,
            heads,
        })
    }
}
