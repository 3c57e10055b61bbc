//! Exact line search for a rank correlation: the coefficient `c` that maximises Kendall's τ-a of
//! `base + c · term` against the truth. Between the values of `c` at which two architectures tie, no
//! pair changes its order, so that a sweep over those values (n² / 2 of them, sorted) visits every
//! ranking that the line can produce.

/// The best point of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Best {
    /// Coefficient, in the middle of the best interval.
    pub c: f64,
    /// τ-a there.
    pub tau: f64,
}

/// Maximises τ-a of `base + c · term` over all finite `c`; with equal τ the widest interval wins
/// (on a logarithmic scale), because it is the one that new architectures disturb least.
pub fn maximise(base: &[f64], term: &[f64], truth: &[f64]) -> Option<Best> {
    let (mut events, start) = events(base, term, truth);
    if events.is_empty() {
        return None;
    }
    events.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let pairs = (truth.len() * (truth.len() - 1) / 2) as f64;
    let mut score = start;
    let mut best: Option<(i64, f64, f64)> = None;
    let mut left = f64::NEG_INFINITY;
    let mut i = 0;
    while i <= events.len() {
        let right = events.get(i).map_or(f64::INFINITY, |e| e.0);
        let width = width(left, right);
        if width > 0.0 && best.is_none_or(|(s, w, _)| score > s || (score == s && width > w)) {
            best = Some((score, width, middle(left, right)));
        }
        if i == events.len() {
            break;
        }
        // Everything that ties at this value changes together.
        while i < events.len() && events[i].0 == right {
            score += events[i].1;
            i += 1;
        }
        left = right;
    }
    best.map(|(score, _, c)| Best { c, tau: score as f64 / pairs })
}

/// Where pairs change their order, by how much the number of concordant minus discordant pairs then
/// grows, and that number for `c` at minus infinity.
fn events(base: &[f64], term: &[f64], truth: &[f64]) -> (Vec<(f64, i64)>, i64) {
    let n = truth.len();
    let mut list = Vec::with_capacity(n * n / 2);
    let mut start = 0i64;
    for i in 0..n {
        for j in 0..i {
            let want = order(truth[i] - truth[j]);
            if want == 0 {
                continue;
            }
            let (b, t) = (base[i] - base[j], term[i] - term[j]);
            if t == 0.0 {
                start += want * order(b);
                continue;
            }
            let at = -b / t;
            if !at.is_finite() {
                continue;
            }
            // For small c the term decides with the opposite of its own order.
            start -= want * order(t);
            list.push((at, 2 * want * order(t)));
        }
    }
    (list, start)
}

fn order(d: f64) -> i64 {
    i64::from(d > 0.0) - i64::from(d < 0.0)
}

/// Width of an interval; intervals that hold zero or reach infinity count by their finite part.
fn width(left: f64, right: f64) -> f64 {
    if left >= right {
        return 0.0;
    }
    if left > 0.0 && right.is_finite() {
        return (right / left).ln();
    }
    if right < 0.0 && left.is_finite() {
        return (left / right).ln();
    }
    1e-9
}

fn middle(left: f64, right: f64) -> f64 {
    match (left.is_finite(), right.is_finite()) {
        (false, false) => 0.0,
        (false, true) => right - right.abs() - 1.0,
        (true, false) => left + left.abs() + 1.0,
        (true, true) if left > 0.0 => (left * right).sqrt(),
        (true, true) if right < 0.0 => -(left * right).sqrt(),
        (true, true) => f64::midpoint(left, right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::kendall;
    use crate::random::Stream;

    #[test]
    fn beats_every_grid_point() {
        let mut s = Stream::new(1, "line");
        for _ in 0..20 {
            let mut draw = || (0..30).map(|_| s.normal()).collect::<Vec<f64>>();
            let (base, term, truth) = (draw(), draw(), draw());
            let best = maximise(&base, &term, &truth).unwrap();
            let at = |c: f64| {
                let y: Vec<f64> = base.iter().zip(&term).map(|(b, t)| b + c * t).collect();
                kendall(&y, &truth).unwrap().tau_a
            };
            assert!((at(best.c) - best.tau).abs() < 1e-12, "{} {}", at(best.c), best.tau);
            for k in -400..400 {
                assert!(at(f64::from(k) / 37.0) <= best.tau + 1e-12);
            }
        }
    }

    #[test]
    fn a_constant_term_changes_nothing() {
        assert_eq!(maximise(&[1.0, 2.0, 3.0], &[5.0; 3], &[1.0, 2.0, 3.0]), None);
    }
}
