//! Stored captures through the command line: what is stored is what a model gives, a stopped
//! capture goes on, and files that are damaged or of something else are refused by name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SMALL: &[&str] = &["--batch", "2", "--seq", "16", "--quiet"];
const PROGRAMS: &[&str] = &[
    "-e",
    "sum l in linear[op] { sum(abs(l.weight * l.grad)) }",
    "-e",
    "mean (h, a) in zip(head[query], act) { mean(h.value) + std(a.value) }",
];

/// A folder with a benchmark of six small architectures, the last the largest.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut text = "{\"bench\": \"tiny\", \"metrics\": {\"m\": {\"better\": \"higher\"}}}\n".to_owned();
    for i in 0..6 {
        let (width, inner) = (16 * (1 + i / 3), 24 + 8 * i + 400 * (i / 5));
        text += &format!(
            "{{\"id\": \"a/{i}\", \"family\": \"flexibert\", \"config\": {{\"family\": \"flexibert\", \
             \"vocab_size\": 61, \"embedding_size\": 16, \"hidden_size\": {width}, \"nas_config\": \
             {{\"encoder_layers\": [{{\"operation_type\": \"SA\", \"operation_parameter\": \"SDP\", \
             \"num_operation_heads\": 2, \"feed_forward_dimension\": {inner}, \"num_feed_forward\": 1}}]}}}}, \
             \"metrics\": {{\"m\": {}}}}}\n",
            (i * 7) % 6
        );
    }
    fs::write(dir.path().join("tiny.jsonl"), text).unwrap();
    dir
}

fn lpz(dir: &Path, args: &[&[&str]]) -> Output {
    let args = args.concat();
    Command::new(env!("CARGO_BIN_EXE_lpz")).args(args).args(SMALL).current_dir(dir).output().unwrap()
}

fn capture(dir: &Path, more: &[&str]) -> Output {
    lpz(dir, &[&["capture", "--bench", "tiny.jsonl", "--out", "kept", "--json"], PROGRAMS, more])
}

fn rank(dir: &Path, more: &[&str]) -> Output {
    let rank = ["rank", "--bench", "tiny.jsonl", "--no-baselines"];
    lpz(dir, &[&rank, PROGRAMS, more])
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The command fails with code 2 and says all of `parts`.
fn refused(output: &Output, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not said:\n{text}");
    }
}

fn file(dir: &Path, i: usize) -> PathBuf {
    dir.join(format!("kept/a%2F{i}.safetensors"))
}

#[test]
fn stored_captures_rank_like_the_models() {
    let dir = folder();
    let d = dir.path();
    let made = report(&capture(d, &[]));
    assert_eq!((made["captured"].as_u64(), made["kept"].as_u64()), (Some(6), Some(0)));
    assert!(rank(d, &["--csv", "models.csv"]).status.success());
    assert!(rank(d, &["--csv", "stored.csv", "--captures", "kept"]).status.success());
    let read = |name| fs::read_to_string(d.join(name)).unwrap();
    assert_eq!(read("models.csv"), read("stored.csv"));

    let half = ["capture", "--bench", "tiny.jsonl", "--out", "half", "--json", "--dtype", "bf16"];
    let half = report(&lpz(d, &[&half, PROGRAMS]));
    assert!(half["bytes"].as_u64() < made["bytes"].as_u64());
    assert!(rank(d, &["--csv", "half.csv", "--captures", "half"]).status.success());
    let number =
        |text: &str| -> f64 { text.lines().nth(3).unwrap().split(',').nth(2).unwrap().parse().unwrap() };
    let (full, half) = (number(&read("models.csv")), number(&read("half.csv")));
    assert!(full != half && (full - half).abs() < 0.02 * full.abs(), "{full} {half}");
}

#[test]
fn a_stopped_capture_goes_on() {
    let dir = folder();
    let d = dir.path();
    let first = report(&capture(d, &["--limit", "4"]));
    assert_eq!(first["n"].as_u64(), Some(4));
    // What is finished can be used; the others are left out.
    let ranked = report(&rank(d, &["--captures", "kept", "--json"]));
    assert_eq!(ranked["n"].as_u64(), Some(4));
    let whole = report(&capture(d, &[]));
    assert_eq!((whole["captured"].as_u64(), whole["kept"].as_u64()), (Some(2), Some(4)));
    // A file cut short is captured anew, and is then what it was; what a killed process left goes.
    fs::write(d.join("kept/000001.safetensors.4200000.tmp"), b"half").unwrap();
    let good = fs::read(file(d, 2)).unwrap();
    fs::write(file(d, 2), &good[..good.len() - 1]).unwrap();
    let again = report(&capture(d, &[]));
    assert_eq!((again["captured"].as_u64(), again["kept"].as_u64()), (Some(1), Some(5)));
    assert_eq!(fs::read(file(d, 2)).unwrap(), good);
    assert_eq!(fs::read_dir(d.join("kept")).unwrap().count(), 6, "no temporary file is left");
}

#[test]
fn damaged_files_are_refused_by_name_and_key() {
    let dir = folder();
    let d = dir.path();
    report(&capture(d, &[]));
    let good = fs::read(file(d, 1)).unwrap();
    let mut bad = good.clone();
    let at = bad.len() - 5;
    bad[at] ^= 4;
    fs::write(file(d, 1), &bad).unwrap();
    refused(
        &rank(d, &["--captures", "kept"]),
        &["a%2F1.safetensors", "checksum", "tensor \"", "lpz capture"],
    );
    fs::write(file(d, 1), &good[..good.len() / 2]).unwrap();
    refused(&rank(d, &["--captures", "kept"]), &["a%2F1.safetensors", "cut short"]);
    fs::write(file(d, 1), b"").unwrap();
    refused(&rank(d, &["--captures", "kept"]), &["a%2F1.safetensors"]);
}

#[test]
fn captures_of_something_else_are_refused() {
    let dir = folder();
    let d = dir.path();
    report(&capture(d, &[]));
    refused(&rank(d, &["--captures", "kept", "--seed", "1"]), &["seed 0 and not 1", ".safetensors"]);
    refused(&capture(d, &["--seed", "1"]), &["seed 0 and not 1"]);
    refused(&capture(d, &["--dtype", "f16"]), &["F32 and not F16", "another folder"]);
    refused(&rank(d, &["--captures", "kept", "--precision", "f64"]), &["precision f32 and not f64"]);
    let missing = ["rank", "--bench", "tiny.jsonl", "--no-baselines", "--captures", "kept"];
    let ffn = ["-e", "sum l in linear[ffn] { sum(l.weight) }"];
    refused(&lpz(d, &[&missing, &ffn]), &["linear.weight", "lpz capture"]);
    refused(&lpz(d, &[&["capture", "--bench", "tiny.jsonl", "--out", "kept"], &ffn]), &["linear.weight"]);
    let text = fs::read_to_string(d.join("tiny.jsonl")).unwrap();
    fs::write(d.join("tiny.jsonl"), text.replace("\"num_operation_heads\": 2", "\"num_operation_heads\": 4"))
        .unwrap();
    refused(&rank(d, &["--captures", "kept"]), &["of another architecture"]);
    refused(&rank(d, &["--captures", "nowhere"]), &["nowhere", "lpz capture"]);
}

/// A file-size limit stands for a full disk: the later architectures are too large for it.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_what_is_finished() {
    let dir = folder();
    let d = dir.path();
    let script = format!(
        "trap '' XFSZ; ulimit -f 64; exec '{}' capture --bench tiny.jsonl --out kept --threads 1 --batch 2 --seq 16 -e \
         'sum l in linear {{ sum(abs(l.weight * l.grad)) }}'",
        env!("CARGO_BIN_EXE_lpz")
    );
    let full = Command::new("bash").args(["-c", &script]).current_dir(d).output().unwrap();
    let finished = fs::read_dir(d.join("kept")).unwrap().count();
    assert!((1..6).contains(&finished), "{finished}");
    let state = format!("{finished} of 6 architectures are finished");
    let next = format!("a%2F{finished}.safetensors");
    refused(&full, &[&next, &state, "the same command goes on"]);
    let ffn = ["-e", "sum l in linear { sum(abs(l.weight * l.grad)) }", "--json"];
    let ranked = ["rank", "--bench", "tiny.jsonl", "--no-baselines", "--captures", "kept"];
    assert_eq!(report(&lpz(d, &[&ranked, &ffn]))["n"].as_u64(), Some(finished as u64));
}
