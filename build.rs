//! Embeds the standard library: every `stdlib/*.lpz` becomes an entry of `STDLIB`, sorted by name.

use std::{env, fs, io, path::Path};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=stdlib");
    println!("cargo:rerun-if-changed=build.rs");
    let missing = || io::Error::other("cargo sets CARGO_MANIFEST_DIR and OUT_DIR");
    let root = env::var("CARGO_MANIFEST_DIR").map_err(|_| missing())?;
    let out = env::var("OUT_DIR").map_err(|_| missing())?;
    let mut files: Vec<_> = match fs::read_dir(Path::new(&root).join("stdlib")) {
        Ok(dir) => dir.filter_map(Result::ok).map(|e| e.path()).collect(),
        Err(_) => Vec::new(),
    };
    files.retain(|p| p.extension().is_some_and(|e| e == "lpz"));
    files.sort();
    let mut text = String::from("&[\n");
    for path in &files {
        let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        text.push_str(&format!("    ({stem:?}, include_str!({:?})),\n", path.display().to_string()));
    }
    text.push_str("]\n");
    fs::write(Path::new(&out).join("stdlib.rs"), text)
}
