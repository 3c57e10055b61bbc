//! Changes that look at known terms: which of them, with which coefficients, go well with what a
//! program already says. Coefficients come from [least squares](super::super::super::fit) on the
//! search architectures only. Programs made so are sums of known terms: they cost nothing to score.

use super::super::super::bank::{Bank, Column};
use super::super::super::expr::Expr;
use super::super::super::fit::{Basis, coefficients};
use super::super::super::tidy::{Arithmetic, apply};
use super::FreeSpace;
use super::vary::round;
use crate::random::Stream;

/// Shares of the known terms that one choice looks at: a narrow view makes programs differ.
const VIEWS: [f64; 4] = [0.02, 0.1, 0.3, 1.0];

/// Terms under an operator, or joined to another, that one choice looks at besides.
const MADE: usize = 24;

/// Most terms of a program that is begun anew.
const TERMS: usize = 8;

/// Digits of coefficients; the [end](super::super::super::rounding) of a run takes away what is too many.
const DIGITS: usize = 3;

impl FreeSpace {
    /// `e` with a term added, exchanged or taken out and its summands weighed anew; or a new sum.
    pub(super) fn tune(&self, e: &Expr, s: &mut Stream, bank: &Bank) -> Option<Expr> {
        let ops = Arithmetic::find()?;
        if s.below(8) < 3 {
            return self.fitted(Vec::new(), 1 + s.below(TERMS), s, bank, &ops);
        }
        let known = |(_, part): (f64, Expr)| bank.values(&part).and_then(|v| bank.column(part, v));
        let mut parts: Vec<Column> = ops.parts(e).into_iter().filter_map(known).collect();
        match s.below(4) {
            0 | 1 => self.fitted(parts, 1 + s.below(2), s, bank, &ops),
            2 if parts.len() > 1 => {
                parts.remove(s.below(parts.len()));
                self.fitted(parts, 1, s, bank, &ops)
            }
            3 if parts.len() > 1 => {
                parts.remove(s.below(parts.len()));
                self.weighed(parts, bank, &ops)
            }
            _ => self.weighed(parts, bank, &ops),
        }
    }

    /// `parts` and up to `more` known terms, each the one that explains most of what is left.
    fn fitted(
        &self,
        mut parts: Vec<Column>,
        more: usize,
        s: &mut Stream,
        bank: &Bank,
        ops: &Arithmetic,
    ) -> Option<Expr> {
        let mut basis = Basis::new(&bank.target);
        parts.retain(|p| basis.push(&p.unit));
        let view = VIEWS[s.below(VIEWS.len())];
        for _ in 0..more {
            let Some(best) = self.best(&basis, view, s, bank) else { break };
            // A factor and a join come along.
            let size: usize = parts.iter().chain([&best]).map(|p| p.expr.size() + 3).sum();
            if size > self.size || !basis.push(&best.unit) {
                break;
            }
            parts.push(best);
        }
        self.weighed(parts, bank, ops)
    }

    fn best(&self, basis: &Basis, view: f64, s: &mut Stream, bank: &Bank) -> Option<Column> {
        let all = bank.columns();
        let mut best: (f64, Option<Column>) = (0.0, None);
        let mut at = None;
        for (i, c) in all.iter().enumerate() {
            if view < 1.0 && s.uniform() >= view {
                continue;
            }
            let gain = basis.gain(&c.unit);
            if gain > best.0 {
                best.0 = gain;
                at = Some(i);
            }
        }
        best.1 = at.map(|i: usize| all[i].clone());
        for _ in 0..MADE {
            let Some(made) = self.made(s, bank) else { continue };
            let gain = basis.gain(&made.unit);
            if gain > best.0 {
                best = (gain, Some(made));
            }
        }
        best.1
    }

    /// A known term under an operator, or joined to another.
    fn made(&self, s: &mut Stream, bank: &Bank) -> Option<Column> {
        let all = bank.columns();
        if all.is_empty() {
            return None;
        }
        let mut one = || all[s.below(all.len())].expr.clone();
        let (a, b) = (one(), one());
        let expr = match s.below(2) {
            0 => super::grow::op(self.menu.draw(0, s, |m| m.args == [0])?, vec![a]),
            _ => super::grow::op(self.menu.draw(0, s, |m| m.args == [0, 0])?, vec![a, b]),
        };
        let values = bank.values(&expr)?;
        bank.column(expr, values)
    }

    /// The sum with the coefficients of least squares.
    fn weighed(&self, parts: Vec<Column>, bank: &Bank, ops: &Arithmetic) -> Option<Expr> {
        let units: Vec<&[f64]> = parts.iter().map(|p| p.unit.as_slice()).collect();
        let c = coefficients(&bank.target, &units)?;
        // The largest goes first, without a factor: a ranking does not depend on the scale.
        let first = (0..c.len()).max_by(|&i, &j| c[i].abs().total_cmp(&c[j].abs()))?;
        let scale = |i: usize| {
            let unit = parts[i].values.iter().zip(&parts[i].unit).map(|(v, u)| v * u).sum::<f64>();
            c[i] / unit
        };
        let whole = scale(first);
        let mut sum = parts[first].expr.clone();
        for (i, part) in parts.iter().enumerate().filter(|(i, _)| *i != first) {
            let factor = round(scale(i) / whole, DIGITS);
            if !factor.is_finite() || factor == 0.0 {
                return None;
            }
            let term = apply(ops.mul, vec![Expr::number(factor.abs()), part.expr.clone()]);
            sum = apply(if factor < 0.0 { ops.sub } else { ops.add }, vec![sum, term]);
        }
        Some(sum)
    }
}
