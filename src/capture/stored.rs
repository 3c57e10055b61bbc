//! Stored captures as a [`Source`]: memory-mapped, every tensor checked when it is read.

use super::outline::{Description, KEY, field_name, kind_name};
use super::store::{Identity, Slot, Wanted, key, number_names, slot};
use crate::ir::prepare::resolved;
use crate::site::{
    CaptureSpec, Field, INPUTS, Kind, OBJECTIVES, Objective, Outline, PARAMS_MODES, Sink, SiteId, Source,
    SourceError, option, option_name,
};
use crate::tensor::file::TensorFile;
use crate::tensor::{Dtype, Tensor};
use rustc_hash::FxHashSet;
use std::path::Path;

/// The capture of one architecture.
pub struct StoreSource {
    file: TensorFile,
    outline: Outline,
    default_objective: Objective,
    runs: Vec<CaptureSpec>,
}

const AGAIN: &str = "remove it and run `lpz capture` again; what is whole is kept";

impl StoreSource {
    /// Opens a capture, which has to be of `identity`; `objective` replaces the default one.
    ///
    /// # Errors
    /// A file that is missing, cut short, not a stored capture or of something else, by name.
    pub fn open(path: &Path, identity: &Identity, objective: Option<Objective>) -> Result<Self, SourceError> {
        let fail = |what: &str, help: &str| SourceError {
            message: format!("{}: {what}", path.display()),
            help: Some(help.to_owned()),
        };
        let file = TensorFile::open(path)?;
        let text = file.metadata(KEY).unwrap_or_default();
        let parsed = serde_json::from_str::<Description>(text).map_err(|e| e.to_string());
        let described = parsed.and_then(|d| Ok((d.outline()?, d)));
        let (outline, description) =
            described.map_err(|e| fail(&format!("its description cannot be read ({e})"), AGAIN))?;
        let found: Identity = serde_json::from_str(&description.identity)
            .map_err(|_| fail("is not a stored capture", "`lpz capture --bench X --out DIR` writes them"))?;
        if let Some(how) = found.difference(identity) {
            let help = "give the options it was captured with, or capture into another folder";
            return Err(fail(&format!("was captured {how}"), help));
        }
        let runs: Option<Vec<CaptureSpec>> = description.runs.iter().map(|r| r.spec()).collect();
        let runs = runs.ok_or_else(|| fail("its runs cannot be read", AGAIN))?;
        let named = description.default_objective.as_deref().and_then(|n| option(OBJECTIVES, n));
        let default_objective = objective.or(named).unwrap_or(Objective::Loss);
        Ok(StoreSource { file, outline, default_objective, runs })
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> usize {
        self.file.len()
    }

    /// The key of a field, where it is there.
    fn key_of(&self, (spec, site, field): &Slot) -> Option<String> {
        let run = self.runs.iter().position(|r| r == spec)?;
        let key = key(run, self.outline.sites.get(*site)?, *field);
        self.file.dims(&key).is_some().then_some(key)
    }

    /// The first thing that is demanded and not there, in words.
    pub fn missing(&self, wanted: &Wanted) -> Option<String> {
        let field = wanted.fields.iter().find(|(slot, _)| self.key_of(slot).is_none());
        let run = || wanted.runs.iter().find(|(spec, _)| !self.runs.contains(spec));
        field.map(|(slot, _)| self.words(slot)).or_else(|| run().map(|(spec, _)| run_words(spec)))
    }

    /// The element type that its fields are kept in; `None` where it has none.
    pub fn dtype(&self) -> Option<Dtype> {
        let keys = self.file.keys();
        let field = keys.iter().find(|k| k.split('/').count() > 2)?;
        self.file.tensor(field).ok().map(|t| t.dtype())
    }

    /// Kinds and fields that are there of every site, from the run that programs without `@capture` ask for.
    pub fn fields(&self) -> FxHashSet<(Kind, Field)> {
        let spec = resolved(&CaptureSpec::default(), self.default_objective);
        let has = |site: SiteId, field| self.key_of(&slot(&spec, &self.outline, site, field)).is_some();
        let sites = || self.outline.sites.iter().enumerate();
        let whole = |kind, field| sites().filter(|(_, s)| s.kind == kind).all(|(i, _)| has(i, field));
        let kinds = crate::site::KINDS.iter();
        kinds
            .flat_map(|k| k.fields.iter().map(|(f, _)| (k.kind, *f)))
            .filter(|(k, f)| whole(*k, *f))
            .collect()
    }

    fn words(&self, (spec, site, field): &Slot) -> String {
        let site = &self.outline.sites[*site];
        let what = format!("{}.{} of \"{}\"", kind_name(site.kind), field_name(*field), site.name);
        if *spec == CaptureSpec::default() { what } else { format!("{what} from {}", run_words(spec)) }
    }

    fn tell_numbers(&self, run: usize, sink: &mut dyn Sink) -> Result<(), SourceError> {
        let has = |what: &str| self.file.dims(&format!("{run}/{what}")).is_some();
        if has("numbers") {
            let values = self.file.tensor(&format!("{run}/numbers"))?.to_f64();
            for (name, x) in number_names().into_iter().zip(values).filter(|(_, x)| !x.is_nan()) {
                sink.number(name, x);
            }
        }
        if has("rounding_noise") && self.file.tensor(&format!("{run}/rounding_noise"))?.item() == Some(1.0) {
            sink.rounding_noise();
        }
        Ok(())
    }
}

fn run_words(spec: &CaptureSpec) -> String {
    let objective =
        spec.objective.map_or(String::new(), |o| format!(", objective = {}", option_name(OBJECTIVES, &o)));
    let (params, inputs) = (option_name(PARAMS_MODES, &spec.params), option_name(INPUTS, &spec.inputs));
    let batches = match spec.batches {
        crate::site::Batches::One => String::new(),
        crate::site::Batches::Many(n) => format!(", batches = {n}"),
        crate::site::Batches::EachSample => ", batches = each_sample".to_owned(),
    };
    format!("a run with params = {params}, inputs = {inputs}{objective}{batches}")
}

impl Source for StoreSource {
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
        let spec = resolved(spec, self.default_objective);
        let run = self.runs.iter().position(|r| *r == spec);
        let absent = |what: String| SourceError {
            message: format!("{}: the capture has no {what}", self.file.path().display()),
            help: Some(
                "capture with these programs: lpz capture --bench X --out DIR --proxy P...".to_owned(),
            ),
        };
        if wants.is_empty() && run.is_none() {
            return Err(absent(run_words(&spec)));
        }
        for &(site, field) in wants {
            let slot = slot(&spec, &self.outline, site, field);
            let key = self.key_of(&slot).ok_or_else(|| absent(self.words(&slot)))?;
            let read = self.file.tensor(&key);
            let tensor: Tensor = read.map_err(|e| SourceError { help: Some(AGAIN.to_owned()), ..e })?;
            sink.field(site, field, tensor);
        }
        run.map_or(Ok(()), |run| self.tell_numbers(run, sink))
    }
}
