//! Values of the reference engine: f64 tensors, broadcast and walked along axes.

use super::shape::{Placement, Shape, axis_of, placement};

/// A value in the reference engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Shape; every size known.
    pub shape: Shape,
    /// Elements, row-major.
    pub data: Vec<f64>,
}

impl Value {
    /// A number.
    pub fn number(x: f64) -> Self {
        Value { shape: Shape::number(), data: vec![x] }
    }
    /// A tensor; `data` holds as many elements as `dims` say.
    pub fn tensor(dims: &[usize], data: Vec<f64>) -> Self {
        debug_assert_eq!(dims.iter().product::<usize>(), data.len());
        Value { shape: Shape::of(dims), data }
    }
    /// A value of this shape, all elements equal.
    pub fn filled(shape: Shape, x: f64) -> Self {
        let data = vec![x; shape.numel()];
        Value { shape, data }
    }
    /// The element of a value with one element.
    pub fn item(&self) -> Option<f64> {
        (self.data.len() == 1).then(|| self.data[0])
    }
    /// Are all elements finite?
    pub fn is_finite(&self) -> bool {
        self.data.iter().all(|x| x.is_finite())
    }
    /// Element for element.
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Value { shape: self.shape.clone(), data: self.data.iter().map(|&x| f(x)).collect() }
    }

    /// Applies `f` element by element after broadcasting `args` to `out`; operands that do not
    /// broadcast (which the shape rule excludes) count as NaN.
    pub fn zip(out: &Shape, args: &[&Value], f: impl Fn(&[f64]) -> f64) -> Self {
        let places: Vec<Option<Placement>> = args.iter().map(|a| placement(&a.shape, out)).collect();
        let mut row = vec![0.0; args.len()];
        let data = (0..out.numel())
            .map(|i| {
                for ((r, a), p) in row.iter_mut().zip(args).zip(&places) {
                    *r = p.and_then(|p| a.data.get(p.index(i, out))).copied().unwrap_or(f64::NAN);
                }
                f(&row)
            })
            .collect();
        Value { shape: out.clone(), data }
    }

    /// The runs of elements along `axis` (all elements in one run when left out), in the order of
    /// the elements that a reduction gives.
    pub fn runs(&self, axis: Option<f64>) -> Vec<Vec<f64>> {
        let Some((outer, len, inner)) = self.split(axis) else { return vec![self.data.clone()] };
        let mut runs = Vec::with_capacity(outer * inner);
        for o in 0..outer {
            for i in 0..inner {
                runs.push((0..len).map(|k| self.data[(o * len + k) * inner + i]).collect());
            }
        }
        runs
    }

    /// Reduces every run along `axis` (or all elements) to a number.
    pub fn reduce(&self, axis: Option<f64>, f: impl Fn(&[f64]) -> f64) -> Self {
        let data = self.runs(axis).iter().map(|r| f(r)).collect();
        let shape = match axis_of(axis, self.shape.rank()) {
            Ok(Some(k)) => self.shape.without(k),
            _ => Shape::number(),
        };
        Value { shape, data }
    }

    /// Replaces every run along `axis` (or all elements) by one of equal length.
    pub fn map_runs(&self, axis: Option<f64>, f: impl Fn(&[f64]) -> Vec<f64>) -> Self {
        let mut out = self.clone();
        let (outer, len, inner) = self.split(axis).unwrap_or((1, self.data.len(), 1));
        for (n, run) in self.runs(axis).iter().enumerate() {
            let (o, i) = (n / inner.max(1), n % inner.max(1));
            debug_assert!(o < outer);
            for (k, x) in f(run).into_iter().enumerate() {
                out.data[(o * len + k) * inner + i] = x;
            }
        }
        out
    }

    /// Elements before, along and after `axis`: `(outer, length, inner)`.
    fn split(&self, axis: Option<f64>) -> Option<(usize, usize, usize)> {
        let k = axis_of(axis, self.shape.rank()).ok().flatten()?;
        let d = &self.shape.dims;
        Some((d[..k].iter().product(), d[k], d[k + 1..].iter().product()))
    }
}

impl Placement {
    /// The operand's element for element `i` of the result `out`.
    pub fn index(self, i: usize, out: &Shape) -> usize {
        match self {
            Placement::Same => i,
            Placement::Number => 0,
            Placement::Along(axis) => {
                let inner: usize = out.dims[axis + 1..].iter().product();
                i / (out.dims[axis] * inner) * inner + i % inner
            }
        }
    }
}
