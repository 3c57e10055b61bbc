//! Interval analysis is sound: whatever lies in the operands' ranges, the result lies in the row's.

use crate::support::{Graph, reference, some_attrs, tiled::tiled};
use lpzero::ops::{self, Range, Value};
use proptest::prelude::*;

const ENDS: [f64; 12] =
    [f64::NEG_INFINITY, -1e30, -100.0, -1.0, -0.3, 0.0, 1e-30, 0.5, 1.0, 3.0, 1e5, f64::INFINITY];

#[derive(Clone, Debug)]
struct Operand {
    range: Range,
    data: Vec<f64>,
}

/// Four elements within a range, f32 so that both engines see the same.
fn operand() -> impl Strategy<Value = Operand> {
    let ends = (0..ENDS.len(), 0..ENDS.len(), any::<bool>(), any::<bool>());
    let picks = proptest::collection::vec((0..6usize, 0.0..1.0f64), 4);
    (ends, picks)
        .prop_map(|((i, j, point, finite), picks)| {
            let (lo, hi) = (ENDS[i.min(j)] as f32, ENDS[if point { i.min(j) } else { i.max(j) }] as f32);
            let (low, high) = (lo.max(f32::MIN), hi.min(f32::MAX));
            let element = |(kind, t): (usize, f64)| match kind {
                0 => low.min(high),
                1 => high.max(low),
                2 if !finite => f32::NAN,
                3 if !finite => {
                    if t < 0.5 {
                        lo
                    } else {
                        hi
                    }
                }
                4 => 0.0f32.clamp(low.min(high), high.max(low)),
                _ => {
                    let (a, b) = (low.max(-50.0), high.min(50.0));
                    if a <= b { (a + (b - a) * t as f32).clamp(a, b) } else { low.min(high) }
                }
            };
            let range = Range::new(f64::from(lo), f64::from(hi), finite);
            let inside = |x: f32| if x.is_nan() || range.contains(f64::from(x)) { x } else { low };
            let data: Vec<f64> = picks.into_iter().map(|p| f64::from(inside(element(p)))).collect();
            Operand { range, data }
        })
        .prop_filter("inside", |o| {
            o.data.iter().all(|&x| {
                if o.range.finite {
                    x.is_finite() && o.range.contains(x)
                } else {
                    x.is_nan() || o.range.contains(x)
                }
            })
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]
    #[test]
    fn results_lie_in_the_range_of_the_row(operands in proptest::collection::vec(operand(), 3)) {
        for row in ops::rows() {
            let operands = &operands[..row.values.len()];
            let ranges: Vec<Range> = operands.iter().map(|o| o.range).collect();
            let attrs = some_attrs(row);
            let range = (row.range)(&ranges, &attrs);
            prop_assert!(range.lo <= range.hi, "{}: {range:?} of {ranges:?}", row.name);
            let mut g = Graph::default();
            let args: Vec<usize> =
                operands.iter().map(|o| g.literal(&Value::tensor(&[2, 2], o.data.clone()))).collect();
            let id = g.apply(ops::lookup(row.name, row.values.len()).unwrap(), &args, attrs);
            for (engine, v) in [("f64", reference(&g, id)), ("f32", tiled::<f32>(&mut g, id))] {
                for x in v.data {
                    let ok = if range.finite { x.is_finite() && range.contains(x) } else { x.is_nan() || range.contains(x) };
                    prop_assert!(ok, "{engine}: {} gave {x}, not in {range:?}, from {operands:?}", row.name);
                }
            }
        }
    }
}
