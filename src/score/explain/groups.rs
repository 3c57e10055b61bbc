//! What is asked of the source, and what the engine evaluates together.

use crate::ir::bind::Binding;
use crate::ir::{Bound, BoundId, BoundNode, Leaf};
use crate::plan::Plan;
use crate::plan::demand::Demand;
use crate::site::{FIELDS, KINDS, Outline, SiteId};
use crate::tensor::Dtype;

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
    /// Nodes that are evaluated, of every group.
    pub(super) nodes: Vec<Vec<BoundId>>,
}

impl Group {
    /// The nodes of its first site.
    pub(super) fn nodes(&self) -> &[BoundId] {
        self.nodes.first().map_or(&[], |n| n)
    }
}

/// Tensors and numbers that the source has to deliver, by run, kind and field.
pub(super) fn wanted(graph: &Bound, demand: &Demand, outline: &Outline) -> Vec<Wanted> {
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
pub(super) fn groups(binding: &Binding, demand: &Demand, outline: &Outline) -> Vec<Group> {
    let graph = &binding.graph;
    let leaf = |n: BoundId| matches!(graph.nodes[n], BoundNode::Leaf(_)).then_some(Dtype::F32);
    let mut out: Vec<Group> = Vec::new();
    for (key, nodes) in together(graph, demand) {
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

/// Nodes that wait for the same deliveries, with the groups of these.
fn together(graph: &Bound, demand: &Demand) -> Vec<(Vec<usize>, Vec<BoundId>)> {
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
    sets
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
