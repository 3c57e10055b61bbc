//! Options of `lpz evolve`.

use crate::cli::model_args::DataArgs;
use crate::cli::units::{seconds, size};
use crate::evolve::judge::{Measure, Over};
use crate::evolve::population::Algorithm;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Spaces by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SpaceName {
    /// One input, a chain of operations of the vocabulary
    Linear,
    /// Two chains, joined (LPZero's)
    Tree,
    /// Operations in a graph
    Graph,
    /// Typed expressions over everything the language has
    Free,
}

impl SpaceName {
    /// As on the command line.
    pub fn text(self) -> &'static str {
        match self {
            SpaceName::Linear => "linear",
            SpaceName::Tree => "tree",
            SpaceName::Graph => "graph",
            SpaceName::Free => "free",
        }
    }
}

/// Search programs for proxies that rank architectures they never saw.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example: lpz evolve --bench flexibert.jsonl --space free --time 10m --out runs/first\n\
    Then:    lpz rank --bench flexibert.jsonl --proxy runs/first/hall_of_fame.lpz"
)]
pub struct EvolveArgs {
    /// Benchmark with the ground truth; give several to find what holds on all [default: the small
    /// one that comes along, for a minute]
    #[arg(long, value_name = "X.jsonl")]
    pub bench: Vec<PathBuf>,
    /// Metric, one for all benchmarks or one for each [default: the benchmark's]
    #[arg(long, value_name = "M")]
    pub metric: Vec<String>,
    /// What several benchmarks count
    #[arg(long, value_enum, default_value_t = Over::Worst)]
    pub over: Over,
    /// Correlation that is the fitness
    #[arg(long, value_enum, default_value_t = Measure::TauA)]
    pub fitness: Measure,
    /// Space of programs
    #[arg(long, value_enum, default_value_t = SpaceName::Free)]
    pub space: SpaceName,
    /// Algorithm
    #[arg(long, value_enum, default_value_t = Algorithm::Nsga2)]
    pub algorithm: Algorithm,
    /// Members of an island
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub population: u32,
    /// Islands [default: 2; 1 for lpzero]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub islands: Option<u16>,
    /// Stop after so many generations (steps of one offspring for lpzero)
    #[arg(long, value_name = "N")]
    pub iterations: Option<u64>,
    /// Stop after so many programs evaluated
    #[arg(long, value_name = "N")]
    pub evaluations: Option<u64>,
    /// Stop after this time: 90s, 10m, 2h
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub time: Option<f64>,
    /// Generations without a better program after which an island starts anew
    #[arg(long, default_value_t = 60, value_name = "N")]
    pub plateau: u64,
    /// Unary operations per branch (linear, tree)
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=12))]
    pub n_unary: u8,
    /// Nodes of a graph
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=24))]
    pub n_nodes: u8,
    /// Module of functions that linear, tree and graph draw from [default: std::lpzero]
    #[arg(long, value_name = "FILE")]
    pub vocab: Option<PathBuf>,
    /// Most nodes of a program (free)
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub max_size: usize,
    /// Most levels of a program (free)
    #[arg(long, default_value_t = 12, value_name = "N")]
    pub max_depth: usize,
    /// Most that one score may cost, in forward passes of the model (a backward pass is two)
    #[arg(long, default_value_t = 6.0, value_name = "PASSES")]
    pub max_cost: f64,
    /// Known proxies to start from (free): std::NAME, FILE.lpz, FILE.lpz::NAME
    #[arg(long, value_name = "P", num_args = 1..)]
    pub init: Vec<String>,
    /// Turn a rule off
    #[arg(long, value_name = "RULE")]
    pub no_rule: Vec<String>,
    /// List the rules and end
    #[arg(long)]
    pub rules: bool,
    /// Take at most so many architectures of each benchmark
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Share of the distinct architectures that selection sees; 1 with --validation-share 0 for all, as in
    /// published searches: then nothing says how programs do on unseen ones
    #[arg(long, default_value_t = 1.0 / 3.0, value_name = "SHARE")]
    pub search_share: f64,
    /// Share that the choice among the selected sees; the rest is the test
    #[arg(long, default_value_t = 1.0 / 3.0, value_name = "SHARE")]
    pub validation_share: f64,
    /// Programs reported
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub keep: usize,
    /// Known proxies shown beside: trivial baselines, or classical proxies too [default: classical;
    /// baselines under a budget of time, for classical ones take longer than the search]
    #[arg(long, value_enum)]
    pub beside: Option<Beside>,
    /// Run the algorithm random too, with as many evaluations, into DIR/control, and show it beside
    #[arg(long)]
    pub control: bool,
    /// Folder of the run; must not exist or be empty [default: runs/SPACE-ALGORITHM-sSEED]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub out: Option<PathBuf>,
    /// Go on with the run in this folder
    #[arg(long, value_name = "DIR")]
    pub resume: Option<PathBuf>,
    /// (exhaustive) Runs whose distance from the optimum is told
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub compare: Vec<PathBuf>,
    /// Read captures that `lpz capture --bench --out` stored, instead of running models
    #[arg(long, value_name = "DIR")]
    pub captures: Option<PathBuf>,
    /// Bytes of tensors kept between generations
    #[arg(long, default_value = "8G", value_name = "SIZE", value_parser = size)]
    pub max_memory: usize,
    /// One JSON object per generation on standard output
    #[arg(long)]
    pub json_lines: bool,
    /// Data and precision
    #[command(flatten)]
    pub data: DataArgs,
}

/// Which known proxies are scored for comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Beside {
    /// None
    None,
    /// Trivial baselines that need no run of the model
    Baselines,
    /// All trivial baselines and classical proxies
    Classical,
}

impl EvolveArgs {
    /// Known proxies shown beside.
    pub fn beside(&self) -> Beside {
        self.beside.unwrap_or(if self.time.is_some() { Beside::Baselines } else { Beside::Classical })
    }
}
