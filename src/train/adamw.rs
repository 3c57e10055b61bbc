//! AdamW (Loshchilov and Hutter, ICLR 2019) with gradient clipping, and the learning-rate schedule.
//!
//! Matrices decay, vectors (biases, norms) do not. Everything is elementwise over fixed chunks or
//! summed in fixed order: the same bits on any number of threads.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Elements of one task.
const CHUNK: usize = 1 << 14;

/// Settings of the optimiser and its schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Largest learning rate.
    pub lr: f64,
    /// Steps over which the learning rate rises from 0.
    pub warmup: usize,
    /// All steps; after the warm-up a half cosine falls to `lr * floor`.
    pub steps: usize,
    /// Fraction of `lr` at the end.
    pub floor: f64,
}

impl Schedule {
    /// Learning rate of step `step` (from 0).
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup {
            return self.lr * (step + 1) as f64 / self.warmup as f64;
        }
        let done = (step - self.warmup) as f64 / self.steps.saturating_sub(self.warmup).max(1) as f64;
        let cosine = 0.5 * (1.0 + libm::cos(std::f64::consts::PI * done.min(1.0)));
        self.lr * (self.floor + (1.0 - self.floor) * cosine)
    }
}

/// Settings of AdamW.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay of matrices.
    pub decay: f64,
    /// Largest norm of the whole gradient.
    pub clip: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        AdamW { beta1: 0.9, beta2: 0.95, eps: 1e-8, decay: 0.1, clip: 1.0 }
    }
}

/// How one parameter moves in one step.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// Steps done before.
    pub step: usize,
    /// Learning rate.
    pub lr: f64,
    /// Factor of the gradient: [`AdamW::clip_factor`].
    pub scale: f64,
    /// Does it decay?
    pub matrix: bool,
}

/// First and second moments of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Mean of the gradients.
    pub m: Vec<f32>,
    /// Mean of their squares.
    pub v: Vec<f32>,
}

impl Moments {
    /// Of a parameter that has not moved yet.
    pub fn zero(n: usize) -> Self {
        Moments { m: vec![0.0; n], v: vec![0.0; n] }
    }
}

/// Sum of squares, in f64 and fixed order.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    let parts: Vec<f64> =
        x.par_chunks(CHUNK).map(|c| c.iter().map(|&x| f64::from(x) * f64::from(x)).sum()).collect();
    parts.iter().sum()
}

impl AdamW {
    /// What to multiply gradients of that norm by.
    pub fn clip_factor(&self, norm: f64) -> f64 {
        if norm > self.clip { self.clip / (norm + 1e-6) } else { 1.0 }
    }

    /// Moves one parameter along its gradient.
    pub fn update(&self, value: &mut [f32], state: &mut Moments, grad: &[f32], how: &Move) {
        let &Move { step, lr, scale, matrix } = how;
        let t = step as f64 + 1.0;
        let correct1 = 1.0 - libm::pow(self.beta1, t);
        let correct2 = (1.0 - libm::pow(self.beta2, t)).sqrt();
        let keep = if matrix { (1.0 - lr * self.decay) as f32 } else { 1.0 };
        let (b1, b2) = (self.beta1 as f32, self.beta2 as f32);
        let (c1, c2) = ((1.0 - self.beta1) as f32, (1.0 - self.beta2) as f32);
        let (rate, root, eps, scale) =
            ((lr / correct1) as f32, (1.0 / correct2) as f32, self.eps as f32, scale as f32);
        let moments = state.m.par_chunks_mut(CHUNK).zip(state.v.par_chunks_mut(CHUNK));
        value.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK)).zip(moments).for_each(|((w, g), (m, v))| {
            for (((w, &g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
                let g = g * scale;
                *m = b1 * *m + c1 * g;
                *v = b2 * *v + c2 * g * g;
                *w = *w * keep - rate * *m / (v.sqrt() * root + eps);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedule_rises_and_falls() {
        let s = Schedule { lr: 1.0, warmup: 4, steps: 104, floor: 0.1 };
        assert_eq!([s.at(0), s.at(3), s.at(4)], [0.25, 1.0, 1.0]);
        assert!((s.at(54) - 0.55).abs() < 1e-12 && (s.at(104) - 0.1).abs() < 1e-12);
        assert!((0..104).map(|i| s.at(i)).all(|x| x > 0.0 && x <= 1.0));
    }

    /// Two steps by hand, with the formulas of the paper in f64.
    #[test]
    fn two_steps_as_published() {
        let adam = AdamW { decay: 0.1, ..AdamW::default() };
        for matrix in [true, false] {
            let (mut w, mut state) = (vec![0.5f32], Moments::zero(1));
            let (mut want, mut m, mut v) = (0.5f64, 0.0, 0.0);
            for (step, g) in [0.3f32, -0.2].into_iter().enumerate() {
                adam.update(&mut w, &mut state, &[g], &Move { step, lr: 0.01, scale: 0.5, matrix });
                let g = f64::from(g) * 0.5;
                m = 0.9 * m + 0.1 * g;
                v = 0.95 * v + 0.05 * g * g;
                let t = step as i32 + 1;
                let (mh, vh) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - 0.95f64.powi(t)));
                want -= if matrix { 0.01 * 0.1 * want } else { 0.0 };
                want -= 0.01 * mh / (vh.sqrt() + 1e-8);
            }
            assert!((f64::from(w[0]) - want).abs() < 1e-6, "{} {want}", w[0]);
        }
    }

    #[test]
    fn clipping_limits_the_norm() {
        let adam = AdamW::default();
        assert_eq!(adam.clip_factor(0.5), 1.0);
        assert!((adam.clip_factor(4.0) * 4.0 - 1.0).abs() < 1e-6);
        assert_eq!(sum_of_squares(&[3.0, 4.0]), 25.0);
    }
}
