//! Non-dominated sorting and crowding (Deb et al., "A fast and elitist multiobjective genetic
//! algorithm: NSGA-II", IEEE TEC 2002) for any number of objectives, all minimised.

/// Is `a` at least as good everywhere and better somewhere?
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| x <= y) && a.iter().zip(b).any(|(x, y)| x < y)
}

/// Front of every point, 0 the best.
pub fn fronts(points: &[Vec<f64>]) -> Vec<usize> {
    let n = points.len();
    let mut front = vec![usize::MAX; n];
    let mut rank = 0;
    while front.contains(&usize::MAX) {
        let open: Vec<usize> = (0..n).filter(|&i| front[i] == usize::MAX).collect();
        let free = |&i: &usize| !open.iter().any(|&j| dominates(&points[j], &points[i]));
        let current: Vec<usize> = open.iter().copied().filter(free).collect();
        current.iter().for_each(|&i| front[i] = rank);
        rank += 1;
    }
    front
}

/// Crowding distance within each front; the ends of a front are infinitely far.
pub fn crowding(points: &[Vec<f64>], front: &[usize]) -> Vec<f64> {
    let mut distance = vec![0.0; points.len()];
    for rank in 0..=front.iter().copied().max().unwrap_or(0) {
        let mut members: Vec<usize> = (0..points.len()).filter(|&i| front[i] == rank).collect();
        let objectives = points.first().map_or(0, Vec::len);
        for at in (0..objectives).map(|o| move |i: usize| points[i][o]) {
            members.sort_by(|&a, &b| at(a).total_cmp(&at(b)).then(a.cmp(&b)));
            let (Some(&first), Some(&last)) = (members.first(), members.last()) else { continue };
            let range = (at(last) - at(first)).max(f64::MIN_POSITIVE);
            (distance[first], distance[last]) = (f64::INFINITY, f64::INFINITY);
            for w in members.windows(3) {
                distance[w[1]] += (at(w[2]) - at(w[0])) / range;
            }
        }
    }
    distance
}

/// Indices of the `keep` best: by front, then by crowding, then by age (index).
pub fn select(points: &[Vec<f64>], keep: usize) -> Vec<usize> {
    let front = fronts(points);
    let distance = crowding(points, &front);
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| front[a].cmp(&front[b]).then(distance[b].total_cmp(&distance[a])).then(a.cmp(&b)));
    order.truncate(keep);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fronts_and_ends() {
        let p = [[1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [3.0, 3.0], [1.0, 2.0]].map(Vec::from);
        assert_eq!(fronts(&p), [0, 0, 1, 2, 0]);
        let line: Vec<Vec<f64>> = (0..9).map(|i| vec![f64::from(i), f64::from(8 - i), 0.0]).collect();
        let kept = select(&line, 4);
        assert!(kept.contains(&0) && kept.contains(&8) && kept.len() == 4);
    }
}
