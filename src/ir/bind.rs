//! Puts an architecture's [`Outline`] into a batch of programs: aggregates become their terms,
//! model and site numbers become numbers, every shape is decided, equal nodes are merged, and what
//! the reduction cache already knows becomes a number, so that nothing is run for it.

use super::key::{Key, key_of};
use super::prepare::{Facts, Level, Prepared, field_level, relevant, resolved, run_number};
use super::{
    Bound, BoundId, BoundNode, Collection, Dag, Degenerate, Filter, Leaf, LeafId, Node, NodeId, Program,
};
use crate::ops::{self, Eval, OpId, OpRow, Shape};
use crate::site::{
    Batches, CaptureSpec, FIELDS, Field, KINDS, Kind, Objective, Outline, ParamsMode, Pass, Site, SiteId,
    SiteNumber,
};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// A number that is known from earlier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cached {
    /// The number.
    pub value: f64,
    /// It was computed from gradients that are rounding noise.
    pub rounding_noise: bool,
}

/// What binding asks of the reduction cache.
pub trait Reductions {
    /// The value of the number-valued expression `key` on this architecture.
    fn lookup(&self, key: Key) -> Option<Cached>;
}

/// Knows nothing.
pub struct NoReductions;

impl Reductions for NoReductions {
    fn lookup(&self, _: Key) -> Option<Cached> {
        None
    }
}

/// A bound graph with what the scorer has to know of its nodes.
#[derive(Clone, Debug, Default)]
pub struct Binding {
    /// The graph.
    pub graph: Bound,
    /// For every node, its identity on this architecture where its value may be cached.
    pub keys: Vec<Option<Key>>,
    /// For every node, the first site that it was bound at (none for model-level nodes).
    pub sites: Vec<Option<SiteId>>,
    /// For every node, the node of the [`Dag`] that it was first bound from.
    pub origin: Vec<Option<NodeId>>,
    /// Cached numbers that were computed from gradients that are rounding noise.
    pub noisy: Vec<BoundId>,
}

/// Binds `programs` of `dag` to one architecture. To bind to many, keep a [`Prepared`] and call
/// [`bind_prepared`].
pub fn bind(
    dag: &Dag,
    programs: &[Program],
    outline: &Outline,
    default: Objective,
    cache: &dyn Reductions,
) -> Binding {
    bind_prepared(&Prepared::new(dag, programs), outline, default, cache, None)
}

/// Binds a prepared batch; `only` restricts it to some programs (the others get no root, but a
/// `Degenerate` that nobody reads).
pub fn bind_prepared(
    prepared: &Prepared,
    outline: &Outline,
    default: Objective,
    cache: &dyn Reductions,
    only: Option<&[bool]>,
) -> Binding {
    let mut b = Binder::new(prepared, outline, cache);
    for (i, p) in prepared.programs.iter().enumerate() {
        let root = if only.is_none_or(|o| o[i]) { b.program(p, default) } else { Err(0) };
        let root = root.map_err(|e| b.errors[e as usize].clone());
        b.out.graph.roots.push(root);
    }
    b.finish()
}

/// Binds a prepared batch whose values may be tensors too: for looking at, not for scores.
pub fn bind_values(
    prepared: &Prepared,
    outline: &Outline,
    default: Objective,
    cache: &dyn Reductions,
) -> Binding {
    let mut b = Binder::new(prepared, outline, cache);
    for p in prepared.programs {
        let root = b.value(p, default).map(|n| n as usize);
        b.out.graph.roots.push(root.map_err(|e| b.errors[e as usize].clone()));
    }
    b.finish()
}

/// The sites that a collection at the top of a program walks, one tuple per step.
pub fn sites_of(outline: &Outline, over: &Collection) -> Vec<SmallVec<[SiteId; 2]>> {
    collect(outline, &by_kind(outline), over, &[])
}

fn by_kind(outline: &Outline) -> FxHashMap<Kind, Vec<SiteId>> {
    let mut by_kind: FxHashMap<Kind, Vec<SiteId>> = FxHashMap::default();
    for (i, s) in outline.sites.iter().enumerate() {
        by_kind.entry(s.kind).or_default().push(i);
    }
    by_kind
}

/// The sites that a collection walks, one tuple per step.
fn collect(
    outline: &Outline,
    by_kind: &FxHashMap<Kind, Vec<SiteId>>,
    over: &Collection,
    env: &[SiteId],
) -> Vec<SmallVec<[SiteId; 2]>> {
    match over {
        Collection::Sites { kind, filter, block } => {
            let block = block.map(|b| outline.sites[site_of(env, b)].layer);
            let all = by_kind.get(kind).map_or(&[][..], |v| v);
            let keep = |s: &&SiteId| {
                let site = &outline.sites[**s];
                block.is_none_or(|b| site.layer == b) && passes(site, filter)
            };
            all.iter().filter(keep).map(|&s| smallvec::smallvec![s]).collect()
        }
        Collection::Zip(parts) => {
            let lists: Vec<_> = parts.iter().map(|p| collect(outline, by_kind, p, env)).collect();
            let steps = lists.iter().map(Vec::len).min().unwrap_or(0);
            (0..steps).map(|i| lists.iter().flat_map(|l| l[i].iter().copied()).collect()).collect()
        }
        Collection::Chain(parts) => parts.iter().flat_map(|p| collect(outline, by_kind, p, env)).collect(),
    }
}

/// A bound node, or an index into the errors.
type Res = Result<u32, u32>;

/// Decided capture of the program being bound, one canonical part per level.
type Specs = [usize; 4];

const LEVELS: [Level; 4] = [Level::Free, Level::Weights, Level::Forward, Level::Backward];

struct Binder<'a> {
    prepared: &'a Prepared<'a>,
    outline: &'a Outline,
    cache: &'a dyn Reductions,
    by_kind: FxHashMap<Kind, Vec<SiteId>>,
    out: Binding,
    index: FxHashMap<BoundNode, u32>,
    literals: FxHashMap<(Vec<u64>, Shape), u32>,
    specs: Vec<(CaptureSpec, Key)>,
    leaves: FxHashMap<(Leaf, usize), u32>,
    leaf_specs: Vec<(usize, Level)>,
    folds: FxHashMap<(NodeId, usize, SmallVec<[SiteId; 4]>), Res>,
    errors: Vec<Degenerate>,
    /// Per nesting depth: values of the nodes of the scope at hand, by node, with a stamp.
    scratch: Vec<Vec<(u32, Res)>>,
    stamp: u32,
}

impl<'a> Binder<'a> {
    fn new(prepared: &'a Prepared<'a>, outline: &'a Outline, cache: &'a dyn Reductions) -> Self {
        let not_asked = Degenerate { reason: "not asked for".into(), at: String::new() };
        Binder {
            prepared,
            outline,
            cache,
            by_kind: by_kind(outline),
            out: Binding::default(),
            index: FxHashMap::default(),
            literals: FxHashMap::default(),
            specs: Vec::new(),
            leaves: FxHashMap::default(),
            leaf_specs: Vec::new(),
            folds: FxHashMap::default(),
            errors: vec![not_asked],
            scratch: Vec::new(),
            stamp: 0,
        }
    }

    fn value(&mut self, p: &Program, default: Objective) -> Res {
        let spec = applicable(resolved(&p.capture, default), self.outline);
        let specs = LEVELS.map(|l| self.spec(relevant(&spec, l)));
        self.scope(p.root, &mut Vec::new(), &specs, 0)
    }

    fn program(&mut self, p: &Program, default: Objective) -> Result<BoundId, u32> {
        let root = self.value(p, default)? as usize;
        if !self.out.graph.shapes[root].dims.is_empty() {
            let dims = &self.out.graph.shapes[root].dims;
            let reason = format!("the value is a tensor {dims:?}, not a number");
            return Err(self.error(reason, &[]));
        }
        Ok(root)
    }

    fn spec(&mut self, spec: CaptureSpec) -> usize {
        if let Some(i) = self.specs.iter().position(|(s, _)| *s == spec) {
            return i;
        }
        self.specs.push((spec, key_of(&spec)));
        self.specs.len() - 1
    }

    /// Binds the nodes of a scope and returns its root.
    fn scope(&mut self, root: NodeId, env: &mut Vec<SiteId>, specs: &Specs, depth: usize) -> Res {
        let prepared = self.prepared;
        let Some(nodes) = prepared.scopes.get(&root) else {
            return Err(0);
        };
        self.stamp += 1;
        let stamp = self.stamp;
        if self.scratch.len() <= depth {
            self.scratch.push(vec![(0, Err(0)); prepared.dag.nodes().len()]);
        }
        let mut values = std::mem::take(&mut self.scratch[depth]);
        let needed = self.needed(root, nodes, env, specs, &mut values, stamp);
        for &n in nodes.iter().zip(&needed).filter(|(_, need)| **need).map(|(n, _)| n) {
            let value = self.node(n, &values, env, specs, depth);
            values[n] = (stamp, value);
        }
        let result = values[root].1;
        self.scratch[depth] = values;
        result
    }

    /// Walks a scope from its root down and stops where the cache knows the value.
    fn needed(
        &mut self,
        root: NodeId,
        nodes: &[NodeId],
        env: &[SiteId],
        specs: &Specs,
        values: &mut [(u32, Res)],
        stamp: u32,
    ) -> SmallVec<[bool; 64]> {
        let mut needed: SmallVec<[bool; 64]> = smallvec::smallvec![false; nodes.len()];
        let mut wanted = SmallVec::<[NodeId; 16]>::new();
        wanted.push(root);
        while let Some(n) = wanted.pop() {
            let Ok(place) = nodes.binary_search(&n) else { continue };
            if needed[place] || values[n].0 == stamp {
                continue;
            }
            let found = self.cache_key(n, env, specs).and_then(|k| self.cache.lookup(k));
            if let Some(x) = found {
                values[n] = (stamp, Ok(self.cached(x)));
                continue;
            }
            needed[place] = true;
            if let Node::Op { args, .. } = self.prepared.dag.node(n) {
                wanted.extend(args.iter().copied());
            }
        }
        needed
    }

    /// The identity of the value of `n` at the sites of `env`, where it depends on tensors.
    fn cache_key(&self, n: NodeId, env: &[SiteId], specs: &Specs) -> Option<Key> {
        let Facts { free, level, key, .. } = self.prepared.facts[n];
        if level == Level::Free || !matches!(self.prepared.dag.node(n), Node::Op { .. } | Node::Fold { .. }) {
            return None;
        }
        let key = key.join(self.specs[specs[level as usize]].1);
        Some(at_free(free, env).fold(key, |k, s| k.mix(s as u64)))
    }

    fn node(
        &mut self,
        n: NodeId,
        values: &[(u32, Res)],
        env: &mut Vec<SiteId>,
        specs: &Specs,
        depth: usize,
    ) -> Res {
        let prepared = self.prepared;
        match prepared.dag.node(n) {
            Node::Number(bits) => Ok(self.number(f64::from_bits(*bits))),
            Node::Literal { dims, bits } => Ok(self.literal(dims, bits)),
            Node::Model(name, role) => self.model_number(name, *role, specs),
            Node::SiteNumber { binder, number } => self.site_number(site_of(env, *binder), *number),
            Node::Field { binder, field, .. } => self.field(site_of(env, *binder), *field, specs),
            Node::Op { op, attrs, args } => {
                if let Some(chosen) = self.selected(*op, args, values) {
                    return chosen;
                }
                let mut ids = SmallVec::<[BoundId; 3]>::new();
                for &a in args {
                    ids.push(values[a].1? as usize);
                }
                let shapes: SmallVec<[Shape; 3]> =
                    ids.iter().map(|&i| self.out.graph.shapes[i].clone()).collect();
                let row = ops::row(*op);
                let known = row.from_shapes.and_then(|f| f(&shapes, attrs));
                if let Some(x) = known.or_else(|| self.of_numbers(n, row, &ids)) {
                    return Ok(self.number(x));
                }
                let shape = match (row.shape)(&shapes, attrs) {
                    Ok(s) => s,
                    Err(e) => {
                        let sites: Vec<_> = at_free(prepared.facts[n].free, env).collect();
                        return Err(self.error(e.message, &sites));
                    }
                };
                let id = self.add(BoundNode::Op { op: *op, attrs: attrs.clone(), args: ids }, shape);
                self.annotate(id, n, env, specs);
                Ok(id)
            }
            Node::Fold { .. } => self.fold(n, env, specs, depth),
        }
    }

    /// The value of a node that is a number.
    fn known(&self, id: u32) -> Option<f64> {
        match self.out.graph.nodes.get(id as usize)? {
            BoundNode::Number(bits) => Some(f64::from_bits(*bits)),
            _ => None,
        }
    }

    /// The operand that a selection takes, where its condition is known: what is not taken is not
    /// run, and need not even exist on this architecture.
    fn selected(&self, op: OpId, args: &[NodeId], values: &[(u32, Res)]) -> Option<Res> {
        let (true, &[condition, yes, no]) = (ops::row(op).selects, args) else { return None };
        if !self.prepared.facts[condition].fixed {
            return None;
        }
        let first = self.known(values[condition].1.ok()?)? != 0.0;
        let (taken, left) = if first { (yes, no) } else { (no, yes) };
        let shape = |n: NodeId| values[n].1.map(|id| &self.out.graph.shapes[id as usize]);
        match (shape(taken), shape(left)) {
            (Ok(t), Ok(l)) if !l.dims.is_empty() && l != t => None,
            _ => Some(values[taken].1),
        }
    }

    /// The finite value of an elementwise operator of numbers that no run decides.
    fn of_numbers(&self, n: NodeId, row: &OpRow, ids: &[BoundId]) -> Option<f64> {
        let Eval::Scalar(f) = row.eval else { return None };
        if !self.prepared.facts[n].fixed {
            return None;
        }
        let numbers: Option<SmallVec<[f64; 3]>> = ids.iter().map(|&i| self.known(i as u32)).collect();
        Some(f(&numbers?)).filter(|x| x.is_finite())
    }

    fn annotate(&mut self, id: u32, n: NodeId, env: &[SiteId], specs: &Specs) {
        let id = id as usize;
        self.out.origin[id].get_or_insert(n);
        if self.out.sites[id].is_none() {
            self.out.sites[id] = at_free(self.prepared.facts[n].free, env).next();
        }
        if self.out.keys[id].is_none() && self.out.graph.shapes[id].dims.is_empty() {
            self.out.keys[id] = self.cache_key(n, env, specs);
        }
    }

    fn fold(&mut self, n: NodeId, env: &mut Vec<SiteId>, specs: &Specs, depth: usize) -> Res {
        let Facts { free, level, .. } = self.prepared.facts[n];
        let memo = (n, specs[level as usize], at_free(free, env).collect::<SmallVec<[SiteId; 4]>>());
        if let Some(&r) = self.folds.get(&memo) {
            return r;
        }
        let result = self.fold_terms(n, env, specs, depth);
        self.folds.insert(memo, result);
        result
    }

    fn fold_terms(&mut self, n: NodeId, env: &mut Vec<SiteId>, specs: &Specs, depth: usize) -> Res {
        let prepared = self.prepared;
        let Node::Fold { reducer, over, body } = prepared.dag.node(n) else { return Err(0) };
        let places = collect(self.outline, &self.by_kind, over, env);
        let mut terms = Vec::with_capacity(places.len());
        for sites in &places {
            let outer = env.len();
            env.extend_from_slice(sites);
            let term = self.scope(*body, env, specs, depth + 1);
            env.truncate(outer);
            terms.push(term? as usize);
        }
        let row = ops::reducer(*reducer);
        let shape = match terms.first() {
            None => match row.empty {
                Some(x) => return Ok(self.number(x)),
                None => {
                    let what = describe(over);
                    let sites: Vec<_> = at_free(prepared.facts[n].free, env).collect();
                    return Err(self.error(format!("no sites to aggregate over: {what}"), &sites));
                }
            },
            Some(&t) => self.out.graph.shapes[t].clone(),
        };
        for (t, sites) in terms.iter().zip(&places).filter(|_| row.tensors) {
            if self.out.graph.shapes[*t].dims != shape.dims {
                let reason = format!(
                    "terms of different shapes: {:?} here, {:?} at the first site",
                    self.out.graph.shapes[*t].dims, shape.dims
                );
                return Err(self.error(reason, sites));
            }
        }
        let shape = row.shape(&shape);
        let id = self.add(BoundNode::Fold { reducer: *reducer, terms }, shape);
        self.annotate(id, n, env, specs);
        Ok(id)
    }

    fn field(&mut self, site: SiteId, field: Field, specs: &Specs) -> Res {
        let level = field_level(field);
        let Some(dims) = self.outline.sites[site].dims(field) else {
            let name = FIELDS.iter().find(|r| r.field == field).map_or("", |r| r.name);
            return Err(self.error(format!("the site has no `{name}`"), &[site]));
        };
        let mut shape = Shape { dims: dims.clone(), reduced: None };
        let spec = specs[level as usize];
        if level == Level::Backward {
            match self.specs[spec].0.batches {
                Batches::One => {}
                Batches::Many(n) => shape.dims.insert(0, n),
                Batches::EachSample => match samples(self.outline) {
                    Some(n) => {
                        // Observed tensors, unlike parameters, have a batch axis: of one sequence here.
                        let parameter = self.outline.sites[site].dims(Field::Weight).is_some();
                        if let Some(b) =
                            shape.dims.first_mut().filter(|_| !parameter || field == Field::OutputGrad)
                        {
                            *b = 1;
                        }
                        shape.dims.insert(0, n);
                    }
                    None => return Err(self.error("the number of samples is not known".into(), &[site])),
                },
            }
        }
        let id = self.leaf(Leaf::Field { run: 0, site, field }, spec, level, shape);
        self.out.sites[id as usize] = Some(site);
        Ok(id)
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

    fn site_number(&mut self, site: SiteId, number: SiteNumber) -> Res {
        let s = &self.outline.sites[site];
        let value = match number {
            SiteNumber::Layer => s.layer,
            SiteNumber::Rows => s.rows_cols().map(|(r, _)| r),
            SiteNumber::Cols => s.rows_cols().map(|(_, c)| c),
        };
        match value {
            Some(x) => Ok(self.number(x as f64)),
            None => {
                let name = crate::site::SITE_NUMBERS.iter().find(|r| r.0 == number).map_or("", |r| r.1);
                Err(self.error(format!("the site has no `{name}`"), &[site]))
            }
        }
    }

    fn model_number(&mut self, name: &'static str, role: Option<&'static str>, specs: &Specs) -> Res {
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

    fn number(&mut self, x: f64) -> u32 {
        self.add(BoundNode::Number(x.to_bits()), Shape::default())
    }

    fn cached(&mut self, found: Cached) -> u32 {
        if !found.rounding_noise {
            return self.number(found.value);
        }
        let id = self.push(BoundNode::Number(found.value.to_bits()), Shape::default());
        self.out.noisy.push(id as usize);
        id
    }

    fn literal(&mut self, dims: &[usize], bits: &[u64]) -> u32 {
        let shape = Shape { dims: dims.into(), reduced: None };
        let key = (bits.to_vec(), shape.clone());
        if let Some(&id) = self.literals.get(&key) {
            return id;
        }
        let id = self.push(BoundNode::Literal(bits.to_vec()), shape);
        self.literals.insert(key, id);
        id
    }

    /// Adds a node whose shape follows from itself, or finds the equal one.
    fn add(&mut self, node: BoundNode, shape: Shape) -> u32 {
        if let Some(&id) = self.index.get(&node) {
            return id;
        }
        let id = self.push(node.clone(), shape);
        self.index.insert(node, id);
        id
    }

    fn push(&mut self, node: BoundNode, shape: Shape) -> u32 {
        let id = self.out.graph.nodes.len() as u32;
        self.out.graph.nodes.push(node);
        self.out.graph.shapes.push(shape);
        self.out.keys.push(None);
        self.out.sites.push(None);
        self.out.origin.push(None);
        id
    }

    fn error(&mut self, reason: String, sites: &[SiteId]) -> u32 {
        let at = place(self.outline, sites);
        self.errors.push(Degenerate { reason, at });
        self.errors.len() as u32 - 1
    }

    /// Decides which run delivers which leaf: the fewest runs that give every leaf its value.
    fn finish(mut self) -> Binding {
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
fn applicable(spec: CaptureSpec, outline: &Outline) -> CaptureSpec {
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

fn passes(site: &Site, filter: &Filter) -> bool {
    let role = filter.roles.is_empty() || filter.roles.iter().any(|r| site.roles.contains(r));
    let layer = filter.layers.is_empty()
        || site.layer.is_some_and(|l| filter.layers.iter().any(|range| range.contains(&l)));
    role && layer
}

fn site_of(env: &[SiteId], binder: usize) -> SiteId {
    env[env.len() - 1 - binder]
}

/// The sites that the set bits of `free` refer to, outermost first.
fn at_free(free: u64, env: &[SiteId]) -> impl Iterator<Item = SiteId> + '_ {
    let n = env.len();
    (0..n).filter(move |i| free >> (n - 1 - i).min(63) & 1 == 1).map(|i| env[i])
}

/// A place for people: `linear "encoder.layer.0.query"`.
pub fn place(outline: &Outline, sites: &[SiteId]) -> String {
    if sites.is_empty() {
        return "the whole model".into();
    }
    let one = |&s: &SiteId| format!("{} \"{}\"", kind_name(outline.sites[s].kind), outline.sites[s].name);
    sites.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn kind_name(kind: Kind) -> &'static str {
    KINDS.iter().find(|r| r.kind == kind).map_or("", |r| r.name)
}

/// A collection for people: `linear[ffn, 0..2]`.
fn describe(over: &Collection) -> String {
    let list = |parts: &[Collection]| parts.iter().map(describe).collect::<Vec<_>>().join(", ");
    match over {
        Collection::Sites { kind, filter, block } => {
            let roles = filter.roles.iter().map(|r| (*r).to_string());
            let layers = filter.layers.iter().map(|l| format!("{}..{}", l.start, l.end));
            let inner = roles.chain(layers).collect::<Vec<_>>().join(", ");
            let dot = if block.is_some() { "block." } else { "" };
            let name = kind_name(*kind);
            if inner.is_empty() { format!("{dot}{name}") } else { format!("{dot}{name}[{inner}]") }
        }
        Collection::Zip(parts) => format!("zip({})", list(parts)),
        Collection::Chain(parts) => format!("chain({})", list(parts)),
    }
}
