//! The real evaluator: architectures of benchmarks, run through the score driver, with the
//! reduction cache and the tensors of earlier runs kept as far as memory allows.

use super::evaluator::{Evaluator, EvaluatorError, Outcome};
use super::held::{Held, Kept, bytes, largest};
use crate::engine::Engine;
use crate::ir::bind::{Reductions, bind_prepared};
use crate::ir::key::Key;
use crate::ir::prepare::{Prepared, run_number};
use crate::ir::{BoundNode, Collection, Dag, Degenerate, Node, NodeId, Program};
use crate::score::{CacheStats, ReductionCache, Scorer, lanes};
use crate::site::{Field, Kind, Mapped, Objective, Outline, Site, Source, SourceError};
use crate::tensor::Tensor;
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Makes the source of an architecture: a model with its data, or a stored capture.
pub type MakeSource<'a> = dyn Fn(usize) -> Result<Box<dyn Source>, SourceError> + Sync + 'a;
/// Makes an engine.
pub type MakeEngine<'a> = dyn Fn() -> Box<dyn Engine> + Sync + 'a;

/// The elements in double precision, so that everything computed from them is.
fn widened(t: Tensor) -> Tensor {
    Tensor::new(t.dims(), t.to_f64())
}

/// One architecture.
struct Architecture {
    outline: Outline,
    objective: Objective,
    key: Key,
    /// Operations of a forward pass: the costliest are scored first, so that no thread is left with one.
    cost: f64,
    kept: Mutex<Kept>,
}

/// Scores programs on the architectures of benchmarks.
pub struct Driver<'a> {
    archs: Vec<Architecture>,
    source: &'a MakeSource<'a>,
    engine: &'a MakeEngine<'a>,
    cache: ReductionCache,
    noise: FxHashSet<NodeNoise>,
    runs: AtomicU64,
    /// Time in which models were run, all threads together.
    nanoseconds: AtomicU64,
    /// Bytes of a tensor above which none is kept.
    largest: usize,
    /// Fields that sources have, where they do not have all.
    offered: Option<FxHashSet<(Kind, Field)>>,
}

/// Identity of a program that reads rounding noise.
type NodeNoise = Key;

/// Elements of a tensor in a program up to which its size does not matter.
const ROOM: usize = 1 << 24;
/// Bytes of the reduction cache.
const CACHE: usize = 1 << 30;

/// Knows nothing: for estimates.
struct Nothing;
impl Reductions for Nothing {
    fn lookup(&self, _: Key) -> Option<crate::ir::bind::Cached> {
        None
    }
}

impl<'a> Driver<'a> {
    /// `identities` tell architectures apart (config, seed, data, precision); equal ones share what is
    /// computed. `memory` bounds the bytes of tensors that are kept between runs.
    ///
    /// # Errors
    /// When an architecture cannot be built.
    pub fn new(
        identities: &[Key],
        source: &'a MakeSource<'a>,
        engine: &'a MakeEngine<'a>,
        memory: usize,
    ) -> Result<Self, EvaluatorError> {
        let room = Arc::new(AtomicUsize::new(memory));
        let outlines: Result<Vec<(Outline, Objective)>, SourceError> = (0..identities.len())
            .into_par_iter()
            .map(|i| source(i).map(|s| (s.outline().clone(), s.default_objective())))
            .collect();
        let outlines = outlines.map_err(failed)?;
        let largest = largest(outlines.iter().map(|(o, _)| o), memory);
        let archs = outlines
            .into_iter()
            .zip(identities)
            .map(|((outline, objective), &key)| {
                let cost = outline.numbers.iter().find(|(n, _)| *n == "flops").map_or(0.0, |&(_, x)| x);
                Architecture {
                    outline,
                    objective,
                    key,
                    cost,
                    kept: Mutex::new(Kept::new(room.clone(), largest)),
                }
            })
            .collect();
        let cache = ReductionCache::new(CACHE);
        Ok(Driver {
            archs,
            source,
            engine,
            cache,
            noise: FxHashSet::default(),
            runs: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
            largest,
            offered: None,
        })
    }

    /// What the reduction cache did.
    pub fn cache_stats(&self) -> CacheStats {
        self.cache.stats()
    }

    /// Sources have these fields and no others (stored captures).
    pub fn offer_only(&mut self, fields: FxHashSet<(Kind, Field)>) {
        self.offered = Some(fields);
    }

    /// Do sources have this field?
    pub fn offers(&self, kind: Kind, field: Field) -> bool {
        self.offered.as_ref().is_none_or(|o| o.contains(&(kind, field)))
    }

    /// Are tensors of this field kept between runs, on every architecture?
    pub fn keeps(&self, kind: Kind, field: Field) -> bool {
        let mut sites = self.archs.iter().flat_map(|a| &a.outline.sites).filter(|s| s.kind == kind);
        sites.all(|s| s.dims(field).is_none_or(|d| bytes(d) <= self.largest))
    }

    /// Times a model was run.
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// What is known of an architecture without running it.
    pub fn outline(&self, arch: usize) -> &Outline {
        &self.archs[arch].outline
    }

    fn one(
        &self,
        prepared: &Prepared,
        arch: usize,
        (numbers, doubled): (bool, bool),
    ) -> Result<Vec<(Outcome, bool)>, SourceError> {
        let a = &self.archs[arch];
        let mut kept = a.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let make = || (self.source)(arch);
        let mut held = Held::new(&a.outline, a.objective, &mut kept, &make, numbers);
        let mut engine = (self.engine)();
        let mut scorer = Scorer::new(engine.as_mut());
        scorer.cache = Some(self.cache.of(a.key)).filter(|_| !doubled);
        scorer.explain = false;
        let scores = match doubled {
            true => scorer.score(prepared, &mut Mapped(&mut held, widened)),
            false => scorer.score(prepared, &mut held),
        }?;
        if held.runs > 0 {
            self.runs.fetch_add(held.runs, Ordering::Relaxed);
            self.nanoseconds.fetch_add((1e9 * scores.source_seconds) as u64, Ordering::Relaxed);
        }
        Ok(scores.scores.into_iter().map(|s| (s.value.map_err(Box::new), s.rounding_noise)).collect())
    }

    /// Scores by architecture, and whether they read rounding noise; then those of `probe` in double precision.
    fn columns(
        &self,
        dag: &Dag,
        programs: &[Program],
        archs: &[usize],
        probe: Option<usize>,
    ) -> Result<Vec<Column>, EvaluatorError> {
        let mut work: Vec<(usize, bool)> = archs.iter().map(|&a| (a, false)).collect();
        work.extend(probe.map(|a| (a, true)));
        if programs.is_empty() {
            return Ok(vec![Column::new(); work.len()]);
        }
        let prepared = Prepared::new(dag, programs);
        let numbers = dag.nodes().iter().any(|n| matches!(n, Node::Model(name, _) if run_number(name)));
        let cost = |i: usize| self.archs[work[i].0].cost;
        let mut order: Vec<usize> = (0..work.len()).collect();
        order.sort_by(|&i, &j| cost(j).total_cmp(&cost(i)));
        let one = |i: usize| {
            let (arch, doubled) = work[i];
            self.one(&prepared, arch, (numbers, doubled))
        };
        lanes::map(&order, &one).into_iter().collect::<Result<_, _>>().map_err(failed)
    }

    /// Remembers which programs read rounding noise.
    fn mark(&mut self, dag: &Dag, programs: &[Program], columns: &[Column]) {
        for (i, p) in programs.iter().enumerate() {
            if columns.iter().any(|c| c[i].1) {
                self.noise.insert(super::terms::identity(dag, p.root));
            }
        }
    }

    /// The terms of programs that are aggregates, from the cache.
    fn terms(&self, prepared: &Prepared, arch: usize) -> Vec<Vec<f64>> {
        let a = &self.archs[arch];
        let bare = bind_prepared(prepared, &a.outline, a.objective, &Nothing, None);
        // The aggregates themselves are known too, and would hide their terms.
        let whole: FxHashSet<Key> = bare.graph.roots.iter().flatten().filter_map(|&r| bare.keys[r]).collect();
        let cache = self.cache.of(a.key);
        let known = Hidden { cache: &cache, whole: &whole };
        let bound = bind_prepared(prepared, &a.outline, a.objective, &known, None);
        let number = |id: usize| match &bound.graph.nodes[id] {
            BoundNode::Number(bits) => f64::from_bits(*bits),
            _ => f64::NAN,
        };
        let terms = |root: &Result<usize, Degenerate>| match root {
            Ok(r) => match &bound.graph.nodes[*r] {
                BoundNode::Fold { terms, .. } => terms.iter().map(|&t| number(t)).collect(),
                _ => vec![number(*r)],
            },
            Err(_) => Vec::new(),
        };
        bound.graph.roots.iter().map(terms).collect()
    }
}

/// The reduction cache without some expressions.
struct Hidden<'a> {
    cache: &'a dyn Reductions,
    whole: &'a FxHashSet<Key>,
}

impl Reductions for Hidden<'_> {
    fn lookup(&self, key: Key) -> Option<crate::ir::bind::Cached> {
        if self.whole.contains(&key) { None } else { self.cache.lookup(key) }
    }
}

/// Scores of programs on one architecture.
type Column = Vec<(Outcome, bool)>;

/// What is there by architecture, then program, by program, then architecture.
fn turned<T>(
    columns: impl ExactSizeIterator<Item = impl Iterator<Item = T>>,
    programs: usize,
) -> Vec<Vec<T>> {
    let mut rows: Vec<Vec<T>> = (0..programs).map(|_| Vec::with_capacity(columns.len())).collect();
    for column in columns {
        for (row, x) in rows.iter_mut().zip(column) {
            row.push(x);
        }
    }
    rows
}

fn outcomes(column: Column) -> impl Iterator<Item = Outcome> {
    column.into_iter().map(|(outcome, _)| outcome)
}

fn failed(e: SourceError) -> EvaluatorError {
    EvaluatorError { message: e.message, help: e.help, halted: false }
}

impl Evaluator for Driver<'_> {
    fn architectures(&self) -> usize {
        self.archs.len()
    }

    fn number(&self, arch: usize, name: &str, role: Option<&str>) -> Option<f64> {
        let o = &self.archs[arch].outline;
        match role {
            Some(role) => o.params.iter().find(|(n, _)| *n == role).map(|(_, x)| *x),
            None => o.numbers.iter().find(|(n, _)| *n == name).map(|(_, x)| *x),
        }
    }

    fn scores(
        &mut self,
        dag: &Dag,
        programs: &[Program],
        archs: &[usize],
    ) -> Result<Vec<Vec<Outcome>>, EvaluatorError> {
        let columns = self.columns(dag, programs, archs, None)?;
        self.mark(dag, programs, &columns);
        Ok(turned(columns.into_iter().map(outcomes), programs.len()))
    }

    fn doubled(
        &mut self,
        dag: &Dag,
        programs: &[Program],
        arch: usize,
    ) -> Result<Vec<Outcome>, EvaluatorError> {
        let columns = self.columns(dag, programs, &[], Some(arch))?;
        Ok(columns.into_iter().flat_map(outcomes).collect())
    }

    fn probed(
        &mut self,
        dag: &Dag,
        programs: &[Program],
        archs: &[usize],
        probe: usize,
    ) -> Result<(Vec<Vec<Outcome>>, Vec<Outcome>), EvaluatorError> {
        let mut columns = self.columns(dag, programs, archs, Some(probe))?;
        let exact = columns.pop().map(|c| outcomes(c).collect()).unwrap_or_default();
        self.mark(dag, programs, &columns);
        Ok((turned(columns.into_iter().map(outcomes), programs.len()), exact))
    }

    fn per_site(
        &mut self,
        dag: &Dag,
        programs: &[Program],
        archs: &[usize],
    ) -> Result<Vec<Vec<Vec<f64>>>, EvaluatorError> {
        // Fills the reduction cache, from which the terms are then read.
        self.scores(dag, programs, archs)?;
        let prepared = Prepared::new(dag, programs);
        let columns: Vec<Vec<Vec<f64>>> = archs.par_iter().map(|&a| self.terms(&prepared, a)).collect();
        Ok(turned(columns.into_iter().map(Vec::into_iter), programs.len()))
    }

    fn seconds_per_architecture(&self) -> f64 {
        let runs = self.runs().max(1) as f64;
        self.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9 / runs
    }

    fn cost(&self, dag: &Dag, program: &Program) -> Result<f64, Degenerate> {
        let Some(a) = self.archs.first() else { return Ok(0.0) };
        let programs = [program.clone()];
        let prepared = Prepared::new(dag, &programs);
        let binding = bind_prepared(&prepared, &a.outline, a.objective, &Nothing, None);
        if let Some(Err(d)) = binding.graph.roots.first() {
            return Err(d.clone());
        }
        let fields = a.outline.sites.iter().flat_map(|s| &s.fields);
        let field = fields.map(|(_, d)| d.iter().product::<usize>()).max().unwrap_or(0);
        if binding.graph.shapes.iter().any(|s| s.numel() > ROOM.max(4 * field)) {
            return Ok(f64::INFINITY);
        }
        Ok(crate::score::flops(&binding.graph, &a.outline).first().copied().unwrap_or(0.0))
    }

    fn noisy(&self, dag: &Dag, root: NodeId) -> bool {
        !self.noise.is_empty()
            && super::terms::terms_of(dag, root)
                .iter()
                .any(|&t| self.noise.contains(&super::terms::identity(dag, t)))
    }

    fn has_sites(&self, over: &Collection) -> bool {
        self.archs.iter().all(|a| has_sites(&a.outline, over))
    }
}

fn has_sites(outline: &Outline, over: &Collection) -> bool {
    match over {
        Collection::Sites { kind, filter, .. } => outline.sites.iter().any(|s: &Site| {
            let role = filter.roles.is_empty() || filter.roles.iter().any(|r| s.roles.contains(r));
            let layer = filter.layers.is_empty()
                || s.layer.is_some_and(|l| filter.layers.iter().any(|range| range.contains(&l)));
            s.kind == *kind && role && layer
        }),
        Collection::Zip(parts) => parts.iter().all(|p| has_sites(outline, p)),
        Collection::Chain(parts) => parts.iter().any(|p| has_sites(outline, p)),
    }
}
