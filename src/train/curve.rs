//! A loss curve as text.

use std::fmt::Write;

/// Draws `losses` (one per step) in `width` columns and `height` rows, each column the mean of its
/// steps, with the scale at the left and the steps below.
pub fn plot(losses: &[f64], width: usize, height: usize) -> String {
    let columns = width.min(losses.len());
    if columns == 0 || height == 0 {
        return String::new();
    }
    let part = |c: usize| &losses[c * losses.len() / columns..(c + 1) * losses.len() / columns];
    let means: Vec<f64> = (0..columns).map(|c| part(c).iter().sum::<f64>() / part(c).len() as f64).collect();
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = (high - low).max(1e-9);
    let row_of = |m: f64| ((high - m) / range * (height - 1) as f64).round() as usize;
    let mut out = String::new();
    for row in 0..height {
        let value = high - range * row as f64 / (height - 1).max(1) as f64;
        let marks: String = means.iter().map(|&m| if row_of(m) == row { '•' } else { ' ' }).collect();
        let _ = writeln!(out, "{value:>8.3} │{}", marks.trim_end());
    }
    let _ = writeln!(out, "{:>8} └{}", "", "─".repeat(columns));
    let end = format!("step {}", losses.len());
    let _ = writeln!(out, "{:>10}1{end:>pad$}", "", pad = columns.saturating_sub(1));
    out
}

#[cfg(test)]
mod tests {
    use super::plot;

    #[test]
    fn falls_from_left_to_right() {
        let text = plot(&[4.0, 3.0, 2.0, 1.0], 4, 4);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "   4.000 │•");
        assert_eq!(lines[3], "   1.000 │   •");
        assert!(lines[5].ends_with("step 4"));
        assert_eq!(plot(&[], 10, 4), "");
        assert!(plot(&[1.0; 300], 60, 8).lines().count() == 10);
    }
}
