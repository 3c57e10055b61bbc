//! The session over a pipe and at a pseudo-terminal: what it shows, when it runs the model, and that
//! nothing typed ends it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const LPZ: &str = env!("CARGO_BIN_EXE_lpz");

fn model() -> String {
    format!("{}/tests/data/parity/flexibert_sdp/config.json", env!("CARGO_MANIFEST_DIR"))
}

fn feed(arguments: &[&str], script: &[u8]) -> Output {
    let mut child = Command::new(LPZ)
        .arg("repl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let script = script.to_vec();
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&script);
    });
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap();
    out
}

fn said(script: &str) -> (String, String) {
    let out = feed(&[], script.as_bytes());
    assert!(out.status.success(), "{out:?}");
    (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
}

fn with_model(script: &str) -> (String, String) {
    let out = feed(&["--model", &model(), "--batch", "2", "--seq", "12"], script.as_bytes());
    assert!(out.status.success(), "{out:?}");
    (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
}

#[test]
fn numbers_tensors_definitions_and_many_lines() {
    let script = "1 + 2 * 3\n(1 +\n2)\nfn twice(x) = 2 * x\nlet y = twice(4)\ny + 1\nproxy p =\n  y * 10\np\n\
                  fn twice(x) = 3 * x\ntwice(1)\n[1, 2, 3]\n:type [1, 2]\nuse std::slog\nslog(1)\n";
    let (out, err) = said(script);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(&lines[..7], &["7", "3", "defined twice", "y: number", "9", "defined p", "80"], "{out}{err}");
    assert_eq!(&lines[7..9], &["defined twice", "3"], "{out}");
    assert!(lines[9].starts_with("[3] f64  mean 2  std 0.8165  min 1  max 3"), "{out}");
    assert!(lines[10].contains("all finite") && lines[11] == "[1, 2, 3]", "{out}");
    assert_eq!(&lines[12..], &["tensor [2]", "in scope", "0"], "{out}");
}

#[test]
fn only_a_changed_demand_runs_the_model() {
    let script = "sum l in linear { sum(abs(l.weight * l.grad)) }\nsum l in linear { sum(abs(l.weight * l.grad)) } / 2\n\
                  sum l in linear { norm(l.grad) }\nmean a in attn { mean(a.value) }\nmean a in attn { max(a.value) }\n";
    let (out, err) = with_model(script);
    let numbers: Vec<f64> = out.lines().map(|l| l.parse().unwrap()).collect();
    assert_eq!(numbers[0] / 2.0, numbers[1]);
    let ran: Vec<&str> = err.lines().filter(|l| l.starts_with("· ran")).collect();
    assert_eq!(ran.len(), 2, "{err}");
    assert!(ran[0].contains("forward and backward (objective = projection)"), "{err}");
    assert!(ran[0].contains("linear.grad of 14 sites"), "{err}");
    assert!(ran[1].contains("attn.value of 2 sites"), "{err}");
}

#[test]
fn scores_are_those_of_lpz_run() {
    let (out, _) = with_model("snip\nsynflow\n");
    let model = model();
    let args =
        ["run", "std::snip", "std::synflow", "--model", &model, "--batch", "2", "--seq", "12", "--json"];
    let run = Command::new(LPZ).args(args).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    for (line, score) in out.lines().zip(json["scores"].as_array().unwrap()) {
        let number: f64 = line.trim_start_matches('~').parse().unwrap();
        assert_eq!(Some(number), score["value"].as_f64(), "{out}");
    }
}

#[test]
fn sites_terms_and_fields() {
    let script = ":terms 2 * sum l in linear[query] { norm(l.weight) }\nlinear[query]\nlinear[query].weight\n\
                  linear[query, 0]\n:sites attn\n:explain snip\n:time snip\n:capture objective = projection\n:model\n";
    let (out, _) = with_model(script);
    assert!(out.contains("sum of 2 terms = "), "{out}");
    assert!(out.contains("linear \"encoder.layer.1.operation.operation.query.weight\""), "{out}");
    assert!(out.contains("2 sites;"), "{out}");
    assert!(out.contains("output_grad  [2, 12, 24] f32"), "{out}");
    assert!(out.contains("1 dependent passes, 14 in all"), "{out}");
    assert!(out.contains("over resident tensors"), "{out}");
    assert!(out.contains("resident "), "{out}");
}

#[test]
fn every_command_answers() {
    for row in lpzero::repl::COMMANDS {
        let (out, err) = said(&format!(":{}\n1 + 1\n", row.name));
        assert!(row.name == "quit" || out.ends_with("2\n"), ":{}: {out}{err}", row.name);
        let (out, err) = said(&format!(":{} ((( --x \" é\n1 + 1\n", row.name));
        assert!(row.name == "quit" || out.ends_with("2\n"), ":{}: {out}{err}", row.name);
    }
}

#[test]
fn loads_saves_and_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.lpz");
    let path = file.display();
    let (out, _) = said(&format!("fn f(x)=x+1\nproxy  p = f(1)\n:save {path}\n"));
    assert!(out.contains("2 items written"), "{out}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "fn f(x) = x + 1\n\nproxy p = f(1)\n");
    let (out, _) = said(&format!(":load {path}\np * 2\n"));
    assert_eq!(out, "defined f, p\n4\n");
    let (_, err) = said(":type\n:terms\n:time \n");
    assert!(err.contains("`:type` needs an expression") && err.contains("`:time E`"), "{err}");
    let (out, err) =
        said("@role(unary) @weight(0)\nfn f(x) = x\n@role(unary)\n@weight(0)\nfn g(x) = 2 * x\ng(f(3))\n");
    assert_eq!((out.as_str(), err.as_str()), ("defined f\ndefined g\n6\n", ""));
    let (_, err) = said(":load /nowhere.lpz\n:rank 1 --bench /nowhere.jsonl\n:rank depth\n");
    assert!(err.contains("cannot read /nowhere.lpz") && err.contains("cannot open"), "{err}");
    assert!(err.contains("needs a benchmark"), "{err}");
}

#[test]
fn bad_input_keeps_a_living_prompt() {
    let mut script: Vec<u8> = Vec::new();
    script.extend(b"sum(\n\n");
    script.extend(b")))\n");
    script.extend("(".repeat(10_000).as_bytes());
    script.extend(b"1\n\n");
    script.extend("-".repeat(10_000).as_bytes());
    script.extend(b"1\n");
    script.extend(b"\xff\xfe not text\n");
    script.extend(b"nul \0 byte\n");
    script.extend("1 + ".repeat(400_000).as_bytes());
    script.extend(b"1\n:nonsense\nlinear\n:model /nowhere/config.json\n");
    script.extend(b"let\n\nlet x = \n\n let x = 1 2\nfn f(x) = f(x)\nf(1)\nproxy = 3\n@capture(\n\n6 * 7\n");
    let started = Instant::now();
    let out = feed(&[], &script);
    let (text, err) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert!(out.status.success());
    assert!(text.ends_with("42\n"), "{text}\n{err}");
    for part in [
        "`(` is never closed",
        "closes nothing",
        "nest deeper",
        "is not UTF-8 text",
        "there is no command `:nonsense`",
        "none is open",
        "/nowhere/config.json",
        "bytes, and at most",
    ] {
        assert!(err.contains(part), "no \"{part}\" in {err}");
    }
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_model_that_does_not_fit_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    let text = std::fs::read_to_string(model()).unwrap();
    let large = text.replace("\"vocab_size\": 97", "\"vocab_size\": 900000000");
    let large = large.replace("\"embedding_size\": 16", "\"embedding_size\": 900000");
    std::fs::write(&file, large).unwrap();
    let (out, err) = said(&format!(":seq 12\n:model {}\n1 + 1\n", file.display()));
    assert!(out.ends_with("2\n"), "{out}{err}");
    assert!(err.contains("error:") && err.contains("help:"), "{err}");
    let (out, err) = with_model(":seq 4000\nsum l in linear[query] { count(l) }\ndepth\n");
    assert!(err.contains("12 positions") && err.contains(":seq 12"), "{err}");
    assert!(out.ends_with("2\n"), "{out}");
}

/// Types at a pseudo-terminal made by `script`; `None` where there is none.
fn typed(keys: &[(&str, u64)], history: &str) -> Option<String> {
    let command = format!("{LPZ} repl --history {history}");
    let mut child = Command::new("script")
        .args(["-qfec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .env("TERM", "xterm")
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    for (text, pause) in keys {
        std::thread::sleep(Duration::from_millis(*pause));
        if stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).is_err() {
            break;
        }
    }
    std::thread::sleep(Duration::from_millis(1500));
    drop(stdin);
    let out = child.wait_with_output().ok()?;
    Some(String::from_utf8_lossy(&out.stdout).into_owned())
}

#[test]
fn a_terminal_edits_completes_and_survives_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let history = folder.path().join("history");
    let keys = [
        ("1 + 2\r", 2500),
        ("sum l in linear { l.wei\t", 1500),
        ("\x03", 1500),
        ("(40 +\r", 1500),
        ("2)\r", 1500),
        ("\x04", 1500),
    ];
    let Some(out) = typed(&keys, &history.display().to_string()) else {
        eprintln!("skipped: there is no `script` to make a pseudo-terminal with");
        return;
    };
    if !out.contains("lpz>") {
        eprintln!("skipped: no pseudo-terminal here: {out}");
        return;
    }
    assert!(out.contains("\r\n3\r\n") || out.contains("\n3\r\n"), "{out}");
    assert!(out.contains("weight"), "completed: {out}");
    assert!(out.contains("42\r\n"), "{out}");
    assert!(out.contains(": number"), "a hint: {out}");
    let kept = std::fs::read_to_string(history).unwrap();
    assert!(kept.contains("1 + 2") && kept.contains("(40 +"), "{kept}");
}
