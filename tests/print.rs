//! Generated trees: printing and parsing gives the same tree, however it is broken into lines.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use lpzero::lang::ast::{Arg, Block, Expr, ExprKind, Ident, Let, Selector, Span};
use lpzero::lang::{SourceId, parse_expression, print_expr};
use lpzero::ops::{self, Fixity, OpId};
use proptest::prelude::*;

fn with(fixity: &[Fixity]) -> Vec<OpId> {
    let rows = ops::rows().iter().enumerate();
    let fits = rows.filter(|(_, r)| r.symbol.is_some_and(|s| fixity.contains(&s.fixity)));
    fits.map(|(i, _)| OpId(i as u16)).collect()
}

fn name() -> impl Strategy<Value = Ident> {
    "[a-eg-hj-km-oq-tv-z][a-z_0-9]{0,9}".prop_map(Ident::new)
}

fn leaf() -> impl Strategy<Value = Expr> {
    let number = prop_oneof![(0u32..100).prop_map(f64::from), (0.0..1e300), (0.0..1e-3)];
    prop_oneof![
        number.prop_map(ExprKind::Number),
        name().prop_map(|n| ExprKind::Path(vec![n])),
        name().prop_map(|n| ExprKind::Path(vec![Ident::new("std"), n])),
    ]
    .prop_map(Expr::new)
}

fn block(e: impl Strategy<Value = Expr> + Clone, least: usize) -> impl Strategy<Value = Block> {
    let binding = (name(), e.clone()).prop_map(|(name, value)| Let { name, value, span: Span::default() });
    (prop::collection::vec(binding, least..3), e).prop_map(|(lets, r)| Block {
        lets,
        result: Box::new(r),
        span: Span::default(),
    })
}

fn selector(e: impl Strategy<Value = Expr>) -> impl Strategy<Value = Selector> {
    prop_oneof![
        e.prop_map(Selector::One),
        (0usize..50, 0usize..50).prop_map(|(a, b)| Selector::Range(a, b, Span::default())),
    ]
}

fn tree() -> impl Strategy<Value = Expr> {
    let symbol = |f: &[Fixity]| prop::sample::select(with(f));
    leaf().prop_recursive(6, 60, 4, move |e| {
        let list = |least| prop::collection::vec(e.clone(), least..4);
        let arg = (prop::option::of(name()), e.clone()).prop_map(|(name, value)| Arg { name, value });
        let boxed = || e.clone().prop_map(Box::new);
        prop_oneof![
            4 => (symbol(&[Fixity::Left, Fixity::Right]), boxed(), boxed())
                .prop_map(|(op, lhs, rhs)| ExprKind::Infix { op, lhs, rhs }),
            2 => (symbol(&[Fixity::Prefix]), boxed()).prop_map(|(op, arg)| ExprKind::Prefix { op, arg }),
            1 => (symbol(&[Fixity::Postfix]), boxed()).prop_map(|(op, arg)| ExprKind::Postfix { op, arg }),
            1 => (boxed(), name()).prop_map(|(base, name)| ExprKind::Dot { base, name }),
            1 => (boxed(), prop::collection::vec(selector(e.clone()), 1..3))
                .prop_map(|(base, selectors)| ExprKind::Index { base, selectors }),
            2 => (name(), prop::collection::vec(arg, 0..4))
                .prop_map(|(n, args)| ExprKind::Call { path: vec![n], args }),
            1 => list(1).prop_map(ExprKind::Tensor),
            1 => block(e.clone(), 1).prop_map(ExprKind::Block),
            2 => (name(), prop::collection::vec(name(), 1..3), boxed(), block(e.clone(), 0))
                .prop_map(|(reducer, pattern, over, body)| ExprKind::Fold { reducer, pattern, over, body }),
        ]
        .prop_map(Expr::new)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn print_then_parse_is_the_same(e in tree()) {
        let text = print_expr(&e);
        let (again, _) = match parse_expression(&text, SourceId(0)) {
            Ok(parsed) => parsed,
            Err(d) => return Err(TestCaseError::fail(format!("{d:?}\n{text}"))),
        };
        prop_assert_eq!(&again, &e, "{}", text);
        prop_assert_eq!(print_expr(&again), text);
    }

    #[test]
    fn no_text_panics(text in "[a-z0-9 ()\\[\\]{}+*/.,@:=\"\\n-]{0,80}") {
        let _ = lpzero::lang::parse_file(&format!("proxy p = {text}"), SourceId(0));
        let _ = parse_expression(&text, SourceId(0));
    }
}
