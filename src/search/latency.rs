//! Latency of a forward pass: measured here, or read from a table.
//!
//! A table is a JSON object from configs (as text without spaces, keys sorted) to
//! milliseconds; a search writes what it
//! measured as one, so that a device's figures can be taken once and used again, or come from elsewhere.

use super::error::SearchError;
use crate::bench::canonical;
use crate::model::{Config, LanguageModel};
use serde_json::{Map, Value};
use std::path::Path;
use std::time::Instant;

/// Passes that are timed; the median counts.
const PASSES: usize = 5;

/// Milliseconds of one forward pass over `batch` sequences of `seq` tokens, on all threads of the pool:
/// the median of five, after one to warm up.
///
/// # Errors
/// A config that does not fit its family or the sequence length.
pub fn measure(config: &Value, batch: usize, seq: usize) -> Result<f64, SearchError> {
    let failed = |e: crate::model::ModelError| SearchError::new(e.to_string());
    let model = LanguageModel::new(Config::from_json(config).map_err(failed)?, batch, seq).map_err(failed)?;
    let model = model.here();
    let params = model.init(0);
    let vocab = model.config().vocab();
    let ids: Vec<u32> = (0..batch * seq).map(|i| (i * 7919 % vocab) as u32).collect();
    let mut times: Vec<f64> = (0..=PASSES)
        .map(|_| {
            let started = Instant::now();
            model.loss(&params, (ids.clone(), ids.clone()), [batch, seq], None);
            started.elapsed().as_secs_f64() * 1e3
        })
        .skip(1)
        .collect();
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Latencies by architecture; what is not there is measured and added.
#[derive(Clone, Debug, Default)]
pub struct Table(Map<String, Value>);

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    /// A file that cannot be read or is no table.
    pub fn read(path: &Path) -> Result<Self, SearchError> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| SearchError::new(format!("{}: cannot read: {e}", path.display())))?;
        let help = "a latency table is a JSON object from configs (as text) to milliseconds";
        let map: Map<String, Value> = serde_json::from_str(&text)
            .map_err(|e| SearchError::new(format!("{}: {e}", path.display())).help(help))?;
        match map.iter().find(|(_, v)| !v.as_f64().is_some_and(|x| x.is_finite() && x >= 0.0)) {
            Some((k, v)) => Err(SearchError::new(format!("{}: {v} for {k}", path.display())).help(help)),
            None => Ok(Table(map)),
        }
    }

    /// Latency of an architecture.
    ///
    /// # Errors
    /// As [`measure`].
    pub fn get(&mut self, config: &Value, batch: usize, seq: usize) -> Result<f64, SearchError> {
        let key = canonical(config);
        if let Some(ms) = self.0.get(&key).and_then(Value::as_f64) {
            return Ok(ms);
        }
        let ms = measure(config, batch, seq)?;
        self.0.insert(key, ms.into());
        Ok(ms)
    }

    /// The table as JSON.
    pub fn json(&self) -> Value {
        Value::Object(self.0.clone())
    }
}
