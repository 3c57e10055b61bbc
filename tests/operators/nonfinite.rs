//! Why a result is not finite, from the rows.

use crate::support::{Graph, Nothing, parse::parse};
use lpzero::engine::explain_nonfinite;
use std::collections::HashMap;

fn why(text: &str) -> Option<String> {
    let mut g = Graph::default();
    let root = parse(text, &mut g, &HashMap::new());
    explain_nonfinite(&g.0, root, &Nothing).map(|n| n.reason)
}

#[test]
fn the_first_cause_is_named() {
    for (text, reason) in [
        ("sum(log([1, 0]))", "log of a non-positive value"),
        ("1 + 2 / sum([1, -1])", "division by zero"),
        ("std([5], ddof = 1)", "std of one element"),
        ("exp(1000)", "overflow of exp"),
        ("mean(sqrt([1, -1]) + log([0, 0]))", "square root of a negative value"),
        ("eig_max([[1, 2], [3, 4]]) / 0", "division by zero"),
        ("zscore([2, 2])[0]", "zscore of equal values"),
    ] {
        assert_eq!(why(text).as_deref(), Some(reason), "{text}");
    }
}

#[test]
fn what_where_leaves_out_does_not_count() {
    assert_eq!(why("where(0 > 1, log(0), 2)"), None);
    assert_eq!(why("where(0 > 1, log(0), 1 / 0)").as_deref(), Some("division by zero"));
}
