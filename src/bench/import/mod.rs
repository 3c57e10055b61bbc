//! Importers: published benchmarks in their own formats.

mod lts;
mod nasbench_bert;

pub use lts::lts;
pub use nasbench_bert::nasbench_bert;

use super::{BenchError, Better, Metric};
use std::path::Path;

/// The text of a file; `help` says which is wanted.
fn read(path: &Path, help: &str) -> Result<String, BenchError> {
    let wrong = |e| BenchError::new(&path.display().to_string(), format!("cannot read: {e}")).help(help);
    std::fs::read_to_string(path).map_err(wrong)
}

fn metric(better: Better, unit: Option<&str>) -> Metric {
    Metric { better, unit: unit.map(str::to_owned) }
}
