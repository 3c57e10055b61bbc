//! What has to be run: the options of `@capture`, one row a value.

/// Which parameters a run uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ParamsMode {
    /// As initialised or loaded.
    #[default]
    Init,
    /// Their absolute values.
    Abs,
    /// Absolute values of buffers too: turns GPT-2 flex's mask constant -1e4 into +1e4, as the
    /// published SynFlow of LiteTransformerSearch does.
    AbsBuffers,
}

/// What enters the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Inputs {
    /// The token batch.
    #[default]
    Data,
    /// Ones in place of the token embedding.
    Ones,
    /// Seeded standard normal noise in place of the token embedding.
    Noise,
}

/// The scalar that is differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Objective {
    /// Cross entropy, nats, mean over tokens.
    Loss,
    /// Sum of the last hidden state times a fixed seeded normal tensor.
    Projection,
    /// Sum of the last hidden state.
    Ones,
    /// Sum of the logits (of the head cluster for adaptive softmax; of the last hidden state for a
    /// model without logits).
    SumLogits,
}

/// Over which minibatches gradients are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Batches {
    /// One batch; fields have no leading axis.
    #[default]
    One,
    /// So many different batches; `grad`-like fields get a leading axis over them.
    Many(usize),
    /// Every sequence of the batch alone; `grad`-like fields get a leading axis over them.
    EachSample,
}

/// What has to be run for a program: the language's `@capture(...)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CaptureSpec {
    /// `params = init | abs | abs_buffers`.
    pub params: ParamsMode,
    /// `inputs = data | ones | noise`.
    pub inputs: Inputs,
    /// `objective = loss | projection | ones | sum_logits`; `None` is the family's default.
    pub objective: Option<Objective>,
    /// `batches = N | each_sample`.
    pub batches: Batches,
}

/// A value of a `@capture` option: the value, its name in the language, documentation.
pub type OptionRow<T> = (T, &'static str, &'static str);

/// Values of `params`.
pub const PARAMS_MODES: &[OptionRow<ParamsMode>] = &[
    (ParamsMode::Init, "init", "parameters as initialised or loaded"),
    (ParamsMode::Abs, "abs", "absolute values of the parameters"),
    (
        ParamsMode::AbsBuffers,
        "abs_buffers",
        "absolute values of parameters and buffers (flips GPT-2 flex's mask constant)",
    ),
];

/// Values of `inputs`.
pub const INPUTS: &[OptionRow<Inputs>] = &[
    (Inputs::Data, "data", "the token batch"),
    (Inputs::Ones, "ones", "ones in place of the token embedding"),
    (Inputs::Noise, "noise", "seeded standard normal noise in place of the token embedding"),
];

/// Values of `objective`.
pub const OBJECTIVES: &[OptionRow<Objective>] = &[
    (Objective::Loss, "loss", "cross entropy, nats, mean over tokens"),
    (Objective::Projection, "projection", "sum of the last hidden state times a fixed seeded normal tensor"),
    (Objective::Ones, "ones", "sum of the last hidden state"),
    (Objective::SumLogits, "sum_logits", "sum of the logits (the last hidden state of a model without)"),
];

/// The value of a `@capture` option by its name.
pub fn option<T: Copy>(rows: &[OptionRow<T>], name: &str) -> Option<T> {
    rows.iter().find(|(_, n, _)| *n == name).map(|(v, _, _)| *v)
}

/// The name of a `@capture` option's value.
pub fn option_name<T: PartialEq>(rows: &[OptionRow<T>], value: &T) -> &'static str {
    rows.iter().find(|(v, _, _)| v == value).map_or("", |(_, n, _)| n)
}

/// The name of an objective in the keys of captured files: the language's, but for `logits`.
pub fn objective_key(objective: Objective) -> &'static str {
    if objective == Objective::SumLogits { "logits" } else { option_name(OBJECTIVES, &objective) }
}
