//! Binding and scoring with a source that records what it was asked for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::{Build, Fake, sites};
use lpzero::engine::Reference;
use lpzero::ir::key::Key;
use lpzero::ir::prepare::Prepared;
use lpzero::ir::{Collection, Filter, Node};
use lpzero::score::{ReductionCache, Scorer, Scores};
use lpzero::site::{Batches, CaptureSpec, Field, Inputs, Kind, Objective, ParamsMode};

fn score(b: &Build, source: &mut Fake) -> Scores {
    let prepared = Prepared::new(&b.dag, &b.programs);
    let mut engine = Reference;
    Scorer::new(&mut engine).score(&prepared, source).unwrap()
}

fn values(s: &Scores) -> Vec<f64> {
    s.scores.iter().map(|s| s.value.clone().unwrap()).collect()
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{a} != {b}");
}

#[test]
fn snip_is_what_it_says() {
    let mut b = Build::default();
    let root = b.snip();
    b.program("snip", root, CaptureSpec::default());
    let mut source = Fake::new(3);
    let scores = score(&b, &mut source);
    let spec = CaptureSpec { objective: Some(Objective::Loss), ..Default::default() };
    let mut expected = 0.0;
    for s in [0, 4, 8] {
        let (w, g) = (source.tensor(&spec, s, Field::Weight), source.tensor(&spec, s, Field::Grad));
        expected += w.to_f64().iter().zip(g.to_f64()).map(|(a, b)| (a * b).abs()).sum::<f64>();
    }
    close(values(&scores)[0], expected);
    assert_eq!(source.asked.len(), 1, "weights and gradients come from one run");
    let wants = [0, 4, 8].iter().flat_map(|&s| [(s, Field::Weight), (s, Field::Grad)]).collect::<Vec<_>>();
    assert_eq!(source.asked[0], (spec, wants), "only what is mentioned");
}

fn on_threads<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

#[test]
fn forward_tensors_are_dropped_at_once() {
    let mut b = Build::default();
    for kind in [Kind::Head, Kind::Act] {
        let v = b.field(0, kind, Field::Value);
        let m = b.op("mean", &[v]);
        let root = b.fold("sum", sites(kind), m);
        b.program("m", root, CaptureSpec::default());
    }
    let mut source = Fake::new(10);
    let scores = on_threads(1, || score(&b, &mut source));
    assert_eq!(source.asked[0].1.len(), 20);
    assert_eq!(scores.peak_tensors, 1);
    let beside = on_threads(2, || score(&b, &mut Fake::new(10)));
    assert!((2..=4).contains(&beside.peak_tensors), "two sites in line for each thread");
    assert_eq!(values(&scores), values(&beside));
    assert_eq!(source.asked[0].0.objective, None, "no gradients are asked for");
}

#[test]
fn tensors_wait_only_for_programs_that_mix_them() {
    let mut b = Build::default();
    let v = b.field(0, Kind::Head, Field::Value);
    let g = b.field(0, Kind::Head, Field::Grad);
    for body in [v, g] {
        let m = b.op("mean", &[body]);
        let root = b.fold("sum", sites(Kind::Head), m);
        b.program("apart", root, CaptureSpec::default());
    }
    let peak = |b: &Build| on_threads(1, || score(b, &mut Fake::new(10)).peak_tensors);
    assert_eq!(peak(&b), 1);
    let x = b.op("mul", &[v, g]);
    let m = b.op("mean", &[x]);
    let root = b.fold("sum", sites(Kind::Head), m);
    b.program("mixed", root, CaptureSpec::default());
    assert_eq!(peak(&b), 11);
}

#[test]
fn runs_are_shared_by_what_does_not_depend_on_them() {
    let mut b = Build::default();
    let w = b.field(0, Kind::Linear, Field::Weight);
    let l1 = b.op("l1", &[w]);
    let weights = b.fold("sum", sites(Kind::Linear), l1);
    let snip = b.snip();
    let abs = CaptureSpec {
        params: ParamsMode::Abs,
        inputs: Inputs::Ones,
        objective: Some(Objective::SumLogits),
        batches: Batches::One,
    };
    let loss = CaptureSpec { objective: Some(Objective::Loss), ..Default::default() };
    let projection = CaptureSpec { objective: Some(Objective::Projection), ..Default::default() };
    for spec in [loss, projection, abs] {
        b.program("snip", snip, spec);
        b.program("weights", weights, spec);
    }
    let mut source = Fake::new(2);
    let scores = values(&score(&b, &mut source));
    assert_eq!(source.asked.iter().map(|a| a.0).collect::<Vec<_>>(), [loss, projection, abs]);
    assert_eq!(scores[1], scores[3]);
    assert_ne!(scores[0], scores[2]);
    assert_ne!(scores[1], scores[5]);
}

#[test]
fn batches_give_gradients_a_leading_axis() {
    let mut b = Build::default();
    let g = b.field(0, Kind::Linear, Field::Grad);
    let m = b.op_with("std", &[g], &[("axis", 0.0)]);
    let w = b.field(0, Kind::Linear, Field::Weight);
    let x = b.op("mul", &[m, w]);
    let m = b.op("mean", &[x]);
    let root = b.fold("sum", sites(Kind::Linear), m);
    b.program("zico", root, CaptureSpec { batches: Batches::Many(3), ..Default::default() });
    let n = b.op("numel", &[g]);
    let n = b.fold("sum", sites(Kind::Linear), n);
    b.program("n", n, CaptureSpec { batches: Batches::Many(3), ..Default::default() });
    b.program("n", n, CaptureSpec { batches: Batches::EachSample, ..Default::default() });
    b.program("n", n, CaptureSpec::default());
    let mut source = Fake::new(2);
    let scores = values(&score(&b, &mut source));
    assert_eq!(scores[1..], [288.0, 384.0, 96.0]);
    assert_eq!(source.asked.len(), 1, "sizes need no run");
}

#[test]
fn collections() {
    let mut b = Build::default();
    let layer = |b: &mut Build, binder| {
        b.dag.add(Node::SiteNumber { binder, number: lpzero::site::SiteNumber::Layer })
    };
    let inner = layer(&mut b, 0);
    let outer = layer(&mut b, 1);
    let filtered = |roles: &[&'static str], layers: Vec<std::ops::Range<usize>>| Collection::Sites {
        kind: Kind::Linear,
        filter: Filter { roles: roles.to_vec(), layers },
        block: None,
    };
    let both = b.fold("sum", filtered(&["ffn"], std::iter::once(1..9).collect()), inner);
    let chain = Collection::Chain(vec![sites(Kind::Head), filtered(&["op"], vec![])]);
    let chained = b.fold("count", chain, inner);
    let zip = Collection::Zip(vec![sites(Kind::Linear), filtered(&["op"], vec![])]);
    let diff = b.op("sub", &[inner, outer]);
    let zipped = b.fold("sum", zip, diff);
    let within = Collection::Sites { kind: Kind::Linear, filter: Filter::default(), block: Some(0) };
    let pair = b.op("mul", &[inner, outer]);
    let nested = b.fold("max", within, pair);
    let nested = b.fold("sum", sites(Kind::Block), nested);
    let none = b.fold("sum", filtered(&["gate"], vec![]), inner);
    let nothing = b.fold("mean", filtered(&["gate"], vec![]), inner);
    for root in [both, chained, zipped, nested, none, nothing] {
        b.program("p", root, CaptureSpec::default());
    }
    let mut source = Fake::new(6);
    let scores = score(&b, &mut source);
    let got: Vec<f64> = scores.scores[..5].iter().map(|s| s.value.clone().unwrap()).collect();
    // zip: layers 0,1,2 with 1,3,5; the inner binder is the last collection.
    assert_eq!(got, [6.0, 9.0, 1.0 + 2.0 + 3.0, 55.0, 0.0]);
    let why = scores.scores[5].value.clone().unwrap_err();
    assert_eq!(
        (why.reason.as_str(), why.at.as_str()),
        ("no sites to aggregate over: linear[gate]", "the whole model")
    );
    assert!(source.asked.is_empty());
}

#[test]
fn a_score_that_is_not_finite_says_where_and_why() {
    let mut b = Build::default();
    let w = b.field(0, Kind::Linear, Field::Weight);
    let x = b.op("abs", &[w]);
    let x = b.op("log", &[x]);
    let m = b.op("sum", &[x]);
    let root = b.fold("sum", sites(Kind::Linear), m);
    b.program("logs", root, CaptureSpec::default());
    let snip = b.snip();
    b.program("snip", snip, CaptureSpec::default());
    let mut source = Fake::new(4);
    source.change = |site, _, data| {
        if site == 8 {
            data[3] = 0.0;
        }
    };
    let check = |scores: &Scores| {
        let why = scores.scores[0].value.clone().unwrap_err();
        assert_eq!(why.at, "linear \"layer.2.linear\"");
        assert!(why.reason.contains("log"), "{}", why.reason);
        assert!(scores.scores[1].value.is_ok());
    };
    check(&score(&b, &mut source));
    let cache = ReductionCache::new(1 << 20);
    let prepared = Prepared::new(&b.dag, &b.programs);
    for runs in [1, 0] {
        let mut engine = Reference;
        let mut scorer = Scorer { cache: Some(cache.of(Key(1))), ..Scorer::new(&mut engine) };
        let scores = scorer.score(&prepared, &mut source).unwrap();
        check(&scores);
        assert_eq!(scores.runs, runs, "why there is no score is remembered too");
    }
}

#[test]
fn the_cache_saves_runs_and_demand() {
    let mut b = Build::default();
    let snip = b.snip();
    b.program("snip", snip, CaptureSpec::default());
    let cache = ReductionCache::new(1 << 20);
    let mut source = Fake::new(4);
    source.noise = true;
    let run = |b: &Build, source: &mut Fake, architecture| {
        let prepared = Prepared::new(&b.dag, &b.programs);
        let mut engine = Reference;
        let mut scorer = Scorer { cache: Some(cache.of(architecture)), ..Scorer::new(&mut engine) };
        scorer.score(&prepared, source).unwrap()
    };
    let first = run(&b, &mut source, Key(1));
    let again = run(&b, &mut source, Key(1));
    assert_eq!(again.runs, 0);
    assert_eq!(first.scores, again.scores);
    assert!(again.scores[0].rounding_noise, "noise is remembered");
    assert_eq!(run(&b, &mut source, Key(2)).runs, 1, "another architecture");
    // In another batch, with another program that shares its terms.
    let mut c = Build::default();
    c.number(3.0);
    let two = c.number(2.0);
    let snip = c.snip();
    let twice = c.op("mul", &[snip, two]);
    c.program("twice", twice, CaptureSpec::default());
    let v = c.field(0, Kind::Act, Field::Value);
    let m = c.op("mean", &[v]);
    let m = c.fold("max", sites(Kind::Act), m);
    c.program("act", m, CaptureSpec::default());
    let before = source.asked.len();
    let scores = run(&c, &mut source, Key(1));
    close(values(&scores)[0], 2.0 * first.scores[0].value.clone().unwrap());
    assert_eq!(source.asked.len(), before + 1);
    assert!(source.asked[before].1.iter().all(|w| w.1 == Field::Value), "gradients are not asked for again");
}

#[test]
fn numbers_of_a_run() {
    let mut b = Build::default();
    let loss = b.dag.add(Node::Model("loss", None));
    b.program("loss", loss, CaptureSpec::default());
    let w = b.field(0, Kind::Linear, Field::Weight);
    let x = b.op("mul", &[w, loss]);
    let m = b.op("l1", &[x]);
    let root = b.fold("sum", sites(Kind::Linear), m);
    b.program("weighted", root, CaptureSpec::default());
    let scores = values(&score(&b, &mut Fake::new(2)));
    assert_eq!(scores[0], 2.5);
    assert!(scores[1] > 0.0);
}

#[test]
fn a_tensor_of_other_sizes_is_refused() {
    let mut b = Build::default();
    let snip = b.snip();
    b.program("snip", snip, CaptureSpec::default());
    struct Wrong(Fake);
    impl lpzero::site::Source for Wrong {
        fn outline(&self) -> &lpzero::site::Outline {
            &self.0.outline
        }
        fn default_objective(&self) -> Objective {
            Objective::Loss
        }
        fn run(
            &mut self,
            _: &CaptureSpec,
            wants: &[(usize, Field)],
            sink: &mut dyn lpzero::site::Sink,
        ) -> Result<(), lpzero::site::SourceError> {
            for &(s, f) in wants {
                sink.field(s, f, lpzero::tensor::Tensor::new(&[2], vec![0f32; 2]));
            }
            Ok(())
        }
    }
    let prepared = Prepared::new(&b.dag, &b.programs);
    let mut engine = Reference;
    let fault = Scorer::new(&mut engine).score(&prepared, &mut Wrong(Fake::new(1))).unwrap_err();
    assert!(fault.message.contains("[2]") && fault.message.contains("[6, 8]"), "{}", fault.message);
}

#[test]
fn a_selection_that_is_known_beforehand_runs_one_side() {
    let mut b = Build::default();
    let v = b.field(0, Kind::Head, Field::Value);
    let m = b.op("mean", &[v]);
    let heads = b.fold("sum", sites(Kind::Head), m);
    let g = b.field(0, Kind::Linear, Field::Grad);
    let m = b.op("mean", &[g]);
    let gradients = b.fold("mean", sites(Kind::Linear), m);
    let none = Collection::Sites {
        kind: Kind::Head,
        filter: Filter { roles: vec!["gate"], layers: Vec::new() },
        block: None,
    };
    let nothing = b.fold("mean", none, v);
    let one = b.dag.add(Node::Number(1f64.to_bits()));
    let zero = b.op("sub", &[one, one]);
    for (condition, yes, no) in [(one, heads, gradients), (zero, gradients, heads), (one, heads, nothing)] {
        let root = b.op("where", &[condition, yes, no]);
        b.program("selected", root, CaptureSpec::default());
    }
    let root = b.op("where", &[zero, heads, nothing]);
    b.program("empty", root, CaptureSpec::default());
    // Sizes are known beforehand, too.
    let size = b.op("numel", &[v]);
    let condition = b.op("lt", &[size, zero]);
    let g = b.field(0, Kind::Head, Field::Grad);
    let (g, v) = (b.op("mean", &[g]), b.op("mean", &[v]));
    let term = b.op("where", &[condition, g, v]);
    let root = b.fold("sum", sites(Kind::Head), term);
    b.program("by_size", root, CaptureSpec::default());
    let mut source = Fake::new(3);
    let scores = score(&b, &mut source);
    assert!(source.asked.iter().all(|a| a.1.iter().all(|w| w.1 == Field::Value)), "{:?}", source.asked);
    assert_eq!(scores.scores[0].value, scores.scores[1].value);
    assert_eq!(scores.scores[0].value, scores.scores[2].value);
    assert!(scores.scores[3].value.as_ref().is_err_and(|d| d.reason.contains("no sites")));
    assert_eq!(scores.scores[0].value, scores.scores[4].value);
}
