//! Non-dominated sorting and crowding (Deb et al., "A fast and elitist multiobjective genetic
//! algorithm: NSGA-II", IEEE TEC 2002) for any number of objectives, all minimised. A point is anything
//! that is a slice of its objectives.

/// Is `a` at least as good everywhere and better somewhere?
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| x <= y) && a.iter().zip(b).any(|(x, y)| x < y)
}

/// Front of every point, 0 the best.
pub fn fronts<P: AsRef<[f64]>>(points: &[P]) -> Vec<usize> {
    let n = points.len();
    let dominates = |i: usize, j: usize| dominates(points[i].as_ref(), points[j].as_ref());
    let mut front = vec![usize::MAX; n];
    let mut dominated_by: Vec<usize> = (0..n).map(|i| (0..n).filter(|&j| dominates(j, i)).count()).collect();
    let mut current: Vec<usize> = (0..n).filter(|&i| dominated_by[i] == 0).collect();
    let mut rank = 0;
    while !current.is_empty() {
        for &i in &current {
            front[i] = rank;
        }
        let mut next = Vec::new();
        for &i in &current {
            for j in 0..n {
                if front[j] == usize::MAX && dominates(i, j) {
                    dominated_by[j] -= 1;
                    if dominated_by[j] == 0 {
                        next.push(j);
                    }
                }
            }
        }
        next.sort_unstable();
        current = next;
        rank += 1;
    }
    front
}

/// Crowding distance within each front; the ends of a front are infinitely far.
pub fn crowding<P: AsRef<[f64]>>(points: &[P], front: &[usize]) -> Vec<f64> {
    let mut distance = vec![0.0; points.len()];
    let objectives = points.first().map_or(0, |p| p.as_ref().len());
    for rank in 0..=front.iter().copied().max().unwrap_or(0) {
        let mut members: Vec<usize> = (0..points.len()).filter(|&i| front[i] == rank).collect();
        for o in 0..objectives {
            let at = |i: usize| points[i].as_ref()[o];
            members.sort_by(|&a, &b| at(a).total_cmp(&at(b)).then(a.cmp(&b)));
            spread(&members, at, &mut distance);
        }
    }
    distance
}

fn spread(sorted: &[usize], at: impl Fn(usize) -> f64, distance: &mut [f64]) {
    let (Some(&first), Some(&last)) = (sorted.first(), sorted.last()) else { return };
    distance[first] = f64::INFINITY;
    distance[last] = f64::INFINITY;
    let range = at(last) - at(first);
    if range <= 0.0 {
        return;
    }
    for w in sorted.windows(3) {
        distance[w[1]] += (at(w[2]) - at(w[0])) / range;
    }
}

/// Indices of the `keep` best: by front, then by crowding, then by age (index).
pub fn select<P: AsRef<[f64]>>(points: &[P], keep: usize) -> Vec<usize> {
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
    fn fronts_of_a_small_set() {
        let p = [[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [2.0, 2.0, 0.0], [3.0, 3.0, 0.0], [1.0, 2.0, 0.0]];
        assert_eq!(fronts(&p), [0, 0, 1, 2, 0]);
        assert_eq!(select(&p, 3).iter().filter(|&&i| [0, 1, 4].contains(&i)).count(), 3);
        assert_eq!(fronts(&p.map(Vec::from)), [0, 0, 1, 2, 0]);
    }

    #[test]
    fn ends_of_a_front_survive() {
        let p: Vec<[f64; 3]> = (0..9).map(|i| [f64::from(i), f64::from(8 - i), 0.0]).collect();
        let kept = select(&p, 4);
        assert!(kept.contains(&0) && kept.contains(&8) && kept.len() == 4);
    }
}
