//! `lpz evolve`, `verify` and `compare` as a person meets them: on a benchmark of small encoders.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

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
        // Seeded points from the start to beyond the end of a run.
        let mut points = lpzero::random::Stream::new(20, "kill");
        for i in 0..20 {
            let wait = (1.0 + 700.0 * points.uniform().powi(2)) as u64;
            let threads = ["1", "2"][i % 2];
            let cut = format!("{space}-cut{i}");
            let mut child = lpz(dir.path(), &run(space, &cut, threads)).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(wait));
            // SIGKILL: nothing can be tidied up.
            child.kill().unwrap();
            child.wait().unwrap();
            if !dir.path().join(&cut).join("run.json").exists() {
                continue;
            }
            let resume =
                ["evolve", "--resume", &cut, "--beside", "baselines", "--quiet", "--threads", threads];
            ok(lpz(dir.path(), &resume));
            assert_eq!(result(dir.path(), &one), result(dir.path(), &cut), "killed after {wait} ms");
        }
    }
}

#[test]
fn several_benchmarks_count_by_their_worst_or_their_mean() {
    let dir = tempfile::tempdir().unwrap();
    let first = benchmark(dir.path());
    // The same architectures, ranked another way.
    let text = std::fs::read_to_string(&first).unwrap();
    let other: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(i, l)| match l.rfind("\"score\":") {
            Some(at) if i > 0 => format!("{}\"score\":{}}}}}", &l[..at], (i * 5) % 36 + i / 3),
            _ => l.to_owned(),
        })
        .collect();
    std::fs::write(dir.path().join("other.jsonl"), other.join("\n") + "\n").unwrap();
    for over in ["worst", "mean"] {
        let mut args = run("free", over, "2");
        args.extend(["--bench", "other.jsonl", "--over", over, "--json"]);
        let out = ok(lpz(dir.path(), &args));
        let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        let best = &json["best"][0];
        assert!(best["search"]["tau_a"].as_f64().unwrap() <= 1.0, "{best}");
        assert_eq!(best["all"]["n"], 72);
        ok(lpz(dir.path(), &["verify", over, "--quiet"]));
    }
    refused(
        lpz(dir.path(), &{
            let mut args = run("free", "m", "1");
            args.extend([
                "--bench",
                "other.jsonl",
                "--metric",
                "score",
                "--metric",
                "score",
                "--metric",
                "score",
            ]);
            args
        }),
        "3 metrics for 2 benchmarks",
    );
}

#[test]
fn names_of_the_vocabulary_win_over_operators() {
    let dir = tempfile::tempdir().unwrap();
    benchmark(dir.path());
    // Were the operator meant, every figure of the file would be another.
    std::fs::write(dir.path().join("own.lpz"), "@role(unary)\nfn square(x) = x * x * x + abs(x)\n").unwrap();
    let mut args = run("linear", "own", "2");
    args.extend(["--vocab", "own.lpz", "--n-unary", "1"]);
    ok(lpz(dir.path(), &args));
    assert!(result(dir.path(), "own").0.contains("square("));
    ok(lpz(dir.path(), &["verify", "own", "--quiet"]));
}

#[test]
fn a_run_without_unseen_architectures_says_so() {
    let dir = tempfile::tempdir().unwrap();
    benchmark(dir.path());
    let mut args = run("tree", "all", "2");
    args.extend(["--search-share", "1", "--validation-share", "0", "--json"]);
    let out = ok(lpz(dir.path(), &args));
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&json["best"][0]["search"]["n"], &json["best"][0]["test"]["n"]), (&36.into(), &0.into()));
    assert!(result(dir.path(), "all").0.contains("Test: there is no such part"));
    ok(lpz(dir.path(), &["verify", "all", "--quiet"]));
}

#[test]
fn progress_can_be_read_by_programs_and_people() {
    let dir = tempfile::tempdir().unwrap();
    benchmark(dir.path());
    let mut args = run("free", "lines", "1");
    args.push("--json-lines");
    let out = ok(lpz(dir.path(), &args));
    let text = String::from_utf8(out.stdout).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .filter(|l| l.starts_with("{\"generation\""))
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 6);
    let last = &lines[5];
    assert_eq!(last["generation"], 6);
    assert!(!last["front"].as_array().unwrap().is_empty() && last["rules"]["duplicate"].is_u64(), "{last}");
    assert!(last["cache"]["term_values_known"].as_u64().unwrap() > 0);
    // --quiet: nothing on standard error.
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    let html = std::fs::read_to_string(dir.path().join("lines/report.html")).unwrap();
    assert!(html.contains("Rejections by rule") && html.matches("<svg").count() >= 4);
    assert!(!html.contains("http://") || html.contains("http://www.w3.org"), "it needs nothing else");
}

#[test]
fn no_time_is_a_run_that_ends_in_order() {
    let dir = tempfile::tempdir().unwrap();
    benchmark(dir.path());
    let mut args = run("free", "none", "1");
    let at = args.iter().position(|a| *a == "--iterations").unwrap();
    args.splice(at..at + 2, ["--time", "0s"]);
    ok(lpz(dir.path(), &args));
    assert_eq!(result(dir.path(), "none").1.lines().count(), 1);
    // More time brings it to where a run of its own would be.
    ok(lpz(
        dir.path(),
        &["evolve", "--resume", "none", "--iterations", "6", "--beside", "baselines", "--quiet"],
    ));
    ok(lpz(dir.path(), &run("free", "full", "1")));
    assert_eq!(result(dir.path(), "none").1, result(dir.path(), "full").1);
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
