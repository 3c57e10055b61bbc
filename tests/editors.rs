//! Files for editors that are generated from the rows: `LPZ_BLESS=1` writes them anew.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::Path;

#[test]
fn the_textmate_grammar_is_that_of_the_rows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("editors/vscode/syntaxes/lpz.tmLanguage.json");
    let made = lpzero::lang::assist::textmate::grammar();
    if std::env::var_os("LPZ_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "editors/vscode/syntaxes is not what the rows give: LPZ_BLESS=1 writes it anew");
}

#[test]
fn the_extension_names_what_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("editors/vscode");
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(root.join(name)).unwrap()).unwrap()
    };
    let package = read("package.json");
    let grammar = package["contributes"]["grammars"][0]["path"].as_str().unwrap();
    assert!(root.join(grammar).is_file());
    assert!(root.join(package["main"].as_str().unwrap()).is_file());
    let configuration = package["contributes"]["languages"][0]["configuration"].as_str().unwrap();
    read(configuration);
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
}
