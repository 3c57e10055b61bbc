//! Training, benchmark making and search as commands: interrupted, on a full disk, with bad input.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const GPT2: &str =
    r#"{"family": "gpt2", "vocab_size": 64, "n_positions": 32, "n_embd": 16, "n_layer": 1, "n_head": 2}"#;

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("gpt2.json"), GPT2).unwrap();
    dir
}

fn command(dir: &Path, args: &str) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_lpz"));
    c.args(args.split(' ')).current_dir(dir);
    c
}

fn lpz(dir: &Path, args: &str) -> Output {
    command(dir, args).output().unwrap()
}

fn errors(o: &Output) -> String {
    String::from_utf8_lossy(&o.stderr).into_owned()
}

/// Fails with code 2 and says all of `parts`.
fn refused(o: &Output, parts: &[&str]) {
    let text = errors(o);
    assert!(o.status.code() == Some(2) && !text.contains("panicked"), "{:?} {text}", o.status);
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

/// Starts a command and waits until `ready`.
fn started(
    dir: &Path,
    args: &str,
    ready: &dyn Fn(&mut BufReader<std::process::ChildStderr>) -> bool,
) -> Child {
    let mut child = command(dir, args).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    while !ready(&mut err) {
        assert!(child.try_wait().unwrap().is_none(), "ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // Keeps reading, so that the command never waits for its reader.
    std::thread::spawn(move || err.read_to_end(&mut Vec::new()));
    child
}

fn line(err: &mut BufReader<std::process::ChildStderr>) -> bool {
    let mut text = String::new();
    err.read_line(&mut text).unwrap() > 0
}

/// Ctrl-C; the command ends with code 130.
fn interrupt(mut child: Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn interrupted_trainings_go_on() {
    let dir = folder();
    let args = "train --model gpt2.json --synthetic --batch 2 --seq 16 --steps 1000000 -o run";
    let steps = || fs::read_to_string(dir.path().join("run/curve.csv")).unwrap().lines().count();
    interrupt(started(dir.path(), args, &line));
    let first = steps();
    assert!(dir.path().join("run/checkpoint.safetensors").is_file() && first > 1);
    refused(&lpz(dir.path(), args), &["checkpoint.safetensors is there already", "--resume"]);
    let other = args.replace("--steps 1000000", "--steps 999999") + " --resume";
    refused(&lpz(dir.path(), &other), &["settings"]);
    interrupt(started(dir.path(), &format!("{args} --resume"), &line));
    assert!(steps() > first);
}

#[test]
fn interrupted_benchmarks_go_on() {
    let dir = folder();
    let args = "bench make --space tiny-gpt2 --count 60 --synthetic --steps 400 --batch 2 --seq 16 --seeds 3 -o x.jsonl";
    let journal = dir.path().join("x.jsonl.partial");
    let kept = || fs::read_to_string(&journal).unwrap_or_default().lines().count();
    interrupt(started(dir.path(), args, &|_| kept() > 2));
    let first = kept();
    assert!(!dir.path().join("x.jsonl").exists());
    interrupt(started(dir.path(), args, &|_| kept() > first + 1));
    assert!(kept() > first);
    refused(
        &lpz(dir.path(), &args.replace("--steps 400", "--steps 300")),
        &["x.jsonl.partial", "other settings"],
    );
}

#[test]
fn interrupted_searches_write_the_front_so_far() {
    let dir = folder();
    let args = "search --space gpt2-flex --proxy std::num_params --evaluations 4000000 --seq 200 --out found";
    interrupt(started(dir.path(), args, &line));
    let Ok(front) = fs::read_to_string(dir.path().join("found/front.json")) else { return };
    let front: Value = serde_json::from_str(&front).unwrap();
    assert!(!front["front"].as_array().unwrap().is_empty() && dir.path().join("found/000.json").is_file());
}

#[test]
fn a_search_gives_what_train_takes() {
    let dir = folder();
    let args = "search --space tiny-gpt2 --proxy std::grad_norm --params-max 30000 --evaluations 12 --population 6 \
                --latency --batch 2 --seq 16 --out found --json --quiet";
    let out = lpz(dir.path(), args);
    assert!(out.status.success(), "{}", errors(&out));
    let value: Value = serde_json::from_slice(&out.stdout).unwrap();
    let front = value["front"].as_array().unwrap();
    assert!(!front.is_empty() && value["evaluations"] == 12);
    for c in front {
        assert!(c["params"].as_f64().unwrap() <= 30000.0 && c["flops"].is_f64() && c["score"].is_f64());
        assert!(c["latency_ms"].as_f64().unwrap() > 0.0 && c["config"].is_object());
    }
    let out = lpz(
        dir.path(),
        "train --model found/000.json --synthetic --steps 3 --batch 2 --seq 16 -o run --json --quiet",
    );
    let value: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(value["steps"] == 3 && value["tokens_per_second"].is_f64());
    assert!(value["loss"].as_f64().unwrap() > 3.0 && value["valid_loss"].as_f64().unwrap() > 3.0);
    // What was trained is what other commands load.
    let run = lpz(dir.path(), "run std::l2_norm --model run --batch 2 --seq 16 --json");
    assert!(run.status.success(), "{}", errors(&run));
    // Measured latencies serve a later search; a limit below all of them is said.
    let fast =
        "search --space tiny-gpt2 --proxy std::num_params --evaluations 8 --population 4 --batch 2 --seq 16";
    let out = lpz(dir.path(), &format!("{fast} --latency-max-ms 1e-9"));
    refused(&out, &["slower than allowed", "larger --latency-max-ms"]);
    let out = lpz(dir.path(), &format!("{fast} --latency-table found/latency.json --out again --quiet"));
    assert!(out.status.success() && dir.path().join("again/latency.json").is_file(), "{}", errors(&out));
    refused(&lpz(dir.path(), &format!("{fast} --latency-table gpt2.json")), &["gpt2.json", "milliseconds"]);
}

#[test]
fn diverging_training_stops_and_says_where() {
    let dir = folder();
    let out =
        lpz(dir.path(), "train --model gpt2.json --synthetic --batch 2 --seq 16 --steps 60 --lr 1e30 -o run");
    refused(&out, &["training diverged at step", "--lr"]);
    // A first checkpoint after a tenth of the steps would hold what diverges; there is none, or a finite one.
    assert!(!dir.path().join("run/model.safetensors").exists());
}

/// With files of at most a few blocks, as on a disk that is full.
#[test]
fn a_full_disk_keeps_what_was_written() {
    let dir = folder();
    let limited = |blocks: usize, args: &str| {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" {args}");
        let lpz = env!("CARGO_BIN_EXE_lpz");
        Command::new("sh").args(["-c", &script, lpz]).current_dir(dir.path()).output().unwrap()
    };
    let train = "train --model gpt2.json --synthetic --batch 2 --seq 16 --steps 20 -o run";
    refused(&limited(8, train), &["cannot write", "checkpoint.safetensors"]);
    let left = |d: &str| {
        fs::read_dir(dir.path().join(d)).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>()
    };
    assert_eq!(left("run"), ["config.json"]);
    let out = lpz(dir.path(), train);
    assert!(out.status.success(), "{}", errors(&out));
    let make =
        "bench make --space tiny-gpt2 --count 8 --synthetic --steps 2 --batch 2 --seq 16 -o x.jsonl --quiet";
    refused(&limited(1, make), &["cannot write", "x.jsonl.partial", "same command again"]);
    assert!(!dir.path().join("x.jsonl").exists());
    assert!(lpz(dir.path(), make).status.success() && dir.path().join("x.jsonl").is_file());
    let search = "search --space tiny-gpt2 --proxy std::num_params --evaluations 40 --out found --quiet";
    refused(&limited(1, search), &["cannot write", "front.json"]);
}

#[test]
fn bad_input_names_the_place() {
    let dir = folder();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("short.txt", "too short");
    let train = "train --model gpt2.json --steps 2 -o run";
    refused(&lpz(dir.path(), &format!("{train} --text short.txt")), &["short.txt"]);
    refused(&lpz(dir.path(), &format!("{train} --text none.txt")), &["none.txt"]);
    refused(&lpz(dir.path(), train), &["--text", "--synthetic"]);
    refused(&lpz(dir.path(), &format!("{train} --synthetic --seq 33")), &["32 positions", "--seq 32"]);
    refused(&lpz(dir.path(), &format!("{train} --synthetic --lr nan")), &["learning rate"]);
    refused(&lpz(dir.path(), &format!("{train} --synthetic --resume --seq 16")), &["checkpoint.safetensors"]);
    let search = |args: &str| lpz(dir.path(), &format!("search --proxy std::num_params {args}"));
    refused(&search("--space tiny-gpt2 --params-max 100"), &["--params-max 100", "widen"]);
    refused(&search("--space tiny-gpt2 --params-max nan"), &["positive number"]);
    refused(&search("--space nowhere.json"), &["nowhere.json", "flexibert"]);
    let space = |constraints: &str| {
        format!(
            r#"{{"space": "s", "base": {{"family": "gpt2-flex", "n_token": 64, "tgt_len": 16}},
            "depth": {{"field": "n_layer", "values": [1, 2]}}, "global": {{"d_model": [16], "d_embed": [16]}},
            "layer": {{"n_head": [2], "d_inner": [32, 64]}}, "constraints": {constraints}}}"#
        )
    };
    write("tight.json", &space(r#"{"params": {"max": 10}}"#));
    refused(&search("--space tight.json"), &["no architecture", "params above 10"]);
    write("swapped.json", &space(r#"{"params": {"min": 9, "max": 3}}"#));
    refused(&search("--space swapped.json"), &["swapped.json", "at least 9 and at most 3"]);
    write("few.json", &space("{}"));
    refused(
        &lpz(dir.path(), "bench make --space few.json --count 9 --synthetic --seq 16 -o y.jsonl"),
        &["found 6 of 9"],
    );
    let out = search("--space few.json --evaluations 50 --json --quiet");
    let value: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(value["evaluations"], 6, "ends early where nothing is new");
}
