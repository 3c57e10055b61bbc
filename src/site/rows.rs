//! The vocabulary: kinds of sites, fields, roles and numbers, one row each.

/// The kinds of sites. See [`KINDS`] for what each holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Linear maps inside the transformer blocks.
    Linear,
    /// Outputs of the query, key, value (weight, input) projections.
    Head,
    /// Attention probabilities.
    Attn,
    /// Every softmax the published implementations look at: `Attn`, and for FlexiBERT's linear
    /// transforms the softmax that they compute and do not use.
    Softmax,
    /// Outputs of the feed-forward non-linearity.
    Act,
    /// Scales of LayerNorm and RMSNorm.
    Norm,
    /// Embedding tables and embedding projections (token types too).
    Embed,
    /// Position-embedding tables.
    Pos,
    /// Transformer blocks.
    Block,
}

/// The tensors of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// Weight, `[out, in]` for linear sites.
    Weight,
    /// Gradient of the objective with respect to the weight (or the value).
    Grad,
    /// Hessian-vector product `H g` over all linear weights, in the shape of the weight.
    Hvp,
    /// Input of the map or block.
    Input,
    /// Output of the map (bias included) or block.
    Output,
    /// Gradient of the objective with respect to the output.
    OutputGrad,
    /// The observed tensor of a site that has one.
    Value,
    /// The weight in the layout the family stores.
    StoredWeight,
    /// The gradient in the layout the family stores.
    StoredGrad,
}

/// What a capture has to compute for a field: the cheapest pass that yields it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pass {
    /// Parameters only; no data.
    Weights,
    /// A forward pass.
    Forward,
    /// A backward pass.
    Backward,
    /// Second order.
    SecondOrder,
}

/// A field in the language: its name, what it is, which pass yields it.
pub struct FieldRow {
    /// The field.
    pub field: Field,
    /// Its name in the language.
    pub name: &'static str,
    /// The pass that yields it.
    pub pass: Pass,
    /// One line of documentation.
    pub doc: &'static str,
}

/// All fields.
pub const FIELDS: &[FieldRow] = &[
    FieldRow {
        field: Field::Weight,
        name: "weight",
        pass: Pass::Weights,
        doc: "the weight; [out, in] for linear sites",
    },
    FieldRow {
        field: Field::Grad,
        name: "grad",
        pass: Pass::Backward,
        doc: "gradient of the objective with respect to the weight or value",
    },
    FieldRow {
        field: Field::Hvp,
        name: "hvp",
        pass: Pass::SecondOrder,
        doc: "Hessian-vector product H g over all linear weights",
    },
    FieldRow {
        field: Field::Input,
        name: "input",
        pass: Pass::Forward,
        doc: "what enters, [batch, seq, width]",
    },
    FieldRow {
        field: Field::Output,
        name: "output",
        pass: Pass::Forward,
        doc: "what leaves, bias included, [batch, seq, width]",
    },
    FieldRow {
        field: Field::OutputGrad,
        name: "output_grad",
        pass: Pass::Backward,
        doc: "gradient of the objective with respect to the output",
    },
    FieldRow { field: Field::Value, name: "value", pass: Pass::Forward, doc: "the observed tensor" },
    FieldRow {
        field: Field::StoredWeight,
        name: "stored_weight",
        pass: Pass::Weights,
        doc: "the weight in the family's own layout",
    },
    FieldRow {
        field: Field::StoredGrad,
        name: "stored_grad",
        pass: Pass::Backward,
        doc: "the gradient in the family's own layout",
    },
];

/// What a capture has to compute for `field`.
pub fn pass_of(field: Field) -> Pass {
    FIELDS.iter().find(|r| r.field == field).map_or(Pass::SecondOrder, |r| r.pass)
}

/// Does a field get a leading axis over several batches?
pub fn per_batch(field: Field) -> bool {
    pass_of(field) >= Pass::Backward
}

/// A kind in the language: its name, the fields it has with their ranks, its documentation.
pub struct KindRow {
    /// The kind.
    pub kind: Kind,
    /// Its name in the language.
    pub name: &'static str,
    /// Fields and their ranks.
    pub fields: &'static [(Field, usize)],
    /// One line of documentation.
    pub doc: &'static str,
}

/// All kinds.
pub const KINDS: &[KindRow] = &[
    KindRow {
        kind: Kind::Linear,
        name: "linear",
        fields: &[
            (Field::Weight, 2),
            (Field::Grad, 2),
            (Field::Hvp, 2),
            (Field::Input, 3),
            (Field::Output, 3),
            (Field::OutputGrad, 3),
            (Field::StoredWeight, 2),
            (Field::StoredGrad, 2),
        ],
        doc: "linear maps inside the blocks",
    },
    KindRow {
        kind: Kind::Head,
        name: "head",
        fields: &[(Field::Value, 3), (Field::Grad, 3)],
        doc: "outputs of the query, key, value (weight, input) projections, [batch, seq, width]",
    },
    KindRow {
        kind: Kind::Attn,
        name: "attn",
        fields: &[(Field::Value, 4), (Field::Grad, 4)],
        doc: "attention probabilities, [batch, heads, query, key]",
    },
    KindRow {
        kind: Kind::Softmax,
        name: "softmax",
        fields: &[(Field::Value, 4)],
        doc: "attn, and the unused softmax over features of FlexiBERT's linear transforms, [batch, heads, seq, width]",
    },
    KindRow {
        kind: Kind::Act,
        name: "act",
        fields: &[(Field::Value, 3), (Field::Grad, 3)],
        doc: "outputs of the feed-forward non-linearity, [batch, seq, width]",
    },
    KindRow {
        kind: Kind::Norm,
        name: "norm",
        fields: &[(Field::Weight, 1), (Field::Grad, 1)],
        doc: "scales of the normalisation layers, [width]",
    },
    KindRow {
        kind: Kind::Embed,
        name: "embed",
        fields: &[(Field::Weight, 2), (Field::Grad, 2)],
        doc: "embedding tables and projections, [rows, width]",
    },
    KindRow {
        kind: Kind::Pos,
        name: "pos",
        fields: &[(Field::Weight, 2), (Field::Grad, 2)],
        doc: "position-embedding tables, [positions, width]",
    },
    KindRow {
        kind: Kind::Block,
        name: "block",
        fields: &[(Field::Input, 3), (Field::Output, 3), (Field::OutputGrad, 3)],
        doc: "transformer blocks; also holds the collections above, restricted to the block",
    },
];

/// A role that filters sites (`linear[ffn]`) or counts parameters (`params[ffn]`).
pub struct RoleRow {
    /// Its name in the language.
    pub name: &'static str,
    /// Does it filter sites?
    pub sites: bool,
    /// Does it count parameters?
    pub params: bool,
    /// One line of documentation.
    pub doc: &'static str,
}

const fn role(name: &'static str, sites: bool, params: bool, doc: &'static str) -> RoleRow {
    RoleRow { name, sites, params, doc }
}

/// All roles.
pub const ROLES: &[RoleRow] = &[
    role(
        "op",
        true,
        false,
        "projections into the operation: query, key, value, weight, input and their like",
    ),
    role("out", true, false, "output projection of the operation"),
    role("ffn", true, true, "feed-forward linears"),
    role("query", true, false, "query projection"),
    role("key", true, false, "key projection"),
    role("value", true, false, "value projection"),
    role("weight", true, false, "FlexiBERT's multiplicative-attention projection"),
    role("input", true, false, "FlexiBERT's projection into a linear transform"),
    role("conv_kernel", true, false, "FlexiBERT's convolution-kernel projection"),
    role("conv_out", true, false, "FlexiBERT's convolution-value projection"),
    role("up", true, false, "feed-forward projection to the inner width"),
    role("gate", true, false, "gate of a gated feed-forward"),
    role("inner", true, false, "FlexiBERT's further feed-forward linears"),
    role("down", true, false, "feed-forward projection back to the model width"),
    role("token", true, false, "token embedding tables"),
    role("type", true, false, "token-type embedding tables"),
    role("projection", true, false, "projections between embedding and model width"),
    role("final", true, false, "normalisation after the last block"),
    role("embedding", false, true, "tables and projections in front of the blocks"),
    role("operation", false, true, "attention, convolution or transform with its output projection"),
    role("norm", false, true, "normalisation layers"),
    role("head", false, true, "what follows the final norm and is not tied"),
    role("blocks", false, true, "everything inside the blocks, norms included"),
    role("linear", false, true, "weights of the linears inside the blocks, without biases"),
    role("decoder", false, true, "attention and feed-forward: operation + ffn"),
];

/// A number that a model has, in the language. `run` numbers are known only after a pass.
pub struct NumberRow {
    /// Name in the language.
    pub name: &'static str,
    /// The pass that yields it; [`Pass::Weights`] means known without running.
    pub pass: Pass,
    /// One line of documentation.
    pub doc: &'static str,
}

const fn number(name: &'static str, pass: Pass, doc: &'static str) -> NumberRow {
    NumberRow { name, pass, doc }
}

/// All model numbers.
pub const NUMBERS: &[NumberRow] = &[
    number("params", Pass::Weights, "number of parameters, tied ones once; params[role] counts a part"),
    number(
        "flops",
        Pass::Weights,
        "floating-point operations of one forward pass over one batch (2 per multiply-add)",
    ),
    number("depth", Pass::Weights, "number of blocks"),
    number("width", Pass::Weights, "model (hidden) width"),
    number("vocab", Pass::Weights, "vocabulary size"),
    number("tokens", Pass::Weights, "tokens per batch"),
    number("causal", Pass::Weights, "1 for a decoder with a causal mask, 0 for an encoder"),
    number(
        "loss",
        Pass::Forward,
        "cross entropy of the batch, nats per token (models with a language-model head)",
    ),
    number("objective", Pass::Forward, "value of the objective that is differentiated"),
];

/// Numbers that a site has besides its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SiteNumber {
    /// Block index.
    Layer,
    /// Rows of the weight (outputs).
    Rows,
    /// Columns of the weight (inputs).
    Cols,
}

/// Names of the site numbers in the language.
pub const SITE_NUMBERS: &[(SiteNumber, &str, &str)] = &[
    (SiteNumber::Layer, "layer", "index of the block"),
    (SiteNumber::Rows, "rows", "rows of the weight (outputs); linear sites"),
    (SiteNumber::Cols, "cols", "columns of the weight (inputs); linear sites"),
];
