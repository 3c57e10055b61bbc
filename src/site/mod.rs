//! Sites: what a model hands out and an engine takes in, the one thing both know.
//!
//! A *site* is a place in a network where tensors can be observed: a linear map, an attention map,
//! an activation. A site has a kind, a layer, roles (`ffn`, `query`, ...) and fields (`weight`,
//! `grad`, ...). The rows of `rows` and `capture` are the whole vocabulary: the language's site names, filters
//! and fields, the documentation and completion iterate over them.

mod capture;
mod mapped;
mod rows;
mod source;

pub use capture::*;
pub use mapped::Mapped;
pub use rows::*;
pub use source::{Sink, Source, SourceError};

use crate::tensor::Dims;

/// Index of a site in [`Outline::sites`].
pub type SiteId = usize;

/// One site of one architecture, known before anything runs.
#[derive(Clone, Debug)]
pub struct Site {
    /// Kind.
    pub kind: Kind,
    /// Name of the module or parameter, as the family's checkpoints name it; unique per kind.
    pub name: String,
    /// Block index, for sites inside a block.
    pub layer: Option<usize>,
    /// Roles it has; every one is in [`ROLES`].
    pub roles: Vec<&'static str>,
    /// Does the family store the weight as `[in, out]` (Conv1D)? Then `stored_weight` is the
    /// transpose of `weight`.
    pub transposed: bool,
    /// The shape of every field it has, without the leading axis of several batches.
    pub fields: Vec<(Field, Dims)>,
}

impl Site {
    /// Shape of a field.
    pub fn dims(&self, field: Field) -> Option<&Dims> {
        self.fields.iter().find(|(f, _)| *f == field).map(|(_, d)| d)
    }

    /// Sizes `[out, in]` of the weight of a linear site.
    pub fn rows_cols(&self) -> Option<(usize, usize)> {
        match self.dims(Field::Weight).map(|d| d.as_slice()) {
            Some(&[r, c]) => Some((r, c)),
            _ => None,
        }
    }
}

/// What can be known of an architecture without running it: its sites, in model order, and numbers.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// Sites in the order of the model; sites of one kind in the order that proxies walk them.
    pub sites: Vec<Site>,
    /// Model numbers by name (`params`, `flops`, `depth`, `width`, `vocab`, `tokens`, `causal`).
    pub numbers: Vec<(&'static str, f64)>,
    /// Parameter counts by role, for `params[role]`; tied parameters once.
    pub params: Vec<(&'static str, f64)>,
}
