//! Every message of every wrong program of the corpus, whole: code, place with its length, message,
//! label and help, as `tests/corpus/messages.txt` keeps them. `LPZ_BLESS=1` writes it anew.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use lpzero::ir::Dag;
use lpzero::lang::Library;
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn programs(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(programs(&path));
        } else if path.extension().is_some_and(|e| e == "lpz") {
            all.push(path);
        }
    }
    all.sort();
    all
}

#[test]
fn messages_are_those_that_were_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let (mut made, mut wrong, mut helpless) = (String::new(), 0, Vec::new());
    for path in programs(&root) {
        let mut library = Library::new();
        let module = library.load_text(&path.display().to_string(), &std::fs::read_to_string(&path).unwrap());
        let found = library.check(module, &mut Dag::default()).diagnostics;
        if found.is_empty() {
            continue;
        }
        wrong += usize::from(found.iter().any(|d| d.is_error()));
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let _ = writeln!(made, "{name}");
        for d in found {
            let at = library.sources().place(d.source, d.span);
            let text = &library.sources().get(d.source).text;
            let shown = text.get(d.span.range()).unwrap_or("").replace('\n', "\\n");
            let _ = writeln!(made, "  {} {}:{}+{} `{shown}`", d.code, at.line, at.column, at.length);
            let _ = writeln!(made, "    {}\n    | {}", d.message, d.label);
            match &d.help {
                Some(help) => drop(writeln!(made, "    help: {help}")),
                None => helpless.push(name.clone()),
            }
        }
    }
    assert!(wrong >= 60, "{wrong} wrong programs");
    assert!(helpless.is_empty(), "no help in {helpless:?}");
    let file = root.join("messages.txt");
    if std::env::var_os("LPZ_BLESS").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = kept.lines().zip(made.lines()).find(|(a, b)| a != b);
    assert!(kept == made, "messages differ, first at {differs:?}; LPZ_BLESS=1 writes them anew");
}
