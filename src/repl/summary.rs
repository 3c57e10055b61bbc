//! A tensor in one line: shape, element type, mean, standard deviation, smallest and largest
//! element, a histogram, and how many elements are not finite.

use crate::tensor::{Dtype, Element, Tensor};
use half::{bf16, f16};
use std::fmt::Write;

/// Bars of the histogram.
const BARS: usize = 24;
const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What is said of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Sizes of the axes.
    pub dims: Vec<usize>,
    /// Element type.
    pub dtype: &'static str,
    /// Mean of the finite elements.
    pub mean: f64,
    /// Their standard deviation (ddof 0).
    pub std: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Elements that are NaN.
    pub nan: usize,
    /// Elements that are infinite.
    pub infinite: usize,
    /// Finite elements in equal intervals from the smallest to the largest.
    pub histogram: Vec<usize>,
}

/// Summarises a tensor, in two passes over its elements.
pub fn summarise(t: &Tensor) -> Summary {
    match t.dtype() {
        Dtype::F64 => of::<f64>(t, "f64"),
        Dtype::F32 => of::<f32>(t, "f32"),
        Dtype::F16 => of::<f16>(t, "f16"),
        Dtype::Bf16 => of::<bf16>(t, "bf16"),
    }
}

fn of<T: Element>(t: &Tensor, dtype: &'static str) -> Summary {
    let data = t.as_slice::<T>().unwrap_or(&[]);
    let (mut nan, mut infinite, mut n, mut sum) = (0, 0, 0usize, 0.0);
    let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
    for x in data.iter().map(|x| x.to_f64()) {
        if x.is_finite() {
            n += 1;
            sum += x;
            min = min.min(x);
            max = max.max(x);
        } else if x.is_nan() {
            nan += 1;
        } else {
            infinite += 1;
        }
    }
    let mean = sum / n as f64;
    let mut histogram = vec![0; BARS];
    let mut squares = 0.0;
    let scale = BARS as f64 / (max - min);
    for x in data.iter().map(|x| x.to_f64()).filter(|x| x.is_finite()) {
        squares += (x - mean) * (x - mean);
        let at = ((x - min) * scale) as usize;
        histogram[at.min(BARS - 1)] += 1;
    }
    let std = (squares / n as f64).sqrt();
    if n == 0 {
        (min, max) = (f64::NAN, f64::NAN);
    }
    Summary { dims: t.dims().to_vec(), dtype, mean, std, min, max, nan, infinite, histogram }
}

impl Summary {
    /// `[256, 64] f32`.
    pub fn shape(&self) -> String {
        format!("{:?} {}", self.dims, self.dtype)
    }

    /// The histogram as a line of bars.
    pub fn bars(&self) -> String {
        let most = self.histogram.iter().copied().max().unwrap_or(0).max(1);
        let level = |&n: &usize| match n {
            0 => 0,
            n => 1 + n * (LEVELS.len() - 2) / most,
        };
        self.histogram.iter().map(|n| LEVELS[level(n).min(LEVELS.len() - 1)]).collect()
    }

    /// `3 NaN, 1 infinite`; empty when everything is finite.
    pub fn trouble(&self) -> String {
        let part = |n: usize, what: &str| (n > 0).then(|| format!("{n} {what}"));
        let parts: Vec<String> =
            [part(self.nan, "NaN"), part(self.infinite, "infinite")].into_iter().flatten().collect();
        parts.join(", ")
    }

    /// Everything, on two lines.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = write!(
            out,
            "{}  mean {}  std {}  min {}  max {}",
            self.shape(),
            short(self.mean),
            short(self.std),
            short(self.min),
            short(self.max)
        );
        let trouble = match self.trouble() {
            t if t.is_empty() => "all finite".into(),
            t => format!("not finite: {t}"),
        };
        let _ = write!(out, "\n{} |{}| {}  {trouble}", short(self.min), self.bars(), short(self.max));
        out
    }
}

/// A number in six digits or fewer.
pub fn short(x: f64) -> String {
    let size = x.abs();
    if x == x.trunc() && size < 1e7 {
        format!("{x}")
    } else if (1e-3..1e6).contains(&size) {
        format!("{x:.5}").trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        format!("{x:.4e}")
    }
}

/// `1.5 MB`.
pub fn bytes(n: usize) -> String {
    let x = n as f64;
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.1} kB", x / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", x / 1e6),
        _ => format!("{:.2} GB", x / 1e9),
    }
}

/// `12.3 ms`.
pub fn seconds(s: f64) -> String {
    match s {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_not_finite_and_keeps_it_out() {
        let t = Tensor::new(&[2, 3], vec![1.0f32, 2.0, f32::NAN, 3.0, f32::INFINITY, 2.0]);
        let s = summarise(&t);
        assert_eq!((s.mean, s.min, s.max, s.nan, s.infinite), (2.0, 1.0, 3.0, 1, 1));
        assert!((s.std - 0.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(s.histogram.iter().sum::<usize>(), 4);
        assert_eq!(s.trouble(), "1 NaN, 1 infinite");
        assert!(s.text().starts_with("[2, 3] f32  mean 2  std 0.70711"), "{}", s.text());
    }

    #[test]
    fn constant_and_empty_tensors() {
        let s = summarise(&Tensor::new(&[4], vec![5.0f64; 4]));
        assert_eq!((s.std, s.histogram[0]), (0.0, 4));
        let s = summarise(&Tensor::new(&[1], vec![f64::NAN]));
        assert!(s.mean.is_nan() && s.min.is_nan());
        assert_eq!(s.trouble(), "1 NaN");
    }
}
