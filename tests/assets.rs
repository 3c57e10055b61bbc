//! Real text and a real tokenizer, where `scripts/assets.sh` has fetched them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use lpzero::data::Text;
use lpzero::model::{Config, Model};
use lpzero::site::{CaptureSpec, Field, Kind, Sink, SiteId, Source};
use lpzero::tensor::Tensor;
use std::path::PathBuf;

/// The text and the tokenizer, or nothing and a remark.
fn assets() -> Option<(PathBuf, PathBuf)> {
    let dir = std::env::var_os("LPZ_ASSETS_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("assets"), PathBuf::from);
    let (text, tokenizer) = (dir.join("shakespeare.txt"), dir.join("tokenizer.json"));
    let there = text.is_file() && tokenizer.is_file();
    if !there {
        eprintln!("skipped: no {}; scripts/assets.sh fetches it", text.display());
    }
    there.then_some((text, tokenizer))
}

#[test]
fn a_real_tokenizer_cuts_real_text() {
    let Some((text, tokenizer)) = assets() else { return };
    let bytes = Text::open(&text, None).unwrap();
    let words = Text::open(&text, Some(&tokenizer)).unwrap();
    assert_eq!(bytes.len() as u64, std::fs::metadata(&text).unwrap().len());
    // English takes three to five bytes a WordPiece token.
    let ratio = bytes.len() as f64 / words.len() as f64;
    assert!((3.0..5.0).contains(&ratio), "{ratio} bytes a token");
    let one = words.batch(0, 2, 16, 30522, 0).unwrap();
    assert_eq!(one.labels.as_ref().unwrap()[..15], one.ids[1..16]);
    assert_eq!(one, words.batch(0, 2, 16, 30522, 0).unwrap());
    assert_ne!(one.ids, words.batch(1, 2, 16, 30522, 0).unwrap().ids);
    let small = words.batch(0, 2, 16, 1000, 0).unwrap_err();
    assert!(small.message.contains("1000") && small.message.contains("shakespeare.txt"), "{small}");
}

#[derive(Default)]
struct Norms(Vec<f64>);

impl Sink for Norms {
    fn field(&mut self, _: SiteId, _: Field, tensor: Tensor) {
        self.0.push(tensor.to_f64().iter().map(|x| x * x).sum::<f64>().sqrt());
    }
    fn number(&mut self, _: &'static str, _: f64) {}
    fn rounding_noise(&mut self) {
        panic!("real text gives real gradients");
    }
}

#[test]
fn a_benchmark_architecture_sees_real_text() {
    let Some((text, tokenizer)) = assets() else { return };
    let config = r#"{"family": "flexibert", "hidden_size": 128, "nas_config": {"encoder_layers": [
        {"operation_type": "SA", "operation_parameter": "SDP", "num_operation_heads": 2,
         "feed_forward_dimension": 512, "num_feed_forward": 1},
        {"operation_type": "LT", "operation_parameter": "DFT", "num_operation_heads": 4,
         "feed_forward_dimension": 512, "num_feed_forward": 3}]}}"#;
    let batch = Text::open(&text, Some(&tokenizer)).unwrap().batch(0, 2, 32, 30522, 0).unwrap();
    let mut model = Model::<f32>::new(Config::from_text(config).unwrap(), vec![batch], 0).unwrap();
    let sites = model.outline().sites.iter().enumerate();
    let wants: Vec<(SiteId, Field)> =
        sites.filter(|(_, s)| s.kind == Kind::Linear).map(|(i, _)| (i, Field::Grad)).collect();
    let mut norms = Norms::default();
    model.run(&CaptureSpec::default(), &wants, &mut norms).unwrap();
    assert_eq!(norms.0.len(), wants.len());
    assert!(norms.0.iter().all(|n| n.is_finite() && *n > 0.0), "{:?}", norms.0);
}
