//! Bound programs over linear sites of one shape, with their tensors.

use lpzero::engine::Known;
use lpzero::ir::bind::{NoReductions, bind};
use lpzero::ir::{Bound, BoundId, BoundNode, Dag, Leaf};
use lpzero::lang::Library;
use lpzero::site::{Field, Kind, Objective, Outline, Site};
use lpzero::tensor::{Dims, Tensor};
use rayon::prelude::*;

/// An architecture of `sites` linear sites.
pub fn outline(rows: usize, cols: usize, sites: usize) -> Outline {
    let dims: Dims = Dims::from_slice(&[rows, cols]);
    let site = |i: usize| Site {
        kind: Kind::Linear,
        name: format!("layer.{i}"),
        layer: Some(i),
        roles: vec![],
        transposed: false,
        fields: vec![(Field::Weight, dims.clone()), (Field::Grad, dims.clone())],
    };
    Outline { sites: (0..sites).map(site).collect(), ..Outline::default() }
}

/// Programs that sum a body over all sites.
pub fn programs(bodies: &[String], dag: &mut Dag) -> Vec<lpzero::ir::Program> {
    let mut library = Library::new();
    let text = |b: &String| format!("sum l in linear {{ {b} }}");
    bodies.iter().map(|b| library.expression("p", &text(b), dag).unwrap().program).collect()
}

/// The bodies' programs, bound.
pub fn graph(bodies: &[String], outline: &Outline) -> (Bound, Vec<BoundId>) {
    let mut dag = Dag::default();
    let programs = programs(bodies, &mut dag);
    let bound = bind(&dag, &programs, outline, Objective::Loss, &NoReductions).graph;
    let roots = bound.roots.iter().map(|r| *r.as_ref().unwrap()).collect();
    (bound, roots)
}

/// Weight and gradient of every site.
pub struct Leaves<'a>(pub &'a Bound, pub [Tensor; 2]);

impl Known for Leaves<'_> {
    fn get(&self, node: BoundId) -> Option<Tensor> {
        let BoundNode::Leaf(l) = &self.0.nodes[node] else { return None };
        match &self.0.leaves[*l] {
            Leaf::Field { field: Field::Weight, .. } => Some(self.1[0].clone()),
            _ => Some(self.1[1].clone()),
        }
    }
}

/// Elements between -1 and 1.
pub fn data(salt: u32, n: usize) -> Vec<f32> {
    let x = |i: u32| (i.wrapping_mul(2_654_435_761).wrapping_add(salt) >> 8) as f32 / (1 << 23) as f32 - 1.0;
    (0..n as u32).into_par_iter().map(x).collect()
}
