//! The standard library against scores that PyTorch computed in float64, and LPZero's genotypes as
//! programs.
//!
//! A selection of cases is in `tests/data/parity`; all of them run where the whole set is found
//! (`LPZ_PARITY_DIR`, or `../shared/parity`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use lpzero::engine::Reference;
use lpzero::ir::prepare::Prepared;
use lpzero::ir::{Dag, Program};
use lpzero::lang::Library;
use lpzero::model::{Batch, Config, Model};
use lpzero::score::Scorer;
use lpzero::site::Objective;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const RTOL: f64 = 1e-7;
const FAMILIES: [&str; 3] = ["flexibert", "gpt2", "gpt2-flex"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn cases() -> Vec<PathBuf> {
    let shared =
        std::env::var_os("LPZ_PARITY_DIR").map_or_else(|| root().join("../shared/parity"), PathBuf::from);
    let mut found = BTreeMap::new();
    for dir in [root().join("tests/data/parity"), shared.join("cases")] {
        for entry in std::fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            let family = std::fs::read_to_string(path.join("config.json"))
                .map(|_| json(&path, "config")["family"].clone());
            if family.is_ok_and(|f| FAMILIES.iter().any(|k| f == *k)) {
                found.insert(path.file_name().unwrap().to_owned(), path);
            }
        }
    }
    assert!(found.len() >= 4, "cases are missing");
    found.into_values().collect()
}

fn json(case: &Path, name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(case.join(format!("{name}.json"))).unwrap()).unwrap()
}

fn model(case: &Path) -> Model<f64> {
    let batch = Batch::read(&case.join("inputs.safetensors")).unwrap();
    let mut model = Model::new(Config::from_json(&json(case, "config")).unwrap(), vec![batch], 0).unwrap();
    model.load(&case.join("model.safetensors")).unwrap();
    model
}

/// Scores programs; where they leave the objective open it is `objective`. NaN where there is none.
fn score(
    model: &mut Model<f64>,
    dag: &Dag,
    mut programs: Vec<Program>,
    objective: Objective,
) -> BTreeMap<String, f64> {
    for p in &mut programs {
        p.capture.objective.get_or_insert(objective);
    }
    let prepared = Prepared::new(dag, &programs);
    let mut engine = Reference;
    let mut scorer = Scorer::new(&mut engine);
    scorer.explain = false;
    let scores = scorer.score(&prepared, model).unwrap().scores;
    programs.iter().zip(scores).map(|(p, s)| (p.name.clone(), s.value.unwrap_or(f64::NAN))).collect()
}

/// What differs: `wanted` may hold "inf", "-inf" and "nan", for which there must be no score.
fn compare(
    place: &str,
    got: &BTreeMap<String, f64>,
    wanted: &Map<String, Value>,
    floor: f64,
    wrong: &mut Vec<String>,
) {
    for (name, want) in wanted {
        let Some(value) = got.get(name) else {
            wrong.push(format!("{place} {name}: no program"));
            continue;
        };
        let fits = match want.as_f64() {
            Some(w) => (value - w).abs() <= RTOL * w.abs().max(floor),
            None => want.is_string() && value.is_nan(),
        };
        if !fits {
            wrong.push(format!("{place} {name}: {value:e}, expected {want}"));
        }
    }
}

#[test]
fn the_standard_library_gives_the_published_scores() {
    let objectives = [("ones", Objective::Ones), ("loss", Objective::Loss), ("logits", Objective::SumLogits)];
    let mut wrong = Vec::new();
    for case in cases() {
        let expected = json(&case, "expected");
        let mut model = model(&case);
        for (name, wanted) in expected["scores"].as_object().unwrap() {
            let primary = expected["primary_objective"].as_str().unwrap();
            let chosen = if name == "forward" { primary } else { name };
            let objective = objectives.iter().find(|o| o.0 == chosen).unwrap().1;
            let (mut library, mut dag, mut programs) = (Library::new(), Dag::default(), Vec::new());
            let wanted = wanted.as_object().unwrap();
            for score in wanted.keys() {
                let found = library.resolve(&format!("std::{score}"), &mut dag).unwrap();
                programs.extend(found.into_iter().map(|p| p.program));
            }
            let got = score(&mut model, &dag, programs, objective);
            compare(&format!("{} {name}", case.display()), &got, wanted, 1e-12, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn genotypes_of_lpzero_give_their_values() {
    let mut wrong = Vec::new();
    for case in cases() {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let file = root().join(format!("tests/data/programs/{name}.lpz"));
        let expected = json(&case, "expected");
        let Some(genotypes) = expected.get("programs") else { continue };
        let mut wanted = Map::new();
        for (i, g) in genotypes.as_array().unwrap().iter().enumerate().filter(|(_, g)| !g["clean"].is_null())
        {
            wanted.insert(format!("p{i:02}"), g["clean"].clone());
        }
        for (input, ops) in expected.get("unary_table").and_then(Value::as_object).into_iter().flatten() {
            for (op, value) in ops.as_object().unwrap() {
                wanted.insert(format!("{input}__{op}"), value.clone());
            }
        }
        let (mut library, mut dag) = (Library::new(), Dag::default());
        let programs = library.resolve(file.to_str().unwrap(), &mut dag).unwrap();
        let programs: Vec<Program> = programs.into_iter().map(|p| p.program).collect();
        assert_eq!(programs.len(), wanted.len(), "{name}");
        let primary = if expected["primary_objective"] == "ones" { Objective::Ones } else { Objective::Loss };
        let got = score(&mut model(&case), &dag, programs, primary);
        compare(&name, &got, &wanted, 1e-6, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_standard_library_is_right_and_documented() {
    let library = Library::new();
    let modules: Vec<_> = library.std_modules().map(|(id, _)| id).collect();
    assert!(modules.len() > 5);
    let mut dag = Dag::default();
    for id in modules {
        let checked = library.check(id, &mut dag);
        assert!(checked.is_ok(), "{}: {:?}", library.module(id).name, checked.diagnostics);
        let file = &library.module(id).file;
        assert!(!file.docs.is_empty(), "{}", library.module(id).name);
        for item in file.items.iter().filter(|i| i.name().is_some()) {
            assert!(!item.docs.is_empty(), "{:?} is not documented", item.name());
        }
    }
}
