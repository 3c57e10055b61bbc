//! An [`Outline`] as JSON, the form in which capture files carry it (metadata key `lpz`).
//!
//! Kinds, fields, roles and options go by their names in the language, so that a person can write
//! such a file from any framework.

use crate::site::{
    Batches, CaptureSpec, FIELDS, Field, INPUTS, KINDS, Kind, NUMBERS, OBJECTIVES, Objective, Outline,
    PARAMS_MODES, ROLES, Site, option, option_name,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Metadata key under which the description is kept.
pub const KEY: &str = "lpz";

/// What a capture file says of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Description {
    /// Version of the format.
    pub format: u32,
    /// Sites in model order.
    pub sites: Vec<SiteText>,
    /// Model numbers.
    pub numbers: BTreeMap<String, f64>,
    /// Parameter counts by role.
    pub params: BTreeMap<String, f64>,
    /// Name of the default objective.
    pub default_objective: Option<String>,
    /// Runs, in the order of their number in keys.
    pub runs: Vec<RunText>,
    /// Hash of architecture, data and seeds.
    pub identity: String,
}

/// A site in a description.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteText {
    kind: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<usize>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    transposed: bool,
    fields: BTreeMap<String, Vec<usize>>,
}

/// A run in a description.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunText {
    params: String,
    inputs: String,
    objective: Option<String>,
    /// `one`, `each_sample` or a number.
    batches: String,
    /// Were its gradients rounding noise?
    #[serde(default)]
    pub rounding_noise: bool,
    /// Numbers known after the run (`loss`, `objective`).
    #[serde(default)]
    pub numbers: BTreeMap<String, f64>,
}

/// The row's name of a kind.
pub fn kind_name(kind: Kind) -> &'static str {
    KINDS.iter().find(|r| r.kind == kind).map_or("", |r| r.name)
}

/// The row's name of a field.
pub fn field_name(field: Field) -> &'static str {
    FIELDS.iter().find(|r| r.field == field).map_or("", |r| r.name)
}

/// The field of a name.
pub fn field_of(name: &str) -> Option<Field> {
    FIELDS.iter().find(|r| r.name == name).map(|r| r.field)
}

/// The kind of a name.
pub fn kind_of(name: &str) -> Option<Kind> {
    KINDS.iter().find(|r| r.name == name).map(|r| r.kind)
}

impl Description {
    /// Describes an outline.
    pub fn new(outline: &Outline, default_objective: Objective) -> Self {
        let numbers =
            |list: &[(&'static str, f64)]| list.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
        Description {
            format: 1,
            sites: outline.sites.iter().map(SiteText::new).collect(),
            numbers: numbers(&outline.numbers),
            params: numbers(&outline.params),
            default_objective: Some(option_name(OBJECTIVES, &default_objective).to_owned()),
            runs: Vec::new(),
            identity: String::new(),
        }
    }

    /// The outline that is described.
    ///
    /// # Errors
    /// Names that the language does not know.
    pub fn outline(&self) -> Result<Outline, String> {
        let sites = self.sites.iter().map(SiteText::site).collect::<Result<_, _>>()?;
        let numbers = rows_of(&self.numbers, NUMBERS.iter().map(|r| r.name), "model number")?;
        let params = rows_of(&self.params, ROLES.iter().map(|r| r.name), "role")?;
        Ok(Outline { sites, numbers, params })
    }
}

fn rows_of(
    map: &BTreeMap<String, f64>,
    names: impl Iterator<Item = &'static str> + Clone,
    what: &str,
) -> Result<Vec<(&'static str, f64)>, String> {
    let find = |(name, value): (&String, &f64)| {
        let row = names.clone().find(|n| n == name);
        row.map(|n| (n, *value)).ok_or_else(|| format!("unknown {what} \"{name}\""))
    };
    map.iter().map(find).collect()
}

impl SiteText {
    fn new(site: &Site) -> Self {
        SiteText {
            kind: kind_name(site.kind).to_owned(),
            name: site.name.clone(),
            layer: site.layer,
            roles: site.roles.iter().map(|r| (*r).to_owned()).collect(),
            transposed: site.transposed,
            fields: site.fields.iter().map(|(f, d)| (field_name(*f).to_owned(), d.to_vec())).collect(),
        }
    }

    fn site(&self) -> Result<Site, String> {
        let known_role = |name: &String| {
            let row = ROLES.iter().find(|r| r.name == name);
            row.map(|r| r.name).ok_or_else(|| format!("site \"{}\": unknown role \"{name}\"", self.name))
        };
        let known_field = |(name, dims): (&String, &Vec<usize>)| {
            let field =
                field_of(name).ok_or_else(|| format!("site \"{}\": unknown field \"{name}\"", self.name))?;
            Ok((field, dims.as_slice().into()))
        };
        Ok(Site {
            kind: kind_of(&self.kind).ok_or_else(|| format!("unknown kind of site \"{}\"", self.kind))?,
            name: self.name.clone(),
            layer: self.layer,
            roles: self.roles.iter().map(known_role).collect::<Result<_, _>>()?,
            transposed: self.transposed,
            fields: self.fields.iter().map(known_field).collect::<Result<_, String>>()?,
        })
    }
}

impl RunText {
    /// Describes a run.
    pub fn new(spec: &CaptureSpec) -> Self {
        RunText {
            params: option_name(PARAMS_MODES, &spec.params).to_owned(),
            inputs: option_name(INPUTS, &spec.inputs).to_owned(),
            objective: spec.objective.map(|o| option_name(OBJECTIVES, &o).to_owned()),
            batches: match spec.batches {
                Batches::One => "one".to_owned(),
                Batches::Many(n) => n.to_string(),
                Batches::EachSample => "each_sample".to_owned(),
            },
            rounding_noise: false,
            numbers: BTreeMap::new(),
        }
    }

    /// The run that is described.
    pub fn spec(&self) -> Option<CaptureSpec> {
        Some(CaptureSpec {
            params: option(PARAMS_MODES, &self.params)?,
            inputs: option(INPUTS, &self.inputs)?,
            objective: match &self.objective {
                Some(name) => Some(option(OBJECTIVES, name)?),
                None => None,
            },
            batches: match self.batches.as_str() {
                "one" => Batches::One,
                "each_sample" => Batches::EachSample,
                n => Batches::Many(n.parse().ok()?),
            },
        })
    }
}
