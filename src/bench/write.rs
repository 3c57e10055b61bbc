//! Writes a benchmark.

use super::{Bench, BenchError};
use serde::Serialize;
use std::path::Path;

pub(super) fn write(bench: &Bench, path: &Path) -> Result<(), BenchError> {
    let failed = |e: String| BenchError::new(&path.display().to_string(), format!("cannot write: {e}"));
    let mut bytes = Vec::new();
    push(&mut bytes, &bench.header).map_err(|e| failed(e.to_string()))?;
    for record in &bench.records {
        push(&mut bytes, record).map_err(|e| failed(e.to_string()))?;
    }
    crate::files::write_atomic(path, &bytes).map_err(|e| failed(e.to_string()))
}

fn push(bytes: &mut Vec<u8>, line: &impl Serialize) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *bytes, line)?;
    bytes.push(b'\n');
    Ok(())
}
