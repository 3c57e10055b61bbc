//! NAS-Bench-BERT: 500 FlexiBERT architectures, pretrained and fine-tuned on GLUE (Serianni and Kalita,
//! "Training-free Neural Architecture Search for RNNs and Transformers", ACL 2023).

use super::super::{Bench, BenchError, Better, Header, Record};
use super::{metric, read};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Entry {
    id: u64,
    time_to_train: Option<f64>,
    scores: BTreeMap<String, f64>,
    hparams: Hparams,
}

#[derive(Deserialize)]
struct Hparams {
    model_hparam_overrides: Overrides,
}

#[derive(Deserialize)]
struct Overrides {
    hidden_size: u64,
    nas_config: Value,
}

const HELP: &str = "give its BERT_benchmark.json";

/// Reads `BERT_benchmark.json`. The configs are FlexiBERT's of flavor `trained`: what the networks
/// really were.
///
/// # Errors
/// A file that cannot be read or has another format.
pub fn nasbench_bert(path: &Path) -> Result<Bench, BenchError> {
    let name = path.display().to_string();
    let entries: Vec<Entry> = serde_json::from_str(&read(path, HELP)?)
        .map_err(|e| BenchError::new(&name, format!("is not NAS-Bench-BERT: {e}")).help(HELP))?;
    if entries.is_empty() {
        return Err(BenchError::new(&name, "holds no architectures"));
    }
    let names = entries.iter().flat_map(|e| e.scores.keys().cloned());
    let header = Header {
        bench: "nasbench-bert".to_owned(),
        metrics: names.map(|n| (n, metric(Better::Higher, None))).collect(),
        default_metric: Some("glue".to_owned()),
        source: "NAS-Bench-BERT; Serianni and Kalita, ACL 2023; https://github.com/aaronserianni/training-free-nas"
            .to_owned(),
        licence: "CC BY 4.0".to_owned(),
    };
    Ok(Bench { path: name, header, records: entries.into_iter().map(record).collect() })
}

fn record(entry: Entry) -> Record {
    let Overrides { hidden_size, nas_config } = entry.hparams.model_hparam_overrides;
    let config = json!({
        "family": "flexibert",
        "flavor": "trained",
        "hidden_size": hidden_size,
        "nas_config": nas_config,
    });
    Record {
        id: entry.id.to_string(),
        family: "flexibert".to_owned(),
        config,
        metrics: entry.scores,
        facts: entry.time_to_train.map(|t| ("time_to_train".to_owned(), t)).into_iter().collect(),
    }
}
