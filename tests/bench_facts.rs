//! Published benchmarks, where they are at hand: importers and statistics against known figures.
//!
//! The data is looked for in `LPZ_BENCH_DIR` or `../shared/bench`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use lpzero::bench::{Bench, info, lts, nasbench_bert};
use lpzero::metric::{kendall, spearman};
use std::path::PathBuf;

fn data(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("LPZ_BENCH_DIR").map_or_else(|| "../shared/bench".into(), PathBuf::from);
    let found = root.join(path);
    if !found.exists() {
        println!("skipped: {} is absent", found.display());
        return None;
    }
    Some(found)
}

fn check(bench: &Bench, metric: &str, name: &str, tau: f64, rho: f64, score: impl Fn(usize) -> f64) {
    let truth = bench.truth(metric).unwrap();
    let scores: Vec<f64> = (0..truth.len()).map(score).collect();
    let (t, r) =
        (kendall(&scores, &truth).unwrap().tau_b.unwrap(), spearman(&scores, &truth).unwrap().unwrap());
    assert!(
        (t - tau).abs() < 6e-4 && (r - rho).abs() < 6e-4,
        "{name}: tau_b {t}, rho {r}, expected {tau}, {rho}"
    );
}

#[test]
fn nasbench_bert_baselines() {
    let Some(path) = data("BERT_benchmark.json") else { return };
    let bench = nasbench_bert(&path).unwrap();
    assert_eq!(bench.records.len(), 500);
    let depth =
        |i: usize| bench.records[i].config["nas_config"]["encoder_layers"].as_array().unwrap().len() as f64;
    let hidden = |i: usize| bench.records[i].config["hidden_size"].as_f64().unwrap();
    check(&bench, "glue", "depth", 0.682, 0.834, depth);
    check(&bench, "glue", "depth·log(hidden)", 0.801, 0.925, |i| depth(i) * hidden(i).ln());
    let info = info(&bench, 0).unwrap();
    assert_eq!(info.duplicates.groups, 9);
    let ceiling = info.metrics["glue"].noise_ceiling.unwrap();
    assert!((ceiling.tau_b - 0.89).abs() < 0.01, "{ceiling:?}");
    let dir = tempfile::tempdir().unwrap();
    bench.write(&dir.path().join("x.jsonl")).unwrap();
    assert_eq!(Bench::read(&dir.path().join("x.jsonl")).unwrap().records, bench.records);
}

#[test]
fn lite_transformer_search_baselines() {
    let Some(path) = data("lts/random_GPT2_wt103") else { return };
    let bench = lts(&path).unwrap();
    assert_eq!(bench.records.len(), 200);
    let ids: Vec<_> = [0, 1, 20].iter().map(|i| bench.records[*i].id.as_str()).collect();
    assert_eq!(ids, ["config_0_j0", "config_0_j1", "config_2_j0"]);
    assert_eq!(bench.metric(None).unwrap(), "valid_ppl");
    let fact = |i: usize, name: &str| bench.records[i].facts[&format!("params_{name}")];
    check(&bench, "valid_ppl", "attention", 0.883, 0.976, |i| fact(i, "Attn"));
    check(&bench, "valid_ppl", "decoder", 0.847, 0.967, |i| fact(i, "Attn") + fact(i, "FFN"));
    check(&bench, "valid_ppl", "total", 0.582, 0.737, |i| fact(i, "total"));
    // The configs belong to the figures: attention and feed-forward counts follow from them.
    for (i, record) in bench.records.iter().enumerate() {
        let d = record.config["d_model"].as_f64().unwrap();
        let inner = record.config["d_inner"].as_array().unwrap();
        let attention = inner.len() as f64 * (4.0 * d * d + 4.0 * d);
        let ffn: f64 = inner.iter().map(|f| f.as_f64().unwrap() * (2.0 * d + 1.0) + d).sum();
        assert_eq!((attention, ffn), (fact(i, "Attn"), fact(i, "FFN")), "{}", record.id);
    }
}

#[test]
fn lite_transformer_search_with_latency() {
    let Some(path) = data("lts/pareto_GPT2_lm1b_corei7") else { return };
    let bench = lts(&path).unwrap();
    assert_eq!(bench.records.len(), 38);
    assert_eq!(bench.header.metrics.keys().collect::<Vec<_>>(), ["latency", "memory", "ppl"]);
    assert_eq!(bench.records[9].id, "M10");
    assert_eq!(bench.records[0].config["d_embed"], bench.records[0].config["d_model"]);
    assert!(bench.truth("latency").unwrap().iter().all(|v| *v < 0.0));
}
