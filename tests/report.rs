//! Reports as a reader opens them: one file, every program in it, plots that are pictures.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use std::path::Path;
use std::process::{Command, Output};

fn rank(report: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lpz"))
        .args([
            "rank",
            "--bench",
            "examples/tiny-gpt2.jsonl",
            "--limit",
            "6",
            "--quiet",
            "--batch",
            "1",
            "--seq",
            "8",
        ])
        .args(["--proxy", "std::l2_norm", "-e", "sum l in linear { log(l.rows < 0) }", "--report"])
        .arg(report)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

#[test]
fn a_rank_report_shows_every_program() {
    let dir = tempfile::tempdir().unwrap();
    let done = rank(&dir.path().join("new/report"));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let page = std::fs::read_to_string(dir.path().join("new/report/index.html")).unwrap();
    for name in ["l2_norm", "depth_logwidth", "sum l in linear { log(l.rows &lt; 0) }"] {
        assert!(page.contains(name), "{name} is missing");
    }
    let pictures = page.matches("<svg").count();
    assert!(pictures > 3 && pictures == page.matches("</svg>").count(), "{pictures} pictures");
    for outside in ["src=\"", "href=\"", "@import", "<script"] {
        assert!(!page.contains(outside), "the page needs something else: {outside}");
    }
    assert_eq!(page.matches("<table>").count(), page.matches("</table>").count());
}

#[test]
fn a_report_that_cannot_be_written_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("taken");
    std::fs::write(&file, "kept").unwrap();
    let done = rank(&file);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("taken"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
}
