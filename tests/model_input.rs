//! What a person can hand a model: configurations, checkpoints, batches; the good ones and the bad.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use lpzero::model::{Batch, Config, Model, ModelError};
use lpzero::site::{CaptureSpec, Field, Objective, Sink, SiteId, Source};
use lpzero::tensor::Tensor;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn layer() -> Value {
    json!({"operation_type": "SA", "operation_parameter": "SDP", "num_operation_heads": 2,
           "feed_forward_dimension": 64, "num_feed_forward": 2})
}

fn flexibert(layers: Vec<Value>) -> Value {
    json!({"family": "flexibert", "hidden_size": 32, "vocab_size": 50, "embedding_size": 16,
           "nas_config": {"encoder_layers": layers}})
}

fn flex() -> Value {
    json!({"family": "gpt2-flex", "n_token": 100, "tgt_len": 8, "n_layer": 2, "n_head": [2, 4], "d_model": 16,
           "d_embed": 16, "d_inner": [20, 24], "cutoffs": [20, 50], "div_val": 2})
}

fn with(mut v: Value, path: &str, new: Value) -> Value {
    *v.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = new;
    v
}

fn with_key(mut v: Value, key: &str, new: Value) -> Value {
    v[key] = new;
    v
}

#[test]
fn a_benchmark_entry_is_enough() {
    let c = json!({"family": "flexibert", "hidden_size": 128, "nas_config": {"encoder_layers": [layer()]}});
    let c = Config::from_json(&c).unwrap();
    assert_eq!((c.vocab(), c.positions(), c.width(), c.depth()), (30_522, 512, 128, 1));
    let c = json!({"model_type": "gpt2"});
    assert_eq!(Config::from_json(&c).unwrap().vocab(), 50_257);
}

#[test]
fn errors_name_the_field() {
    let op = |kind: &str, parameter: Value, heads: usize| {
        let mut l = layer();
        l["operation_type"] = kind.into();
        l["operation_parameter"] = parameter;
        l["num_operation_heads"] = heads.into();
        flexibert(vec![layer(), l])
    };
    let cases: Vec<(Value, &str)> = vec![
        (json!({"family": "bert"}), "family"),
        (json!({}), "family"),
        (json!({"family": "flexibert"}), "nas_config"),
        (flexibert(vec![]), "nas_config.encoder_layers"),
        (op("SA", "XXX".into(), 2), "nas_config.encoder_layers[1].operation_parameter"),
        (op("XX", "SDP".into(), 2), "nas_config.encoder_layers[1].operation_type"),
        (op("SA", "SDP".into(), 3), "nas_config.encoder_layers[1].num_operation_heads"),
        (op("SA", "SDP".into(), 0), "nas_config.encoder_layers[1].num_operation_heads"),
        (op("DSC", 5.into(), 1), "nas_config.encoder_layers[1].num_operation_heads"),
        (op("DSC", 4.into(), 2), "nas_config.encoder_layers[1].operation_parameter"),
        (with(flexibert(vec![layer()]), "/hidden_size", 0.into()), "hidden_size"),
        (with(flexibert(vec![layer()]), "/hidden_size", json!(-4)), "hidden_size"),
        (with(flexibert(vec![layer()]), "/hidden_size", json!("wide")), "hidden_size"),
        (with(flexibert(vec![layer()]), "/vocab_size", json!(u64::MAX)), "vocab_size"),
        (with_key(flexibert(vec![layer()]), "flavor", "x".into()), "flavor"),
        (with_key(flexibert(vec![layer()]), "hidden_act", "x".into()), "hidden_act"),
        (with_key(flexibert(vec![layer()]), "layer_norm_eps", json!(-1)), "layer_norm_eps"),
        (json!({"family": "gpt2", "n_embd": 30, "n_head": 4}), "n_head"),
        (json!({"family": "gpt2", "tie_word_embeddings": 3}), "tie_word_embeddings"),
        (with(flex(), "/n_head", json!([2])), "n_head"),
        (with(flex(), "/n_head/1", json!(3)), "n_head[1]"),
        (with(flex(), "/d_inner", json!([1, 2, 3])), "d_inner"),
        (with(flex(), "/cutoffs", json!([50, 20])), "cutoffs[1]"),
        (with(flex(), "/cutoffs", json!([0])), "cutoffs[0]"),
        (with(flex(), "/div_val", json!(9)), "div_val"),
        (with(flex(), "/n_layer", json!(1e9)), "n_layer"),
        (with_key(flex(), "tie_projs", json!([true])), "tie_projs"),
        (with_key(flex(), "adaptive", json!(false)), "adaptive"),
    ];
    for (config, field) in cases {
        match Config::from_json(&config) {
            Err(ModelError::Field { field: f, help, problem }) => {
                assert_eq!(f, field, "{problem}");
                assert!(!help.is_empty());
            }
            other => panic!("{config}: {other:?}"),
        }
    }
    assert!(matches!(Config::from_text("{"), Err(ModelError::Json(_))));
    assert!(matches!(Config::from_text("[1]"), Err(ModelError::Json(_))));
}

fn small() -> Config {
    Config::from_json(&flexibert(vec![layer()])).unwrap()
}

fn error<T>(r: Result<T, ModelError>) -> String {
    match r {
        Ok(_) => panic!("an error was expected"),
        Err(e) => {
            assert!(e.help().is_some());
            e.to_string()
        }
    }
}

#[test]
fn absurd_sizes_are_refused_before_anything_is_allocated() {
    let big = with(flexibert(vec![layer()]), "/hidden_size", json!(1u64 << 28));
    let batch = Batch::random(50, 1, 4, 1, 0).unwrap();
    let said = error(Model::<f32>::new(Config::from_json(&big).unwrap(), batch.clone(), 0));
    assert!(said.contains("GiB"), "{said}");
    assert!(error(Batch::random(50, 1 << 40, 1 << 40, 9, 0).map_err(ModelError::from)).contains("too many"));
}

#[test]
fn batches_that_do_not_fit() {
    let model = |b: Vec<Batch>| Model::<f32>::new(small(), b, 0);
    assert!(error(model(vec![])).contains("no batch"));
    let big = Batch::new(vec![50], None, 1, 1).unwrap();
    assert!(error(model(vec![big])).contains("token 50"));
    let label = Batch::new(vec![1], Some(vec![77]), 1, 1).unwrap();
    assert!(error(model(vec![label])).contains("token 77"));
    let long = Batch::new(vec![1; 600], None, 1, 600).unwrap();
    assert!(error(model(vec![long])).contains("512 positions"));
    assert!(error(Batch::new(vec![1, 2], None, 1, 3).map_err(ModelError::from)).contains("token ids"));
    assert!(error(Batch::new(vec![1, 2], Some(vec![1]), 1, 2).map_err(ModelError::from)).contains("labels"));
    let two = [Batch::new(vec![1, 2], None, 1, 2).unwrap(), Batch::new(vec![1], None, 1, 1).unwrap()];
    assert!(error(model(two.to_vec())).contains("sizes"));
}

struct Nothing;
impl Sink for Nothing {
    fn field(&mut self, _: SiteId, _: Field, _: Tensor) {}
    fn number(&mut self, _: &'static str, _: f64) {}
    fn rounding_noise(&mut self) {}
}

#[test]
fn runs_that_a_model_cannot_do() {
    let mut m = Model::<f32>::new(small(), Batch::random(50, 2, 4, 1, 0).unwrap(), 0).unwrap();
    let loss = CaptureSpec { objective: Some(Objective::Loss), ..Default::default() };
    assert!(m.run(&loss, &[(0, Field::Grad)], &mut Nothing).unwrap_err().message.contains("no loss"));
    let many = CaptureSpec { batches: lpzero::site::Batches::Many(3), ..Default::default() };
    assert!(m.run(&many, &[(0, Field::Grad)], &mut Nothing).unwrap_err().message.contains("3 batches"));
}

fn case() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/parity/flexibert_sdp")
}

fn loaded(
    edit: impl FnOnce(&mut Vec<(String, Vec<usize>, safetensors::Dtype, Vec<u8>)>),
) -> Result<(), ModelError> {
    let bytes = std::fs::read(case().join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut all: Vec<_> = file
        .tensors()
        .into_iter()
        .map(|(k, v)| (k, v.shape().to_vec(), v.dtype(), v.data().to_vec()))
        .collect();
    edit(&mut all);
    let views = all
        .iter()
        .map(|(k, s, d, b)| (k.as_str(), safetensors::tensor::TensorView::new(*d, s.clone(), b).unwrap()));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    let text = std::fs::read_to_string(case().join("config.json")).unwrap();
    let batch = Batch::random(97, 1, 4, 1, 0).unwrap();
    Model::<f32>::new(Config::from_text(&text).unwrap(), batch, 0).unwrap().load(&path)
}

#[test]
fn checkpoints_that_do_not_fit() {
    use safetensors::Dtype;
    loaded(|_| {}).unwrap();
    let said = error(loaded(|all| {
        all.retain(|t| t.0 != "encoder.layer.1.output.dense.bias");
    }));
    assert!(said.contains("encoder.layer.1.output.dense.bias") && said.contains("missing"), "{said}");
    let said = error(loaded(|all| all.push(("extra.weight".into(), vec![1], Dtype::F32, vec![0; 4]))));
    assert!(said.contains("extra.weight") && said.contains("unknown"), "{said}");
    let said = error(loaded(|all| {
        let t = all.iter_mut().find(|t| t.0 == "embeddings.LayerNorm.bias").unwrap();
        t.1 = vec![4, 4];
    }));
    assert!(said.contains("[4, 4]") && said.contains("[16]"), "{said}");
    let said = error(loaded(|all| {
        let t = all.iter_mut().find(|t| t.0 == "embeddings.LayerNorm.bias").unwrap();
        t.2 = Dtype::I32;
    }));
    assert!(said.contains("I32") && said.contains("embeddings.LayerNorm.bias"), "{said}");
}

#[test]
fn truncated_and_missing_files() {
    let text = std::fs::read_to_string(case().join("config.json")).unwrap();
    let batch = Batch::random(97, 1, 4, 1, 0).unwrap();
    let mut m = Model::<f32>::new(Config::from_text(&text).unwrap(), batch, 0).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.safetensors");
    let bytes = std::fs::read(case().join("model.safetensors")).unwrap();
    for keep in [0, 4, 100, bytes.len() - 7] {
        std::fs::write(&path, &bytes[..keep]).unwrap();
        assert!(error(m.load(&path)).contains("cut.safetensors"));
    }
    assert!(error(m.load(Path::new("nowhere.safetensors"))).contains("nowhere"));
}

#[test]
fn half_precision_checkpoints_are_widened() {
    use half::bf16;
    loaded(|all| {
        for t in all.iter_mut() {
            let floats: Vec<f32> = t.3.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
            t.3 = floats.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect();
            t.2 = safetensors::Dtype::BF16;
        }
    })
    .unwrap();
}

/// Parameters by name.
fn values(layers: usize, seed: u64) -> std::collections::BTreeMap<String, Vec<f64>> {
    let c = Config::from_json(&flexibert(vec![layer(); layers])).unwrap();
    let m = Model::<f64>::new(c, Batch::random(50, 1, 4, 1, 0).unwrap(), seed).unwrap();
    m.plan().params.iter().enumerate().map(|(id, p)| (p.name.clone(), m.param(id).to_f64())).collect()
}

#[test]
fn parameters_depend_on_seed_and_name_alone() {
    let (short, long, other) = (values(1, 0), values(2, 0), values(1, 1));
    for (name, value) in &short {
        assert_eq!(value, &long[name], "{name}");
        let constant = name.ends_with("bias") || name.contains("LayerNorm");
        assert_eq!(constant, *value == other[name], "{name}");
        if !constant {
            let n = value.len() as f64;
            let std = (value.iter().map(|x| x * x).sum::<f64>() / n).sqrt();
            assert!((std / 0.02 - 1.0).abs() < 4.0 / (2.0 * n).sqrt(), "{name} {std}");
        }
    }
}

#[test]
fn residual_projections_start_smaller() {
    let c = json!({"family": "gpt2", "vocab_size": 50, "n_embd": 32, "n_head": 2, "n_layer": 8, "n_positions": 8});
    let m =
        Model::<f64>::new(Config::from_json(&c).unwrap(), Batch::random(50, 1, 4, 1, 0).unwrap(), 0).unwrap();
    let std = |name: &str| {
        let v = m.param(m.plan().param(name).unwrap()).to_f64();
        (v.iter().map(|x| x * x).sum::<f64>() / v.len() as f64).sqrt()
    };
    assert!((std("transformer.h.3.mlp.c_proj.weight") - 0.005).abs() < 3e-4);
    assert!((std("transformer.h.3.mlp.c_fc.weight") - 0.02).abs() < 1e-3);
}

fn bench() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/bench");
    let dir = std::env::var_os("LPZ_BENCH_DIR").map_or(root, PathBuf::from);
    if !dir.is_dir() {
        eprintln!("{} is absent: nothing is checked against it", dir.display());
        return None;
    }
    Some(dir)
}

#[test]
fn every_architecture_of_nas_bench_bert_is_accepted() {
    let Some(dir) = bench() else { return };
    let all: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(dir.join("BERT_benchmark.json")).unwrap()).unwrap();
    for entry in &all {
        let mut c = entry["hparams"]["model_hparam_overrides"].clone();
        c["family"] = "flexibert".into();
        let b = Batch::random(30_522, 8, 128, 1, 0).unwrap();
        Model::<f32>::new(Config::from_json(&c).unwrap(), b, 0).unwrap();
    }
}

#[test]
fn parameters_of_lite_transformer_search_are_those_it_counted() {
    let Some(dir) = bench() else { return };
    let dir = dir.join("lts/random_GPT2_wt103");
    let read =
        |p: PathBuf| -> Value { serde_norway::from_str(&std::fs::read_to_string(p).unwrap()).unwrap() };
    let summary = read(dir.join("params_summary.yaml"));
    let mut checked = 0;
    for (id, counts) in summary.as_object().unwrap().iter().step_by(10) {
        let (group, job) = id.rsplit_once('_').unwrap();
        let path = dir.join(group).join(job).join("model_config.yaml");
        if !path.is_file() {
            continue;
        }
        let mut c = read(path);
        c["family"] = "gpt2-flex".into();
        let b = Batch::random(100, 1, 4, 1, 0).unwrap();
        let m = Model::<f32>::new(Config::from_json(&c).unwrap(), b, 0).unwrap();
        let count = |role: &str| m.outline().params.iter().find(|p| p.0 == role).unwrap().1;
        assert_eq!(count("operation"), counts["Attn"].as_f64().unwrap(), "{id}");
        assert_eq!(count("ffn"), counts["FFN"].as_f64().unwrap(), "{id}");
        assert_eq!(m.outline().numbers[0].1, counts["total"].as_f64().unwrap(), "{id}");
        checked += 1;
    }
    assert!(checked > 0);
}
