//! What the vocabulary spaces read: LPZero's five lists of tensors, as collections and fields.

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// LPZero's name.
    pub name: String,
    /// Collection in the language.
    pub sites: String,
    /// Field.
    pub field: String,
}

impl Input {
    /// The tensor of site `x`.
    pub fn of(&self, x: &str) -> String {
        format!("{x}.{}", self.field)
    }
}

/// A collection and a field.
type Tensors = (&'static str, &'static str);

/// LPZero's name, then collection and field for encoders, then for decoders. LPZero reads of a
/// FlexiBERT the query projection (the input projection of a linear transform), the projections into
/// the operation and every softmax; of a GPT-2 every linear map, and no softmax.
const TABLE: &[(&str, Tensors, Tensors)] = &[
    ("act", ("act", "value"), ("act", "value")),
    ("head", ("head[query, input]", "value"), ("linear", "output")),
    ("softmax", ("softmax", "value"), ("softmax", "value")),
    ("grad", ("linear[op]", "stored_grad"), ("linear", "stored_grad")),
    ("weight", ("linear[op]", "stored_weight"), ("linear", "stored_weight")),
];

/// The inputs for encoders or decoders; `available` says whether a collection's kind has any site.
pub fn inputs(causal: bool, available: impl Fn(&str) -> bool) -> Vec<Input> {
    TABLE
        .iter()
        .map(|&(name, encoder, decoder)| {
            let (sites, field) = if causal { decoder } else { encoder };
            Input { name: name.into(), sites: sites.into(), field: field.into() }
        })
        .filter(|i| available(i.sites.split('[').next().unwrap_or_default()))
        .collect()
}
