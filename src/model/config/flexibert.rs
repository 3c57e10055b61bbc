//! Configuration of FlexiBERT (Tuli et al., JAIR 2023; Serianni and Kalita, ACL 2023).

use super::fields::Fields;
use crate::model::error::ModelError;
use crate::tensor::nn::{Act, Transform};

/// Which implementation is reproduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// What the benchmark's networks were trained with.
    Trained,
    /// The published PyTorch port, with its quirks.
    LpzeroPort,
}

/// What a layer does before its feed-forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Scaled dot-product self-attention.
    Sdp,
    /// Weighted multiplicative self-attention.
    Wma,
    /// A linear transform.
    Lt(Transform),
    /// Dynamic span-based convolution next to attention, with the kernel width.
    Dsc(usize),
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FlexiLayer {
    /// Its operation.
    pub operation: Operation,
    /// `num_operation_heads`.
    pub heads: usize,
    /// `feed_forward_dimension`.
    pub ffn_width: usize,
    /// `num_feed_forward`.
    pub ffn_depth: usize,
}

/// A FlexiBERT encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct FlexiBert {
    /// Rows of the word table.
    pub vocab: usize,
    /// Width of the embeddings.
    pub embedding: usize,
    /// Rows of the position table.
    pub positions: usize,
    /// Rows of the token-type table.
    pub types: usize,
    /// Model width.
    pub hidden: usize,
    /// Feed-forward width of the port.
    pub intermediate: usize,
    /// LayerNorm epsilon.
    pub eps: f64,
    /// Non-linearity of the feed-forward.
    pub act: Act,
    /// Which implementation.
    pub flavor: Flavor,
    /// Layers.
    pub layers: Vec<FlexiLayer>,
    /// Operation heads per convolution head.
    pub conv_ratio: usize,
}

impl FlexiBert {
    pub(super) fn read(f: &Fields<'_>) -> Result<Self, ModelError> {
        let hidden = f.size(&["hidden_size"], Some(256))?;
        let flavor = match f.text("flavor", "trained")? {
            "trained" => Flavor::Trained,
            "lpzero-port" => Flavor::LpzeroPort,
            other => {
                let problem = format!("unknown flavor `{other}`");
                return Err(f.error("flavor", problem, "one of trained, lpzero-port"));
            }
        };
        let Some(nas) = f.get(&["nas_config"]) else {
            return Err(f.error("nas_config", "is missing", "give {\"encoder_layers\": [...]}"));
        };
        let nas = Fields::new(nas, f.name("nas_config"));
        let conv_ratio = f.size(&["conv_head_ratio"], Some(2))?;
        let layers = nas.list("encoder_layers")?.iter().enumerate().map(|(i, v)| {
            layer(&Fields::new(v, format!("{}[{i}]", nas.name("encoder_layers"))), hidden, conv_ratio)
        });
        Ok(FlexiBert {
            vocab: f.size(&["vocab_size"], Some(30_522))?,
            embedding: f.size(&["embedding_size"], Some(128))?,
            positions: f.size(&["max_position_embeddings"], Some(512))?,
            types: f.size(&["type_vocab_size"], Some(2))?,
            intermediate: f.size(&["intermediate_size"], Some(4 * hidden))?,
            eps: f.number(&["layer_norm_eps"], 1e-12)?,
            act: f.act("hidden_act", "gelu")?,
            layers: layers.collect::<Result<_, _>>()?,
            hidden,
            flavor,
            conv_ratio,
        })
    }

    /// Widths of the feed-forward linears of a layer, the last one excepted.
    pub fn ffn_widths(&self, layer: &FlexiLayer) -> Vec<usize> {
        match self.flavor {
            Flavor::LpzeroPort => vec![self.intermediate; layer.ffn_depth],
            Flavor::Trained => {
                let mut w = vec![layer.ffn_width; layer.ffn_depth];
                if let Some(first) = w.first_mut() {
                    *first = 4 * self.hidden;
                }
                w
            }
        }
    }
}

fn layer(f: &Fields<'_>, hidden: usize, conv_ratio: usize) -> Result<FlexiLayer, ModelError> {
    let heads = f.size(&["num_operation_heads"], None)?;
    f.divides("num_operation_heads", heads, hidden, "hidden_size")?;
    let operation = operation(f)?;
    if matches!(operation, Operation::Dsc(_)) && (conv_ratio != 2 || !heads.is_multiple_of(2)) {
        return Err(f.error(
            "num_operation_heads",
            format!("{heads} heads cannot be halved between attention and convolution"),
            "give an even number of heads (and conv_head_ratio 2) to a DSC layer",
        ));
    }
    Ok(FlexiLayer {
        operation,
        heads,
        ffn_width: f.size(&["feed_forward_dimension"], None)?,
        ffn_depth: f.size(&["num_feed_forward"], Some(1))?,
    })
}

fn operation(f: &Fields<'_>) -> Result<Operation, ModelError> {
    let kind = f.text("operation_type", "")?;
    let Some(parameter) = f.get(&["operation_parameter"]) else {
        return Err(f.error("operation_parameter", "is missing", "such as SDP, WMA, DFT, DCT, 5, 9"));
    };
    let text = parameter.as_str().map_or_else(|| parameter.to_string(), str::to_owned);
    match (kind, text.as_str()) {
        ("SA", "SDP") => Ok(Operation::Sdp),
        ("SA", "WMA") => Ok(Operation::Wma),
        ("LT", "DFT") => Ok(Operation::Lt(Transform::Dft)),
        ("LT", "DCT") => Ok(Operation::Lt(Transform::Dct)),
        ("DSC", width) => match width.parse::<usize>() {
            Ok(k) if k % 2 == 1 && k < 1024 => Ok(Operation::Dsc(k)),
            _ => Err(f.error(
                "operation_parameter",
                format!("{width} is not an odd kernel width"),
                "give an odd number such as 5 or 9",
            )),
        },
        ("SA" | "LT", other) => Err(f.error(
            "operation_parameter",
            format!("unknown operation {kind}/{other}"),
            "SA takes SDP or WMA, LT takes DFT or DCT",
        )),
        (other, _) => {
            Err(f.error("operation_type", format!("unknown operation `{other}`"), "one of SA, LT, DSC"))
        }
    }
}
