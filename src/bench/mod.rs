//! Benchmarks: architectures with a ground truth that others measured.
//!
//! A benchmark is a file of JSON lines. The first is the header
//! `{"bench": "name", "metrics": {"valid_ppl": {"better": "lower"}}, "source": "...", "licence": "..."}`,
//! every other an architecture `{"id": "...", "family": "...", "config": {...}, "metrics": {...}}`; `facts`
//! may hold further numbers (parameter counts as published, training time).

mod embedded;
mod error;
mod import;
mod info;
mod read;
mod write;

pub use embedded::EMBEDDED;
pub use error::BenchError;
pub use import::{lts, nasbench_bert};
pub use info::{Duplicates, Info, MetricRange, info};
pub use read::Reader;

use crate::random::Stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Which end of a metric is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Accuracy and the like.
    Higher,
    /// Loss, perplexity, latency and the like.
    Lower,
}

/// What a header says about a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Which end is good.
    pub better: Better,
    /// Unit, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// First line of a benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Name.
    pub bench: String,
    /// Metrics by name.
    pub metrics: BTreeMap<String, Metric>,
    /// The metric that is meant when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_metric: Option<String>,
    /// Where the ground truth comes from.
    #[serde(default)]
    pub source: String,
    /// Under which licence.
    #[serde(default)]
    pub licence: String,
}

/// One architecture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Name, unique in the benchmark.
    pub id: String,
    /// Model family.
    pub family: String,
    /// The model's config; holds the family too.
    pub config: Value,
    /// Ground truth by metric.
    pub metrics: BTreeMap<String, f64>,
    /// Further numbers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, f64>,
}

impl Record {
    /// The architecture as text: equal exactly for equal family and config, whatever the order of
    /// the config's keys.
    pub fn key(&self) -> String {
        format!("{} {}", self.family, canonical(&self.config))
    }
}

/// A benchmark in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Bench {
    /// Name of the file, for messages.
    pub path: String,
    /// Header.
    pub header: Header,
    /// Architectures, in file order.
    pub records: Vec<Record>,
}

impl Bench {
    /// Reads a benchmark: a file, or one of [`EMBEDDED`] by name where there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read; lines that are no header or record; a ground truth that is not a
    /// finite number; an id twice; no architecture at all. Each names the file and line.
    pub fn read(path: &Path) -> Result<Bench, BenchError> {
        const HELP: &str =
            "give a benchmark that `lpz bench import` or `lpz bench make` wrote, or `tiny-gpt2`";
        let name = path.display().to_string();
        let wrong = |what: String| BenchError::new(&name, what).help(HELP);
        let input: Box<dyn std::io::BufRead> = match (std::fs::File::open(path), embedded::embedded(&name)) {
            (Ok(_), _) if path.is_dir() => return Err(wrong("is a folder".to_owned())),
            (Ok(file), _) => Box::new(std::io::BufReader::new(file)),
            (Err(_), Some(text)) => Box::new(text.as_bytes()),
            (Err(e), None) => return Err(wrong(format!("cannot open: {e}"))),
        };
        let mut reader = Reader::new(input, &name)?;
        let header = reader.header().clone();
        let records = reader.by_ref().collect::<Result<Vec<_>, _>>()?;
        if records.is_empty() {
            return Err(BenchError::new(&name, "holds no architectures, only a header")
                .help("`lpz bench import` and `lpz bench make` write benchmarks"));
        }
        Ok(Bench { path: name, header, records })
    }

    /// Writes the benchmark, whole or not at all.
    ///
    /// # Errors
    /// When the folder is missing or not writable, or the disk is full.
    pub fn write(&self, path: &Path) -> Result<(), BenchError> {
        write::write(self, path)
    }

    /// The metric to use: `name`, or the benchmark's default, or its only one.
    ///
    /// # Errors
    /// When there is no such metric, or several and none named; lists those that exist.
    pub fn metric<'a>(&'a self, name: Option<&'a str>) -> Result<&'a str, BenchError> {
        let only = || self.header.metrics.keys().next().filter(|_| self.header.metrics.len() == 1);
        let chosen = name.or(self.header.default_metric.as_deref()).or(only().map(String::as_str));
        match chosen {
            Some(m) if self.header.metrics.contains_key(m) => Ok(m),
            Some(m) => Err(self.no_metric(format!("has no metric `{m}`"))),
            None => Err(self.no_metric("has several metrics".to_owned())),
        }
    }

    fn no_metric(&self, what: String) -> BenchError {
        let names: Vec<_> = self.header.metrics.keys().map(String::as_str).collect();
        BenchError::new(&self.path, what).help(format!("choose one of: {}", names.join(", ")))
    }

    /// The ground truth, oriented so that higher is better: negated where lower is better.
    ///
    /// # Errors
    /// No such metric; an architecture without it (named).
    pub fn truth(&self, metric: &str) -> Result<Vec<f64>, BenchError> {
        let metric = self.metric(Some(metric))?;
        let sign = if self.header.metrics[metric].better == Better::Lower { -1.0 } else { 1.0 };
        let of = |r: &Record| match r.metrics.get(metric) {
            Some(v) => Ok(sign * v),
            None => {
                let has: Vec<_> = r.metrics.keys().map(String::as_str).collect();
                let help = match has.is_empty() {
                    true => "leave architectures without a ground truth out".to_owned(),
                    false => format!("it has: {}", has.join(", ")),
                };
                Err(BenchError::new(&self.path, format!("architecture `{}` has no `{metric}`", r.id))
                    .help(help))
            }
        };
        self.records.iter().map(of).collect()
    }

    /// Keeps `limit` architectures drawn by `seed`, in file order; all of them where there are no more.
    pub fn sample(&mut self, limit: usize, seed: u64) {
        if limit < self.records.len() {
            let keep = Stream::new(seed, "bench sample").sample(self.records.len(), limit);
            self.records = keep.into_iter().map(|i| self.records[i].clone()).collect();
        }
    }

    /// The architecture named `id`.
    ///
    /// # Errors
    /// When there is none; names a similar one.
    pub fn record(&self, id: &str) -> Result<&Record, BenchError> {
        self.records.iter().find(|r| r.id == id).ok_or_else(|| {
            let near = self.records.iter().min_by_key(|r| strsim::levenshtein(&r.id, id));
            let error = BenchError::new(&self.path, format!("has no architecture `{id}`"));
            match near {
                Some(r) => error.help(format!("did you mean `{}`?", r.id)),
                None => error,
            }
        })
    }

    /// [`Record::key`] of every architecture.
    pub fn keys(&self) -> Vec<String> {
        self.records.iter().map(Record::key).collect()
    }
}

/// JSON as text, without spaces and with sorted keys: equal for equal values.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let parts = sorted.iter().map(|(k, v)| format!("{}:{}", Value::from(k.as_str()), canonical(v)));
            format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
