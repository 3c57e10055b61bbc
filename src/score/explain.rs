//! What a program comes to on an architecture: the typed program, what it demands of which run, the
//! passes of the engine with bytes and operations, and what they should and do take.

use super::Scorer;
use crate::engine::cuda::{CudaError, Launch, recorder};
use crate::engine::{Engine, Known, Timed};
use crate::ir::bind::{Binding, NoReductions, bind_values};
use crate::ir::prepare::{Level, Prepared};
use crate::ir::{Bound, BoundId, BoundNode, Dag, Degenerate, Leaf, Program};
use crate::model::{Batch, Config, Model};
use crate::ops::{self, Exec};
use crate::plan::demand::{Demand, leaf_level};
use crate::plan::{PassReport, Plan, WholeReport};
use crate::site::{
    CaptureSpec, FIELDS, Field, KINDS, Kind, OBJECTIVES, Objective, Outline, Pass, Site, SiteId, Source,
    SourceError, option_name,
};
use crate::tensor::{Dtype, Tensor};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Instant;

/// Tensors of one field of one kind, from one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Which run.
    pub run: usize,
    /// Kind of site.
    pub kind: &'static str,
    /// Field; a number of the run has kind "model".
    pub field: &'static str,
    /// Sites.
    pub sites: usize,
    /// Bytes of single-precision elements.
    pub bytes: usize,
}

/// What the engine does once the tensors of a site (or of several) are there.
#[derive(Clone, Debug)]
pub struct Group {
    /// Where: the kind and name of the first site.
    pub at: String,
    /// Groups with the same passes over tensors of the same sizes.
    pub times: usize,
    /// One group's passes.
    pub plan: Plan,
    /// Seconds that each pass should take on this machine.
    pub predicted: Vec<f64>,
    /// Seconds that each pass took, the median over `times` groups; empty where not measured.
    pub measured: Vec<f64>,
    nodes: Vec<Vec<BoundId>>,
}

/// A program, explained.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Its name.
    pub name: String,
    /// Canonical text.
    pub program: String,
    /// What has to be run.
    pub runs: Vec<CaptureSpec>,
    /// What is asked of the runs.
    pub demand: Vec<Wanted>,
    /// What the engine does.
    pub groups: Vec<Group>,
    /// Aggregates and what is above them, in f64.
    pub above: usize,
    /// Operations of the model's passes, where it is known.
    pub model_flops: f64,
    /// Bytes a second and additions a second that predictions assume.
    pub machine: Machine,
    graph: Bound,
    outline: Outline,
}

/// What a machine can do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Bytes read a second, of tensors larger than the caches.
    pub bytes: f64,
    /// Additions a second in tiles.
    pub ops: f64,
    /// Seconds that a pass takes at least.
    pub pass: f64,
}

impl Default for Machine {
    /// A small machine of today.
    fn default() -> Self {
        Machine { bytes: 8e9, ops: 4e9, pass: 5e-6 }
    }
}

/// A small example for explaining without a model: a FlexiBERT of two blocks.
///
/// # Errors
/// Never in practice: the example is fixed.
pub fn nominal() -> Result<(Outline, Objective), SourceError> {
    let layer = serde_json::json!({
        "operation_type": "SA", "operation_parameter": "SDP", "num_operation_heads": 4,
        "feed_forward_dimension": 512, "num_feed_forward": 1,
    });
    let config = serde_json::json!({
        "family": "flexibert", "vocab_size": 30522, "embedding_size": 128, "hidden_size": 128,
        "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
        "nas_config": {"encoder_layers": [layer, layer]},
    });
    let config = Config::from_json(&config)?;
    let batch = Batch::new(vec![0; 8 * 128], None, 8, 128)?;
    let model: Model<f32> = Model::new(config, vec![batch], 0)?;
    Ok((model.outline().clone(), Source::default_objective(&model)))
}

/// Explains a program on an architecture, without running anything.
///
/// # Errors
/// Why the program has no value there.
pub fn explain(
    dag: &Dag,
    program: &Program,
    outline: &Outline,
    default: Objective,
) -> Result<Explanation, Degenerate> {
    let programs = std::slice::from_ref(program);
    let prepared = Prepared::new(dag, programs);
    let binding = bind_values(&prepared, outline, default, &NoReductions);
    if let Err(why) = &binding.graph.roots[0] {
        return Err(why.clone());
    }
    let demand = Demand::new(&binding.graph, |_| false);
    let machine = Machine::default();
    let flops = super::flops(&binding.graph, outline).into_iter().next().unwrap_or(0.0);
    let mut out = Explanation {
        name: program.name.clone(),
        program: crate::lang::print_program(dag, program),
        runs: binding.graph.runs.clone(),
        demand: wanted(&binding.graph, &demand, outline),
        groups: groups(&binding, &demand, outline),
        above: demand.above.len(),
        model_flops: 0.0,
        machine,
        graph: Bound::default(),
        outline: outline.clone(),
    };
    out.model_flops =
        (flops - out.groups.iter().map(|g| g.plan.ops() * g.times as f64).sum::<f64>()).max(0.0);
    out.graph = binding.graph;
    out.predict(machine);
    Ok(out)
}

fn wanted(graph: &Bound, demand: &Demand, outline: &Outline) -> Vec<Wanted> {
    let mut out: Vec<Wanted> = Vec::new();
    for d in &demand.deliveries {
        let (kind, field, bytes) = match graph.leaves[d.leaf] {
            Leaf::Number { name, .. } => ("model", name, 8),
            Leaf::Field { site, field, .. } => {
                let s = &outline.sites[site];
                let kind = KINDS.iter().find(|k| k.kind == s.kind).map_or("", |k| k.name);
                let name = FIELDS.iter().find(|f| f.field == field).map_or("", |f| f.name);
                let node = graph.nodes.iter().position(|n| *n == BoundNode::Leaf(d.leaf));
                (kind, name, node.map_or(0, |n| graph.shapes[n].numel() * 4))
            }
        };
        match out.iter_mut().find(|w| (w.run, w.kind, w.field) == (d.run, kind, field)) {
            Some(w) => {
                w.sites += 1;
                w.bytes += bytes;
            }
            None => out.push(Wanted { run: d.run, kind, field, sites: 1, bytes }),
        }
    }
    out
}

/// The nodes that are evaluated together, equal plans once.
fn groups(binding: &Binding, demand: &Demand, outline: &Outline) -> Vec<Group> {
    let graph = &binding.graph;
    let mut sets: Vec<(Vec<usize>, Vec<BoundId>)> = Vec::new();
    for f in &demand.frontier {
        if matches!(graph.nodes[f.node], BoundNode::Leaf(_)) {
            continue;
        }
        let mut key: Vec<usize> = f.needs.iter().map(|&d| demand.deliveries[d].group).collect();
        key.sort_unstable();
        key.dedup();
        match sets.iter_mut().find(|(k, _)| *k == key) {
            Some((_, nodes)) => nodes.push(f.node),
            None => sets.push((key, vec![f.node])),
        }
    }
    let leaf = |n: BoundId| matches!(graph.nodes[n], BoundNode::Leaf(_)).then_some(Dtype::F32);
    let mut out: Vec<Group> = Vec::new();
    for (key, nodes) in sets {
        let plan = Plan::new(graph, &nodes, &leaf);
        match out.iter_mut().find(|g| g.plan == plan) {
            Some(g) => {
                g.times += 1;
                g.nodes.push(nodes);
            }
            None => {
                let at = place(graph, demand, outline, &key);
                let nodes = vec![nodes];
                out.push(Group { at, times: 1, plan, predicted: vec![], measured: vec![], nodes });
            }
        }
    }
    out
}

fn place(graph: &Bound, demand: &Demand, outline: &Outline, key: &[usize]) -> String {
    let mut sites: Vec<SiteId> = Vec::new();
    for d in demand.deliveries.iter().filter(|d| key.contains(&d.group)) {
        if let Leaf::Field { site, .. } = graph.leaves[d.leaf]
            && !sites.contains(&site)
        {
            sites.push(site);
        }
    }
    sites.truncate(2);
    crate::ir::bind::place(outline, &sites)
}

impl Group {
    /// The nodes of its first site.
    fn nodes(&self) -> &[BoundId] {
        self.nodes.first().map_or(&[], |n| n)
    }
}

impl Explanation {
    /// Dependent passes: the nesting depth of reductions.
    pub fn passes(&self) -> usize {
        self.groups.iter().map(|g| g.plan.depth()).max().unwrap_or(0)
    }

    /// Bytes read by all passes of all sites.
    pub fn reads_bytes(&self) -> usize {
        self.groups.iter().map(|g| g.plan.reads_bytes() * g.times).sum()
    }

    /// Operations of all passes of all sites, in additions.
    pub fn ops(&self) -> f64 {
        self.groups.iter().map(|g| g.plan.ops() * g.times as f64).sum()
    }

    /// Predicts what passes take on a machine: what is slower, reading or computing.
    pub fn predict(&mut self, machine: Machine) {
        self.machine = machine;
        let of =
            |p: &PassReport| machine.pass + (p.reads_bytes as f64 / machine.bytes).max(p.ops / machine.ops);
        for g in &mut self.groups {
            g.predicted = g.plan.passes.iter().map(of).collect();
        }
    }

    /// Runs the program and measures its passes. Returns seconds in the source and in the engine.
    ///
    /// # Errors
    /// When the source cannot deliver.
    pub fn measure(
        &mut self,
        dag: &Dag,
        program: &Program,
        source: &mut dyn Source,
    ) -> Result<(f64, f64), SourceError> {
        let programs = std::slice::from_ref(program);
        let prepared = Prepared::new(dag, programs);
        let mut engine = Timed::default();
        let done = Scorer::new(&mut engine).inspect(&prepared, source)?;
        for g in &mut self.groups {
            let runs: Vec<&Vec<f64>> = g
                .nodes
                .iter()
                .filter_map(|nodes| engine.calls.iter().find(|c| c.0.contains(&nodes[0])).map(|c| &c.1))
                .filter(|t| t.len() == g.plan.passes.len())
                .collect();
            let pass = |i: usize| median(runs.iter().map(|t| t[i]).collect());
            g.measured = match runs.is_empty() {
                true => Vec::new(),
                false => (0..g.plan.passes.len()).map(pass).collect(),
            };
        }
        Ok((done.source_seconds, done.engine_seconds))
    }

    /// What the CUDA engine launches for one site of each group, where captured tensors are of a type.
    ///
    /// # Errors
    /// When a row has no CUDA text, or a tensor has too many elements for a kernel.
    pub fn launches(&self, dtype: Dtype) -> Result<Vec<(&Group, Vec<Launch>)>, CudaError> {
        let of = |g| {
            let nodes = Group::nodes(g);
            Ok((g, recorder::launches(&self.graph, nodes, dtype)?))
        };
        self.groups.iter().map(of).collect()
    }

    /// The graph with its passes as a picture.
    pub fn svg(&self) -> String {
        super::svg::svg(self, &self.graph, &self.outline)
    }

    /// The pass, from 0, that computes each of some nodes; those that engines evaluate alone.
    pub(super) fn steps(&self, of: &BTreeSet<BoundId>) -> FxHashMap<BoundId, usize> {
        let graph = &self.graph;
        let reduces = |n: BoundId| match &graph.nodes[n] {
            BoundNode::Op { op, args, .. } => {
                let larger = args.iter().any(|&a| graph.shapes[a].numel() > graph.shapes[n].numel());
                larger && matches!(ops::row(*op).exec, Exec::Reduce(_) | Exec::Lower(_))
            }
            _ => false,
        };
        let mut inside: Vec<bool> = vec![false; graph.nodes.len()];
        let mut steps = FxHashMap::default();
        for &n in of {
            let (args, leaf): (&[BoundId], bool) = match &graph.nodes[n] {
                BoundNode::Op { args, .. } => (args, false),
                BoundNode::Leaf(_) => (&[], true),
                _ => (&[], false),
            };
            inside[n] = leaf || args.iter().any(|&a| inside[a]);
            if inside[n] {
                let after = |&a: &BoundId| steps.get(&a).map_or(0, |s: &usize| s + usize::from(reduces(a)));
                steps.insert(n, args.iter().map(after).max().unwrap_or(0));
            }
        }
        steps
    }

    /// For a person.
    pub fn text(&self) -> String {
        let mut out = format!("{}\n\ndemand\n", self.program.trim_end());
        for (r, spec) in self.runs.iter().enumerate() {
            let _ = writeln!(out, "  run {r}: {}", self.pass_of(r, spec));
            for w in self.demand.iter().filter(|w| w.run == r) {
                let name = format!("{}.{}", w.kind, w.field);
                let _ =
                    writeln!(out, "    {name:<20} {:>4} sites  {:>9}", w.sites, size(w.bytes as f64, "B"));
            }
        }
        if self.runs.is_empty() {
            out += "  nothing: no model is run\n";
        }
        out += "\npasses\n";
        for g in &self.groups {
            let more = if g.times > 1 { format!(" and {} alike", g.times - 1) } else { String::new() };
            let _ = writeln!(out, "  {}{more}", g.at);
            for (i, p) in g.plan.passes.iter().enumerate() {
                let _ = writeln!(out, "    {}", pass(p, g.predicted.get(i), g.measured.get(i)));
            }
            for w in &g.plan.whole {
                let _ = writeln!(out, "    {}", whole(w));
            }
        }
        let _ = writeln!(
            out,
            "\n{} dependent passes, {} in all; reads {}, {} in the engine; {} in the model; {} values joined in f64",
            self.passes(),
            self.groups.iter().map(|g| g.plan.passes.len() * g.times).sum::<usize>(),
            size(self.reads_bytes() as f64, "B"),
            size(self.ops(), "op"),
            size(self.model_flops, "FLOP"),
            self.above
        );
        out
    }

    /// `forward and backward, objective = projection`.
    fn pass_of(&self, run: usize, spec: &CaptureSpec) -> String {
        let leaves = self.graph.leaves.iter().filter(|l| match l {
            Leaf::Field { run: r, .. } | Leaf::Number { run: r, .. } => *r == run,
        });
        let level = leaves.clone().map(leaf_level).max();
        let second = leaves.clone().any(|l| match l {
            Leaf::Field { field, .. } => {
                FIELDS.iter().any(|r| r.field == *field && r.pass == Pass::SecondOrder)
            }
            Leaf::Number { .. } => false,
        });
        let passes = match level {
            _ if second => "second order",
            Some(Level::Backward) => "forward and backward",
            Some(Level::Forward) => "forward",
            _ => "no pass, weights alone",
        };
        let objective = spec.objective.filter(|_| level == Some(Level::Backward));
        let objective = objective.map(|o| format!(", objective = {}", option_name(OBJECTIVES, &o)));
        format!("{passes}{}", objective.unwrap_or_default())
    }
}

fn median(mut v: Vec<f64>) -> f64 {
    v.sort_by(f64::total_cmp);
    v.get(v.len() / 2).copied().unwrap_or(0.0)
}

fn pass(p: &PassReport, predicted: Option<&f64>, measured: Option<&f64>) -> String {
    let mut out = format!(
        "pass {}: {} elements, reads {}, {} steps, {} reductions, {}",
        p.step + 1,
        p.elements,
        size(p.reads_bytes as f64, "B"),
        p.maps,
        p.reductions,
        size(p.ops, "op")
    );
    if p.writes_bytes > 0 {
        let _ = write!(out, ", writes {}", size(p.writes_bytes as f64, "B"));
    }
    if let Some(t) = predicted {
        let _ = write!(out, "; about {}", time(*t));
    }
    if let Some(t) = measured {
        let _ = write!(out, ", measured {}", time(*t));
    }
    out
}

fn whole(w: &WholeReport) -> String {
    format!("whole: {} of {} elements", w.name, w.elements)
}

/// `12.5 kB`.
fn size(x: f64, unit: &str) -> String {
    for (scale, prefix) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if x >= scale {
            return format!("{:.1} {prefix}{unit}", x / scale);
        }
    }
    format!("{x:.0} {unit}")
}

fn time(s: f64) -> String {
    if s < 1e-3 { format!("{:.0} µs", s * 1e6) } else { format!("{:.2} ms", s * 1e3) }
}

/// What this machine can do, measured in some tens of milliseconds: one pass that reads much and
/// computes little, one that reads little and computes much, one over a single element.
pub fn machine() -> Machine {
    let seconds = |text: &str, elements: usize| -> Option<(f64, f64)> {
        let mut dag = Dag::default();
        let mut library = crate::lang::Library::new();
        let program = library.expression("machine", text, &mut dag).ok()?.program;
        let mut outline = Outline::default();
        let dims: crate::tensor::Dims = smallvec::smallvec![1, elements];
        outline.sites.push(Site {
            kind: Kind::Linear,
            name: "x".into(),
            layer: Some(0),
            roles: Vec::new(),
            transposed: false,
            fields: vec![(Field::Weight, dims.clone())],
        });
        let prepared_programs = [program];
        let prepared = Prepared::new(&dag, &prepared_programs);
        let binding = bind_values(&prepared, &outline, Objective::Loss, &NoReductions);
        let demand = Demand::new(&binding.graph, |_| false);
        let plan = groups(&binding, &demand, &outline).pop()?.plan;
        let known = One(Tensor::new(&dims, vec![0.5f32; elements]), binding.graph.clone());
        let want: Vec<BoundId> = demand.frontier.iter().map(|f| f.node).collect();
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let start = Instant::now();
            crate::engine::Cpu.evaluate(&binding.graph, &want, &known);
            best = best.min(start.elapsed().as_secs_f64());
        }
        Some((best, plan.ops()))
    };
    let assumed = Machine::default();
    let pass = seconds("sum l in linear { sum(l.weight) }", 1).map_or(assumed.pass, |t| t.0);
    let large = 4 << 20;
    let bytes = seconds("sum l in linear { sum(l.weight) }", large).map(|t| 4.0 * large as f64 / t.0);
    let deep = "sum l in linear { sum(exp(sigmoid(exp(tanh(l.weight))))) }";
    let ops = seconds(deep, 1 << 18).map(|t| t.1 / (t.0 - pass).max(1e-9));
    Machine { bytes: bytes.unwrap_or(assumed.bytes), ops: ops.unwrap_or(assumed.ops), pass }
}

/// The one leaf of a graph.
struct One(Tensor, Bound);

impl Known for One {
    fn get(&self, node: BoundId) -> Option<Tensor> {
        matches!(self.1.nodes[node], BoundNode::Leaf(_)).then(|| self.0.clone())
    }
}
