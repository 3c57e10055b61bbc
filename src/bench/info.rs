//! What a benchmark holds.

use super::{Bench, Metric};
use crate::metric::{MetricError, NoiseCeiling, distinct, noise_ceiling};
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::collections::BTreeMap;

/// Summary of a benchmark.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// Name.
    pub bench: String,
    /// Source.
    pub source: String,
    /// Licence.
    pub licence: String,
    /// Architectures.
    pub n: usize,
    /// Architectures by family.
    pub families: BTreeMap<String, usize>,
    /// Metrics.
    pub metrics: BTreeMap<String, MetricRange>,
    /// The metric meant when none is named.
    pub default_metric: Option<String>,
    /// Architectures that occur more than once.
    pub duplicates: Duplicates,
}

/// Range of a metric.
#[derive(Clone, Debug, Serialize)]
pub struct MetricRange {
    /// What the header says.
    #[serde(flatten)]
    pub metric: Metric,
    /// Architectures that have it.
    pub n: usize,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Different values.
    pub distinct: usize,
    /// Where architectures were measured more than once.
    pub noise_ceiling: Option<NoiseCeiling>,
}

/// Equal architectures under several ids.
#[derive(Clone, Debug, Serialize)]
pub struct Duplicates {
    /// Architectures that occur more than once.
    pub groups: usize,
    /// Records in these groups.
    pub records: usize,
    /// Different architectures.
    pub distinct: usize,
}

/// Looks a benchmark over; `seed` is for the noise ceiling.
///
/// # Errors
/// Never for a benchmark that was read; the statistics' errors otherwise.
pub fn info(bench: &Bench, seed: u64) -> Result<Info, MetricError> {
    let mut families = BTreeMap::new();
    for record in &bench.records {
        *families.entry(record.family.clone()).or_insert(0) += 1;
    }
    let keys = bench.keys();
    let mut metrics = BTreeMap::new();
    for (name, metric) in &bench.header.metrics {
        if let Some(range) = range(bench, &keys, name, metric, seed)? {
            metrics.insert(name.clone(), range);
        }
    }
    Ok(Info {
        bench: bench.header.bench.clone(),
        source: bench.header.source.clone(),
        licence: bench.header.licence.clone(),
        n: bench.records.len(),
        families,
        metrics,
        default_metric: bench.header.default_metric.clone(),
        duplicates: duplicates(&keys),
    })
}

fn duplicates(keys: &[String]) -> Duplicates {
    let mut counts: FxHashMap<&str, usize> = FxHashMap::default();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    let repeated: Vec<usize> = counts.values().copied().filter(|c| *c > 1).collect();
    Duplicates { groups: repeated.len(), records: repeated.iter().sum(), distinct: counts.len() }
}

fn range(
    bench: &Bench,
    keys: &[String],
    name: &str,
    metric: &Metric,
    seed: u64,
) -> Result<Option<MetricRange>, MetricError> {
    let (mut values, mut named) = (Vec::new(), Vec::new());
    for (record, key) in bench.records.iter().zip(keys) {
        if let Some(v) = record.metrics.get(name) {
            values.push(*v);
            named.push(key.clone());
        }
    }
    if values.is_empty() {
        return Ok(None);
    }
    Ok(Some(MetricRange {
        metric: metric.clone(),
        n: values.len(),
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        mean: values.iter().sum::<f64>() / values.len() as f64,
        distinct: distinct(&values),
        noise_ceiling: noise_ceiling(&named, &values, seed)?,
    }))
}
