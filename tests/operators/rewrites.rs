//! Rewrites keep the value, non-finite elements included.

use crate::support::{Graph, close, parse::parse, reference};
use lpzero::ops::{self, Value};
use proptest::prelude::*;
use std::collections::HashMap;

fn element() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -10.0..10.0f64,
        1 => Just(0.0),
        1 => Just(-0.0),
        1 => Just(1.0),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => Just(f64::NAN),
        1 => Just(1e200),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]
    #[test]
    fn both_sides_are_equal(a in proptest::collection::vec(element(), 4), b in proptest::collection::vec(element(), 4)) {
        for row in ops::rows() {
            for rw in row.rewrites {
                let mut g = Graph::default();
                let vars = HashMap::from([
                    ("a".to_owned(), g.literal(&Value::tensor(&[2, 2], a.clone()))),
                    ("b".to_owned(), g.literal(&Value::tensor(&[2, 2], b.clone()))),
                ]);
                let (from, to) = (parse(rw.from, &mut g, &vars), parse(rw.to, &mut g, &vars));
                let (x, y) = (reference(&g, from), reference(&g, to));
                prop_assert_eq!(&x.shape, &y.shape, "{}", rw.name);
                for (p, q) in x.data.iter().zip(&y.data) {
                    prop_assert!(close(*p, *q, 1e-10), "{}: {} is {p}, {} is {q} for {a:?} {b:?}", rw.name, rw.from, rw.to);
                }
            }
        }
    }

    #[test]
    fn commuting_changes_no_bit(a in proptest::collection::vec(element(), 4), b in proptest::collection::vec(element(), 4)) {
        for row in ops::rows().iter().filter(|r| r.commutes) {
            let mut g = Graph::default();
            let (x, y) = (g.literal(&Value::tensor(&[2, 2], a.clone())), g.literal(&Value::tensor(&[2, 2], b.clone())));
            let id = ops::lookup(row.name, 2).unwrap();
            let (p, q) = (g.apply(id, &[x, y], ops::Attrs::none()), g.apply(id, &[y, x], ops::Attrs::none()));
            for (p, q) in reference(&g, p).data.iter().zip(&reference(&g, q).data) {
                prop_assert!(p == q || (p.is_nan() && q.is_nan()), "{}: {p} {q}", row.name);
            }
        }
    }
}
