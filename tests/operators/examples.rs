//! Every example of every row, on the reference engine and on tiles of both element types.

use crate::support::{Graph, close, parse::parse, reference, tiled::tiled};
use lpzero::ops::{self, Shape};
use std::collections::HashMap;

#[test]
fn examples_are_true_on_every_engine() {
    let none = HashMap::new();
    for row in ops::rows() {
        for (text, want) in row.examples {
            let mut g = Graph::default();
            let (id, expected) = (parse(text, &mut g, &none), parse(want, &mut g, &none));
            let expected = reference(&g, expected);
            for (engine, rtol, got) in [
                ("reference", 1e-12, reference(&g, id)),
                ("f64 tiles", 1e-12, tiled::<f64>(&mut g, id)),
                ("f32 tiles", 2e-6, tiled::<f32>(&mut g, id)),
            ] {
                assert_eq!(got.shape.dims, expected.shape.dims, "{text}");
                for (a, b) in got.data.iter().zip(&expected.data) {
                    assert!(close(*a, *b, rtol), "{engine}: {text} is {:?}, not {want}", got.data);
                }
            }
        }
    }
}

#[test]
fn shape_errors_say_what_to_do() {
    let error = |name: &str, dims: &[&[usize]], attrs: &[Option<f64>]| {
        let row = ops::row(ops::lookup(name, dims.len()).unwrap());
        let shapes: Vec<Shape> = dims.iter().map(|d| Shape::of(d)).collect();
        (row.shape)(&shapes, &ops::Attrs::of(attrs)).unwrap_err()
    };
    assert_eq!(error("mean", &[&[2, 3]], &[Some(3.0)]).message, "axis 3 of a tensor with 2 axes");
    assert_eq!(error("add", &[&[2, 3], &[3, 2]], &[]).message, "shapes [2, 3] and [3, 2] do not combine");
    let e = error("nuc", &[&[2, 3, 4]], &[]);
    assert!(e.help.unwrap().contains("flatten(x, to=1)"));
    assert!(error("slogdet", &[&[2, 3]], &[]).help.unwrap().contains("square"));
    assert!(error("matmul", &[&[2, 3], &[2, 3]], &[]).help.unwrap().contains(".T"));
    assert!(error("index", &[&[2, 3]], &[Some(2.0)]).message.contains("[2]"));
    for row in ops::rows() {
        let odd = vec![Shape::of(&[2, 3, 4, 5]); row.values.len()];
        for attrs in [[Some(9.5), Some(9.5)], [Some(-7.0), Some(f64::NAN)]] {
            if let Err(e) = (row.shape)(&odd, &ops::Attrs::of(&attrs)) {
                assert!(!e.message.is_empty() && e.help.is_some(), "{}", row.name);
            }
        }
    }
}

#[test]
fn unknown_sizes_equal_anything_and_known_ones_are_kept() {
    let u = ops::UNKNOWN;
    let out = ops::broadcast(&[Shape::of(&[u, 3]), Shape::of(&[2, u])]).unwrap();
    assert_eq!(out, Shape::of(&[2, 3]));
    let m = Shape::of(&[u, u]).without(1);
    assert_eq!(ops::broadcast(&[Shape::of(&[4, 5]), m]).unwrap(), Shape::of(&[4, 5]));
    assert!(ops::broadcast(&[Shape::of(&[4, 5]), Shape::of(&[4])]).is_err());
    for row in ops::rows() {
        let unknown = vec![Shape::of(&[u, u]); row.values.len()];
        let known = vec![Shape::of(&[2, 2]); row.values.len()];
        let attrs = crate::support::some_attrs(row);
        let (a, b) = ((row.shape)(&unknown, &attrs).unwrap(), (row.shape)(&known, &attrs).unwrap());
        assert_eq!((a.rank(), a.reduced), (b.rank(), b.reduced), "{}", row.name);
    }
}
