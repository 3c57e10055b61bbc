//! What an architecture costs, known without running it.

use crate::model::{Config, describe};
use serde_json::Value;

/// Parameters, and floating-point operations of a forward pass over `batch` sequences of `seq` tokens.
///
/// # Errors
/// Why the family refuses the config.
pub fn cost(config: &Value, batch: usize, seq: usize) -> Result<(f64, f64), String> {
    let parsed = Config::from_json(config).map_err(|e| e.to_string())?;
    let outline = describe(&parsed, batch, seq).map_err(|e| e.to_string())?;
    let number = |name: &str| outline.numbers.iter().find(|(n, _)| *n == name).map_or(0.0, |(_, v)| *v);
    Ok((number("params"), number("flops")))
}
