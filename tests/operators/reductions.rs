//! Streaming reductions against the plain meaning, over shapes, axes, tilings and both types.

use crate::support::{Graph, close, reference, tiled::tiled};
use lpzero::ops::{self, Attrs, Exec, Value};
use proptest::prelude::*;

fn tensor() -> impl Strategy<Value = (Value, Option<f64>)> {
    proptest::collection::vec(1..13usize, 1..4).prop_flat_map(|dims| {
        let n: usize = dims.iter().product();
        let axis = proptest::option::of(-(dims.len() as i64)..dims.len() as i64);
        (proptest::collection::vec(-5.0..5.0f32, n), axis).prop_map(move |(x, axis)| {
            (Value::tensor(&dims, x.into_iter().map(f64::from).collect()), axis.map(|a| a as f64))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]
    #[test]
    fn streaming_and_lowered_agree_with_the_meaning((x, axis) in tensor(), ddof in 0..2u8) {
        for (i, row) in ops::rows().iter().enumerate() {
            if row.attrs.first().is_none_or(|a| a.name != "axis") || matches!(row.exec, Exec::Whole) {
                continue;
            }
            let mut g = Graph::default();
            let arg = g.literal(&x.map(|v| if row.name == "entropy" { v.abs() } else { v }));
            let attrs = Attrs::of(&[axis, Some(f64::from(ddof))][..row.attrs.len()]);
            let id = g.apply(ops::OpId(i as u16), &[arg], attrs);
            let want = reference(&g, id);
            for (got, rtol) in [(tiled::<f64>(&mut g, id), 1e-10), (tiled::<f32>(&mut g, id), 1e-3)] {
                prop_assert_eq!(&got.shape, &want.shape);
                for (a, b) in got.data.iter().zip(&want.data) {
                    prop_assert!(a.is_finite() == b.is_finite(), "{}: {a} {b}", row.name);
                    prop_assert!(close(*a, *b, rtol) || !b.is_finite(), "{}: {a} {b}", row.name);
                }
            }
        }
    }
}

#[test]
fn variance_is_accurate_in_one_pass_far_from_zero() {
    let mut g = Graph::default();
    let x = Value::tensor(&[1000], (0..1000).map(|i| 1e8 + f64::from(i % 2)).collect());
    let arg = g.literal(&x);
    let id = g.apply(ops::lookup("var", 1).unwrap(), &[arg], Attrs::none());
    assert!((tiled::<f64>(&mut g, id).data[0] - 0.25).abs() < 1e-9);
}

#[test]
fn equal_elements_have_a_standard_deviation_of_exactly_zero() {
    let mut g = Graph::default();
    let arg = g.literal(&Value::tensor(&[97], vec![0.1; 97]));
    let id = g.apply(ops::lookup("std", 1).unwrap(), &[arg], Attrs::none());
    assert_eq!((reference(&g, id).data[0], tiled::<f64>(&mut g, id).data[0]), (0.0, 0.0));
}

#[test]
fn minima_and_maxima_carry_nan_from_any_place() {
    for at in 0..40 {
        let mut data = vec![1.0; 40];
        data[at] = f64::NAN;
        for name in ["min", "max"] {
            let mut g = Graph::default();
            let arg = g.literal(&Value::tensor(&[40], data.clone()));
            let id = g.apply(ops::lookup(name, 1).unwrap(), &[arg], Attrs::none());
            assert!(tiled::<f32>(&mut g, id).data[0].is_nan() && reference(&g, id).data[0].is_nan());
        }
    }
}
