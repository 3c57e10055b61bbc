//! What a program comes to on an architecture: the typed program, what it demands of which run, the
//! passes of the engine with bytes and operations, and what they should and do take.
//!
//! `groups` finds what is asked of the source and of the engine, `machine` and `measure` say how long it takes,
//! `text` says it to a person.

mod groups;
mod machine;
mod measure;
mod text;

pub use groups::{Group, Wanted};
pub use machine::{Machine, machine};

use crate::engine::cuda::{CudaError, Launch, recorder};
use crate::ir::bind::{NoReductions, bind_values};
use crate::ir::prepare::Prepared;
use crate::ir::{Bound, BoundId, BoundNode, Dag, Degenerate, Program};
use crate::model::{Batch, Config, Model};
use crate::ops::{self, Exec};
use crate::plan::demand::Demand;
use crate::site::{CaptureSpec, Objective, Outline, Source, SourceError};
use crate::tensor::Dtype;
use groups::{groups, wanted};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

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
    pub(in crate::score) fn steps(&self, of: &BTreeSet<BoundId>) -> FxHashMap<BoundId, usize> {
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
}
