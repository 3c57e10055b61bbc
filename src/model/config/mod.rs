//! Architectures as configuration: read from JSON, checked, one struct per family.

mod fields;
mod flexibert;
mod gpt2;
mod gpt2flex;

pub use flexibert::{Flavor, FlexiBert, FlexiLayer, Operation};
pub use gpt2::Gpt2;
pub use gpt2flex::Gpt2Flex;

use super::error::ModelError;
use crate::site::Objective;
use fields::Fields;
use serde_json::Value;

/// An architecture of some family.
#[derive(Clone, Debug, PartialEq)]
pub enum Config {
    /// ELECTRA encoders with one operation per layer.
    FlexiBert(FlexiBert),
    /// Hugging Face GPT-2.
    Gpt2(Gpt2),
    /// LiteTransformerSearch's GPT-2.
    Gpt2Flex(Gpt2Flex),
}

impl Config {
    /// Reads a configuration: its `family`, or Hugging Face's `model_type`, decides the fields.
    ///
    /// # Errors
    /// When a field is missing or does not fit; the error names it.
    pub fn from_json(json: &Value) -> Result<Self, ModelError> {
        if !json.is_object() {
            return Err(ModelError::Json("not an object".into()));
        }
        let f = Fields::new(json, "");
        let family = match f.get(&["family", "model_type"]) {
            Some(v) => v.as_str().unwrap_or_default().to_owned(),
            None => return Err(f.error("family", "is missing", Self::FAMILIES)),
        };
        match family.as_str() {
            "flexibert" => FlexiBert::read(&f).map(Config::FlexiBert),
            "gpt2" => Gpt2::read(&f).map(Config::Gpt2),
            "gpt2-flex" | "hf_gpt2_flex" => Gpt2Flex::read(&f).map(Config::Gpt2Flex),
            other => Err(f.error("family", format!("unknown family `{other}`"), Self::FAMILIES)),
        }
    }

    const FAMILIES: &str = "one of flexibert, gpt2, gpt2-flex";

    /// Reads a configuration from JSON text.
    ///
    /// # Errors
    /// As [`Self::from_json`], and when the text is not JSON.
    pub fn from_text(text: &str) -> Result<Self, ModelError> {
        let json = serde_json::from_str(text).map_err(|e| ModelError::Json(e.to_string()))?;
        Self::from_json(&json)
    }

    /// Name of the family.
    pub fn family(&self) -> &'static str {
        match self {
            Config::FlexiBert(_) => "flexibert",
            Config::Gpt2(_) => "gpt2",
            Config::Gpt2Flex(_) => "gpt2-flex",
        }
    }

    /// Vocabulary size.
    pub fn vocab(&self) -> usize {
        match self {
            Config::FlexiBert(c) => c.vocab,
            Config::Gpt2(c) => c.vocab,
            Config::Gpt2Flex(c) => c.vocab,
        }
    }

    /// The longest sequence.
    pub fn positions(&self) -> usize {
        match self {
            Config::FlexiBert(c) => c.positions,
            Config::Gpt2(c) => c.positions,
            Config::Gpt2Flex(c) => c.positions,
        }
    }

    /// Number of blocks.
    pub fn depth(&self) -> usize {
        match self {
            Config::FlexiBert(c) => c.layers.len(),
            Config::Gpt2(c) => c.depth,
            Config::Gpt2Flex(c) => c.heads.len(),
        }
    }

    /// Model width.
    pub fn width(&self) -> usize {
        match self {
            Config::FlexiBert(c) => c.hidden,
            Config::Gpt2(c) => c.width,
            Config::Gpt2Flex(c) => c.width,
        }
    }

    /// Is it a decoder?
    pub fn causal(&self) -> bool {
        !matches!(self, Config::FlexiBert(_))
    }

    /// What `@capture` without an objective differentiates.
    pub fn default_objective(&self) -> Objective {
        if self.causal() { Objective::Loss } else { Objective::Projection }
    }
}
