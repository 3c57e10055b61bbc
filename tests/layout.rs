//! The layering of the crate: an import never runs up, and no two files import each other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Floors, lowest first. Modules of one floor may use each other, files may not do so mutually.
const FLOORS: &[&[&str]] = &[
    &["files", "markup", "random"],
    &["tensor", "ops", "site", "metric", "bench"],
    &["ir", "lang"],
    &["plan"],
    &["engine"],
    &["data"],
    &["model"],
    &["capture"],
    &["score"],
    &["evolve", "search", "train", "repl", "report", "lsp"],
    &["cli"],
];

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn floor(module: &str) -> usize {
    FLOORS
        .iter()
        .position(|f| f.contains(&module))
        .unwrap_or_else(|| panic!("module {module} has no floor: add it to FLOORS"))
}

/// Paths after `crate::` in code (comments and doc links aside), outside of test modules.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let lines = code.lines().filter(|l| !l.trim_start().starts_with("//"));
    let mut found = BTreeSet::new();
    for line in lines {
        for part in line.split("crate::").skip(1) {
            let path: String =
                part.chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            found.insert(path.trim_end_matches(':').to_owned());
        }
    }
    found
}

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    files(&root, &mut paths);
    paths.sort();
    let module = |p: &Path| {
        let name = p.strip_prefix(&root).unwrap().with_extension("").to_string_lossy().replace('/', "::");
        name.trim_end_matches("::mod").to_owned()
    };
    paths.iter().map(|p| (module(p), fs::read_to_string(p).unwrap())).collect()
}

#[test]
fn imports_never_run_up() {
    let mut wrong = Vec::new();
    for (module, text) in sources() {
        let top = module.split("::").next().unwrap();
        if matches!(top, "lib" | "main") || module.ends_with("::tests") {
            continue;
        }
        for import in imports(&text) {
            let target = import.split("::").next().unwrap();
            if floor(target) > floor(top) {
                wrong.push(format!("{module} imports {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that run up:\n{}", wrong.join("\n"));
}

#[test]
fn no_two_files_import_each_other() {
    let sources = sources();
    let names: BTreeSet<&str> = sources.iter().map(|(m, _)| m.as_str()).collect();
    let file_of = |path: &str| {
        let mut path = path;
        loop {
            if names.contains(path) {
                return Some(path.to_owned());
            }
            path = path.rsplit_once("::")?.0;
        }
    };
    let graph: BTreeMap<&str, BTreeSet<String>> = sources
        .iter()
        .filter(|(m, _)| !m.ends_with("::tests"))
        .map(|(m, text)| (m.as_str(), imports(text).iter().filter_map(|i| file_of(i)).collect()))
        .collect();
    // A folder's `mod.rs` is its interface: its own files may use what it defines.
    let family = |a: &str, b: &str| a.starts_with(&format!("{b}::")) || b.starts_with(&format!("{a}::"));
    let mut wrong = Vec::new();
    for (a, targets) in &graph {
        for b in targets {
            if a.cmp(&b.as_str()).is_lt()
                && !family(a, b)
                && graph.get(b.as_str()).is_some_and(|t| t.contains(*a))
            {
                wrong.push(format!("{a} and {b}"));
            }
        }
    }
    assert!(wrong.is_empty(), "files that import each other:\n{}", wrong.join("\n"));
}
