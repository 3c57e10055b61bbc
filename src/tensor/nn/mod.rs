//! Operations of the tape, one file per group. Matrices are row-major; leading axes are rows.

mod act;
mod attention;
mod away;
mod basic;
mod classify;
mod conv;
mod linear;
mod loss;
mod norm;
mod rows;
#[cfg(test)]
mod tests;
mod transform;

pub use act::{Act, activation};
pub use attention::{Heads, Mask, attend, attention_probs};
pub use basic::{add, add_table, concat_features, mul, scale};
pub use classify::classify;
pub use conv::{conv_mix, depthwise, softmax_last};
pub use linear::{Layout, linear, linear_act};
pub use loss::{IGNORE, combine, dot, pick_log_softmax};
pub use norm::layer_norm;
pub use rows::{concat_rows, gather, scatter_rows, select_rows, slice_rows};
pub use transform::{Transform, softmax_heads, transform2d};
