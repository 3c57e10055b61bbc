//! LiteTransformerSearch: GPT-2 architectures with adaptive embeddings, with perplexities and partly
//! latency and memory (Javaheripi et al., NeurIPS 2022).
//!
//! A folder holds `ppl_summary.yaml` (a number, or several by name, for each architecture), perhaps
//! `params_summary.yaml`, `latency_summary.yaml` and `memory_summary.yaml`, and for each architecture
//! `ID/model_config.yaml`, where the id `config_3_j5` stands for the folder `config_3/j5`.

use super::super::{Bench, BenchError, Better, Header, Record};
use super::{metric, read};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(untagged)]
enum Measured {
    One(f64),
    Several(BTreeMap<String, f64>),
}

type Summary = BTreeMap<String, Measured>;

#[derive(Deserialize)]
#[serde(untagged)]
enum PerLayer {
    All(u64),
    Each(Vec<u64>),
}

impl PerLayer {
    fn expand(self, layers: usize) -> Vec<u64> {
        match self {
            PerLayer::All(n) => vec![n; layers],
            PerLayer::Each(v) => v,
        }
    }
}

#[derive(Deserialize)]
struct ModelConfig {
    n_token: u64,
    tgt_len: u64,
    n_layer: usize,
    n_head: PerLayer,
    d_model: i64,
    d_embed: i64,
    d_inner: PerLayer,
    cutoffs: Vec<u64>,
    div_val: u64,
    adaptive: bool,
    tie_weight: bool,
    tie_projs: Vec<bool>,
    primer_square: bool,
}

/// Reads a LiteTransformerSearch folder, such as `random_GPT2_wt103` or `pareto_GPT2_lm1b_corei7`.
///
/// # Errors
/// A missing or malformed file, named.
pub fn lts(dir: &Path) -> Result<Bench, BenchError> {
    let perplexity: Summary = yaml(&dir.join("ppl_summary.yaml"))?;
    let params = optional(&dir.join("params_summary.yaml"))?;
    let extra = [("latency", "ms"), ("memory", "MB")]
        .map(|(name, unit)| (name, unit, format!("{name}_summary.yaml")));
    let extra = extra
        .into_iter()
        .map(|(name, unit, file)| Ok((name, unit, optional(&dir.join(file))?)))
        .collect::<Result<Vec<_>, BenchError>>()?;
    let mut metrics = BTreeMap::new();
    let mut ids: Vec<&String> = perplexity.keys().collect();
    ids.sort_by_key(|id| natural(id));
    let mut records = Vec::with_capacity(ids.len());
    for id in ids {
        let mut record = Record {
            id: id.clone(),
            family: "gpt2-flex".to_owned(),
            config: config(&folder(dir, id).join("model_config.yaml"))?,
            metrics: BTreeMap::new(),
            facts: BTreeMap::new(),
        };
        add_perplexities(&mut record, &perplexity[id]);
        metrics.extend(record.metrics.keys().map(|n| (n.clone(), metric(Better::Lower, None))));
        for (name, unit, summary) in &extra {
            if let Some(Measured::One(value)) = summary.get(id) {
                record.metrics.insert((*name).to_owned(), *value);
                metrics.insert((*name).to_owned(), metric(Better::Lower, Some(unit)));
            }
        }
        if let Some(Measured::Several(counts)) = params.get(id) {
            record.facts.extend(counts.iter().map(|(n, v)| (format!("params_{n}"), *v)));
        }
        records.push(record);
    }
    let default = ["valid_ppl", "ppl"].into_iter().find(|m| metrics.contains_key(*m));
    finish(dir, metrics, default, records)
}

fn finish(
    dir: &Path,
    metrics: BTreeMap<String, super::Metric>,
    default: Option<&str>,
    records: Vec<Record>,
) -> Result<Bench, BenchError> {
    let path = dir.display().to_string();
    if records.is_empty() {
        return Err(BenchError::new(&path, "ppl_summary.yaml names no architectures"));
    }
    let name = dir.canonicalize().ok().and_then(|d| Some(d.file_name()?.to_string_lossy().into_owned()));
    let header = Header {
        bench: format!("lts-{}", name.unwrap_or_default()),
        metrics,
        default_metric: default.map(str::to_owned),
        source: "LiteTransformerSearch; Javaheripi et al., NeurIPS 2022; https://github.com/microsoft/archai"
            .to_owned(),
        licence: "MIT".to_owned(),
    };
    Ok(Bench { path, header, records })
}

fn add_perplexities(record: &mut Record, measured: &Measured) {
    match measured {
        Measured::One(value) => {
            record.metrics.insert("ppl".to_owned(), *value);
        }
        Measured::Several(values) => {
            for (name, value) in values {
                let list = if name.contains("ppl") { &mut record.metrics } else { &mut record.facts };
                list.insert(name.clone(), *value);
            }
        }
    }
}

/// `config_3_j5` is `config_3/j5`, `M7` is `M7`.
fn folder(dir: &Path, id: &str) -> PathBuf {
    match id.rsplit_once("_j") {
        Some((config, job)) => dir.join(config).join(format!("j{job}")),
        None => dir.join(id),
    }
}

/// Sorts `config_2` before `config_10`: runs of digits compare as numbers.
fn natural(id: &str) -> Vec<(u64, &str)> {
    let bytes = id.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
    let text = bytes.map(|run| std::str::from_utf8(run).unwrap_or_default());
    text.map(|run| (run.parse().unwrap_or(0), run)).collect()
}

const HELP: &str = "give a folder of LiteTransformerSearch: ppl_summary.yaml, and a folder with a configuration per architecture";

fn yaml<T: DeserializeOwned>(path: &Path) -> Result<T, BenchError> {
    serde_norway::from_str(&read(path, HELP)?)
        .map_err(|e| BenchError::new(&path.display().to_string(), format!("has not the expected form: {e}")))
}

fn optional(path: &Path) -> Result<Summary, BenchError> {
    if path.exists() { yaml(path) } else { Ok(Summary::new()) }
}

fn config(path: &Path) -> Result<Value, BenchError> {
    let c: ModelConfig = yaml(path)?;
    let (n_head, d_inner) = (c.n_head.expand(c.n_layer), c.d_inner.expand(c.n_layer));
    if n_head.len() != c.n_layer || d_inner.len() != c.n_layer {
        let what =
            format!("has {} n_head and {} d_inner for {} layers", n_head.len(), d_inner.len(), c.n_layer);
        return Err(BenchError::new(&path.display().to_string(), what));
    }
    Ok(json!({
        "family": "gpt2-flex",
        "n_token": c.n_token,
        "tgt_len": c.tgt_len,
        "n_layer": c.n_layer,
        "n_head": n_head,
        "d_model": c.d_model,
        // The original reads a negative width as the model's.
        "d_embed": if c.d_embed < 0 { c.d_model } else { c.d_embed },
        "d_inner": d_inner,
        "cutoffs": c.cutoffs,
        "div_val": c.div_val,
        "adaptive": c.adaptive,
        "tie_weight": c.tie_weight,
        "tie_projs": c.tie_projs,
        "primer_square": c.primer_square,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
    }))
}
