//! Trainings: they learn, resume bit for bit, stop where the loss is not finite, and refuse bad input.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use lpzero::train::{Dataset, Event, Settings, Trainer, checkpoint, text_vocab, train};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

fn gpt2() -> Value {
    json!({"family": "gpt2", "vocab_size": 64, "n_positions": 32, "n_embd": 16, "n_layer": 1, "n_head": 2})
}

fn flex() -> Value {
    json!({"family": "gpt2-flex", "n_token": 64, "tgt_len": 32, "n_layer": 2, "n_head": [2, 4], "d_model": 16,
        "d_embed": 16, "d_inner": [32, 24], "cutoffs": [20], "div_val": 2, "tie_projs": [false, true]})
}

fn flexibert() -> Value {
    let layer = |kind: &str, parameter: Value| {
        json!({"operation_type": kind, "operation_parameter": parameter, "num_operation_heads": 2,
            "feed_forward_dimension": 24, "num_feed_forward": 2})
    };
    json!({"family": "flexibert", "vocab_size": 64, "embedding_size": 8, "hidden_size": 16,
        "max_position_embeddings": 32, "nas_config": {"encoder_layers": [
        layer("SA", json!("SDP")), layer("DSC", json!(5)), layer("LT", json!("DFT"))]}})
}

fn settings(steps: usize, lr: f64) -> Settings {
    Settings { save_every: 7, eval_every: 10, ..Settings::new(steps, 8, 16, lr, 5).unwrap() }
}

fn data(config: &Value) -> Dataset {
    Dataset::synthetic(text_vocab(config).unwrap(), 0, 20_000, 8, 16).unwrap()
}

fn run(config: &Value, settings: Settings, dir: &Path) -> lpzero::train::Summary {
    let mut t = Trainer::new(config, settings).unwrap();
    train(&mut t, &data(config), dir, &AtomicBool::new(false), &mut |_| {}).unwrap()
}

#[test]
fn every_family_learns() {
    for config in [gpt2(), flex(), flexibert()] {
        let dir = tempfile::tempdir().unwrap();
        let s = run(&config, settings(80, 1e-2), dir.path());
        let first = s.valid[0].1;
        assert!(s.valid_loss < first - 0.4, "{}: {first} to {}", config["family"], s.valid_loss);
        let (entropy, _) = s.bounds.unwrap();
        assert!(config["family"] == "flexibert" || s.valid_loss > entropy);
    }
}

/// Stopped after a step, and killed after another (its checkpoint is older than its last step): the
/// resumed training ends with the same bytes as the uninterrupted one.
#[test]
fn resumes_bit_for_bit() {
    for config in [gpt2(), flexibert()] {
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        run(&config, settings(30, 1e-2), whole.path());
        let data = data(&config);
        let mut t = Trainer::new(&config, settings(30, 1e-2)).unwrap();
        let stop = AtomicBool::new(false);
        let summary = train(&mut t, &data, parts.path(), &stop, &mut |e| {
            if matches!(e, Event::Step(s) if s.step == 11) {
                stop.store(true, Ordering::Relaxed);
            }
        });
        assert!(summary.unwrap().interrupted);
        let mut t = Trainer::new(&config, settings(30, 1e-2)).unwrap();
        checkpoint::resume(&mut t, &data, parts.path()).unwrap();
        assert_eq!(t.step, 11);
        // A killed process: steps beyond the checkpoint that nobody kept.
        for _ in 0..3 {
            t.advance(&data).unwrap();
        }
        let mut t = Trainer::new(&config, settings(30, 1e-2)).unwrap();
        checkpoint::resume(&mut t, &data, parts.path()).unwrap();
        train(&mut t, &data, parts.path(), &AtomicBool::new(false), &mut |_| {}).unwrap();
        for file in ["model.safetensors", "checkpoint.safetensors", "curve.csv", "config.json"] {
            let read = |dir: &tempfile::TempDir| std::fs::read(dir.path().join(file)).unwrap();
            assert!(read(&whole) == read(&parts), "{file} of {}", config["family"]);
        }
    }
}

#[test]
fn same_bits_on_any_number_of_threads() {
    let bytes = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        pool.install(|| run(&flex(), settings(12, 1e-2), dir.path()));
        std::fs::read(dir.path().join("model.safetensors")).unwrap()
    };
    assert!(bytes(1) == bytes(3));
}

#[test]
fn a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let config = gpt2();
    let data = data(&config);
    let mut t = Trainer::new(&config, settings(30, 1e-2)).unwrap();
    let mut last = 0;
    let result = (|| {
        train(&mut t, &data, dir.path(), &AtomicBool::new(true), &mut |_| {})?;
        checkpoint::save(&t, &data, dir.path())?;
        // A parameter that overflowed.
        t.params[0] = vec![f32::INFINITY; t.params[0].len()].into();
        last = t.step;
        train(&mut t, &data, dir.path(), &AtomicBool::new(false), &mut |_| {})
    })();
    let error = result.unwrap_err();
    assert!(error.message.contains("diverged at step 2"), "{error}");
    assert!(error.message.contains("transformer.wte.weight"), "{error}");
    let mut again = Trainer::new(&config, settings(30, 1e-2)).unwrap();
    checkpoint::resume(&mut again, &data, dir.path()).unwrap();
    assert_eq!(again.step, last);
    assert!(again.params.iter().all(|p| p.iter().all(|x| x.is_finite())));
}

#[test]
fn bad_input_is_refused_by_name() {
    let message =
        |config: Value, seq: usize| match Trainer::new(&config, Settings::new(3, 2, seq, 1e-3, 0).unwrap()) {
            Ok(_) => panic!("taken"),
            Err(e) => e.message,
        };
    assert!(message(gpt2(), 33).contains("32 positions"));
    let mut odd = gpt2();
    odd["n_head"] = json!(3);
    assert!(message(odd, 16).contains("n_head"));
    assert!(Settings::new(3, 2, 4, f64::NAN, 0).is_err() && Settings::new(0, 2, 4, 1e-3, 0).is_err());
    // A checkpoint of other settings, and none at all.
    let dir = tempfile::tempdir().unwrap();
    let data = data(&gpt2());
    let mut t = Trainer::new(&gpt2(), settings(30, 1e-2)).unwrap();
    assert!(checkpoint::resume(&mut t, &data, dir.path()).is_err());
    t.advance(&data).unwrap();
    checkpoint::save(&t, &data, dir.path()).unwrap();
    let mut other = Trainer::new(&gpt2(), settings(31, 1e-2)).unwrap();
    assert!(
        checkpoint::resume(&mut other, &data, dir.path()).unwrap_err().message.contains("another settings")
    );
    let path = checkpoint::path(dir.path());
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    assert!(checkpoint::resume(&mut t, &data, dir.path()).is_err());
}

#[test]
fn a_text_shorter_than_a_batch_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("short.txt");
    std::fs::write(&path, "abc abc abc abc ".repeat(20)).unwrap();
    let text = lpzero::data::Text::open(&path, None).unwrap();
    assert!(Dataset::text(&text, 256, 8, 64).unwrap_err().message.contains("needs 513"));
    assert!(Dataset::text(&text, 256, 4, 70).unwrap_err().message.contains("evaluation keeps 284"));
    assert!(Dataset::text(&text, 99, 2, 16).unwrap_err().message.contains("vocabulary"));
    assert!(Dataset::text(&text, 256, 2, 16).is_ok());
}

mod bench_make {
    use lpzero::bench::Bench;
    use lpzero::search::Space;
    use lpzero::train::data::{LANGUAGE, SYNTHETIC};
    use lpzero::train::make::{EVAL_BATCHES, Making, Sampled, sample, seed_agreement};
    use lpzero::train::{Dataset, Settings};
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Five architectures of the small space with two seeds each, four steps of training.
    struct Small {
        space: Space,
        architectures: Vec<Sampled>,
        settings: Settings,
        data: Dataset,
    }

    impl Small {
        fn new() -> Self {
            let space = Space::open("tiny-gpt2").unwrap();
            let architectures = sample(&space, 5, 1, 2, 16).unwrap();
            let settings = Settings::new(4, 2, 16, 1e-3, 0).unwrap();
            Small { space, architectures, settings, data: Dataset::synthetic(256, 0, 4000, 2, 16).unwrap() }
        }

        fn making<'a>(&'a self, threads: usize, stop: &'a AtomicBool) -> Making<'a> {
            let Small { architectures, settings, data, .. } = self;
            Making { architectures, settings, seeds: 2, data, threads, stop }
        }
    }

    fn make(dir: &Path, stop_after: usize, threads: usize) -> Option<Bench> {
        let small = Small::new();
        let go = AtomicBool::new(false);
        let making = small.making(threads, &go);
        let journal = dir.join("x.jsonl.partial");
        let done = making.run(&journal, &mut |_| {}).unwrap();
        assert_eq!(done.len(), 10);
        if stop_after < 10 {
            // As if killed while a line was being written.
            let text = std::fs::read_to_string(&journal).unwrap();
            let kept: Vec<&str> = text.lines().take(1 + stop_after).collect();
            std::fs::write(&journal, kept.join("\n") + "\n{\"architecture\": 4, \"se").unwrap();
            return None;
        }
        Some(making.bench(&small.space, &done, "test".into(), "MIT", Path::new("x.jsonl")))
    }

    #[test]
    fn a_killed_run_goes_on() {
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let bench = make(whole.path(), 10, 2).unwrap();
        assert_eq!(bench.records.len(), 5);
        assert_eq!(bench.keys().iter().collect::<std::collections::BTreeSet<_>>().len(), 5);
        assert!(seed_agreement(&bench, 2).unwrap().abs() <= 1.0);
        make(parts.path(), 3, 1);
        assert_eq!(make(parts.path(), 10, 1).unwrap(), bench);
    }

    #[test]
    fn a_stopped_run_keeps_what_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let small = Small::new();
        let stop = AtomicBool::new(false);
        let making = small.making(2, &stop);
        let journal = dir.path().join("x.jsonl.partial");
        stop.store(true, Ordering::Relaxed);
        assert_eq!(making.run(&journal, &mut |_| {}).unwrap(), []);
        stop.store(false, Ordering::Relaxed);
        let all = making.run(&journal, &mut |_| stop.store(true, Ordering::Relaxed)).unwrap();
        stop.store(false, Ordering::Relaxed);
        let again = making.run(&journal, &mut |_| {}).unwrap();
        assert!(!all.is_empty() && again.len() == 10 && all.iter().all(|d| again.contains(d)));
        assert_eq!(again, make_all(&making, dir.path()));
    }

    fn make_all(making: &Making<'_>, dir: &Path) -> Vec<lpzero::train::Done> {
        making.run(&dir.join("other.partial"), &mut |_| {}).unwrap()
    }

    /// The recorded losses of the embedded benchmark are those of its command: the architecture that is
    /// quickest to train, with both seeds. The tolerance is for other processors and kernels, whose
    /// rounding differs; another initialisation or other batches change losses by the noise of a
    /// training, 0.037.
    #[test]
    fn the_embedded_benchmark_is_what_its_command_gives() {
        let bench = Bench::read(Path::new("tiny-gpt2")).unwrap();
        assert!(
            bench.header.source.contains("--synthetic --steps 500 --batch 8 --seq 64 --lr 0.005 --seeds 2")
        );
        let quick =
            bench.records.iter().min_by(|a, b| a.facts["flops"].total_cmp(&b.facts["flops"])).unwrap();
        let architectures = [Sampled {
            config: quick.config.clone(),
            params: quick.facts["params"],
            flops: quick.facts["flops"],
        }];
        let settings =
            Settings { eval_batches: EVAL_BATCHES, ..Settings::new(500, 8, 64, 0.005, 0).unwrap() };
        let data = Dataset::synthetic(256, LANGUAGE, SYNTHETIC, 8, 64).unwrap();
        let go = AtomicBool::new(false);
        let making = Making {
            architectures: &architectures,
            settings: &settings,
            seeds: 2,
            data: &data,
            threads: 2,
            stop: &go,
        };
        let dir = tempfile::tempdir().unwrap();
        for d in making.run(&dir.path().join("x.partial"), &mut |_| {}).unwrap() {
            let (now, was) = (d.loss.unwrap(), quick.metrics[&format!("valid_loss_s{}", d.seed)]);
            assert!((now - was).abs() < 3e-3, "{}, seed {}: {now}, recorded {was}", quick.id, d.seed);
        }
    }

    #[test]
    fn a_journal_of_something_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.jsonl.partial"), "{\"settings\": 1}\n").unwrap();
        let space = Space::open("tiny-gpt2").unwrap();
        let architectures = sample(&space, 1, 1, 2, 16).unwrap();
        let settings = Settings::new(1, 2, 16, 1e-3, 0).unwrap();
        let data = Dataset::synthetic(256, 0, 4000, 2, 16).unwrap();
        let go = AtomicBool::new(false);
        let making = Making {
            architectures: &architectures,
            settings: &settings,
            seeds: 1,
            data: &data,
            threads: 1,
            stop: &go,
        };
        let error = making.run(&dir.path().join("x.jsonl.partial"), &mut |_| {}).unwrap_err();
        assert!(error.message.contains("other settings"), "{error}");
    }
}
