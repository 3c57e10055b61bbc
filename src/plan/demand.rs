//! Which fields a bound graph needs, from which run, and when what can be evaluated.
//!
//! The nodes of a bound graph are *inside* (computed from tensors, below every aggregate) or *above*
//! (aggregates and what uses them). The inside nodes that something above uses are the *frontier*:
//! engines evaluate them site by site, and a tensor is dropped when the last frontier node that
//! needs it is done.

use crate::ir::bind::delivers;
use crate::ir::prepare::{Level, field_level, relevant};
use crate::ir::{Bound, BoundId, BoundNode, Leaf, LeafId};
use crate::site::{Field, SiteId};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// Index into [`Demand::deliveries`].
pub type DeliveryId = usize;

/// One leaf handed over by one run; a leaf may be delivered by several runs, so that no run has to
/// keep it for another.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Which leaf.
    pub leaf: LeafId,
    /// By which run.
    pub run: usize,
    /// Frontier nodes that read it, indices into [`Demand::frontier`].
    pub users: Vec<usize>,
    /// Deliveries with the same number are evaluated together, when all of them are there.
    pub group: usize,
}

/// A node that an engine evaluates.
#[derive(Clone, Debug)]
pub struct Frontier {
    /// The node.
    pub node: BoundId,
    /// What has to be there.
    pub needs: SmallVec<[DeliveryId; 4]>,
}

/// The demand of a bound graph.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    /// Nodes that engines evaluate, in graph order.
    pub frontier: Vec<Frontier>,
    /// What runs hand over.
    pub deliveries: Vec<Delivery>,
    /// Number of deliveries in each group.
    pub groups: Vec<usize>,
    /// Nodes evaluated in f64 after all runs, in graph order.
    pub above: Vec<BoundId>,
    /// For every node, the runs whose gradients it depends on, one bit each.
    pub gradient_runs: Vec<u64>,
    index: FxHashMap<(LeafId, usize), DeliveryId>,
}

/// What one run is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Fields, in site order.
    pub fields: Vec<(SiteId, Field)>,
    /// Are numbers of the run wanted (`loss`, `objective`)?
    pub numbers: bool,
}

type Leaves = SmallVec<[LeafId; 4]>;

impl Demand {
    /// The demand of `graph`; `extra` marks inside nodes that are wanted besides the frontier (to
    /// be cached).
    pub fn new(graph: &Bound, extra: impl Fn(BoundId) -> bool) -> Self {
        let reachable = reachable(graph);
        let leaves = leaf_sets(graph, &reachable);
        let mut demand = Demand { gradient_runs: gradient_runs(graph), ..Demand::default() };
        let wanted = wanted(graph, &reachable, &leaves);
        for node in 0..graph.nodes.len() {
            match &leaves[node] {
                _ if !reachable[node] => {}
                Some(set) if !set.is_empty() => {
                    if wanted[node] || (extra(node) && matches!(graph.nodes[node], BoundNode::Op { .. })) {
                        let needs = demand.needs(graph, set);
                        demand.frontier.push(Frontier { node, needs });
                    }
                }
                _ => demand.above.push(node),
            }
        }
        demand.connect(graph);
        demand
    }

    /// Asks the best run for every leaf of a frontier node.
    fn needs(&mut self, graph: &Bound, set: &Leaves) -> SmallVec<[DeliveryId; 4]> {
        let level = |l: &LeafId| leaf_level(&graph.leaves[*l]);
        let home = set.iter().max_by_key(|l| level(l)).map(|l| leaf_run(&graph.leaves[*l]));
        let user = self.frontier.len();
        let mut needs = SmallVec::new();
        for &leaf in set {
            let own = leaf_run(&graph.leaves[leaf]);
            let spec = relevant(&graph.runs[own], level(&leaf));
            let run = home.filter(|&h| delivers(&graph.runs[h], &spec, level(&leaf))).unwrap_or(own);
            needs.push(self.delivery(leaf, run, user));
        }
        needs
    }

    fn delivery(&mut self, leaf: LeafId, run: usize, user: usize) -> DeliveryId {
        let next = self.deliveries.len();
        let id = *self.index.entry((leaf, run)).or_insert(next);
        if id == next {
            self.deliveries.push(Delivery { leaf, run, users: Vec::new(), group: 0 });
        }
        self.deliveries[id].users.push(user);
        id
    }

    /// Groups the deliveries of one run and site that some node reads together.
    fn connect(&mut self, graph: &Bound) {
        let mut parent: Vec<usize> = (0..self.deliveries.len()).collect();
        let place = |d: &Delivery| (d.run, leaf_site(&graph.leaves[d.leaf]));
        for f in &self.frontier {
            let Some(&first) = f.needs.first() else { continue };
            let here = place(&self.deliveries[first]);
            if f.needs.iter().all(|&d| place(&self.deliveries[d]) == here) {
                for &d in &f.needs {
                    let (a, b) = (root(&mut parent, first), root(&mut parent, d));
                    parent[b] = a;
                }
            }
        }
        let mut number = vec![usize::MAX; parent.len()];
        for d in 0..parent.len() {
            let r = root(&mut parent, d);
            if number[r] == usize::MAX {
                number[r] = self.groups.len();
                self.groups.push(0);
            }
            self.deliveries[d].group = number[r];
            self.groups[number[r]] += 1;
        }
    }

    /// The delivery of a leaf by a run, where it is asked for.
    pub fn find(&self, leaf: LeafId, run: usize) -> Option<DeliveryId> {
        self.index.get(&(leaf, run)).copied()
    }

    /// What run `run` is asked for.
    pub fn wants(&self, graph: &Bound, run: usize) -> Wants {
        let mut wants = Wants::default();
        for d in self.deliveries.iter().filter(|d| d.run == run) {
            match graph.leaves[d.leaf] {
                Leaf::Field { site, field, .. } => wants.fields.push((site, field)),
                Leaf::Number { .. } => wants.numbers = true,
            }
        }
        wants.fields.sort_unstable();
        wants.fields.dedup();
        wants
    }
}

fn root(parent: &mut [usize], mut x: usize) -> usize {
    while parent[x] != x {
        parent[x] = parent[parent[x]];
        x = parent[x];
    }
    x
}

/// The level of a leaf; numbers of a run count as gradients, whose objective they share.
pub fn leaf_level(leaf: &Leaf) -> Level {
    match leaf {
        Leaf::Field { field, .. } => field_level(*field),
        Leaf::Number { .. } => Level::Backward,
    }
}

fn leaf_run(leaf: &Leaf) -> usize {
    match leaf {
        Leaf::Field { run, .. } | Leaf::Number { run, .. } => *run,
    }
}

fn leaf_site(leaf: &Leaf) -> Option<SiteId> {
    match leaf {
        Leaf::Field { site, .. } => Some(*site),
        Leaf::Number { .. } => None,
    }
}

fn operands(node: &BoundNode) -> &[BoundId] {
    match node {
        BoundNode::Op { args, .. } => args,
        BoundNode::Fold { terms, .. } => terms,
        _ => &[],
    }
}

fn reachable(graph: &Bound) -> Vec<bool> {
    let mut reached = vec![false; graph.nodes.len()];
    for root in graph.roots.iter().flatten() {
        reached[*root] = true;
    }
    for n in (0..graph.nodes.len()).rev() {
        if reached[n] {
            for &a in operands(&graph.nodes[n]) {
                reached[a] = true;
            }
        }
    }
    reached
}

/// The leaves under every inside node; `None` for nodes above.
fn leaf_sets(graph: &Bound, reachable: &[bool]) -> Vec<Option<Leaves>> {
    let mut sets: Vec<Option<Leaves>> = Vec::with_capacity(graph.nodes.len());
    for (n, node) in graph.nodes.iter().enumerate() {
        let set = match node {
            _ if !reachable[n] => None,
            BoundNode::Leaf(l) => Some(smallvec::smallvec![*l]),
            BoundNode::Op { args, .. } => args.iter().try_fold(Leaves::new(), |mut all, &a| {
                let part = sets[a].as_ref()?;
                all.extend(part.iter().copied().filter(|l| !all.contains(l)).collect::<Leaves>());
                Some(all)
            }),
            BoundNode::Fold { .. } => None,
            _ => Some(Leaves::new()),
        };
        sets.push(set);
    }
    sets
}

/// Inside nodes that something above, an aggregate or a program uses.
fn wanted(graph: &Bound, reachable: &[bool], leaves: &[Option<Leaves>]) -> Vec<bool> {
    let mut wanted = vec![false; graph.nodes.len()];
    for root in graph.roots.iter().flatten() {
        wanted[*root] = true;
    }
    for (n, node) in graph.nodes.iter().enumerate() {
        if reachable[n] && leaves[n].is_none() {
            for &a in operands(node) {
                wanted[a] = true;
            }
        }
    }
    wanted
}

fn gradient_runs(graph: &Bound) -> Vec<u64> {
    let mut runs: Vec<u64> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let bits = match node {
            BoundNode::Leaf(l) => match &graph.leaves[*l] {
                Leaf::Field { run, field, .. } if field_level(*field) == Level::Backward => {
                    1u64.checked_shl(*run as u32).unwrap_or(0)
                }
                _ => 0,
            },
            other => operands(other).iter().fold(0, |bits, &a| bits | runs[a]),
        };
        runs.push(bits);
    }
    runs
}
