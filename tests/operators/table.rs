//! The table itself: everything a consumer reads comes from the rows, so a row is all it takes.

use lpzero::ops::{self, LookupError, OpId, Position};
use std::collections::HashSet;

#[test]
fn every_row_is_found_by_name_and_arity_and_by_symbol() {
    for (i, row) in ops::rows().iter().enumerate() {
        let id = OpId(i as u16);
        assert_eq!(ops::lookup(row.name, row.values.len()), Ok(id), "{}", row.name);
        let positions = [Position::Prefix, Position::Infix, Position::Postfix, Position::Index];
        let by_symbol = row.symbol.map(|s| positions.iter().any(|&p| ops::by_symbol(s.text, p) == Some(id)));
        assert_ne!(by_symbol, Some(false), "symbol of {}", row.name);
    }
    let names: HashSet<_> = ops::rows().iter().map(|r| r.name).collect();
    assert_eq!(ops::names().count(), names.len());
    assert_eq!(ops::names().collect::<HashSet<_>>(), names);
}

#[test]
fn every_row_is_documented_with_an_example_and_well_formed() {
    for row in ops::rows() {
        let n = row.name;
        assert!(row.doc.ends_with('.') && row.doc.len() > 5, "doc of {n}");
        assert!(!row.examples.is_empty(), "examples of {n}");
        let args: Vec<_> = row.values.iter().copied().chain(row.attrs.iter().map(|a| a.name)).collect();
        assert_eq!(args.iter().collect::<HashSet<_>>().len(), args.len(), "arguments of {n}");
        assert!(!(row.commutes && row.values.len() != 2), "{n}");
        assert!(row.cost >= 0.0 && row.weight >= 0.0, "{n}");
    }
}

#[test]
fn rewrites_have_unique_names() {
    let all: Vec<_> = ops::rows().iter().flat_map(|r| r.rewrites).map(|r| r.name).collect();
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
}

#[test]
fn overloads_and_constants_by_position() {
    let reduction = ops::lookup("min", 1).unwrap();
    let elementwise = ops::lookup("min", 2).unwrap();
    assert_ne!(reduction, elementwise);
    assert_eq!(ops::row(ops::lookup("quantile", 2).unwrap()).name, "quantile");
    assert_eq!(ops::lookup_named("clamp", 1, &["lo", "hi"]), ops::lookup("clamp", 3));
    assert!(matches!(ops::lookup("exp", 2), Err(LookupError::Arity { given: 2, .. })));
    let Err(LookupError::Unknown { similar, .. }) = ops::lookup("softmaks", 1) else { panic!() };
    assert_eq!(similar[0], "softmax");
}

#[test]
fn reducers_are_unique_and_fold_in_order() {
    let names: HashSet<_> = ops::reducers().iter().map(|r| r.name).collect();
    assert_eq!(names.len(), ops::reducers().len());
    let terms: Vec<_> = [3.0, 1.0, 5.0].into_iter().map(ops::Value::number).collect();
    let fold = |name, terms: &[ops::Value]| {
        ops::reducer(ops::reducer_by_name(name).unwrap()).fold(terms).item().unwrap()
    };
    let want = [("sum", 9.0), ("mean", 3.0), ("max", 5.0), ("min", 1.0), ("prod", 15.0), ("count", 3.0)];
    for (name, value) in want.into_iter().chain([("first", 3.0), ("last", 5.0)]) {
        assert_eq!(fold(name, &terms), value, "{name}");
    }
    assert!((fold("std", &terms) - (8.0f64 / 3.0).sqrt()).abs() < 1e-15);
    assert_eq!([fold("sum", &[]), fold("prod", &[]), fold("count", &[])], [0.0, 1.0, 0.0]);
    assert!(fold("mean", &[]).is_nan());
    let matrix = |x| ops::Value::tensor(&[2], vec![x, 2.0 * x]);
    let sum = ops::reducer(ops::reducer_by_name("sum").unwrap()).fold(&[matrix(1.0), matrix(2.0)]);
    assert_eq!(sum, ops::Value::tensor(&[2], vec![3.0, 6.0]));
}
