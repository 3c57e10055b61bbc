//! `lpz explain`, `lpz doc --html --man`, `lpz completions`, and how quick completion is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use lpzero::lang::assist::complete::{Own, complete, signature};
use lpzero::lang::reference::entries;
use serde_json::Value;
use std::process::Command;
use std::time::Instant;

fn lpz(arguments: &[&str]) -> (String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_lpz")).args(arguments).output().unwrap();
    assert!(out.status.success(), "{arguments:?}: {out:?}");
    (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
}

fn model() -> String {
    format!("{}/tests/data/parity/flexibert_sdp/config.json", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn explain_says_demand_passes_and_cost() {
    let nested = "mean a in attn { mean(softmax(a.value, axis = 3)) }";
    let (out, _) = lpz(&["explain", "std::snip", "-e", nested, "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    let [snip, soft] = json["programs"].as_array().unwrap().as_slice() else { panic!("{out}") };
    assert_eq!(
        (&snip["name"], &snip["type"], &snip["passes"]),
        (&"snip".into(), &"number".into(), &1.into())
    );
    assert!(soft["passes"].as_u64().unwrap() > 1, "{soft}");
    for program in [snip, soft] {
        let passes = program["groups"].as_array().unwrap().iter();
        let bytes: u64 = passes
            .map(|g| {
                let each = g["passes"].as_array().unwrap().iter();
                each.map(|p| p["reads_bytes"].as_u64().unwrap()).sum::<u64>() * g["times"].as_u64().unwrap()
            })
            .sum();
        assert_eq!(program["reads_bytes"], bytes);
        assert!(program["ops"].as_f64().unwrap() > 0.0);
    }
    let fields: Vec<&str> =
        snip["demand"].as_array().unwrap().iter().map(|d| d["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["weight", "grad"]);
}

#[test]
fn explain_measures_and_draws() {
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("p.svg");
    let path = svg.display().to_string();
    let model = model();
    let size = ["--batch", "2", "--seq", "12"];
    let args = ["explain", "std::snip", "--model", &model, "--time", "--svg", &path, "--json"];
    let (out, _) = lpz(&[&args[..], &size[..]].concat());
    let json: Value = serde_json::from_str(&out).unwrap();
    let pass = &json["programs"][0]["groups"][0]["passes"][0];
    assert!(pass["predicted_seconds"].as_f64().unwrap() > 0.0, "{pass}");
    assert!(pass["measured_seconds"].as_f64().unwrap() > 0.0, "{pass}");
    let text = std::fs::read_to_string(&svg).unwrap();
    assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"), "{text}");
    assert!(text.contains("sum of 14 terms") && text.contains(".grad") && text.contains("pass 1"), "{text}");
    assert_eq!(text.matches("<g>").count(), text.matches("</g>").count());
    let (out, _) = lpz(&[&args[..5], &size[..]].concat());
    assert!(out.contains("measured: the model"), "{out}");
    assert!(out.contains("run 0: forward and backward, objective = projection"), "{out}");
}

#[test]
fn the_reference_as_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    lpz(&["doc", "--html", &path, "--man", &path]);
    let html = std::fs::read_to_string(folder.path().join("index.html")).unwrap();
    let man = std::fs::read_to_string(folder.path().join("lpz-language.7")).unwrap();
    let all = entries(&lpzero::lang::Library::new());
    assert_eq!(html.matches("<article").count(), all.len());
    assert_eq!(html.matches("<article").count(), html.matches("</article>").count());
    assert_eq!(man.matches(".TP").count(), all.len());
    for command in ["lpz", "lpz-rank", "lpz-repl", "lpz-explain"] {
        let page = std::fs::read_to_string(folder.path().join(format!("{command}.1"))).unwrap();
        assert!(page.contains(".SH NAME"), "{page}");
    }
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (out, _) = lpz(&["completions", shell]);
        assert!(out.contains("lpz") && out.contains("rank"), "{shell}: {out}");
    }
}

#[test]
fn a_keystroke_is_quick() {
    let text =
        "mean (h, a) in zip(head[query], act) { let x = softmax(h.value, axis = 2) mean(sigmoid(x)) + l.we";
    let own = Own { open: true, ..Own::default() };
    complete(text, text.len(), &own);
    let mut times = Vec::new();
    for at in 0..=text.len() {
        let start = Instant::now();
        complete(text, at, &own);
        signature(text, at, &own);
        lpzero::lang::assist::classes::classes(&text[..at]);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    println!("a keystroke: median {median:.3} ms, at most {most:.3} ms");
    assert!(median < 10.0, "{median} ms");
}
