//! The standard library's literature modules against scores computed independently with NumPy
//! (`tests/reference/literature.py`) on stored tensors of odd sizes.

#![allow(clippy::unwrap_used, clippy::panic)]

use lpzero::capture::source::FileSource;
use lpzero::engine::{Cpu, Engine, Reference};
use lpzero::ir::prepare::Prepared;
use lpzero::ir::{Dag, Program};
use lpzero::lang::reference::entries;
use lpzero::lang::{Library, NEEDS, Needs};
use lpzero::score::Scorer;
use lpzero::site::{Batches, CaptureSpec, Field, Objective, Outline, Sink, SiteId, Source, SourceError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Hands out the stored tensors whatever run is asked for: what a program computes is judged here,
/// not what is run for it.
struct AnyRun(FileSource);

impl Source for AnyRun {
    fn outline(&self) -> &Outline {
        self.0.outline()
    }
    fn default_objective(&self) -> Objective {
        self.0.default_objective()
    }
    fn run(
        &mut self,
        _: &CaptureSpec,
        wants: &[(SiteId, Field)],
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        self.0.run(&CaptureSpec::default(), wants, sink)
    }
}

#[derive(serde::Deserialize)]
struct Expected {
    modules: BTreeMap<String, BTreeMap<String, f64>>,
    expressions: BTreeMap<String, f64>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/literature")
}

fn expected() -> Expected {
    serde_json::from_str(&std::fs::read_to_string(folder().join("expected.json")).unwrap()).unwrap()
}

/// Scores on the file that holds what the programs need: gradients of one run, or of every sequence.
fn scores(engine: &mut dyn Engine, dag: &Dag, programs: &[Program], file: &str) -> Vec<Result<f64, String>> {
    let mut source = AnyRun(FileSource::open(&folder().join(file)).unwrap());
    let out = Scorer::new(engine).score(&Prepared::new(dag, programs), &mut source).unwrap();
    out.scores.into_iter().map(|s| s.value.map_err(|d| format!("{} at {}", d.reason, d.at))).collect()
}

fn wrong(engine: &mut dyn Engine, dag: &Dag, programs: &[(Program, f64)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (each, file) in [(false, "one.safetensors"), (true, "each.safetensors")] {
        let chosen: Vec<&(Program, f64)> =
            programs.iter().filter(|(p, _)| (p.capture.batches == Batches::EachSample) == each).collect();
        assert!(!chosen.is_empty());
        let list: Vec<Program> = chosen.iter().map(|(p, _)| p.clone()).collect();
        for ((p, want), got) in chosen.iter().zip(scores(engine, dag, &list, file)) {
            if !got.as_ref().is_ok_and(|x| (x - want).abs() <= 1e-9 * want.abs().max(1.0)) {
                wrong.push(format!("{}: {}: {got:?}, not {want}", engine.name(), p.name));
            }
        }
    }
    wrong
}

fn programs(dag: &mut Dag) -> Vec<(Program, f64)> {
    let (expected, mut library) = (expected(), Library::new());
    let mut all = Vec::new();
    for (module, values) in &expected.modules {
        for (name, value) in values {
            let found =
                library.resolve(&format!("std::{name}"), dag).unwrap_or_else(|e| panic!("{module}: {e}"));
            all.push((found[0].program.clone(), *value));
        }
    }
    for (text, value) in &expected.expressions {
        let found = library.expression(text, text, dag).unwrap_or_else(|e| panic!("{text}: {e}"));
        all.push((found.program, *value));
    }
    all
}

#[test]
fn every_score_is_what_numpy_computes() {
    let mut dag = Dag::default();
    let programs = programs(&mut dag);
    assert!(programs.len() > 60);
    let wrong: Vec<String> = [&mut Reference as &mut dyn Engine, &mut Cpu]
        .into_iter()
        .flat_map(|e| wrong(e, &dag, &programs))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_proxy_of_the_modules_is_judged() {
    let (expected, library) = (expected(), Library::new());
    for (id, module) in library.std_modules() {
        // SynFlow's published forms are judged by tests/parity_scores.rs.
        let Some(values) = expected.modules.get(&module.name).filter(|_| module.name != "synflow") else {
            continue;
        };
        let names: Vec<&str> = library
            .proxies(id)
            .into_iter()
            .filter_map(|d| Some(library.item(d).name()?.text.as_str()))
            .collect();
        let missing: Vec<_> = names.iter().filter(|n| !values.contains_key(**n)).collect();
        assert!(missing.is_empty() && names.len() == values.len(), "{}: {missing:?}", module.name);
    }
}

#[test]
fn a_changed_input_changes_the_scores() {
    // Of all linears' weights doubled, what is linear doubles: the comparison is not blind.
    let mut dag = Dag::default();
    let mut library = Library::new();
    let texts = ["sum l in linear { l1(2 * l.weight) }", "sum l in linear { l1(l.weight) }"];
    let list: Vec<Program> =
        texts.iter().map(|t| library.expression(t, t, &mut dag).unwrap().program).collect();
    let got = scores(&mut Cpu, &dag, &list, "one.safetensors");
    let (a, b) = (got[0].clone().unwrap(), got[1].clone().unwrap());
    assert!(
        (a - 2.0 * b).abs() < 1e-9 * a && (b - expected().modules["weights"]["weight_pnorm_1"]).abs() < 1e-9
    );
}

#[test]
fn documentation_groups_proxies_by_what_they_need() {
    let all = entries(&Library::new());
    let of = |name: &str| all.iter().find(|e| e.name == name && e.signature.starts_with("proxy")).unwrap();
    for (name, group, needs) in [
        ("nsc", 0, "parameters alone"),
        ("depth_logwidth", 0, "parameters alone"),
        ("synflow", 0, "a backward pass over ones, params abs, objective sum_logits"),
        ("zen", 0, "a backward pass per sequence over noise, objective projection"),
        ("swap", 1, "a forward pass"),
        ("wanda", 1, "a forward pass"),
        ("snip", 2, "a backward pass"),
        ("gradsign", 2, "a backward pass per sequence"),
        ("grasp", 3, "Hessian-vector products"),
    ] {
        assert_eq!((of(name).section, of(name).needs.as_deref()), (NEEDS[group], Some(needs)), "{name}");
    }
    let mut sections: Vec<&str> = all.iter().map(|e| e.section).collect();
    sections.dedup();
    let distinct = sections.iter().collect::<std::collections::HashSet<_>>().len();
    assert_eq!(sections.len(), distinct, "a section is in one piece: {sections:?}");
    let (mut dag, mut library) = (Dag::default(), Library::new());
    let loss = library.expression("x", "loss", &mut dag).unwrap().program;
    assert_eq!(Needs::of(&dag, &loss).group(), NEEDS[1]);
}
