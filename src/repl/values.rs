//! Evaluation over the resident model, on a thread that can be stopped.

use super::job;
use super::resident::{Ran, Resident};
use super::session::{Session, Wrong, wrong};
use crate::ir::bind::sites_of;
use crate::ir::key::Key;
use crate::ir::prepare::Prepared;
use crate::ir::{Collection, Dag, Program};
use crate::score::Scorer;
use crate::score::inspect::{Inspection, Terms};
use crate::site::{Batches, CaptureSpec, Field, Kind, Outline, Sink, SiteId, Source};
use crate::tensor::Tensor;
use std::sync::atomic::Ordering;

/// What an evaluation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// The value.
    Value,
    /// The value and the terms of its aggregates.
    Terms,
    /// The time that it takes.
    Time,
}

/// Is the value a number that is not finite?
fn vague(found: &Inspection) -> bool {
    found.value(0).is_ok_and(|t| t.rank() == 0 && t.item().is_some_and(|x| !x.is_finite()))
}

/// What an evaluation gave.
pub(super) struct Looked {
    pub value: Inspection,
    pub terms: Vec<Terms>,
    pub ran: Vec<Ran>,
}

impl Session {
    /// The model, opened where it is not.
    pub(super) fn opened(&mut self, batches: usize) -> Result<&mut Resident, Wrong> {
        if self.resident.is_none() || batches > self.batches {
            if self.settings.model.is_none() {
                return Err(wrong(
                    "this needs a model, and none is open",
                    "open one with `:model CONFIG.json` or `:model BENCH.jsonl#ID`",
                ));
            }
            let batches = batches.max(self.batches);
            let opened = self.host.open(&self.settings, batches)?;
            self.resident = Some(Resident::new(opened.source, self.memory));
            self.batches = batches;
        }
        self.resident.as_mut().ok_or_else(|| wrong("no model is open", "open one with `:model`"))
    }

    /// The architecture that is open.
    pub(super) fn outline(&mut self) -> Result<Outline, Wrong> {
        Ok(self.opened(1)?.outline().clone())
    }

    /// Does the program need a model at all?
    fn closed(dag: &Dag, program: &Program) -> bool {
        let mut todo = vec![program.root];
        let mut seen = vec![false; dag.nodes().len()];
        while let Some(n) = todo.pop() {
            if std::mem::replace(&mut seen[n], true) {
                continue;
            }
            match dag.node(n) {
                crate::ir::Node::Number(_) | crate::ir::Node::Literal { .. } => {}
                crate::ir::Node::Op { args, .. } => todo.extend(args.iter().copied()),
                _ => return false,
            }
        }
        true
    }

    /// Evaluates a program whose value may be a tensor. Numbers per site that are known from earlier
    /// lines are used, unless the terms of aggregates or honest times are wanted.
    pub(super) fn look(&mut self, dag: Dag, program: Program, how: How) -> Result<Looked, Wrong> {
        self.stop.store(false, Ordering::Relaxed);
        let batches = match program.capture.batches {
            Batches::Many(n) => n,
            _ => 1,
        };
        let closed = Self::closed(&dag, &program);
        let resident = match closed {
            true => None,
            false => {
                self.opened(batches)?;
                self.resident.take()
            }
        };
        let cache = (!closed && how == How::Value).then(|| self.cache.clone());
        let engine = self.host.engine();
        let work = move |cancel| {
            let programs = [program];
            let prepared = Prepared::new(&dag, &programs);
            let mut engine = engine();
            let mut scorer = Scorer::new(engine.as_mut());
            scorer.cache = cache.as_ref().map(|c| c.of(Key::default()));
            let mut resident = resident;
            let value = match &mut resident {
                Some(r) => {
                    r.stop_with(cancel);
                    scorer.inspect(&prepared, r).and_then(|found| match vague(&found) {
                        // A number from the cache does not say why it is not finite.
                        true if scorer.cache.take().is_some() => scorer.inspect(&prepared, r),
                        _ => Ok(found),
                    })
                }
                None => scorer.inspect(&prepared, &mut Nothing(Outline::default())),
            };
            let looked = value.map(|value| {
                let terms = if how == How::Terms { value.terms(&prepared, 0) } else { Vec::new() };
                Looked { value, terms, ran: Vec::new() }
            });
            (resident, looked)
        };
        // Where the run is left behind, the model is opened anew when it is needed again.
        let (mut resident, looked) = job::run(&self.stop, work)?;
        let ran = resident.as_mut().map(Resident::take_log).unwrap_or_default();
        if !closed {
            self.resident = resident;
        }
        looked.map(|l| Looked { ran, ..l }).map_err(Wrong::from)
    }

    /// One field of some sites.
    pub(super) fn fields(
        &mut self,
        spec: CaptureSpec,
        wants: Vec<(SiteId, Field)>,
    ) -> Result<(Vec<Tensor>, Vec<Ran>), Wrong> {
        self.stop.store(false, Ordering::Relaxed);
        self.opened(1)?;
        let Some(mut resident) = self.resident.take() else { return Ok((Vec::new(), Vec::new())) };
        let work = move |cancel| {
            resident.stop_with(cancel);
            let mut taken = Take(Vec::new());
            let outcome = resident.run(&spec, &wants, &mut taken);
            let find = |&(site, field): &(SiteId, Field)| {
                taken.0.iter().find(|(s, f, _)| (*s, *f) == (site, field)).map(|(_, _, t)| t.clone())
            };
            let tensors: Vec<Tensor> = wants.iter().filter_map(find).collect();
            (resident, outcome.map(|()| tensors))
        };
        let (mut resident, tensors) = job::run(&self.stop, work)?;
        let ran = resident.take_log();
        self.resident = Some(resident);
        Ok((tensors?, ran))
    }

    /// The sites of a collection of one kind.
    pub(super) fn sites(&mut self, over: &Collection) -> Result<(Outline, Vec<SiteId>), Wrong> {
        let outline = self.outline()?;
        let mut ids: Vec<SiteId> = sites_of(&outline, over).into_iter().flatten().collect();
        let mut seen = std::collections::BTreeSet::new();
        ids.retain(|i| seen.insert(*i));
        Ok((outline, ids))
    }

    /// All sites of some kinds.
    pub(super) fn sites_of_kinds(&mut self, kinds: &[Kind]) -> Result<(Outline, Vec<SiteId>), Wrong> {
        let outline = self.outline()?;
        let keep = |i: &SiteId| kinds.contains(&outline.sites[*i].kind);
        let ids = (0..outline.sites.len()).filter(keep).collect();
        Ok((outline, ids))
    }
}

/// Takes fields in.
struct Take(Vec<(SiteId, Field, Tensor)>);

impl Sink for Take {
    fn field(&mut self, site: SiteId, field: Field, tensor: Tensor) {
        self.0.push((site, field, tensor));
    }
    fn number(&mut self, _: &'static str, _: f64) {}
    fn rounding_noise(&mut self) {}
}

/// A source without anything, for expressions of numbers.
struct Nothing(Outline);

impl Source for Nothing {
    fn outline(&self) -> &Outline {
        &self.0
    }
    fn default_objective(&self) -> crate::site::Objective {
        crate::site::Objective::Loss
    }
    fn run(
        &mut self,
        _: &CaptureSpec,
        _: &[(SiteId, Field)],
        _: &mut dyn Sink,
    ) -> Result<(), crate::site::SourceError> {
        Ok(())
    }
}
