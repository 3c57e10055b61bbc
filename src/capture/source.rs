//! A file of captured tensors as a [`Source`]: what `lpz eval` scores and stored captures are.
//!
//! Keys are those of `lpz capture` (see [`key`]); a file from elsewhere needs only these. What the
//! file says of itself (metadata `lpz`, a [`Description`]) completes it with roles, layers and model
//! numbers; without it the sites are read off the keys.

use super::outline::{Description, KEY, field_name, kind_name};
use crate::site::{
    Batches, CaptureSpec, Field, Inputs, KINDS, Kind, OBJECTIVES, Objective, Outline, ParamsMode, Pass, Sink,
    Site, SiteId, Source, SourceError, objective_key, option, pass_of,
};
use crate::tensor::file::TensorFile;
use crate::tensor::{Element, Tensor, par};
use std::path::Path;

/// Key prefix of a field, and whether the objective's name follows it: `linout_grad/loss/NAME`.
///
/// Weights, their gradients and Hessian-vector products are kept in the layout that the family
/// stores.
pub fn prefix(kind: Kind, field: Field) -> (&'static str, bool) {
    let with = |name| (name, true);
    let plain = |name| (name, false);
    match (kind, field) {
        (_, Field::Weight | Field::StoredWeight) => plain("weight"),
        (Kind::Linear | Kind::Norm | Kind::Embed | Kind::Pos, Field::Grad) | (_, Field::StoredGrad) => {
            with("grad")
        }
        (_, Field::Hvp) => plain("hvp"),
        (Kind::Block, Field::Input) => plain("block_in"),
        (Kind::Block, Field::Output) => plain("block_out"),
        (Kind::Block, Field::OutputGrad) => with("block_out_grad"),
        (_, Field::Input) => plain("linin"),
        (_, Field::Output) => plain("linout"),
        (_, Field::OutputGrad) => with("linout_grad"),
        (Kind::Attn | Kind::Softmax, Field::Value) => plain("softmax"),
        (Kind::Attn | Kind::Softmax, Field::Grad) => with("softmax_grad"),
        (Kind::Act, Field::Grad) => with("act_grad"),
        (Kind::Act, _) => plain("act"),
        (_, Field::Grad) => with("head_grad"),
        (_, Field::Value) => plain("head"),
    }
}

fn objective_of_key(name: &str) -> Option<Objective> {
    OBJECTIVES.iter().map(|(o, _, _)| *o).find(|o| objective_key(*o) == name)
}

/// Key of a field: `linout_grad/loss/encoder.layer.0.output.dense.weight`.
pub fn key(kind: Kind, field: Field, objective: Objective, name: &str) -> String {
    match prefix(kind, field) {
        (p, true) => format!("{p}/{}/{name}", objective_key(objective)),
        (p, false) => format!("{p}/{name}"),
    }
}

/// An opened file of captured tensors.
pub struct FileSource {
    file: TensorFile,
    outline: Outline,
    description: Description,
    default_objective: Objective,
}

impl FileSource {
    /// Opens a file and finds its sites.
    ///
    /// # Errors
    /// An unreadable file, or a description that does not fit the language.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let file = TensorFile::open(path)?;
        let fail = |what: String| SourceError { message: format!("{}: {what}", path.display()), help: None };
        let described = file.metadata(KEY).map(serde_json::from_str::<Description>).transpose();
        let description = described.map_err(|e| fail(format!("its description (metadata \"{KEY}\") {e}")))?;
        let (outline, description) = match description {
            Some(d) => (d.outline().map_err(|e| fail(format!("its description: {e}")))?, d),
            None => (outline_of_keys(&file), Description::default()),
        };
        let named = description.default_objective.as_deref().and_then(|n| option(OBJECTIVES, n));
        let first =
            || file.keys().iter().find_map(|k| objective_of_key(k.strip_prefix("grad/")?.split('/').next()?));
        let default_objective = named.or_else(first).unwrap_or(Objective::Loss);
        Ok(FileSource { file, outline, description, default_objective })
    }

    /// The key that holds a field, where the file has it; `None` also for a bare `grad/NAME`.
    fn key_of(&self, site: &Site, field: Field, objective: Objective) -> Option<String> {
        let has = |k: String| self.file.dims(&k).is_some().then_some(k);
        let (p, with_objective) = prefix(site.kind, field);
        has(key(site.kind, field, objective, &site.name)).or_else(|| {
            (with_objective && objective == self.default_objective)
                .then(|| format!("{p}/{}", site.name))
                .and_then(has)
        })
    }

    fn read(&self, site: &Site, field: Field, objective: Objective) -> Result<Tensor, SourceError> {
        let key = self.key_of(site, field, objective).ok_or_else(|| SourceError {
            message: format!(
                "{}: no tensor \"{}\", which {}.{} of \"{}\" needs",
                self.file.path().display(),
                key(site.kind, field, objective, &site.name),
                kind_name(site.kind),
                field_name(field),
                site.name
            ),
            help: Some("capture it too, or score programs that do not need it".to_owned()),
        })?;
        let stored = self.file.tensor(&key)?;
        let flips = matches!(field, Field::Weight | Field::Grad | Field::Hvp) && site.transposed;
        Ok(if flips { transpose(&stored) } else { stored })
    }
}

impl Source for FileSource {
    fn outline(&self) -> &Outline {
        &self.outline
    }

    fn default_objective(&self) -> Objective {
        self.default_objective
    }

    fn run(
        &mut self,
        spec: &CaptureSpec,
        wants: &[(SiteId, Field)],
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        let objective = spec.objective.unwrap_or(self.default_objective);
        let needs_run = wants.iter().any(|(_, f)| pass_of(*f) > Pass::Weights);
        let as_captured = CaptureSpec { objective: None, ..*spec } == CaptureSpec::default();
        if (needs_run && !as_captured) || spec.params != ParamsMode::Init {
            return Err(self.other_run(spec));
        }
        for &(id, field) in wants {
            sink.field(id, field, self.read(&self.outline.sites[id], field, objective)?);
        }
        for run in &self.description.runs {
            if run.spec().is_some_and(|s| s.objective == Some(objective)) {
                for (name, value) in &run.numbers {
                    if let Some(row) = crate::site::NUMBERS.iter().find(|r| r.name == name) {
                        sink.number(row.name, *value);
                    }
                }
                if run.rounding_noise {
                    sink.rounding_noise();
                }
            }
        }
        Ok(())
    }
}

impl FileSource {
    fn other_run(&self, spec: &CaptureSpec) -> SourceError {
        let wanted = if spec.params != ParamsMode::Init {
            "absolute parameters"
        } else if spec.inputs != Inputs::Data {
            "other inputs than data"
        } else if spec.batches != Batches::One {
            "several batches"
        } else {
            "another run"
        };
        SourceError {
            message: format!(
                "{}: a program needs a run with {wanted}, which a file of tensors does not hold",
                self.file.path().display()
            ),
            help: Some("score it with `lpz run --model ...`".to_owned()),
        }
    }
}

/// Sites read off the keys of a file that does not describe itself, in the order of the keys.
fn outline_of_keys(file: &TensorFile) -> Outline {
    let mut outline = Outline::default();
    for key in file.keys() {
        for (kind, name) in sites_of_key(&key, file.dims(&key).map_or(0, <[usize]>::len)) {
            if !outline.sites.iter().any(|s| s.kind == kind && s.name == name) {
                let layer = name.split('.').find_map(|part| part.parse().ok());
                outline.sites.push(Site {
                    kind,
                    name,
                    layer,
                    roles: vec![],
                    transposed: false,
                    fields: vec![],
                });
            }
        }
    }
    natural_order(&mut outline.sites);
    let dims = |site: &Site, field| {
        let objectives = OBJECTIVES.iter().map(|(o, _, _)| *o);
        let keys = objectives.map(|o| key(site.kind, field, o, &site.name));
        let bare = format!("{}/{}", prefix(site.kind, field).0, site.name);
        keys.chain([bare]).find_map(|k| file.dims(&k).map(<[usize]>::to_vec))
    };
    for i in 0..outline.sites.len() {
        let site = &outline.sites[i];
        let row = KINDS.iter().find(|r| r.kind == site.kind);
        let fields = row.map_or(&[][..], |r| r.fields).iter();
        let found = fields.filter_map(|(f, _)| dims(site, *f).map(|d| (*f, d.as_slice().into()))).collect();
        outline.sites[i].fields = found;
    }
    outline
}

/// The sites that a key belongs to.
fn sites_of_key(key: &str, rank: usize) -> Vec<(Kind, String)> {
    let Some((head, rest)) = key.split_once('/') else { return vec![] };
    let name = rest.split_once('/').filter(|(o, _)| objective_of_key(o).is_some()).map_or(rest, |(_, n)| n);
    let kinds: &[Kind] = match head.strip_suffix("_grad").unwrap_or(head) {
        "linout" | "linin" | "hvp" => &[Kind::Linear],
        "weight" | "grad" if rank == 2 => &[kind_of_matrix(name)],
        "weight" | "grad" if rank == 1 && name.contains("norm") && name.ends_with("weight") => &[Kind::Norm],
        "softmax" => &[Kind::Attn, Kind::Softmax],
        "act" => &[Kind::Act],
        "head" => &[Kind::Head],
        "block_in" | "block_out" => &[Kind::Block],
        _ => &[],
    };
    kinds.iter().map(|k| (*k, name.to_owned())).collect()
}

/// A matrix is a linear map unless its name says that it is a table.
fn kind_of_matrix(name: &str) -> Kind {
    let says = |words: &[&str]| words.iter().any(|w| name.contains(w));
    match () {
        () if says(&["position", "wpe"]) => Kind::Pos,
        () if says(&["embed", "wte", "emb_", "lm_head"]) => Kind::Embed,
        () => Kind::Linear,
    }
}

/// Numbers inside names compare as numbers: layer 2 comes before layer 10.
fn natural_order(sites: &mut [Site]) {
    let parts = |name: &str| -> Vec<(Option<usize>, String)> {
        name.split('.').map(|p| (p.parse().ok(), p.to_owned())).collect()
    };
    sites.sort_by_cached_key(|s| (s.kind, s.layer, parts(&s.name)));
}

fn transpose(t: &Tensor) -> Tensor {
    fn flip<T: Element>(t: &Tensor, rows: usize, cols: usize) -> Option<Tensor> {
        let d = t.as_slice::<T>()?;
        Some(Tensor::new(&[cols, rows], par::transpose(d, rows, cols)))
    }
    let &[rows, cols] = t.dims() else { return t.clone() };
    flip::<f32>(t, rows, cols)
        .or_else(|| flip::<f64>(t, rows, cols))
        .or_else(|| flip::<half::bf16>(t, rows, cols))
        .or_else(|| flip::<half::f16>(t, rows, cols))
        .unwrap_or_else(|| t.clone())
}
