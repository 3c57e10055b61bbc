//! `lpz evolve`, `verify` and `compare` as a person meets them: on a benchmark of small encoders.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// 36 encoders whose ground truth is depth, width and a little more.
fn benchmark(dir: &Path) -> PathBuf {
    let mut text = String::from(r#"{"bench":"small","metrics":{"score":{"better":"higher"}}}"#);
    text.push('\n');
    for i in 0..36 {
        let (depth, hidden, heads) = (1 + i % 3, [8, 16][i / 3 % 2], [2, 4][i / 6 % 2]);
        let ffn = 8 * (1 + i / 12);
        let layer = format!(
            r#"{{"operation_type":"SA","operation_parameter":"SDP","num_operation_heads":{heads},"feed_forward_dimension":{ffn},"num_feed_forward":{}}}"#,
            1 + 2 * (i % 2)
        );
        let layers = vec![layer; depth].join(",");
        let score = depth as f64 * (hidden as f64).ln() + 0.1 * ((i * 7) % 11) as f64;
        text += &format!(
            r#"{{"id":"{i}","family":"flexibert","config":{{"family":"flexibert","hidden_size":{hidden},"vocab_size":50,"embedding_size":8,"max_position_embeddings":16,"nas_config":{{"encoder_layers":[{layers}]}}}},"metrics":{{"score":{score}}}}}"#
        );
        text.push('\n');
    }
    let path = dir.join("small.jsonl");
    std::fs::write(&path, text).unwrap();
    path
}

fn lpz(dir: &Path, args: &[&str]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_lpz"));
    c.current_dir(dir).args(args).stdin(Stdio::null());
    c
}

/// Options of a short run into `out`.
fn run<'a>(space: &'a str, out: &'a str, threads: &'a str) -> Vec<&'a str> {
    vec![
        "evolve",
        "--bench",
        "small.jsonl",
        "--space",
        space,
        "--population",
        "8",
        "--iterations",
        "6",
        "--batch",
        "2",
        "--seq",
        "8",
        "--beside",
        "baselines",
        "--quiet",
        "--out",
        out,
        "--threads",
        threads,
    ]
}

fn ok(mut c: Command) -> Output {
    let out = c.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    out
}

fn refused(mut c: Command, what: &str) {
    let out = c.output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{text}");
    assert!(text.contains(what) && !text.contains("panicked"), "{text}");
}

fn result(dir: &Path, run: &str) -> (String, String) {
    let read = |name: &str| std::fs::read_to_string(dir.join(run).join(name)).unwrap();
    (read("hall_of_fame.lpz"), read("history.csv"))
}

#[test]
fn threads_and_kill_9_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    benchmark(dir.path());
    for space in ["free", "tree"] {
        let (one, two) = (format!("{space}1"), format!("{space}2"));
        ok(lpz(dir.path(), &run(space, &one, "1")));
        ok(lpz(dir.path(), &run(space, &two, "2")));
        assert_eq!(result(dir.path(), &one), result(dir.path(), &two));
        for (i, wait) in [15, 60, 150, 400].into_iter().enumerate() {
            let cut = format!("{space}-cut{i}");
            let mut child = lpz(dir.path(), &run(space, &cut, "2")).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(wait));
            // SIGKILL: nothing can be tidied up.
            child.kill().unwrap();
            child.wait().unwrap();
            if !dir.path().join(&cut).join("run.json").exists() {
                continue;
            }
            ok(lpz(dir.path(), &["evolve", "--resume", &cut, "--beside", "baselines", "--quiet"]));
            assert_eq!(result(dir.path(), &one), result(dir.path(), &cut), "killed after {wait} ms");
        }
    }
}

#[test]
fn a_run_is_verified_ranked_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    benchmark(dir.path());
    ok(lpz(dir.path(), &run("free", "a", "2")));
    ok(lpz(dir.path(), &["verify", "a", "--quiet"]));
    ok(lpz(dir.path(), &["check", "a/hall_of_fame.lpz"]));
    ok(lpz(dir.path(), &["fmt", "--check", "a/hall_of_fame.lpz"]));
    let out = ok(lpz(dir.path(), &["compare", "a", "--json"]));
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["runs"][0]["space"], "free");
    let before = result(dir.path(), "a");
    refused(lpz(dir.path(), &run("free", "a", "2")), "never overwritten");
    assert_eq!(before, result(dir.path(), "a"));
    // A figure that was touched is found.
    let path = dir.path().join("a/front.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let at = text.find("\"tau_a\": ").unwrap() + 9;
    let end = at + text[at..].find(',').unwrap();
    std::fs::write(&path, format!("{}0.123{}", &text[..at], &text[end..])).unwrap();
    let out = lpz(dir.path(), &["verify", "a"]).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stdout).contains("0.123 was written"));
}

#[test]
fn exhaustive_tells_the_optimum_and_the_regret_of_others() {
    let dir = tempfile::tempdir().unwrap();
    benchmark(dir.path());
    let vocab = "@role(unary)\nfn same(x) = x\n@role(unary)\nfn size(x) = abs(x)\n@role(unary)\nfn two(x) = x * x\n\
                 @role(binary)\nfn plus(x, y) = x + y\n@role(binary)\nfn less(x, y) = x - y\n";
    std::fs::write(dir.path().join("small.lpz"), vocab).unwrap();
    let with = |algorithm: &'static str, out: &'static str| {
        let mut args = run("tree", out, "2");
        args.extend(["--vocab", "small.lpz", "--algorithm", algorithm, "--n-unary", "1"]);
        args
    };
    ok(lpz(dir.path(), &with("lpzero", "some")));
    let mut args = with("exhaustive", "all");
    args.extend(["--json", "--compare", "some"]);
    let out = ok(lpz(dir.path(), &args));
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let optimum = json["whole"]["optimum"].as_f64().unwrap();
    assert!(json["regret"][0]["regret"].as_f64().unwrap() >= -1e-12);
    assert!((json["best"][0]["search"]["tau_a"].as_f64().unwrap()) <= optimum + 1e-12);
    ok(lpz(dir.path(), &["verify", "all", "--quiet"]));
    ok(lpz(dir.path(), &["check", "all/hall_of_fame.lpz"]));
}

#[test]
fn bad_input_is_named() {
    let dir = tempfile::tempdir().unwrap();
    benchmark(dir.path());
    let with = |more: &[&'static str], out: &'static str| {
        let mut args = run("tree", out, "1");
        args.extend(more);
        lpz(dir.path(), &args)
    };
    refused(with(&["--limit", "12"], "x"), "too few to split");
    std::fs::write(dir.path().join("wrong.lpz"), "@role(unary)\nfn f(x) = nosuch(x)\n").unwrap();
    refused(with(&["--vocab", "wrong.lpz"], "y"), "nosuch");
    std::fs::write(dir.path().join("none.lpz"), "@role(unary)\n@weight(0)\nfn f(x) = x\n").unwrap();
    refused(with(&["--vocab", "none.lpz"], "z"), "no function of one argument");
    refused(with(&["--no-rule", "duplicates"], "u"), "there is no rule");
    refused(with(&["--metric", "nosuch"], "v"), "nosuch");
    std::fs::create_dir(dir.path().join("foreign")).unwrap();
    std::fs::write(dir.path().join("foreign/run.json"), "{}").unwrap();
    refused(lpz(dir.path(), &["evolve", "--resume", "foreign"]), "no run of");
    refused(lpz(dir.path(), &["verify", "nowhere"]), "no run of");
    ok(lpz(dir.path(), &run("linear", "r", "1")));
    let bench = dir.path().join("small.jsonl");
    let original = std::fs::read_to_string(&bench).unwrap();
    std::fs::write(&bench, original.replace("\"score\":2.", "\"score\":3.")).unwrap();
    refused(lpz(dir.path(), &["evolve", "--resume", "r"]), "another content of the benchmark");
    let path = dir.path().join("r/run.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&bench, &original).unwrap();
    let at = text.find("\"version\": \"").unwrap() + 12;
    std::fs::write(&path, format!("{}0{}", &text[..at], &text[at..])).unwrap();
    refused(lpz(dir.path(), &["evolve", "--resume", "r"]), "another version");
}
