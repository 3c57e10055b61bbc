//! From a plan to what a run works on: benchmarks, split, models, space, known proxies. Shared by
//! new runs, resumed ones and `lpz verify`.

use super::super::captures::{Captures, left_out};
use super::super::error::CliError;
use super::super::model_args::{DataArgs, EngineName, Precision};
use super::args::Beside;
use crate::bench::Bench;
use crate::cli::say::say;
use crate::data::Tokens;
use crate::evolve::driver::Driver;
use crate::evolve::figures::Part;
use crate::evolve::finish::{Parts, Reference};
use crate::evolve::folder::{BenchUsed, ModelUsed, Plan, SpaceUsed};
use crate::evolve::inputs::inputs;
use crate::evolve::language::{Language, compiler, vocabulary};
use crate::evolve::space::Space;
use crate::evolve::space::free::FreeSpace;
use crate::evolve::space::vocab::{Form, VocabSpace};
use crate::evolve::split::{SMALLEST_PART, split};
use crate::ir::key::{Key, key_of};
use crate::ir::{Dag, Node, NodeId};
use crate::lang::Library;
use crate::model::Config;
use crate::score::BASELINES;
use crate::site::{KINDS, OBJECTIVES, Outline, option};
use clap::ValueEnum;
use std::path::Path;
use std::rc::Rc;

/// Architectures with their ground truth and how they are run.
pub struct Subjects {
    /// Configurations.
    pub configs: Vec<Config>,
    /// Identities for the reduction cache.
    pub identities: Vec<Key>,
    /// Ids in their benchmarks.
    pub ids: Vec<String>,
    /// Stored captures to read instead of running models.
    pub captures: Option<Captures>,
    /// Architectures as text: equal ones are duplicates.
    pub keys: Vec<String>,
    /// Ground truth, higher is better.
    pub truth: Vec<f64>,
    /// Benchmark of each.
    pub bench: Vec<usize>,
    /// Benchmarks as they go into the plan.
    pub used: Vec<BenchUsed>,
    /// Data options.
    pub data: DataArgs,
    /// Where tokens come from.
    pub tokens: Tokens,
    /// Seed of parameters and tokens.
    pub seed: u64,
}

impl Subjects {
    /// Reads benchmarks; `metrics` has one for all, one for each, or none.
    ///
    /// # Errors
    /// Files, metrics and configurations that are wrong, named.
    pub fn load(benches: &[(String, Option<String>)], model: &ModelUsed) -> Result<Self, CliError> {
        let data = data_args(model)?;
        let tokens = data.tokens()?;
        let mut all = Subjects {
            configs: Vec::new(),
            identities: Vec::new(),
            ids: Vec::new(),
            captures: model.captures.as_deref().map(Captures::new),
            keys: Vec::new(),
            truth: Vec::new(),
            bench: Vec::new(),
            used: Vec::new(),
            data,
            tokens,
            seed: model.seed,
        };
        for (path, metric) in benches {
            all.add(path, metric.as_deref(), model)?;
        }
        Ok(all)
    }

    fn add(&mut self, path: &str, metric: Option<&str>, model: &ModelUsed) -> Result<(), CliError> {
        let mut bench = Bench::read(Path::new(path))?;
        if let Some(n) = model.limit {
            bench.sample(n, model.seed);
        }
        if let (Some(captures), Some(dir)) = (&self.captures, &model.captures) {
            let absent = captures.keep(&mut bench.records)?;
            if let Some(note) = left_out(absent, dir) {
                say!("{note}");
            }
        }
        let metric = bench.metric(metric)?.to_owned();
        let truth = bench.truth(&metric)?;
        let keys = bench.keys();
        let bits: Vec<u64> = truth.iter().map(|t| t.to_bits()).collect();
        for (record, key) in bench.records.iter().zip(&keys) {
            let config = Config::from_json(&record.config)
                .map_err(|e| CliError::new(format!("{path}, architecture `{}`: {e}", record.id)))?;
            self.configs.push(config);
            self.ids.push(record.id.clone());
            self.identities.push(self.data.identity(&record.config, self.seed));
            self.keys.push(key.clone());
        }
        self.used.push(BenchUsed {
            path: path.to_owned(),
            metric,
            hash: format!("{:032x}", key_of(&(&keys, &bits)).0),
            architectures: keys.len(),
        });
        self.bench.extend(std::iter::repeat_n(self.used.len() - 1, keys.len()));
        self.truth.extend(truth);
        Ok(())
    }

    /// The split of the plan.
    ///
    /// # Errors
    /// When a part would be too small.
    pub fn parts(&self, plan: &Plan, driver: &Driver<'_>) -> Result<Parts, CliError> {
        let seed = plan.settings.seed;
        let s = split(&self.keys, plan.fractions.0, plan.fractions.1, seed).map_err(|e| {
            CliError::new(e.to_string())
                .help("take a larger benchmark or --limit, or other --search-share and --validation-share")
        })?;
        use crate::evolve::evaluator::Evaluator;
        let part = |archs: Vec<usize>| Part {
            truth: archs.iter().map(|&a| self.truth[a]).collect(),
            params: archs.iter().map(|&a| driver.number(a, "params", None).unwrap_or(0.0)).collect(),
            bench: archs.iter().map(|&a| self.bench[a]).collect(),
            over: plan.settings.over,
            archs,
        };
        let parts =
            Parts { search: part(s.search), validation: part(s.validation), test: part(s.test), seed };
        for (b, used) in self.used.iter().enumerate() {
            for p in
                [&parts.search, &parts.validation, &parts.test].into_iter().filter(|p| !p.archs.is_empty())
            {
                let n = p.bench.iter().filter(|x| **x == b).count();
                if n < SMALLEST_PART {
                    return Err(CliError::new(format!(
                        "{}: {n} architectures fall into a part of the split, {SMALLEST_PART} are needed",
                        used.path
                    ))
                    .help("take a larger benchmark or --limit"));
                }
            }
        }
        Ok(parts)
    }
}

fn data_args(m: &ModelUsed) -> Result<DataArgs, CliError> {
    let named = |what: &str, name: &str| CliError::new(format!("unknown {what} `{name}` in run.json"));
    let objective = match &m.objective {
        None => Vec::new(),
        Some(name) => vec![option(OBJECTIVES, name).ok_or_else(|| named("objective", name))?],
    };
    Ok(DataArgs {
        inputs: m.inputs.clone(),
        text: m.text.clone(),
        tokenizer: m.tokenizer.clone(),
        random_tokens: m.inputs.is_none() && m.text.is_none(),
        batch: m.batch,
        seq: m.seq,
        objective,
        precision: Precision::from_str(&m.precision, true).map_err(|_| named("precision", &m.precision))?,
        engine: EngineName::from_str(&m.engine, true).map_err(|_| named("engine", &m.engine))?,
    })
}

/// The space of a plan on the architectures at hand; `vocabulary` is the file that `linear`, `tree`
/// and `graph` draw from.
///
/// # Errors
/// A vocabulary that is wrong; no sites that all architectures have.
pub fn space(
    used: &SpaceUsed,
    vocab: Option<&Path>,
    limits: (usize, usize),
    driver: &Driver<'_>,
    archs: usize,
    language: &Rc<Language>,
) -> Result<Box<dyn Space>, CliError> {
    let has = |kind: &str| {
        (0..archs).all(|a| {
            driver.outline(a).sites.iter().any(|s| KINDS.iter().any(|k| k.kind == s.kind && k.name == kind))
        })
    };
    let form = match used.name.as_str() {
        "linear" => Form::Linear(used.n_unary),
        "tree" => Form::Tree(used.n_unary),
        "graph" => Form::Graph(used.n_nodes),
        _ => return free(limits, driver, archs, language),
    };
    let import = vocab.map_or_else(
        || "use std::lpzero".to_owned(),
        |p| format!("use \"./{}\"", p.file_name().unwrap_or_default().to_string_lossy()),
    );
    let here = vocab.map_or_else(|| import.clone(), |p| format!("use \"{}\"", p.display()));
    let vocabulary = vocabulary(vocab, import, !matches!(form, Form::Linear(_))).map_err(CliError::new)?;
    let causal = {
        use crate::evolve::evaluator::Evaluator;
        (0..archs).all(|a| driver.number(a, "causal", None) == Some(1.0))
    };
    let inputs = inputs(causal, has);
    if inputs.is_empty() {
        return Err(CliError::new("the architectures have no sites in common that this space reads")
            .help("use --space free"));
    }
    // The vocabulary's names win over operators of the same name, as they do in the file that is written.
    let compile = compiler(language.clone(), here);
    Ok(Box::new(VocabSpace { form, vocabulary, inputs, compile }))
}

/// The space of typed expressions over the sites that all architectures have.
fn free(
    limits: (usize, usize),
    driver: &Driver<'_>,
    archs: usize,
    language: &Rc<Language>,
) -> Result<Box<dyn Space>, CliError> {
    let outlines: Vec<&Outline> = (0..archs).map(|a| driver.outline(a)).collect();
    let mut free = FreeSpace::over(&outlines, limits, language.clone());
    for choice in &mut free.sites {
        choice.fields.retain(|f| driver.offers(choice.kind, *f));
        choice.dear = choice.fields.clone();
        choice.dear.retain(|f| !driver.keeps(choice.kind, *f));
    }
    free.sites.retain(|c| !c.fields.is_empty());
    if free.sites.is_empty() {
        return Err(CliError::new("the captures hold no field of all sites of a kind")
            .help("capture with programs that read whole collections, or take --space tree"));
    }
    Ok(Box::new(free))
}

/// Classical proxies that cost no more than one backward pass.
const CLASSICAL: &[&str] = &[
    "l2_norm",
    "grad_norm",
    "snip",
    "synaptic_saliency",
    "fisher",
    "synflow",
    "logsynflow",
    "activation_distance",
    "head_confidence",
    "softmax_confidence",
    "nwot",
    "lpzero_bert",
    "lpzero_gpt2",
];

/// Known proxies for comparison, and their programs.
pub fn references(beside: Beside) -> (Vec<Reference>, Dag) {
    let mut dag = Dag::default();
    let mut library = Library::new();
    let mut out = Vec::new();
    let groups: &[(bool, &[&str])] = match beside {
        Beside::None => &[],
        Beside::Baselines => &[(true, BASELINES)],
        Beside::Classical => &[(true, BASELINES), (false, CLASSICAL)],
    };
    for (baseline, names) in groups {
        for name in *names {
            let found = library.resolve(&format!("std::{name}"), &mut dag).unwrap_or_default();
            let wanted = |p: &crate::ir::Program| beside == Beside::Classical || !reads_tensors(&dag, p.root);
            out.extend(found.into_iter().filter(|p| wanted(&p.program)).map(|p| Reference {
                name: format!("std::{name}"),
                baseline: *baseline,
                program: p.program,
            }));
        }
    }
    (out, dag)
}

/// Does the program read any field of a site?
fn reads_tensors(dag: &Dag, node: NodeId) -> bool {
    match dag.node(node) {
        Node::Field { .. } => true,
        Node::Op { args, .. } => args.iter().any(|&a| reads_tensors(dag, a)),
        Node::Fold { body, .. } => reads_tensors(dag, *body),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_proxy_is_in_the_library() {
        let (found, _) = references(Beside::Classical);
        let names: Vec<&str> = found.iter().map(|r| r.name.as_str()).collect();
        for name in BASELINES.iter().chain(CLASSICAL) {
            assert!(names.contains(&format!("std::{name}").as_str()), "{name}");
        }
        assert_eq!(names.len(), BASELINES.len() + CLASSICAL.len());
    }
}
