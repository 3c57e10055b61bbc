//! Bad input, as a user meets it: one screen that names the place, the cause and what to do, exit
//! code 2, nothing half-written, never a panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Done {
    code: Option<i32>,
    err: String,
}

fn lpz(dir: &Path, args: &[&str]) -> Done {
    let out = Command::new(env!("CARGO_BIN_EXE_lpz")).args(args).current_dir(dir).output().unwrap();
    Done { code: out.status.code(), err: String::from_utf8(out.stderr).unwrap() }
}

/// The command fails with code 2, in at most a screen, and says all of `parts`.
fn refused(dir: &Path, args: &[&str], parts: &[&str]) {
    let done = lpz(dir, args);
    assert_eq!(done.code, Some(2), "lpz {args:?}\n{}", done.err);
    assert!(done.err.lines().count() <= 25, "more than a screen:\n{}", done.err);
    assert!(!done.err.contains("panicked"), "{}", done.err);
    for part in parts {
        assert!(done.err.contains(part), "lpz {args:?} does not say {part:?}:\n{}", done.err);
    }
}

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/parity").join(name)
}

const TINY: &str = r#"{"family": "flexibert", "vocab_size": 97, "embedding_size": 16, "hidden_size": 24,
    "nas_config": {"encoder_layers": [{"operation_type": "SA", "operation_parameter": "SDP",
    "num_operation_heads": HEADS, "feed_forward_dimension": 40, "num_feed_forward": 1}]}}"#;

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tiny.json"), TINY.replace("HEADS", "2")).unwrap();
    dir
}

#[test]
fn programs() {
    let dir = folder();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    let run = |spec: &str, parts: &[&str]| refused(dir.path(), &["run", spec, "--model", "tiny.json"], parts);
    let expr =
        |e: &str, parts: &[&str]| refused(dir.path(), &["run", "-e", e, "--model", "tiny.json"], parts);
    expr("sum l in linear { sum(abs(l.wieght)) }", &["wieght", "weight"]);
    expr("sum l in liner { 1 }", &["liner", "linear"]);
    expr("sum l in linear { sigmod(norm(l.weight)) }", &["sigmod", "sigmoid"]);
    expr("sum l in linear { sum(l.weight @ l.output) }", &["@"]);
    expr("sum l in linear[fnn] { 1 }", &["fnn", "ffn"]);
    write("a.lpz", "use \"./b.lpz\"\nproxy a = 1\n");
    write("b.lpz", "use \"./a.lpz\"\nproxy b = 2\n");
    run("a.lpz", &["a.lpz", "b.lpz"]);
    run("missing.lpz", &["missing.lpz"]);
    run("std::snipp", &["snip"]);
    run("snip", &["there is no file `snip`", "did you mean `std::snip`?"]);
    run("", &["std::NAME, FILE.lpz"]);
    run(".", &["folder"]);
    write("empty.lpz", "// nothing yet\n");
    run("empty.lpz", &["empty.lpz", "proxy name = expression"]);
    write("open.lpz", "proxy p = sum l in linear { sum(l.weight\n");
    run("open.lpz", &["open.lpz:1"]);
    fs::write(dir.path().join("latin.lpz"), b"proxy p = 1 // caf\xe9\n").unwrap();
    run("latin.lpz", &["latin.lpz", "UTF-8"]);
}

#[test]
fn a_shape_conflict_only_an_architecture_shows_has_no_score_and_names_the_site() {
    let dir = folder();
    let e = "sum l in linear { sum(l.weight * l.weight.T) }";
    let out = Command::new(env!("CARGO_BIN_EXE_lpz"))
        .args(["run", "-e", e, "--model", "tiny.json", "--json", "--batch", "1", "--seq", "4"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let value = &json["scores"][0]["value"];
    assert!(value["at"].as_str().unwrap().contains("encoder.layer.0.intermediate.dense_in"), "{value}");
    assert!(value["degenerate"].as_str().unwrap().contains("24"), "{value}");
}

#[test]
fn hostile_programs() {
    let dir = folder();
    let run = |text: &str| {
        fs::write(dir.path().join("h.lpz"), text).unwrap();
        refused(dir.path(), &["run", "h.lpz", "--model", "tiny.json"], &["h.lpz"]);
    };
    run(&format!("proxy p = {}1{}", "(".repeat(10_000), ")".repeat(10_000)));
    run(&format!("proxy p = {}1", "-".repeat(100_000)));
    run(&"proxy p = sum x in linear { ".repeat(5_000));
    run(&"@".repeat(1_000_000));
    run("proxy p = 1e999999999999 +");
    run("proxy p = x\0y");
}

#[test]
fn models() {
    let dir = folder();
    let run =
        |model: &str, parts: &[&str]| refused(dir.path(), &["run", "std::snip", "--model", model], parts);
    run("nowhere.json", &["nowhere.json"]);
    fs::write(dir.path().join("heads.json"), TINY.replace("HEADS", "5")).unwrap();
    run("heads.json", &["heads.json", "24", "5"]);
    fs::write(dir.path().join("text.json"), "not json").unwrap();
    run("text.json", &["text.json"]);
    fs::write(dir.path().join("family.json"), r#"{"family": "flexbert"}"#).unwrap();
    run("family.json", &["family.json", "flexbert", "flexibert"]);
    fs::write(dir.path().join("huge.json"), TINY.replace("HEADS", "2").replace(": 24", ": 1099511627776"))
        .unwrap();
    run("huge.json", &["huge.json"]);
}

#[test]
fn parameters_and_data() {
    let dir = folder();
    let sdp = case("flexibert_sdp");
    let config = sdp.join("config.json");
    let run = |more: &[&str], parts: &[&str]| {
        let mut args = vec!["run", "std::snip", "--model", config.to_str().unwrap(), "--batch", "2"];
        args.extend(more);
        refused(dir.path(), &args, parts);
    };
    let run_seq = |more: &[&str], parts: &[&str]| run(&[&["--seq", "8"], more].concat(), parts);
    let whole = fs::read(sdp.join("model.safetensors")).unwrap();
    fs::write(dir.path().join("cut.safetensors"), &whole[..whole.len() / 2]).unwrap();
    run_seq(&["--weights", "cut.safetensors"], &["cut.safetensors"]);
    fs::write(dir.path().join("header.safetensors"), &whole[..40]).unwrap();
    run_seq(&["--weights", "header.safetensors"], &["header.safetensors"]);
    run_seq(&["--weights", sdp.join("inputs.safetensors").to_str().unwrap()], &["inputs.safetensors"]);
    let other = case("port_lt").join("model.safetensors");
    run_seq(&["--weights", other.to_str().unwrap()], &["model.safetensors"]);
    // Integers where floating point is needed, and the other way round.
    run(&["--inputs", sdp.join("model.safetensors").to_str().unwrap()], &["input_ids"]);
    fs::write(dir.path().join("text.txt"), "zebra ".repeat(100)).unwrap();
    run(&["--seq", "8", "--text", "text.txt"], &["text.txt", "97"]);
    fs::write(dir.path().join("short.txt"), "abc").unwrap();
    run(&["--text", "short.txt"], &["short.txt"]);
    run(&["--seq", "4000"], &["4000"]);
    run(&["--text", "absent.txt"], &["absent.txt"]);
    run(&["--seq", "8", "--objective", "loss"], &["projection"]);
}

#[test]
fn benchmarks() {
    let dir = folder();
    let header = r#"{"bench": "b", "metrics": {"acc": {"better": "higher"}}, "source": "s", "licence": "l"}"#;
    let record = |id: &str, acc: &str| {
        let config = TINY.replace("HEADS", "2").replace('\n', " ");
        format!(r#"{{"id": "{id}", "family": "flexibert", "config": {config}, "metrics": {{"acc": {acc}}}}}"#)
    };
    let rank = |lines: &[String], more: &[&str], parts: &[&str]| {
        fs::write(dir.path().join("b.jsonl"), lines.join("\n") + "\n").unwrap();
        let mut args = vec!["rank", "--bench", "b.jsonl", "--csv", "out.csv"];
        args.extend(more);
        refused(dir.path(), &args, parts);
        assert!(!dir.path().join("out.csv").exists(), "half-written output");
    };
    rank(&[header.to_owned()], &[], &["b.jsonl"]);
    rank(&[header.to_owned(), record("0", "NaN"), record("1", "2")], &[], &["b.jsonl", "2"]);
    rank(&[header.to_owned(), record("0", "null"), record("1", "2")], &[], &["b.jsonl"]);
    rank(&[header.to_owned(), record("0", "1"), record("0", "2")], &[], &["b.jsonl", "0"]);
    rank(&[header.to_owned(), record("0", "1"), record("1", "2")], &["--metric", "bleu"], &["bleu", "acc"]);
    rank(&["not a header".to_owned()], &[], &["b.jsonl", "1"]);
    let bad = record("1", "2").replace("\"SDP\"", "\"XYZ\"");
    rank(&[header.to_owned(), record("0", "1"), bad], &[], &["XYZ", "\"1\""]);
    refused(dir.path(), &["rank", "--bench", "nowhere.jsonl"], &["nowhere.jsonl"]);
    refused(dir.path(), &["bench", "import", "nasbench-bert", "tiny.json", "-o", "x.jsonl"], &["tiny.json"]);
    assert!(!dir.path().join("x.jsonl").exists());
}

#[test]
fn tensors_from_elsewhere() {
    let dir = folder();
    let expected = case("flexibert_sdp").join("expected.safetensors");
    let file = expected.to_str().unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_lpz"))
        .args(["eval", "std::snip", "std::grad_norm", "--tensors", file, "--json"])
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    // That file has gradients and outputs, and no weights.
    assert!(json["scores"][0]["value"]["degenerate"].as_str().unwrap().contains("`weight`"), "{json}");
    assert!(json["scores"][1]["value"].as_f64().unwrap() > 0.0, "{json}");
    let synflow = "@capture(params = abs)\nproxy p = sum l in linear { sum(l.grad) }";
    refused(dir.path(), &["eval", "-e", synflow, "--tensors", file], &["absolute parameters"]);
    refused(dir.path(), &["eval", "std::snip", "--tensors", "tiny.json"], &["tiny.json"]);
}

#[test]
fn folders_where_files_belong() {
    let dir = folder();
    let run = |more: &[&str]| {
        refused(
            dir.path(),
            &[&["run", "std::snip", "--model", "tiny.json"], more].concat(),
            &["folder", "help:"],
        );
    };
    run(&["--weights", "."]);
    run(&["--inputs", "."]);
    refused(
        dir.path(),
        &["run", "std::snip", "--model", "tiny.json", "--text", "."],
        &[".: cannot read", "help:"],
    );
    refused(dir.path(), &["eval", "std::snip", "--tensors", "."], &["folder", "help:"]);
    refused(dir.path(), &["rank", "--bench", "."], &["folder", "lpz bench"]);
    refused(dir.path(), &["run", "std::snip", "--model", "."], &["config.json", "help:"]);
    refused(
        dir.path(),
        &["bench", "import", "nasbench-bert", ".", "-o", "x.jsonl"],
        &["BERT_benchmark.json"],
    );
    refused(
        dir.path(),
        &["bench", "import", "lts", "tiny.json", "-o", "x.jsonl"],
        &["ppl_summary.yaml", "help:"],
    );
}

#[test]
fn huge_numbers() {
    let dir = folder();
    let run = |more: &[&str], parts: &[&str]| {
        refused(dir.path(), &[&["run", "std::snip", "--model", "tiny.json"], more].concat(), parts);
    };
    run(&["--batch", "65536", "--seq", "1048576"], &["65536 sequences of 1048576 tokens", "--batch"]);
    run(&["--batch", "99999999999"], &["--batch", "65536"]);
    run(&["--seed", "18446744073709551616"], &["--seed"]);
    run(&["--threads", "0"], &["--threads"]);
    let most = u64::MAX.to_string();
    let args =
        ["rank", "--bench", "tiny-gpt2", "--limit", "2", "--seq", "8", "--seeds", "2", "--seed", &most];
    let done = lpz(dir.path(), &args);
    assert_eq!(done.code, Some(0), "{}", done.err);
}

#[test]
fn where_nothing_can_be_written() {
    let dir = folder();
    let rank = ["rank", "--bench", "tiny-gpt2", "--limit", "2", "--seq", "8"];
    let refuse = |more: &[&str]| refused(dir.path(), &[&rank, more].concat(), &["tiny.json", "help:"]);
    refuse(&["--csv", "tiny.json/scores.csv"]);
    refuse(&["--json=tiny.json/ranks.json"]);
    refuse(&["--report", "tiny.json"]);
    refused(dir.path(), &[&rank[..], &["--json=."]].concat(), &["cannot write .", "help:"]);
    let search = ["search", "--space", "tiny-gpt2", "--proxy", "std::depth", "--out", "tiny.json"];
    refused(dir.path(), &search, &["tiny.json", "help:"]);
}

#[test]
fn ranks_that_do_not_exist() {
    let dir = folder();
    // The family stands beside the configuration alone.
    let config = r#"{"n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16, "vocab_size": 11}"#;
    let header = r#"{"bench": "b", "metrics": {"acc": {"better": "higher"}}, "source": "s", "licence": "l"}"#;
    let record = |id: &str| {
        format!(r#"{{"id": "{id}", "family": "gpt2", "config": {config}, "metrics": {{"acc": 1}}}}"#)
    };
    let lines = [header.to_owned(), record("a, \\\"b\\\""), record("é\\n"), record("plain")];
    fs::write(dir.path().join("b.jsonl"), lines.join("\n")).unwrap();
    let args = ["rank", "--bench", "b.jsonl", "-e", "1 / 0", "-e", "1e308", "--seq", "8", "--seeds", "2"];
    let more = ["--no-baselines", "--json=ranks.json", "--csv", "scores.csv"];
    let done = lpz(dir.path(), &[&args[..], &more].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.err.contains("division by zero"), "{}", done.err);
    assert!(done.err.contains("ground truth of all architectures is the same"), "{}", done.err);
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let ranks: serde_json::Value = serde_json::from_str(&read("ranks.json")).unwrap();
    assert!(ranks["proxies"].as_array().unwrap().iter().all(|p| p["tau_b"].is_null()), "{ranks}");
    let csv = read("scores.csv");
    assert!(csv.contains("\"a, \"\"b\"\"\",1,"), "{csv}");
    assert!(csv.contains("\"é\n\",1,") && csv.contains("\nplain,1,"), "{csv}");
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    use std::process::Stdio;
    let mut child = Command::new(env!("CARGO_BIN_EXE_lpz"))
        .args(["doc", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(0));
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn nobody_to_tell_is_no_failure() {
    use std::process::Stdio;
    let dir = folder();
    fs::write(dir.path().join("good.lpz"), "proxy p = depth\n").unwrap();
    fs::write(dir.path().join("bad.lpz"), "proxy p = dept\n").unwrap();
    for (file, code) in [("good.lpz", 0), ("bad.lpz", 1)] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lpz"))
            .args(["check", file])
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stderr.take());
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(code), "{file}");
    }
}
