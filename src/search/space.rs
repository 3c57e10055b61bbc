//! Spaces of architectures: JSON files that say which configs there are.
//!
//! ```json
//! {"space": "tiny", "base": {"family": "gpt2-flex", "n_token": 256},
//!  "depth": {"field": "n_layer", "values": [1, 2, 4]},
//!  "global": {"d_model": {"from": 32, "to": 96, "step": 16}},
//!  "layer": {"n_head": [1, 2, 4], "d_inner": [64, 128]},
//!  "copies": {"d_embed": "d_model"},
//!  "constraints": {"params": {"max": 300000}, "ratios": [{"field": "d_inner", "over": "d_model", "min": 2}]}}
//! ```
//!
//! `base` is part of every config. `depth.values` are numbers of layers (`field`, where given, holds the
//! number). `global` fields have one value per architecture, `layer` fields one per layer: lists of that
//! length in the config, or, with `"layers_at": "nas_config.encoder_layers"`, fields of the objects in
//! the list there. A value that is an object is merged into its layer (or config). `copies` are fields
//! that repeat another. Combinations that a family refuses (heads that do not divide the width) or
//! that break `constraints` are not in the space.

use super::constraint::Constraints;
use super::error::SearchError;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// A list of values as a file gives it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Values {
    List(Vec<Value>),
    Range { from: i64, to: i64, step: i64 },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Depth {
    field: Option<String>,
    values: Vec<usize>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    space: String,
    #[serde(default)]
    doc: String,
    base: Map<String, Value>,
    depth: Depth,
    #[serde(default)]
    global: BTreeMap<String, Values>,
    #[serde(default)]
    layer: BTreeMap<String, Values>,
    layers_at: Option<String>,
    #[serde(default)]
    copies: BTreeMap<String, String>,
    #[serde(default)]
    constraints: Constraints,
}

/// A choice: a field (or label) and its values.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    name: String,
    pub(super) values: Vec<Value>,
}

/// A space of architectures.
#[derive(Clone, Debug)]
pub struct Space {
    /// Its name.
    pub name: String,
    /// What it is.
    pub doc: String,
    base: Map<String, Value>,
    depth_field: Option<String>,
    pub(super) depths: Vec<usize>,
    pub(super) global: Vec<Axis>,
    pub(super) layer: Vec<Axis>,
    layers_at: Vec<String>,
    copies: BTreeMap<String, String>,
    constraints: Constraints,
}

/// The spaces that come with the program: name and file.
pub const BUILTIN: &[(&str, &str)] = &[
    ("tiny-gpt2", include_str!("../../examples/spaces/tiny-gpt2.json")),
    ("flexibert", include_str!("../../examples/spaces/flexibert.json")),
    ("gpt2-flex", include_str!("../../examples/spaces/gpt2-flex.json")),
];

/// More layers than any architecture has.
const DEEPEST: usize = 4096;

/// Choices as indices into the values of a space.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Genotype {
    /// Values of the global fields.
    pub global: Vec<usize>,
    /// Values of the layer fields, for every layer.
    pub layers: Vec<Vec<usize>>,
}

impl Space {
    /// A space that comes with the program, by name, or a file.
    ///
    /// # Errors
    /// A file that cannot be read or is no space; says which spaces come with the program.
    pub fn open(name: &str) -> Result<Self, SearchError> {
        if let Some((_, text)) = BUILTIN.iter().find(|(n, _)| *n == name) {
            return Space::parse(text);
        }
        let path = Path::new(name);
        let text = std::fs::read_to_string(path).map_err(|e| {
            let names: Vec<_> = BUILTIN.iter().map(|(n, _)| *n).collect();
            SearchError::new(format!("{name}: cannot read: {e}"))
                .help(format!("give a space file, or one of: {}", names.join(", ")))
        })?;
        Space::parse(&text).map_err(|e| SearchError { message: format!("{name}: {}", e.message), ..e })
    }

    /// Reads a space from the text of its file.
    ///
    /// # Errors
    /// What is no space, names the field; constraints that contradict themselves.
    pub fn parse(text: &str) -> Result<Self, SearchError> {
        let file: File = serde_json::from_str(text).map_err(|e| {
            SearchError::new(format!("is not a space: {e}"))
                .help("a space has `space`, `base`, `depth` and fields under `global` and `layer`; see examples/spaces")
        })?;
        let axes = |from: BTreeMap<String, Values>| {
            from.into_iter().map(|(n, v)| axis(n, v)).collect::<Result<Vec<_>, _>>()
        };
        let deep = |d: &usize| !(1..=DEEPEST).contains(d);
        if file.depth.values.is_empty() || file.depth.values.iter().any(deep) {
            return Err(SearchError::new(format!(
                "`depth.values` must be numbers of layers from 1 to {DEEPEST}"
            )));
        }
        if !file.base.get("family").is_some_and(Value::is_string) {
            return Err(SearchError::new("`base` has no `family`").help("one of flexibert, gpt2, gpt2-flex"));
        }
        file.constraints.check()?;
        let space = Space {
            name: file.space,
            doc: file.doc,
            base: file.base,
            depth_field: file.depth.field,
            depths: file.depth.values,
            global: axes(file.global)?,
            layer: axes(file.layer)?,
            layers_at: file.layers_at.map(|p| p.split('.').map(str::to_owned).collect()).unwrap_or_default(),
            copies: file.copies,
            constraints: file.constraints,
        };
        space.check_fields()?;
        Ok(space)
    }

    /// Every field that `copies` and `ratios` mention exists.
    fn check_fields(&self) -> Result<(), SearchError> {
        let known = |f: &str| {
            self.base.contains_key(f)
                || self.depth_field.as_deref() == Some(f)
                || self
                    .global
                    .iter()
                    .chain(&self.layer)
                    .any(|a| a.name == f || a.values.iter().any(|v| v.get(f).is_some()))
        };
        let copied = self.copies.values();
        let ratios = self.constraints.ratios.iter().flat_map(|r| [&r.field, &r.over]);
        match copied.chain(ratios).find(|f| !known(f)) {
            Some(f) => {
                Err(SearchError::new(format!("no field `{f}` in `base`, `depth`, `global` or `layer`"))
                    .help("`copies` and `ratios` name fields of the space"))
            }
            None => Ok(()),
        }
    }

    /// How many combinations there are, those outside of the constraints included.
    pub fn size(&self) -> f64 {
        let product = |axes: &[Axis]| axes.iter().map(|a| a.values.len() as f64).product::<f64>();
        let layers: f64 = self.depths.iter().map(|&d| product(&self.layer).powi(d as i32)).sum();
        product(&self.global) * layers
    }

    /// The family of its architectures.
    pub fn family(&self) -> &str {
        self.base.get("family").and_then(Value::as_str).unwrap_or_default()
    }

    /// The config of a genotype.
    pub fn config(&self, g: &Genotype) -> Value {
        let mut config = self.base.clone();
        if let Some(field) = &self.depth_field {
            config.insert(field.clone(), g.layers.len().into());
        }
        for (axis, &i) in self.global.iter().zip(&g.global) {
            axis.put(i, &mut config);
        }
        for (to, from) in &self.copies {
            if let Some(v) = config.get(from).cloned() {
                config.insert(to.clone(), v);
            }
        }
        let layers: Vec<Map<String, Value>> = g.layers.iter().map(|genes| self.layer_config(genes)).collect();
        if self.layers_at.is_empty() {
            for layer in layers {
                for (field, value) in layer {
                    if let Value::Array(list) =
                        config.entry(field).or_insert_with(|| Value::Array(Vec::new()))
                    {
                        list.push(value);
                    }
                }
            }
        } else {
            place(
                &mut config,
                &self.layers_at,
                Value::Array(layers.into_iter().map(Value::Object).collect()),
            );
        }
        Value::Object(config)
    }

    fn layer_config(&self, genes: &[usize]) -> Map<String, Value> {
        let mut layer = Map::new();
        for (axis, &i) in self.layer.iter().zip(genes) {
            axis.put(i, &mut layer);
        }
        layer
    }

    /// Why the constraints exclude an architecture, if they do.
    pub fn breach(&self, config: &Value, params: f64, flops: f64) -> Option<String> {
        self.constraints.breach(params, flops).or_else(|| self.ratios_breach(config))
    }

    pub(super) fn ratios_breach(&self, config: &Value) -> Option<String> {
        self.constraints.ratios_breach(&|field| self.numbers(config, field))
    }

    /// The numbers of a field: one, or one per layer.
    fn numbers(&self, config: &Value, field: &str) -> Vec<f64> {
        match config.get(field) {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_f64).collect(),
            Some(v) => v.as_f64().into_iter().collect(),
            None => {
                let layers = self.layers_at.iter().try_fold(config, |c, key| c.get(key));
                let list = layers.and_then(Value::as_array);
                list.into_iter().flatten().filter_map(|l| l.get(field)?.as_f64()).collect()
            }
        }
    }
}

impl Axis {
    fn put(&self, i: usize, into: &mut Map<String, Value>) {
        match self.values.get(i) {
            Some(Value::Object(fields)) => into.extend(fields.clone()),
            Some(value) => {
                into.insert(self.name.clone(), value.clone());
            }
            None => {}
        }
    }
}

fn axis(name: String, values: Values) -> Result<Axis, SearchError> {
    let values = match values {
        Values::List(list) => list,
        Values::Range { from, to, step }
            if step > 0 && (i128::from(to) - i128::from(from)) / i128::from(step) < 1 << 16 =>
        {
            (from..=to).step_by(step as usize).map(Value::from).collect()
        }
        Values::Range { .. } => {
            return Err(SearchError::new(format!(
                "`{name}`: a range needs a positive `step` and at most 65536 values"
            )));
        }
    };
    if values.is_empty() {
        return Err(SearchError::new(format!("`{name}` has no values")).help("give at least one"));
    }
    Ok(Axis { name, values })
}

fn place(config: &mut Map<String, Value>, path: &[String], value: Value) {
    let Some((key, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        config.insert(key.clone(), value);
    } else if let Value::Object(inner) =
        config.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()))
    {
        place(inner, rest, value);
    }
}
