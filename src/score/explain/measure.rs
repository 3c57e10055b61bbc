//! How long passes should take on a machine, and how long they took.

use super::{Explanation, Machine};
use crate::engine::Timed;
use crate::ir::prepare::Prepared;
use crate::ir::{Dag, Program};
use crate::plan::PassReport;
use crate::score::Scorer;
use crate::site::{Source, SourceError};

impl Explanation {
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
}

fn median(mut v: Vec<f64>) -> f64 {
    v.sort_by(f64::total_cmp);
    v.get(v.len() / 2).copied().unwrap_or(0.0)
}
