//! Spectral rows against hand values, and on matrices that are empty, singular or not finite.

use crate::support::{Graph, close, reference, some_attrs};
use lpzero::ops::{self, Attrs, Group, Value};

fn apply(name: &str, dims: &[usize], data: &[f64]) -> Value {
    let mut g = Graph::default();
    let x = g.literal(&Value::tensor(dims, data.to_vec()));
    let id = g.apply(ops::lookup(name, 1).unwrap(), &[x], Attrs::none());
    reference(&g, id)
}
fn number(name: &str, dims: &[usize], data: &[f64]) -> f64 {
    apply(name, dims, data).item().unwrap()
}

#[test]
fn hand_values() {
    // A = [[1, 2, 2], [2, 1, -2]]: A Aᵀ = [[9, 0], [0, 9]], singular values 3 and 3.
    let a = [1.0, 2.0, 2.0, 2.0, 1.0, -2.0];
    for (name, want) in
        [("nuc", 6.0), ("fro", 18f64.sqrt()), ("cond", 1.0), ("rank", 2.0), ("svd_entropy", 2f64.ln())]
    {
        assert!(close(number(name, &[2, 3], &a), want, 1e-12), "{name}");
    }
    // Second difference: eigenvalues 2 - 2 cos(kπ/4), determinant 4.
    let d = [2.0, -1.0, 0.0, -1.0, 2.0, -1.0, 0.0, -1.0, 2.0];
    let root = 2f64.sqrt();
    for (got, want) in apply("eigvals", &[3, 3], &d).data.iter().zip([2.0 - root, 2.0, 2.0 + root]) {
        assert!(close(*got, want, 1e-12));
    }
    for (name, want) in
        [("slogdet", 4f64.ln()), ("logdet", 4f64.ln()), ("eig_min", 2.0 - root), ("eig_max", 2.0 + root)]
    {
        assert!(close(number(name, &[3, 3], &d), want, 1e-12), "{name}");
    }
    let flipped = [0.0, 1.0, 1.0, 0.0];
    assert!(number("logdet", &[2, 2], &flipped).is_nan());
    assert!(close(number("slogdet", &[2, 2], &flipped), 0.0, 1e-12));
    assert_eq!(number("slogdet", &[2, 2], &[0.0; 4]), f64::NEG_INFINITY);
}

#[test]
fn a_larger_matrix_of_known_spectrum() {
    // Householder reflection: one eigenvalue -1, the others 1.
    let n = 150;
    let v: Vec<f64> = (0..n).map(|i| f64::from(i as u32 % 7) - 2.5).collect();
    let vv: f64 = v.iter().map(|x| x * x).sum();
    let h: Vec<f64> =
        (0..n * n).map(|k| f64::from(u8::from(k / n == k % n)) - 2.0 * v[k / n] * v[k % n] / vv).collect();
    assert!(close(number("nuc", &[n, n], &h), n as f64, 1e-12));
    assert!(close(number("eig_min", &[n, n], &h), -1.0, 1e-12));
    assert!(close(number("slogdet", &[n, n], &h), 0.0, 1e-12));
    assert!(number("logdet", &[n, n], &h).is_nan());
    assert_eq!(number("rank", &[n, n], &h), n as f64);
}

fn with(name: &str, attr: f64, dims: &[usize], data: &[f64]) -> Value {
    let mut g = Graph::default();
    let x = g.literal(&Value::tensor(dims, data.to_vec()));
    let id = g.apply(ops::lookup(name, 1).unwrap(), &[x], Attrs::of(&[Some(attr)]));
    reference(&g, id)
}

#[test]
fn spectra() {
    // Singular values 5 and 2, of either side.
    let a = [0.0, 5.0, 0.0, -2.0, 0.0, 0.0];
    for dims in [[2, 3], [3, 2]] {
        let x = if dims[0] == 2 { a.to_vec() } else { vec![0.0, -2.0, 5.0, 0.0, 0.0, 0.0] };
        let got = apply("spectrum", &dims, &x);
        assert_eq!(got.shape.dims.as_slice(), [2]);
        assert!(close(got.data[0], 25.0, 1e-14) && close(got.data[1], 4.0, 1e-14), "{:?}", got.data);
    }
    assert_eq!(apply("spectrum", &[0, 3], &[]).data, [0.0; 0]);
    assert!(apply("spectrum", &[1, 2], &[1.0, f64::NAN]).data[0].is_nan());
    let d = [2.0, -1.0, 0.0, -1.0, 2.0, -1.0, 0.0, -1.0, 2.0];
    let lead = with("leading_eigvals", 2.0, &[3, 3], &d).data;
    assert!(lead.len() == 2 && close(lead[0], 2.0 + 2f64.sqrt(), 1e-12) && close(lead[1], 2.0, 1e-12));
    let share = |eta| with("spectral_dim", eta, &[4], &[1.0, 4.0, 0.0, 5.0]).item().unwrap();
    assert_eq!([0.0, 0.5, 0.51, 0.9, 0.91, 1.0].map(share), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
    assert_eq!(with("spectral_dim", 0.9, &[2], &[0.0, 0.0]).data, [0.0]);
    assert!(with("spectral_dim", 0.9, &[2], &[1.0, f64::NAN]).data[0].is_nan());
}

#[test]
fn distinct_rows() {
    let rows = [1.0, 0.0, -0.0, 1.0, 1.0, -0.0, f64::NAN, 2.0, f64::NAN, 2.0];
    assert_eq!(number("unique_rows", &[5, 2], &rows), 3.0);
    assert_eq!([number("unique_rows", &[0, 2], &[]), number("unique_rows", &[4, 0], &[])], [0.0, 1.0]);
}

#[test]
fn singular_matrices_lose_no_digits_to_their_gram_matrix() {
    // Rank one of 40 by 60: the 39 zeros of the Gram matrix would come back as 1e-8 each.
    let data: Vec<f64> = (0..40 * 60).map(|k| (1.0 + (k / 60) as f64) * (0.5 + (k % 60) as f64)).collect();
    let norm = data.iter().map(|x| x * x).sum::<f64>().sqrt();
    assert!((number("nuc", &[40, 60], &data) / norm - 1.0).abs() < 1e-12);
    assert!(number("svd_entropy", &[40, 60], &data) < 1e-11);
    // Conditioned like 1e6, where the smallest values are worth their digits.
    let diagonal: Vec<f64> =
        (0..900).map(|k| if k % 31 == 0 { 10f64.powi(-(k / 31) / 5) } else { 0.0 }).collect();
    let sum: f64 = (0..30).map(|i| 10f64.powi(-i / 5)).sum();
    assert!((number("nuc", &[30, 30], &diagonal) / sum - 1.0).abs() < 1e-12);
    assert!((number("nuc", &[1, 2], &[3e200, 4e200]) / 5e200 - 1.0).abs() < 1e-12);
}

#[test]
fn never_a_panic() {
    for row in ops::rows().iter().filter(|r| matches!(r.group, Group::Spectral | Group::Contraction)) {
        for n in [0usize, 1, 2, 5] {
            for bad in [0.0, f64::NAN, f64::INFINITY, 1e300, 5e-324] {
                let x = Value::tensor(&[n, n], vec![bad; n * n]);
                let out = (row.shape)(&vec![x.shape.clone(); row.values.len()], &Attrs::none()).unwrap();
                let v = row.evaluate(&out, &vec![&x; row.values.len()], &some_attrs(row));
                assert_eq!(v.data.len(), out.numel(), "{} {n} {bad}", row.name);
                if n > 0 && bad.is_nan() {
                    assert!(v.data.iter().all(|x| x.is_nan()), "{} of NaN: {:?}", row.name, v.data);
                }
            }
        }
        let x = Value::number(3.0);
        let out = (row.shape)(&vec![x.shape.clone(); row.values.len()], &Attrs::none()).unwrap();
        assert!(
            out.is_number()
                && row.evaluate(&out, &vec![&x; row.values.len()], &Attrs::none()).item().is_some()
        );
    }
    assert_eq!(number("nuc", &[0, 3], &[]), 0.0);
    assert_eq!(apply("gram", &[2, 0], &[]).data, [0.0; 4]);
}
