//! Importers: published benchmarks in their own formats.

mod lts;
mod nasbench_bert;

pub use lts::lts;
pub use nasbench_bert::nasbench_bert;

use super::{BenchError, Better, Metric};
use std::path::Path;

fn read(path: &Path) -> Result<String, BenchError> {
    std::fs::read_to_string(path)
        .map_err(|e| BenchError::new(&path.display().to_string(), format!("cannot read: {e}")))
}

fn metric(better: Better, unit: Option<&str>) -> Metric {
    Metric { better, unit: unit.map(str::to_owned) }
}
