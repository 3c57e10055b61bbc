//! What a run is asked to do. Everything here is written to `run.json`; a run can be resumed only
//! under the settings it was started with (budgets apart).

use super::judge::{Measure, Over};
use super::population::Algorithm;
use crate::site::{Batches, CaptureSpec, Inputs, Objective, ParamsMode};
use serde::{Deserialize, Serialize};

/// Settings of the search proper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Seed of everything random.
    pub seed: u64,
    /// Algorithm.
    pub algorithm: Algorithm,
    /// Members of an island.
    pub population: usize,
    /// Short terms that are measured before the first generation (spaces that look at them).
    pub probes: usize,
    /// Islands.
    pub islands: usize,
    /// Generations between migrations.
    pub migrate_every: u64,
    /// Generations without a better program after which an island starts anew.
    pub plateau: u64,
    /// Most nodes of a program.
    pub max_size: usize,
    /// Most levels of a program.
    pub max_depth: usize,
    /// Most that one score may cost, in forward passes of the model.
    pub max_cost: f64,
    /// Sizes of the rungs of the ladder of architectures, before all.
    pub ladder: Vec<usize>,
    /// Rules that are off.
    pub no_rules: Vec<String>,
    /// Fitness.
    pub measure: Measure,
    /// Over benchmarks.
    pub over: Over,
    /// What is run for every program.
    #[serde(skip)]
    pub capture: CaptureSpec,
    /// `capture`, in the language.
    pub capture_text: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            seed: 0,
            algorithm: Algorithm::Nsga2,
            population: 80,
            probes: 600,
            islands: 2,
            migrate_every: 10,
            plateau: 60,
            max_size: 64,
            max_depth: 12,
            max_cost: 6.0,
            ladder: vec![16, 64],
            no_rules: Vec::new(),
            measure: Measure::TauA,
            over: Over::Worst,
            capture: CaptureSpec {
                params: ParamsMode::Init,
                inputs: Inputs::Data,
                objective: None::<Objective>,
                batches: Batches::One,
            },
            capture_text: String::new(),
        }
    }
}

/// When a run ends; whichever comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Generations (steps of one offspring for `lpzero`).
    pub iterations: Option<u64>,
    /// Programs evaluated.
    pub evaluations: Option<u64>,
    /// Seconds of this process. Where a run stops by time, it stops at a generation barrier that
    /// depends on the machine.
    pub seconds: Option<f64>,
}
