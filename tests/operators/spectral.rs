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
