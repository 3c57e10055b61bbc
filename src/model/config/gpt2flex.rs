//! Configuration of LiteTransformerSearch's GPT-2 (Javaheripi et al., NeurIPS 2022), with the names of
//! its `model_config.yaml`.

use super::fields::Fields;
use crate::model::error::ModelError;
use crate::tensor::nn::Act;
use serde_json::Value;
use std::ops::Range;

/// A GPT-2 with widths per layer and adaptive embedding and softmax.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpt2Flex {
    /// `n_token`.
    pub vocab: usize,
    /// `tgt_len`: rows of the position table.
    pub positions: usize,
    /// `d_model`.
    pub width: usize,
    /// `d_embed`.
    pub embedding: usize,
    /// `n_head` of every layer.
    pub heads: Vec<usize>,
    /// `d_inner` of every layer.
    pub inner: Vec<usize>,
    /// Where clusters of the vocabulary end; the last one is `vocab`.
    pub ends: Vec<usize>,
    /// Divides the embedding width from cluster to cluster.
    pub div: usize,
    /// Does the softmax of a cluster reuse the embedding's projection?
    pub tie_projs: Vec<bool>,
    /// Non-linearity of the feed-forward.
    pub act: Act,
    /// LayerNorm epsilon.
    pub eps: f64,
    /// Standard deviation at which projections start.
    pub proj_std: f64,
    /// Standard deviation at which other weights start.
    pub std: f64,
}

impl Gpt2Flex {
    pub(super) fn read(f: &Fields<'_>) -> Result<Self, ModelError> {
        let width = f.size(&["d_model"], None)?;
        let depth = f.size(&["n_layer"], None)?;
        let vocab = f.size(&["n_token", "vocab_size"], None)?;
        if depth > 1 << 16 {
            return Err(f.error("n_layer", format!("{depth} layers are too many"), "give at most 65536"));
        }
        let heads = f.sizes("n_head", depth)?;
        for (i, &h) in heads.iter().enumerate() {
            f.divides(&format!("n_head[{i}]"), h, width, "d_model")?;
        }
        for (key, only) in
            [("adaptive", true), ("tie_weight", true), ("primer_square", false), ("primer_conv", false)]
        {
            if f.flag(key, only)? != only {
                return Err(f.error(key, format!("{} is not supported", !only), format!("set it to {only}")));
            }
        }
        let embedding = match f.get(&["d_embed"]) {
            Some(v) if v.as_i64().is_some_and(|d| d < 0) => width,
            _ => f.size(&["d_embed"], Some(width))?,
        };
        let ends = ends(f, vocab)?;
        let c = Gpt2Flex {
            vocab,
            positions: f.size(&["tgt_len", "n_positions"], None)?,
            inner: f.sizes("d_inner", depth)?,
            div: f.size(&["div_val"], Some(1))?,
            tie_projs: tie_projs(f, ends.len())?,
            act: f.act("activation_function", "gelu_new")?,
            eps: f.number(&["layer_norm_epsilon"], 1e-5)?,
            proj_std: f.number(&["proj_init_std"], 0.01)?,
            std: f.number(&["weight_init_std"], 0.02)?,
            width,
            embedding,
            heads,
            ends,
        };
        match (0..c.ends.len()).find(|&i| c.cluster_width(i) == 0) {
            Some(i) => Err(f.error(
                "div_val",
                format!("cluster {i} would have embeddings of width {embedding} / {}^{i} = 0", c.div),
                "give a smaller div_val, fewer cutoffs or a larger d_embed",
            )),
            None => Ok(c),
        }
    }

    /// Token ids of a cluster.
    pub fn cluster(&self, i: usize) -> Range<usize> {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        start..self.ends[i]
    }

    /// Embedding width of a cluster.
    pub fn cluster_width(&self, i: usize) -> usize {
        let divisor = self.div.checked_pow(i as u32).unwrap_or(usize::MAX);
        self.embedding / divisor
    }

    /// The cluster of a token.
    pub fn cluster_of(&self, token: usize) -> usize {
        self.ends.iter().take_while(|&&e| e <= token).count()
    }
}

fn ends(f: &Fields<'_>, vocab: usize) -> Result<Vec<usize>, ModelError> {
    let mut ends = Vec::new();
    let list = match f.get(&["cutoffs"]) {
        None => &[],
        Some(Value::Array(list)) => &list[..],
        Some(v) => return Err(f.error("cutoffs", format!("{v} is not a list"), "give rising token ids")),
    };
    for (i, v) in list.iter().enumerate() {
        let name = format!("cutoffs[{i}]");
        let Some(end) = v.as_u64().filter(|&e| e > 0) else {
            return Err(f.error(
                &name,
                format!("{v} is not a positive whole number"),
                "give rising token ids",
            ));
        };
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        if end >= vocab {
            break;
        }
        if ends.last().is_some_and(|&last| end <= last) {
            return Err(f.error(&name, format!("{end} does not rise"), "give rising token ids"));
        }
        ends.push(end);
    }
    ends.push(vocab);
    Ok(ends)
}

fn tie_projs(f: &Fields<'_>, clusters: usize) -> Result<Vec<bool>, ModelError> {
    let default = || (0..clusters).map(|i| i > 0).collect();
    let Some(v) = f.get(&["tie_projs"]) else { return Ok(default()) };
    let flags: Option<Vec<bool>> = match v {
        Value::Array(list) => list.iter().map(Value::as_bool).collect(),
        Value::Bool(b) => Some(vec![*b; clusters]),
        _ => None,
    };
    match flags {
        Some(flags) if flags.len() >= clusters => Ok(flags[..clusters].to_vec()),
        Some(flags) => Err(f.error(
            "tie_projs",
            format!("has {} entries for {clusters} clusters", flags.len()),
            "give one entry per cluster",
        )),
        None => Err(f.error(
            "tie_projs",
            format!("{v} is not a list of truth values"),
            "give one entry per cluster",
        )),
    }
}
