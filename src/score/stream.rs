//! Takes in the tensors of a run, hands a site to the engine when its tensors are there, and lets
//! go of a tensor when nothing waits for it any more.

use super::above::Outcome;
use crate::engine::{Engine, Known, explain_nonfinite};
use crate::ir::bind::Binding;
use crate::ir::prepare::Prepared;
use crate::ir::{Bound, BoundId, BoundNode, Leaf};
use crate::plan::demand::{DeliveryId, Demand};
use crate::site::{Field, Sink, SiteId, Source, SourceError};
use crate::tensor::Tensor;
use rustc_hash::FxHashMap;
use std::time::Instant;

/// Values of nodes: numbers apart, for they are many and small.
pub(super) struct Values {
    pub numbers: Vec<Option<f64>>,
    pub tensors: Vec<Option<Tensor>>,
}

impl Values {
    fn set(&mut self, node: BoundId, tensor: Tensor) {
        match tensor.item().filter(|_| tensor.rank() == 0) {
            Some(x) => self.numbers[node] = Some(x),
            None => self.tensors[node] = Some(tensor),
        }
    }
}

/// The values without `node` and other numbers that are not finite, so that they are looked into.
struct Under<'a> {
    values: &'a Values,
    node: BoundId,
}

impl Values {
    fn under(&self, node: BoundId) -> impl Known + '_ {
        Under { values: self, node }
    }
}

impl Known for Under<'_> {
    fn get(&self, node: BoundId) -> Option<Tensor> {
        let number = self.values.numbers[node].filter(|x| x.is_finite()).map(Tensor::number);
        self.values.tensors[node].clone().or(number).filter(|_| node != self.node)
    }
}

impl Known for Values {
    fn get(&self, node: BoundId) -> Option<Tensor> {
        self.tensors[node].clone().or_else(|| self.numbers[node].map(Tensor::number))
    }
}

/// What is held now, and the most that was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    tensors: usize,
    bytes: usize,
    pub peak_tensors: usize,
    pub peak_bytes: usize,
}

impl Held {
    fn take(&mut self, tensor: &Tensor) {
        self.tensors += 1;
        self.bytes += tensor.bytes();
        self.peak_tensors = self.peak_tensors.max(self.tensors);
        self.peak_bytes = self.peak_bytes.max(self.bytes);
    }
    fn drop(&mut self, tensor: &Tensor) {
        self.tensors -= 1;
        self.bytes -= tensor.bytes();
    }
}

/// Sites in line for each thread before they are evaluated.
const LINE: usize = 2;
/// Bytes of tensors that are held at most while sites wait in line.
const LINE_BYTES: usize = 128 << 20;

pub(super) struct Stream<'a> {
    programs: &'a Prepared<'a>,
    binding: &'a Binding,
    demand: &'a Demand,
    engine: &'a mut dyn Engine,
    explain: bool,
    values: Values,
    /// Node of every leaf.
    leaf_nodes: Vec<BoundId>,
    /// Leaves that are wanted themselves.
    keep: Vec<bool>,
    fields: FxHashMap<(usize, SiteId, Field), DeliveryId>,
    names: FxHashMap<(usize, &'static str), DeliveryId>,
    members: Vec<Vec<DeliveryId>>,
    /// Per delivery: is it here?
    arrived: Vec<bool>,
    /// Per group: deliveries that are not here yet.
    waiting: Vec<usize>,
    /// Per frontier node: deliveries that are not here yet; `usize::MAX` when done.
    missing: Vec<usize>,
    /// Per leaf: frontier nodes that wait with this tensor at hand.
    uses: Vec<usize>,
    /// Frontier nodes that wait for evaluation, by site.
    line: Vec<Vec<usize>>,
    run: usize,
    fault: Option<SourceError>,
    noisy_runs: u64,
    explained: FxHashMap<BoundId, String>,
    explained_ops: FxHashMap<Option<crate::ir::NodeId>, BoundId>,
    pub held: Held,
    /// Times the source was run.
    pub runs: usize,
    pub engine_seconds: f64,
}

impl<'a> Stream<'a> {
    pub fn new(
        programs: &'a Prepared<'a>,
        binding: &'a Binding,
        demand: &'a Demand,
        engine: &'a mut dyn Engine,
        explain: bool,
    ) -> Self {
        let graph = &binding.graph;
        let mut leaf_nodes = vec![0; graph.leaves.len()];
        for (n, node) in graph.nodes.iter().enumerate() {
            if let BoundNode::Leaf(l) = node {
                leaf_nodes[*l] = n;
            }
        }
        let mut keep = vec![false; graph.leaves.len()];
        for f in &demand.frontier {
            if let BoundNode::Leaf(l) = graph.nodes[f.node] {
                keep[l] = true;
            }
        }
        let mut stream = Stream {
            programs,
            binding,
            demand,
            engine,
            explain,
            values: Values { numbers: vec![None; graph.nodes.len()], tensors: vec![None; graph.nodes.len()] },
            leaf_nodes,
            keep,
            fields: FxHashMap::default(),
            names: FxHashMap::default(),
            members: vec![Vec::new(); demand.groups.len()],
            arrived: vec![false; demand.deliveries.len()],
            waiting: demand.groups.clone(),
            missing: demand.frontier.iter().map(|f| f.needs.len()).collect(),
            uses: vec![0; graph.leaves.len()],
            line: Vec::new(),
            run: 0,
            fault: None,
            noisy_runs: 0,
            explained: FxHashMap::default(),
            explained_ops: FxHashMap::default(),
            held: Held::default(),
            runs: 0,
            engine_seconds: 0.0,
        };
        stream.index();
        stream
    }

    fn index(&mut self) {
        for (id, d) in self.demand.deliveries.iter().enumerate() {
            self.members[d.group].push(id);
            match self.binding.graph.leaves[d.leaf] {
                Leaf::Field { site, field, .. } => self.fields.insert((d.run, site, field), id),
                Leaf::Number { name, .. } => self.names.insert((d.run, name), id),
            };
        }
    }

    /// Runs the source for run `run` and takes everything in.
    pub fn run(&mut self, run: usize, source: &mut dyn Source) -> Result<(), SourceError> {
        self.run = run;
        let graph: &Bound = &self.binding.graph;
        let wants = self.demand.wants(graph, run);
        let spec = graph.runs[run];
        if !wants.fields.is_empty() {
            self.runs += 1;
            source.run(&spec, &wants.fields, self)?;
        }
        // A run for fields gives the numbers that it meets anyway; the others have to be asked for.
        if wants.numbers && self.waits_for_number(run) {
            self.runs += 1;
            source.run(&spec, &[], self)?;
        }
        self.evaluate_line();
        match self.fault.take().or_else(|| self.undelivered(run)) {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    fn waits_for_number(&self, run: usize) -> bool {
        let mut numbers = self.names.iter().filter(|((r, _), _)| *r == run);
        numbers.any(|(_, &id)| !self.arrived[id])
    }

    fn undelivered(&self, run: usize) -> Option<SourceError> {
        let late = |(id, d): &(usize, &crate::plan::demand::Delivery)| d.run == run && !self.arrived[*id];
        let (_, d) = self.demand.deliveries.iter().enumerate().find(late)?;
        let what = match self.binding.graph.leaves[d.leaf] {
            Leaf::Field { site, field, .. } => format!("field {field:?} of site {site}"),
            Leaf::Number { name, .. } => format!("number `{name}`"),
        };
        Some(SourceError { message: format!("the model has no {what}"), help: None })
    }

    fn arrive(&mut self, id: DeliveryId, tensor: Tensor) {
        let d = &self.demand.deliveries[id];
        let node = self.leaf_nodes[d.leaf];
        let expected = &self.binding.graph.shapes[node].dims;
        if tensor.dims() != expected.as_slice() {
            let message = format!(
                "{:?} has sizes {:?}, the outline says {:?}",
                self.binding.graph.leaves[d.leaf],
                tensor.dims(),
                expected
            );
            self.fault.get_or_insert(SourceError { message, help: None });
            return;
        }
        if std::mem::replace(&mut self.arrived[id], true) {
            return;
        }
        if tensor.rank() > 0 && self.values.tensors[node].is_none() {
            self.held.take(&tensor);
        }
        self.values.set(node, tensor);
        for &f in &d.users {
            self.missing[f] -= 1;
        }
        self.uses[d.leaf] += d.users.len();
        self.waiting[d.group] -= 1;
        if self.waiting[d.group] == 0 {
            self.evaluate(d.group);
        }
    }

    /// Puts everything that is ready now that a group is complete in line for evaluation.
    fn evaluate(&mut self, group: usize) {
        let demand = self.demand;
        let users = self.members[group].iter().flat_map(|&d| demand.deliveries[d].users.iter().copied());
        let mut ready: Vec<usize> = users.filter(|&f| self.missing[f] == 0).collect();
        ready.sort_unstable();
        ready.dedup();
        for &f in &ready {
            self.missing[f] = usize::MAX;
        }
        self.line.push(ready);
        let threads = rayon::current_num_threads();
        if threads == 1 || self.line.len() >= LINE * threads || self.held.bytes >= LINE_BYTES {
            self.evaluate_line();
        }
    }

    /// Evaluates what is in line, sites side by side, and lets go of their tensors.
    fn evaluate_line(&mut self) {
        let demand = self.demand;
        let is_leaf = |n: &BoundId| matches!(self.binding.graph.nodes[*n], BoundNode::Leaf(_));
        let line = std::mem::take(&mut self.line);
        let compute = |ready: &Vec<usize>| -> Vec<BoundId> {
            ready.iter().map(|&f| demand.frontier[f].node).filter(|n| !is_leaf(n)).collect()
        };
        let wants: Vec<Vec<BoundId>> = line.iter().map(compute).collect();
        let start = Instant::now();
        let results = self.engine.evaluate_each(&self.binding.graph, &wants, &self.values);
        self.engine_seconds += start.elapsed().as_secs_f64();
        if let Some(fault) = self.engine.fault() {
            let program = fault.node.and_then(|n| self.program(n)).map(|p| format!(" (program {p})"));
            let message = format!("{}{}", fault.message, program.unwrap_or_default());
            self.fault.get_or_insert(SourceError { message, help: Some(fault.help) });
        }
        for (node, tensor) in wants.into_iter().flatten().zip(results.into_iter().flatten()) {
            self.values.set(node, tensor);
            self.explain(node);
        }
        for f in line.into_iter().flatten() {
            for &d in &demand.frontier[f].needs {
                self.release(demand.deliveries[d].leaf);
            }
        }
    }

    /// The name of a program that needs a node.
    fn program(&self, node: BoundId) -> Option<&str> {
        let graph = &self.binding.graph;
        let needs = |root: BoundId| {
            let (mut seen, mut todo) = (vec![false; graph.nodes.len()], vec![root]);
            while let Some(n) = todo.pop() {
                if n == node {
                    return true;
                }
                if !std::mem::replace(&mut seen[n], true) {
                    match &graph.nodes[n] {
                        BoundNode::Op { args, .. } => todo.extend(args),
                        BoundNode::Fold { terms, .. } => todo.extend(terms),
                        _ => {}
                    }
                }
            }
            false
        };
        let guilty = graph.roots.iter().position(|r| r.as_ref().is_ok_and(|&r| needs(r)));
        guilty.map(|p| self.programs.name(p))
    }

    fn release(&mut self, leaf: usize) {
        self.uses[leaf] -= 1;
        let node = self.leaf_nodes[leaf];
        if self.uses[leaf] == 0
            && !self.keep[leaf]
            && let Some(t) = self.values.tensors[node].take()
        {
            self.held.drop(&t);
        }
    }

    /// Says why a number is not finite while its tensors are at hand; once per expression.
    fn explain(&mut self, node: BoundId) {
        let bad = self.values.numbers[node].is_some_and(|x| !x.is_finite());
        if !self.explain || !bad || self.explained_ops.contains_key(&self.binding.origin[node]) {
            return;
        }
        self.explained_ops.insert(self.binding.origin[node], node);
        // Where the definition is finite, the engine's shorter elements overflowed.
        let found = explain_nonfinite(&self.binding.graph, node, &self.values.under(node));
        let reason = found.map_or("overflow of single-precision elements".into(), |why| why.reason);
        self.explained.insert(node, reason);
    }

    /// Everything computed; the nodes above the frontier follow in f64.
    pub fn finish(self) -> Outcome {
        Outcome::new(&self.binding.graph, self.demand, self.values, self.noisy_runs, self.explained)
    }
}

impl Sink for Stream<'_> {
    fn field(&mut self, site: SiteId, field: Field, tensor: Tensor) {
        if let Some(&id) = self.fields.get(&(self.run, site, field)) {
            self.arrive(id, tensor);
        }
    }

    fn number(&mut self, name: &'static str, value: f64) {
        if let Some(&id) = self.names.get(&(self.run, name)) {
            self.arrive(id, Tensor::number(value));
        }
    }

    fn rounding_noise(&mut self) {
        self.noisy_runs |= 1u64.checked_shl(self.run as u32).unwrap_or(0);
    }
}
