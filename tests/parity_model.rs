//! Models against values that PyTorch computed in float64: outputs, every gradient, captured tensors,
//! Hessian-vector products, site lists and parameter counts.
//!
//! A selection of cases is in `tests/data/parity`; all of them run where the whole set is found
//! (`LPZ_PARITY_DIR`, or `../shared/parity`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use lpzero::model::{Batch, Config, Model};
use lpzero::site::{Batches, CaptureSpec, Field, Kind, Objective, Sink, SiteId, Source, objective_key};
use lpzero::tensor::Tensor;
use lpzero::tensor::real::Base;
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Families this crate has.
const FAMILIES: [&str; 3] = ["flexibert", "gpt2", "gpt2-flex"];

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared =
        std::env::var_os("LPZ_PARITY_DIR").map_or_else(|| root.join("../shared/parity"), PathBuf::from);
    let mut dirs = vec![root.join("tests/data/parity")];
    if shared.join("cases").is_dir() {
        dirs.push(shared.join("cases"));
    } else {
        eprintln!("{} is absent: only the cases in tests/data run", shared.display());
    }
    let mut found = BTreeMap::new();
    for dir in dirs {
        for e in std::fs::read_dir(&dir).unwrap() {
            let path = e.unwrap().path();
            if path.join("config.json").is_file()
                && FAMILIES.contains(&json(&path, "config")["family"].as_str().unwrap())
            {
                found.insert(path.file_name().unwrap().to_owned(), path);
            }
        }
    }
    found.into_values().collect()
}

fn json(case: &Path, name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(case.join(format!("{name}.json"))).unwrap()).unwrap()
}

struct Want {
    dims: Vec<usize>,
    data: Vec<f64>,
}

fn expected(case: &Path) -> BTreeMap<String, Want> {
    let bytes = std::fs::read(case.join("expected.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.tensors()
        .into_iter()
        .map(|(k, v)| {
            let data = v.data().chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
            (k, Want { dims: v.shape().to_vec(), data })
        })
        .collect()
}

fn batch(case: &Path) -> Batch {
    let bytes = std::fs::read(case.join("inputs.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let ints = |name: &str| -> Option<(Vec<usize>, Vec<u32>)> {
        let t = file.tensor(name).ok()?;
        let data = t.data().chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as u32).collect();
        Some((t.shape().to_vec(), data))
    };
    let (dims, ids) = ints("input_ids").unwrap();
    Batch::new(ids, ints("labels").map(|l| l.1), dims[0], dims[1]).unwrap()
}

fn model<T: Base>(case: &Path) -> Model<T> {
    let config = Config::from_json(&json(case, "config")).unwrap();
    let mut m = Model::new(config, vec![batch(case)], 0).unwrap();
    m.load(&case.join("model.safetensors")).unwrap();
    m
}

fn objective(name: &str) -> Objective {
    use Objective::{Loss, Ones, SumLogits};
    [Loss, Ones, SumLogits].into_iter().find(|&o| objective_key(o) == name).unwrap()
}

/// `grad/ones` of `grad/ones/embeddings...`: tensors of one group share a scale.
fn group(key: &str) -> String {
    let n = if key.contains("grad/") { 2 } else { 1 };
    key.split('/').take(n).collect::<Vec<_>>().join("/")
}

/// The largest deviation relative to the largest element. A tensor that is zero in exact arithmetic
/// (below 1e-10 of the largest entry `top` of its group) holds rounding noise at most and is measured
/// by 1e-3 of that.
fn deviation(got: &[f64], want: &[f64], top: f64) -> f64 {
    let largest = |x: &[f64]| x.iter().fold(0f64, |m, x| m.max(x.abs()));
    let size = largest(want);
    let scale = if size <= 1e-10 * top { (1e-3 * top).max(1e-30) } else { size };
    assert!(got.iter().all(|x| x.is_finite()));
    got.iter().zip(want).fold(0f64, |m, (a, b)| m.max((a - b).abs())) / scale
}

/// Compares everything; returns the worst deviation by group.
fn compare<T: Base>(case: &Path, tolerance: f64) -> BTreeMap<String, f64> {
    let name = case.file_name().unwrap().to_string_lossy().into_owned();
    let m = model::<T>(case);
    let want = expected(case);
    let about = json(case, "expected");
    let mut tops: BTreeMap<String, f64> = BTreeMap::new();
    for (k, w) in &want {
        let top = tops.entry(group(k)).or_default();
        *top = w.data.iter().fold(*top, |m, x| m.max(x.abs()));
    }
    let mut worst: BTreeMap<String, f64> = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for o in about["objectives"].as_array().unwrap() {
        let o = o.as_str().unwrap();
        let primary = about["primary_objective"] == o;
        let spec = CaptureSpec { objective: Some(objective(o)), ..Default::default() };
        let value = m
            .full(&spec, primary, &mut |key, t| {
                let w = want.get(key).unwrap_or_else(|| panic!("{name}: {key} is not expected"));
                assert_eq!(t.dims(), w.dims, "{name}: {key}");
                let d = deviation(&t.to_f64(), &w.data, tops[&group(key)]);
                let slot = worst.entry(group(key)).or_default();
                *slot = slot.max(d);
                assert!(d <= tolerance, "{name}: {key} deviates by {d:e}");
                seen.insert(key.to_owned());
            })
            .unwrap();
        let w = about["objective_values"][o].as_f64().unwrap();
        assert!((value - w).abs() <= tolerance * w.abs().max(1.0), "{name}: {o} {value} {w}");
    }
    let missing: Vec<_> = want.keys().filter(|k| !seen.contains(*k)).collect();
    assert!(missing.is_empty(), "{name}: not produced: {missing:?}");
    worst
}

#[test]
fn everything_in_f64() {
    for case in cases() {
        println!("{} {:?}", case.display(), compare::<f64>(&case, 1e-9));
    }
}

#[test]
fn everything_in_f32() {
    for case in cases() {
        println!("{} {:?}", case.display(), compare::<f32>(&case, 3e-4));
    }
}

#[test]
fn sites_and_counts() {
    for case in cases() {
        let m = model::<f32>(&case);
        let about = json(&case, "expected");
        let outline = m.outline();
        let names = |kind: Kind, roles: &[&str]| -> Vec<&str> {
            let keep = |r: &[&'static str]| roles.is_empty() || roles.iter().any(|x| r.contains(x));
            outline
                .sites
                .iter()
                .filter(|s| s.kind == kind && keep(&s.roles))
                .map(|s| s.name.as_str())
                .collect()
        };
        let list = |key: &str| -> Vec<&str> {
            about["sites"][key].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect()
        };
        assert_eq!(names(Kind::Linear, &[]), list("linear"));
        assert_eq!(names(Kind::Linear, &["op"]), list("op_linear"));
        assert_eq!(names(Kind::Linear, &["out"]), list("op_output_linear"));
        assert_eq!(names(Kind::Linear, &["ffn"]), list("ffn_linear"));
        assert_eq!(names(Kind::Head, &[]), list("head"));
        assert_eq!(names(Kind::Act, &[]), list("act"));
        assert_eq!(names(Kind::Softmax, &[]), list("softmax"));
        let count = |role: &str| outline.params.iter().find(|p| p.0 == role).unwrap().1;
        let want = |key: &str| about["n_params"][key].as_f64().unwrap();
        for part in ["embedding", "operation", "ffn", "norm", "head", "blocks"] {
            assert_eq!(count(part), want(part), "{} {part}", case.display());
        }
        assert_eq!(count("linear"), want("block_linear_weights"));
        assert_eq!(outline.numbers.iter().find(|n| n.0 == "params").unwrap().1, want("total"));
        for site in &outline.sites {
            let row = lpzero::site::KINDS.iter().find(|k| k.kind == site.kind).unwrap();
            for (field, dims) in &site.fields {
                assert!(
                    row.fields.iter().any(|(f, rank)| f == field && *rank == dims.len()),
                    "{}",
                    site.name
                );
            }
        }
    }
}

#[derive(Default)]
struct Keep {
    fields: BTreeMap<(SiteId, Field), Tensor>,
    numbers: BTreeMap<&'static str, f64>,
    noise: bool,
}

impl Sink for Keep {
    fn field(&mut self, site: SiteId, field: Field, tensor: Tensor) {
        assert!(self.fields.insert((site, field), tensor).is_none(), "{site} {field:?} came twice");
    }
    fn number(&mut self, name: &'static str, value: f64) {
        self.numbers.insert(name, value);
    }
    fn rounding_noise(&mut self) {
        self.noise = true;
    }
}

fn all_wants(m: &impl Source) -> Vec<(SiteId, Field)> {
    let sites = m.outline().sites.iter().enumerate();
    sites.flat_map(|(i, s)| s.fields.iter().map(move |(f, _)| (i, *f))).collect()
}

fn run<T: Base>(m: &mut Model<T>, spec: &CaptureSpec) -> Keep {
    let wants = all_wants(m);
    let mut keep = Keep::default();
    m.run(spec, &wants, &mut keep).unwrap();
    assert_eq!(keep.fields.len(), wants.len());
    keep
}

#[test]
fn every_field_is_delivered_once_in_its_shape() {
    for case in cases() {
        let mut m = model::<f64>(&case);
        let keep = run(&mut m, &CaptureSpec::default());
        assert!(!keep.noise, "{}", case.display());
        for ((site, field), t) in &keep.fields {
            let s = &m.outline().sites[*site];
            assert_eq!(t.dims(), s.dims(*field).unwrap().as_slice(), "{} {field:?}", s.name);
            if s.transposed && *field == Field::Weight {
                let stored = &keep.fields[&(*site, Field::StoredWeight)];
                let (r, c) = s.rows_cols().unwrap();
                let (a, b) = (t.to_f64(), stored.to_f64());
                assert!((0..r).all(|i| (0..c).all(|j| a[i * c + j] == b[j * r + i])));
            }
        }
    }
}

#[test]
fn samples_add_up_to_the_batch() {
    for case in cases() {
        let mut m = model::<f64>(&case);
        let one = run(&mut m, &CaptureSpec::default());
        let each = run(&mut m, &CaptureSpec { batches: Batches::EachSample, ..Default::default() });
        let n = m.batches()[0].batch;
        // The loss is a mean over the batch, the projection a sum.
        let scale = if m.outline().numbers.contains(&("causal", 1.0)) { n as f64 } else { 1.0 };
        for (key, whole) in &one.fields {
            let site = &m.outline().sites[key.0];
            let part = &each.fields[key];
            if part.rank() == whole.rank() {
                assert_eq!(part.to_f64(), whole.to_f64());
                continue;
            }
            assert_eq!(part.dims()[0], n, "{}", site.name);
            if matches!(key.1, Field::Grad) && matches!(site.kind, Kind::Linear | Kind::Norm | Kind::Pos) {
                let data = part.to_f64();
                let k = whole.numel();
                let sum: Vec<f64> =
                    (0..k).map(|i| (0..n).map(|b| data[b * k + i]).sum::<f64>() / scale).collect();
                assert!(deviation(&sum, &whole.to_f64(), 1e6) < 1e-10, "{} {}", case.display(), site.name);
            }
        }
    }
}

#[test]
fn ones_at_initialisation_are_rounding_noise() {
    let text = r#"{"family":"flexibert","hidden_size":64,"vocab_size":97,"embedding_size":32,
        "nas_config":{"encoder_layers":[{"operation_type":"SA","operation_parameter":"SDP",
        "num_operation_heads":2,"feed_forward_dimension":64,"num_feed_forward":1}]}}"#;
    let config = Config::from_text(text).unwrap();
    let batches = Batch::random(97, 2, 8, 1, 0).unwrap();
    let noise = |objective, single: bool| {
        let spec = CaptureSpec { objective: Some(objective), ..Default::default() };
        if single {
            run(&mut Model::<f32>::new(config.clone(), batches.clone(), 0).unwrap(), &spec).noise
        } else {
            run(&mut Model::<f64>::new(config.clone(), batches.clone(), 0).unwrap(), &spec).noise
        }
    };
    for single in [false, true] {
        assert!(noise(Objective::Ones, single));
        assert!(!noise(Objective::Projection, single));
    }
}

#[test]
fn same_bits_on_any_number_of_threads() {
    for case in cases() {
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let keep = run(&mut model::<f32>(&case), &CaptureSpec::default());
                let words =
                    |t: &Tensor| t.as_slice::<f32>().unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                keep.fields.values().map(words).collect::<Vec<_>>()
            })
        };
        let one = bits(1);
        for threads in [2, 3] {
            assert!(one == bits(threads), "{} on {threads} threads", case.display());
        }
    }
}

/// Sums `term(weight, grad)` over the elements of all linears.
fn over_linears(m: &mut Model<f64>, spec: &CaptureSpec, term: impl Fn(f64, f64) -> f64) -> f64 {
    let keep = run(m, spec);
    let sites = m.outline().sites.iter().enumerate().filter(|(_, s)| s.kind == Kind::Linear);
    let both = sites
        .map(|(i, _)| (keep.fields[&(i, Field::Weight)].to_f64(), keep.fields[&(i, Field::Grad)].to_f64()));
    both.map(|(w, g)| w.iter().zip(&g).map(|(&w, &g)| term(w, g)).sum::<f64>()).sum()
}

#[test]
fn synflow_runs_with_absolute_parameters_and_other_inputs() {
    use lpzero::site::{Inputs, ParamsMode};
    for case in cases() {
        let mut m = model::<f64>(&case);
        let about = json(&case, "expected");
        let mut checked = 0;
        for (suffix, params, inputs) in [
            ("", ParamsMode::Abs, Inputs::Ones),
            ("_tokens", ParamsMode::Abs, Inputs::Data),
            ("_maskflip", ParamsMode::AbsBuffers, Inputs::Ones),
        ] {
            let spec =
                CaptureSpec { params, inputs, objective: Some(Objective::SumLogits), batches: Batches::One };
            let log = |w: f64, g: f64| if g == 0.0 { 0.0 } else { w * g.abs().ln().abs() };
            for (name, got) in [
                ("synflow", over_linears(&mut m, &spec, |w, g| (w * g).abs())),
                ("logsynflow", over_linears(&mut m, &spec, log)),
            ] {
                if let Some(want) = about["scores"]["forward"][format!("{name}{suffix}")].as_f64() {
                    assert!(
                        (got - want).abs() < 1e-8 * want.abs(),
                        "{} {name}{suffix} {got} {want}",
                        case.display()
                    );
                    checked += 1;
                }
            }
        }
        assert!(checked >= 2, "{}", case.display());
    }
}
