use super::*;
use serde_json::Value;

fn close(ours: Option<f64>, theirs: &Value) -> bool {
    match (ours, theirs.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-12,
        (None, None) => true,
        _ => false,
    }
}

#[test]
fn equals_scipy_on_random_vectors_with_ties() {
    let text = include_str!("../../tests/data/scipy_metrics.json");
    let data: Value = serde_json::from_str(text).unwrap();
    let cases = data["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 50);
    let list =
        |v: &Value| -> Vec<f64> { v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect() };
    for (i, case) in cases.iter().enumerate() {
        let (x, y) = (list(&case["x"]), list(&case["y"]));
        let ours = [
            ("tau_b", kendall(&x, &y).unwrap().tau_b),
            ("rho", spearman(&x, &y).unwrap()),
            ("r", pearson(&x, &y).unwrap()),
            ("tau_weighted", weighted_tau(&x, &y).unwrap()),
        ];
        for (name, value) in ours {
            assert!(close(value, &case[name]), "case {i} {name}: {value:?}, SciPy has {}", case[name]);
        }
        let pairs = brute_force(&x, &y);
        assert_eq!(kendall(&x, &y).unwrap().tau_a, pairs, "case {i}");
    }
}

fn brute_force(x: &[f64], y: &[f64]) -> f64 {
    let n = x.len();
    let mut excess = 0.0;
    for i in 0..n {
        for j in 0..i {
            excess += (x[i] - x[j]).partial_cmp(&0.0).unwrap() as i32 as f64
                * (y[i] - y[j]).partial_cmp(&0.0).unwrap() as i32 as f64;
        }
    }
    excess / (n * (n - 1) / 2) as f64
}

#[test]
fn undefined_is_none_and_bad_input_is_an_error() {
    let flat = [1.0; 4];
    let up = [1.0, 2.0, 3.0, 4.0];
    assert_eq!(kendall(&flat, &up).unwrap().tau_b, None);
    assert_eq!(kendall(&flat, &up).unwrap().tau_a, 0.0);
    assert_eq!(
        (pearson(&flat, &up), spearman(&up, &flat), weighted_tau(&up, &flat)),
        (Ok(None), Ok(None), Ok(None))
    );
    assert_eq!(kendall(&[1.0], &[1.0]).unwrap_err(), MetricError::TooFew { n: 1 });
    assert!(matches!(spearman(&up, &flat[..3]), Err(MetricError::Lengths { left: 3, right: 4, .. })));
    let bad = [1.0, f64::NAN, 2.0, 3.0];
    assert!(matches!(
        pearson(&up, &bad),
        Err(MetricError::NotFinite { index: 1, what: "the ground truth", .. })
    ));
    assert!(matches!(overlap(&up, &up, 5), Err(MetricError::TopK { k: 5, n: 4 })));
    assert_eq!(distinct(&[0.0, -0.0, 1.0]), 2);
}

#[test]
fn top_statistics_by_hand() {
    let truth = [1.0, 2.0, 3.0, 4.0, 5.0];
    let scores = [5.0, 1.0, 2.0, 4.0, 3.0];
    assert_eq!(overlap(&scores, &truth, 2).unwrap(), 1.0); // {0, 3} and {4, 3}
    assert_eq!(precision_bottom(&scores, &truth, 2).unwrap(), 0.5); // {1, 2} and {0, 1}
    assert_eq!(best_rank(&scores, &truth, 2).unwrap(), 0.4);
    assert_eq!(worst_rank(&scores, &truth, 2).unwrap(), 1.0);
    assert_eq!(regret(&scores, &truth, 2).unwrap(), 1.0);
    assert_eq!(regret(&scores, &truth, 5).unwrap(), 0.0);
}

#[test]
fn ties_at_the_border_give_expectations() {
    let truth = [1.0, 2.0, 3.0, 4.0];
    let flat = [7.0; 4];
    assert_eq!(precision_top(&flat, &truth, 2).unwrap(), 0.5);
    // The best of two drawn from 1, 2, 3, 4 has expectation 10/3.
    assert!((regret(&flat, &truth, 2).unwrap() - (4.0 - 10.0 / 3.0)).abs() < 1e-12);
    // The best two are certain, the third is one of the rest.
    let scores = [0.0, 0.0, 9.0, 8.0];
    assert!((worst_rank(&scores, &truth, 3).unwrap() - 3.5 / 4.0).abs() < 1e-12);
}

#[test]
fn size_control_looks_at_similar_pairs_only() {
    let truth = [1.0, 2.0, 3.0, 3.0];
    let scores = [2.0, 1.0, 9.0, 9.0];
    let params = [100.0, 110.0, 500.0, 500.0];
    let sized = size_controlled(&scores, &truth, &params, 0.1).unwrap();
    assert_eq!(sized, SizeControlled { tau: Some(-1.0), pairs: 1 });
    assert_eq!(size_controlled(&scores, &truth, &[1.0, 2.0, 4.0, 4.0], 0.1).unwrap().tau, None);
}

#[test]
fn intervals_are_seeded_and_hold_the_estimate() {
    let x: Vec<f64> = (0..60).map(f64::from).collect();
    let y: Vec<f64> = x.iter().map(|v| v + 15.0 * (v * 1.7).sin()).collect();
    let options = Options { resamples: 300, ..Options::default() };
    let one = summarise(&x, &y, Some(&x), &options).unwrap();
    assert_eq!(one, summarise(&x, &y, Some(&x), &options).unwrap());
    let ci = one.tau_b_ci.unwrap();
    assert!(ci.lo < one.tau_b.unwrap() && one.tau_b.unwrap() < ci.hi && ci.hi - ci.lo < 0.3, "{ci:?}");
    let other = summarise(&x, &y, None, &Options { seed: 1, ..options }).unwrap();
    assert_ne!(other.tau_b_ci, one.tau_b_ci);
    assert_eq!(other.size_controlled, None);
}

#[test]
fn the_noise_ceiling_needs_repetition() {
    let keys: Vec<String> = ["a", "b", "a", "c"].map(String::from).to_vec();
    let ceiling = noise_ceiling(&keys, &[1.0, 5.0, 2.0, 9.0], 0).unwrap().unwrap();
    assert_eq!((ceiling.groups, ceiling.std), (1, 0.5f64.sqrt()));
    assert!(ceiling.tau_b > 0.5 && ceiling.tau_b < 1.0);
    assert_eq!(noise_ceiling(&keys[1..], &[5.0, 2.0, 9.0], 0).unwrap(), None);
}
