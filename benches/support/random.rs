//! Random programs, as an evolver draws them.

use lpzero::random::Stream;
use std::ops::Range;

/// Random elementwise chains that end in a reduction, one for each seed.
pub fn random_bodies(seeds: Range<u64>) -> Vec<String> {
    let unary =
        ["abs", "square", "exp", "tanh", "sigmoid", "relu", "gelu", "zscore", "softmax", "sign", "minmax"];
    let reducers = ["sum", "mean", "max", "std", "l1", "norm", "var", "min"];
    let fields = ["l.weight", "l.grad", "(l.weight * l.grad)", "(l.weight + l.grad)"];
    seeds
        .map(|seed| {
            let mut r = Stream::new(seed, "bars");
            let mut body = fields[r.below(fields.len())].to_owned();
            for _ in 0..1 + r.below(3) {
                body = format!("{}({body})", unary[r.below(unary.len())]);
            }
            format!("{}({body})", reducers[r.below(reducers.len())])
        })
        .collect()
}
