//! Tensors of sites, numbers of sites and of the model, and the runs that deliver what is not known yet.

use super::{Binder, Binding, Res, Specs};
use crate::ir::prepare::{Level, field_level, relevant, run_number};
use crate::ir::{BoundNode, Leaf, LeafId};
use crate::ops::Shape;
use crate::site::{
    Batches, CaptureSpec, FIELDS, Field, Outline, ParamsMode, Pass, SITE_NUMBERS, SiteId, SiteNumber,
};
use crate::tensor::Dims;

impl Binder<'_> {
    pub(super) fn field(&mut self, site: SiteId, field: Field, specs: &Specs) -> Res {
        let level = field_level(field);
        let Some(dims) = self.outline.sites[site].dims(field) else {
            let name = FIELDS.iter().find(|r| r.field == field).map_or("", |r| r.name);
            return Err(self.error(format!("the site has no `{name}`"), &[site]));
        };
        let mut dims = dims.clone();
        let spec = specs[level as usize];
        if level == Level::Backward {
            self.batch_axis(&mut dims, site, field, self.specs[spec].0.batches)?;
        }
        let shape = Shape { dims, reduced: None };
        let id = self.leaf(Leaf::Field { run: 0, site, field }, spec, level, shape);
        self.out.sites[id as usize] = Some(site);
        Ok(id)
    }

    /// Puts the axis over several batches, or over single sequences, in front of a gradient's.
    fn batch_axis(
        &mut self,
        dims: &mut Dims,
        site: SiteId,
        field: Field,
        batches: Batches,
    ) -> Result<(), u32> {
        let n = match batches {
            Batches::One => return Ok(()),
            Batches::Many(n) => n,
            Batches::EachSample => {
                let Some(n) = samples(self.outline) else {
                    return Err(self.error("the number of samples is not known".into(), &[site]));
                };
                // Observed tensors, unlike parameters, have a batch axis: of one sequence here.
                let parameter = self.outline.sites[site].dims(Field::Weight).is_some();
                if let Some(b) = dims.first_mut().filter(|_| !parameter || field == Field::OutputGrad) {
                    *b = 1;
                }
                n
            }
        };
        dims.insert(0, n);
        Ok(())
    }

    fn leaf(&mut self, leaf: Leaf, spec: usize, level: Level, shape: Shape) -> u32 {
        if let Some(&id) = self.leaves.get(&(leaf.clone(), spec)) {
            return id;
        }
        let place: LeafId = self.out.graph.leaves.len();
        self.out.graph.leaves.push(leaf.clone());
        self.leaf_specs.push((spec, level));
        let id = self.push(BoundNode::Leaf(place), shape);
        self.leaves.insert((leaf, spec), id);
        id
    }

    pub(super) fn site_number(&mut self, site: SiteId, number: SiteNumber) -> Res {
        let s = &self.outline.sites[site];
        let value = match number {
            SiteNumber::Layer => s.layer,
            SiteNumber::Rows => s.rows_cols().map(|(r, _)| r),
            SiteNumber::Cols => s.rows_cols().map(|(_, c)| c),
        };
        match value {
            Some(x) => Ok(self.number(x as f64)),
            None => {
                let name = SITE_NUMBERS.iter().find(|r| r.0 == number).map_or("", |r| r.1);
                Err(self.error(format!("the site has no `{name}`"), &[site]))
            }
        }
    }

    pub(super) fn model_number(
        &mut self,
        name: &'static str,
        role: Option<&'static str>,
        specs: &Specs,
    ) -> Res {
        if let Some(role) = role {
            return match self.outline.params.iter().find(|(n, _)| *n == role) {
                Some(&(_, x)) => Ok(self.number(x)),
                None => Err(self.error(format!("the model does not count `{name}[{role}]`"), &[])),
            };
        }
        if let Some(&(_, x)) = self.outline.numbers.iter().find(|(n, _)| *n == name) {
            return Ok(self.number(x));
        }
        if run_number(name) {
            let spec = CaptureSpec { batches: Batches::One, ..self.specs[specs[Level::Backward as usize]].0 };
            let spec = self.spec(spec);
            return Ok(self.leaf(Leaf::Number { run: 0, name }, spec, Level::Backward, Shape::default()));
        }
        Err(self.error(format!("the model has no number `{name}`"), &[]))
    }

    /// Decides which run delivers which leaf: the fewest runs that give every leaf its value.
    pub(super) fn finish(mut self) -> Binding {
        let mut runs: Vec<CaptureSpec> = Vec::new();
        let mut order: Vec<LeafId> = (0..self.leaf_specs.len()).collect();
        order.sort_by_key(|&l| std::cmp::Reverse(self.leaf_specs[l].1));
        for leaf in order {
            let (spec, level) = self.leaf_specs[leaf];
            let spec = self.specs[spec].0;
            let found = runs.iter().position(|r| delivers(r, &spec, level)).unwrap_or_else(|| {
                runs.push(spec);
                runs.len() - 1
            });
            match &mut self.out.graph.leaves[leaf] {
                Leaf::Field { run, .. } | Leaf::Number { run, .. } => *run = found,
            }
        }
        self.out.graph.runs = runs;
        self.out
    }
}

/// The capture where an option that means nothing to an architecture is left out: encoders have no causal
/// mask, the only buffer whose sign matters.
pub(super) fn applicable(spec: CaptureSpec, outline: &Outline) -> CaptureSpec {
    let encoder = outline.numbers.contains(&("causal", 0.0));
    let params = match spec.params {
        ParamsMode::AbsBuffers if encoder => ParamsMode::Abs,
        mode => mode,
    };
    CaptureSpec { params, ..spec }
}

/// Whether `run` gives a leaf of `level`, whose canonical capture is `spec`, its value.
pub fn delivers(run: &CaptureSpec, spec: &CaptureSpec, level: Level) -> bool {
    let same = relevant(run, level) == relevant(spec, level);
    same && (level != Level::Forward || run.batches == Batches::One)
}

/// Sequences in a batch: the first size of any forward field.
fn samples(outline: &Outline) -> Option<usize> {
    let forward = |f: &Field| FIELDS.iter().any(|r| r.field == *f && r.pass == Pass::Forward);
    let fields = outline.sites.iter().flat_map(|s| &s.fields);
    fields.filter(|(f, _)| forward(f)).find_map(|(_, d)| d.first().copied())
}
