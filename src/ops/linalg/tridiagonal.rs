//! Eigenvalues of a symmetric tridiagonal matrix, without vectors: the square-root-free QL iteration of
//! Pal, Walker and Kahan (as LAPACK's `dsterf`), several times faster than one with rotations.

/// Iterations per eigenvalue before giving up.
const MOST: usize = 30;

/// Eigenvalues, not decreasing, of the matrix with this diagonal and this off-diagonal (one shorter);
/// `None` where iterations ran out or elements are not finite.
pub(super) fn eigenvalues(mut d: Vec<f64>, mut e: Vec<f64>) -> Option<Vec<f64>> {
    if !d.iter().chain(&e).all(|x| x.is_finite()) {
        return None;
    }
    let top = d.iter().chain(&e).fold(0.0f64, |a, x| a.max(x.abs()));
    if top == 0.0 || d.is_empty() {
        return Some(d);
    }
    // Squares of a matrix of unit size stay in range.
    d.iter_mut().for_each(|x| *x /= top);
    e.iter_mut().for_each(|x| *x = (*x / top) * (*x / top));
    e.push(0.0);
    let mut left = MOST * d.len();
    let mut start = 0;
    while start < d.len() {
        let end = block_end(&d, &e, start);
        solve(&mut d[start..=end], &mut e[start..=end], &mut left)?;
        start = end + 1;
    }
    d.iter_mut().for_each(|x| *x *= top);
    d.sort_by(f64::total_cmp);
    Some(d)
}

/// Is the squared off-diagonal element behind row `i` as good as zero?
fn negligible(d: &[f64], e: &[f64], i: usize) -> bool {
    const EPS2: f64 = f64::EPSILON * f64::EPSILON / 4.0;
    e[i] <= EPS2 * (d[i] * d[i + 1]).abs() || e[i] < 1e-290
}

/// Last row of the unreduced block that begins at `start`; what ends it is set to zero.
fn block_end(d: &[f64], e: &[f64], start: usize) -> usize {
    (start..d.len() - 1).find(|&i| negligible(d, e, i)).unwrap_or(d.len() - 1)
}

/// Diagonalises an unreduced block; it is turned around where its small end is the last, from which the
/// iteration converges faster.
fn solve(d: &mut [f64], e: &mut [f64], left: &mut usize) -> Option<()> {
    let n = d.len();
    if n > 1 && d[n - 1].abs() < d[0].abs() {
        d.reverse();
        e[..n - 1].reverse();
    }
    let mut l = 0;
    while l < n {
        let m = (l..n - 1).find(|&i| negligible(d, e, i)).unwrap_or(n - 1);
        if m == l {
            l += 1;
        } else if m == l + 1 {
            let (a, b) = pair(d[l], e[l], d[m]);
            (d[l], d[m], e[l]) = (a, b, 0.0);
            l += 2;
        } else {
            *left = left.checked_sub(1)?;
            sweep(&mut d[l..=m], &mut e[l..=m]);
        }
    }
    Some(())
}

/// Eigenvalues of `[[a, sqrt(b2)], [sqrt(b2), c]]`.
fn pair(a: f64, b2: f64, c: f64) -> (f64, f64) {
    let (sum, difference) = (a + c, a - c);
    let root = difference.hypot(2.0 * b2.sqrt());
    let large = if sum < 0.0 { (sum - root) / 2.0 } else { (sum + root) / 2.0 };
    if large == 0.0 {
        return (0.0, 0.0);
    }
    // The determinant gives the other one without cancellation.
    let (big, small) = if a.abs() > c.abs() { (a, c) } else { (c, a) };
    (large, (big / large) * small - (b2.sqrt() / large) * b2.sqrt())
}

/// One implicit QL step with Wilkinson's shift.
fn sweep(d: &mut [f64], e: &mut [f64]) {
    let m = d.len() - 1;
    let rte = e[0].sqrt();
    let half = (d[1] - d[0]) / (2.0 * rte);
    let sigma = d[0] - rte / (half + half.hypot(1.0).copysign(half));
    let (mut c, mut s) = (1.0, 0.0);
    let mut gamma = d[m] - sigma;
    let mut p = gamma * gamma;
    for i in (0..m).rev() {
        let bb = e[i];
        let r = p + bb;
        if i + 1 != m {
            e[i + 1] = s * r;
        }
        let before = c;
        c = p / r;
        s = bb / r;
        let (old, alpha) = (gamma, d[i]);
        gamma = c * (alpha - sigma) - s * old;
        d[i + 1] = old + (alpha - gamma);
        p = if c != 0.0 { gamma * gamma / c } else { before * bb };
    }
    e[0] = s * p;
    d[0] = sigma + gamma;
}

#[cfg(test)]
mod tests {
    use super::eigenvalues;

    #[test]
    fn second_differences() {
        for n in [1usize, 2, 3, 50, 301] {
            let got = eigenvalues(vec![2.0; n], vec![-1.0; n - 1]).unwrap();
            for (k, x) in got.iter().enumerate() {
                let want = 2.0 - 2.0 * ((k + 1) as f64 * std::f64::consts::PI / (n + 1) as f64).cos();
                assert!((x - want).abs() < 1e-14 * n as f64, "{n} {k}: {x} {want}");
            }
        }
    }

    #[test]
    fn graded_split_and_extreme() {
        let got = eigenvalues(vec![1.0, 1e-8, 1e-16], vec![1e-5, 1e-13]).unwrap();
        assert!((got[2] - (1.0 + 1e-10)).abs() < 1e-15, "{got:?}");
        assert_eq!(eigenvalues(vec![3.0, -1.0, 2.0], vec![0.0, 0.0]).unwrap(), [-1.0, 2.0, 3.0]);
        assert_eq!(eigenvalues(vec![0.0; 4], vec![0.0; 3]).unwrap(), [0.0; 4]);
        let huge = eigenvalues(vec![2e200, 2e200], vec![1e200]).unwrap();
        assert!((huge[0] / 1e200 - 1.0).abs() < 1e-14 && (huge[1] / 3e200 - 1.0).abs() < 1e-14);
        assert!(eigenvalues(vec![f64::NAN, 1.0], vec![1.0]).is_none());
        assert!(eigenvalues(Vec::new(), Vec::new()).unwrap().is_empty());
    }

    #[test]
    fn trace_and_squares_are_kept() {
        let mut x = 1u64;
        let mut next = || {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (x >> 33) as f64 / (1u64 << 31) as f64 - 0.5
        };
        let d: Vec<f64> = (0..400).map(|_| next()).collect();
        let e: Vec<f64> = (0..399).map(|_| next()).collect();
        let got = eigenvalues(d.clone(), e.clone()).unwrap();
        let trace: f64 = d.iter().sum();
        let squares: f64 = d.iter().map(|x| x * x).sum::<f64>() + 2.0 * e.iter().map(|x| x * x).sum::<f64>();
        assert!((got.iter().sum::<f64>() - trace).abs() < 1e-12);
        assert!((got.iter().map(|x| x * x).sum::<f64>() - squares).abs() < 1e-12);
        assert!(got.windows(2).all(|w| w[0] <= w[1]));
    }
}
