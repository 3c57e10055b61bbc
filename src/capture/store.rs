//! Stored captures: one file per architecture, with the fields that a batch of programs demands.
//!
//! Every field is written as soon as the model hands it out. Keys are `RUN/KIND/NAME/FIELD`, where
//! `RUN` counts the description's runs; a field is kept under the parts of a run that its value
//! depends on, so weights are kept once. `RUN/numbers` and `RUN/rounding_noise` hold what else a run
//! says. A file appears under its name when it is whole, so an interrupted capture goes on where it
//! ended.

use super::outline::{Description, KEY, RunText, field_name, kind_name};
use crate::ir::bind::{NoReductions, bind_prepared};
use crate::ir::prepare::{Prepared, field_level, relevant, resolved, run_number};
use crate::ir::{BoundNode, Leaf};
use crate::plan::demand::Demand;
use crate::site::{CaptureSpec, Field, NUMBERS, Objective, Outline, Sink, Site, SiteId, Source, SourceError};
use crate::tensor::write::{Entry, TensorWriter};
use crate::tensor::{Dims, Dtype, Tensor};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// What decides the values of a capture, besides the demand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Hash of family and config.
    pub architecture: String,
    /// Hash of the token batch and its sizes.
    pub tokens: String,
    /// Seed of parameters and data.
    pub seed: u64,
    /// Precision of the model.
    pub precision: String,
}

impl Identity {
    /// The identity of an architecture given as text, on a batch.
    pub fn new(architecture: &str, batch: &crate::model::Batch, seed: u64, precision: &str) -> Self {
        let mut bytes: Vec<u8> = Vec::new();
        for n in [batch.batch, batch.seq] {
            bytes.extend((n as u64).to_le_bytes());
        }
        for id in batch.ids.iter().chain(batch.labels.iter().flatten()) {
            bytes.extend(id.to_le_bytes());
        }
        Identity {
            architecture: format!("{:032x}", xxh3_128(architecture.as_bytes())),
            tokens: format!("{:032x}", xxh3_128(&bytes)),
            seed,
            precision: precision.to_owned(),
        }
    }

    /// What is different here from what is wanted.
    pub fn difference(&self, wanted: &Identity) -> Option<String> {
        if self.architecture != wanted.architecture {
            Some("of another architecture".to_owned())
        } else if self.seed != wanted.seed {
            Some(format!("with seed {} and not {}", self.seed, wanted.seed))
        } else if self.tokens != wanted.tokens {
            Some("on other tokens".to_owned())
        } else if self.precision != wanted.precision {
            Some(format!("in precision {} and not {}", self.precision, wanted.precision))
        } else {
            None
        }
    }
}

/// Why an architecture was not captured.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The model could not be run.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// The file could not be written.
    #[error("cannot write {0}: {1}")]
    Io(PathBuf, io::Error),
}

/// A field to be kept: the parts of the run that it depends on, and where it is.
pub type Slot = (CaptureSpec, SiteId, Field);

/// What a field is kept under.
pub fn slot(spec: &CaptureSpec, outline: &Outline, site: SiteId, field: Field) -> Slot {
    let stored = outline.sites.get(site).is_some_and(|s| s.transposed);
    let field = match field {
        Field::StoredWeight if !stored => Field::Weight,
        Field::StoredGrad if !stored => Field::Grad,
        other => other,
    };
    (relevant(spec, field_level(field)), site, field)
}

/// Key of a field in the file.
pub fn key(run: usize, site: &Site, field: Field) -> String {
    format!("{run}/{}/{}/{}", kind_name(site.kind), site.name, field_name(field))
}

/// What programs demand of an architecture.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Runs with the fields that each hands out.
    pub runs: Vec<(CaptureSpec, Vec<(SiteId, Field)>)>,
    /// All fields with their sizes.
    pub fields: Vec<(Slot, Dims)>,
}

impl Wanted {
    /// The demand of `programs` on an architecture.
    pub fn new(outline: &Outline, default: Objective, programs: &Prepared) -> Self {
        let binding = bind_prepared(programs, outline, default, &NoReductions, None);
        let graph = &binding.graph;
        let demand = Demand::new(graph, |_| false);
        let mut nodes = vec![0; graph.leaves.len()];
        for (n, node) in graph.nodes.iter().enumerate() {
            if let BoundNode::Leaf(leaf) = node {
                nodes[*leaf] = n;
            }
        }
        let mut wanted = Wanted::default();
        let mut seen: FxHashSet<Slot> = FxHashSet::default();
        for (r, spec) in graph.runs.iter().enumerate() {
            let spec = resolved(spec, default);
            let mut fields = Vec::new();
            for d in demand.deliveries.iter().filter(|d| d.run == r) {
                let Leaf::Field { site, field, .. } = graph.leaves[d.leaf] else { continue };
                let slot = slot(&spec, outline, site, field);
                if seen.insert(slot) {
                    fields.push((site, slot.2));
                    wanted.fields.push((slot, graph.shapes[nodes[d.leaf]].dims.clone()));
                }
            }
            fields.sort_unstable();
            if !fields.is_empty() || demand.wants(graph, r).numbers {
                match wanted.runs.iter_mut().find(|(s, _)| *s == spec) {
                    Some((_, all)) => all.extend(fields),
                    None => wanted.runs.push((spec, fields)),
                }
            }
        }
        wanted
    }
}

/// Names of the numbers in `RUN/numbers`; one that a run did not give is NaN.
pub fn number_names() -> Vec<&'static str> {
    NUMBERS.iter().map(|r| r.name).filter(|n| run_number(n)).collect()
}

/// What lies where in a file.
struct Layout {
    specs: Vec<CaptureSpec>,
    entries: Vec<Entry>,
    keys: FxHashMap<Slot, String>,
}

impl Layout {
    fn new(wanted: &Wanted, outline: &Outline, dtype: Dtype) -> Self {
        let mut specs: Vec<CaptureSpec> = wanted.runs.iter().map(|(s, _)| *s).collect();
        for ((spec, _, _), _) in &wanted.fields {
            if !specs.contains(spec) {
                specs.push(*spec);
            }
        }
        // Numbers first: their eight bytes each keep everything behind them aligned.
        let mut entries = Vec::new();
        for r in 0..wanted.runs.len() {
            for (what, dims) in [("numbers", vec![number_names().len()]), ("rounding_noise", vec![])] {
                entries.push(Entry { key: format!("{r}/{what}"), dtype: Dtype::F64, dims });
            }
        }
        let mut keys = FxHashMap::default();
        for (slot, dims) in &wanted.fields {
            let run = specs.iter().position(|s| *s == slot.0).unwrap_or(0);
            let key = key(run, &outline.sites[slot.1], slot.2);
            entries.push(Entry { key: key.clone(), dtype, dims: dims.to_vec() });
            keys.insert(*slot, key);
        }
        Layout { specs, entries, keys }
    }
}

/// Captures what `wanted` says of `source` into `path`. Returns the number of fields.
///
/// # Errors
/// A model that cannot run; a file that cannot be written. Nothing half-written is left.
pub fn store(
    source: &mut dyn Source,
    wanted: &Wanted,
    dtype: Dtype,
    identity: &Identity,
    path: &Path,
) -> Result<usize, StoreError> {
    let io = |e: io::Error| StoreError::Io(path.to_owned(), e);
    let outline = source.outline().clone();
    let Layout { specs, entries, keys } = Layout::new(wanted, &outline, dtype);
    let names = number_names();
    let mut description = Description::new(&outline, source.default_objective());
    description.runs = specs.iter().map(RunText::new).collect();
    description.identity = serde_json::to_string(identity).map_err(|e| io(e.into()))?;
    let text = serde_json::to_string(&description).map_err(|e| io(e.into()))?;
    let mut writer = TensorWriter::create(path, &entries, &[(KEY, text)]).map_err(io)?;
    for (r, (spec, fields)) in wanted.runs.iter().enumerate() {
        let numbers = vec![f64::NAN; names.len()];
        let (writer, keys, outline) = (&mut writer, &keys, &outline);
        let mut sink =
            Writing { writer, keys, outline, spec, names: &names, numbers, noise: false, fault: None };
        source.run(spec, fields, &mut sink)?;
        let Writing { numbers, noise, fault, .. } = sink;
        fault.map_or(Ok(()), |e| Err(io(e)))?;
        let write = |what: &str, t: Tensor, w: &mut TensorWriter| w.write(&format!("{r}/{what}"), &t);
        write("numbers", Tensor::new(&[names.len()], numbers), writer).map_err(io)?;
        write("rounding_noise", Tensor::number(f64::from(u8::from(noise))), writer).map_err(io)?;
    }
    writer.finish().map_err(io)?;
    Ok(wanted.fields.len())
}

/// Writes what a run hands out.
struct Writing<'a> {
    writer: &'a mut TensorWriter,
    keys: &'a FxHashMap<Slot, String>,
    outline: &'a Outline,
    spec: &'a CaptureSpec,
    names: &'a [&'static str],
    numbers: Vec<f64>,
    noise: bool,
    /// The first failure; nothing is written after it.
    fault: Option<io::Error>,
}

impl Sink for Writing<'_> {
    fn field(&mut self, site: SiteId, field: Field, tensor: Tensor) {
        let key = self.keys.get(&slot(self.spec, self.outline, site, field));
        if let (Some(key), None) = (key, &self.fault) {
            self.fault = self.writer.write(key, &tensor).err();
        }
    }

    fn number(&mut self, name: &'static str, value: f64) {
        if let Some(at) = self.names.iter().position(|n| *n == name) {
            self.numbers[at] = value;
        }
    }

    fn rounding_noise(&mut self) {
        self.noise = true;
    }
}
