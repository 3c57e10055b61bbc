//! Changes that look at known terms: which of them, at which coefficient, goes best with what a
//! program already says. The coefficient comes from the exact [line search](super::super::super::line),
//! on the search architectures only.

use super::super::super::bank::Bank;
use super::super::super::expr::{Expr, Head};
use super::super::super::line;
use super::FreeSpace;
use super::vary::round;
use crate::ops::{self, Attrs, OpId, Position};
use crate::random::Stream;

/// Known terms that one change looks at.
const TRIED: usize = 24;

/// The arithmetic that is needed to combine terms, looked up by symbol.
struct Arithmetic {
    add: OpId,
    mul: OpId,
}

fn arithmetic() -> Option<Arithmetic> {
    let find = |s: &str| ops::by_symbol(s, Position::Infix);
    Some(Arithmetic { add: find("+")?, mul: find("*")? })
}

impl FreeSpace {
    /// `e` with a known term added, its summands weighed anew, or one of them taken out.
    pub(super) fn tune(&self, e: &Expr, s: &mut Stream, bank: &Bank) -> Option<Expr> {
        if !bank.judge.single() {
            return None;
        }
        let ops = arithmetic()?;
        match s.below(4) {
            0 | 1 => self.add_term(e, s, bank, &ops),
            2 => self.reweigh(e, s, bank, &ops),
            _ => self.drop_term(e, s, &ops),
        }
    }

    fn add_term(&self, e: &Expr, s: &mut Stream, bank: &Bank, ops: &Arithmetic) -> Option<Expr> {
        let base = bank.values(e)?;
        let mut best: Option<(f64, f64, Expr)> = None;
        for _ in 0..TRIED {
            let (term, values) = self.candidate(s, bank)?;
            if term.size() + e.size() + 3 > self.size {
                continue;
            }
            if let Some(found) = line::maximise(&base, &values, bank.judge.truth())
                && best.as_ref().is_none_or(|b| found.tau > b.0)
            {
                best = Some((found.tau, found.c, term));
            }
        }
        let (tau, c, term) = best?;
        let before = bank.judge.correlations(&base)[0];
        (tau > before).then(|| joined(e.clone(), scaled(term, c, ops), ops))
    }

    /// A known term or model number, as it is, under an operator, or times another.
    fn candidate(&self, s: &mut Stream, bank: &Bank) -> Option<(Expr, Vec<f64>)> {
        let (mut expr, mut values) = one(s, bank)?;
        match s.below(4) {
            0 => {
                let entry = self.menu.draw(0, s, |m| m.args == [0])?;
                expr = super::grow::op(entry, vec![expr]);
                values = bank.values(&expr)?;
            }
            1 => {
                let other = one(s, bank)?;
                let entry = self.menu.draw(0, s, |m| m.args == [0, 0])?;
                expr = super::grow::op(entry, vec![expr, other.0]);
                values = bank.values(&expr)?;
            }
            _ => {}
        }
        let good = values.iter().all(|x| x.is_finite()) && values.iter().any(|x| *x != values[0]);
        if good { Some((expr, values)) } else { one(s, bank) }
    }

    fn reweigh(&self, e: &Expr, s: &mut Stream, bank: &Bank, ops: &Arithmetic) -> Option<Expr> {
        let mut parts = summands(e, ops);
        if parts.len() < 2 {
            return None;
        }
        let i = s.below(parts.len());
        let part = parts.remove(i);
        let rest = parts.into_iter().reduce(|a, b| joined(a, b, ops))?;
        let (bare, _) = unscaled(part, ops);
        let found = line::maximise(&bank.values(&rest)?, &bank.values(&bare)?, bank.judge.truth())?;
        Some(joined(rest, scaled(bare, found.c, ops), ops))
    }

    fn drop_term(&self, e: &Expr, s: &mut Stream, ops: &Arithmetic) -> Option<Expr> {
        let mut parts = summands(e, ops);
        if parts.len() < 2 {
            return None;
        }
        parts.remove(s.below(parts.len()));
        parts.into_iter().reduce(|a, b| joined(a, b, ops))
    }
}

fn one(s: &mut Stream, bank: &Bank) -> Option<(Expr, Vec<f64>)> {
    let (terms, numbers) = (bank.terms(), bank.numbers());
    if !terms.is_empty() && (numbers.is_empty() || s.below(4) > 0) {
        let (e, v) = &terms[s.below(terms.len())];
        return Some((e.clone(), v.clone()));
    }
    let ((name, role), v) = numbers.get(s.below(numbers.len()))?;
    Some((Expr::leaf(Head::Model(name, *role)), v.clone()))
}

/// The parts of a sum.
fn summands(e: &Expr, ops: &Arithmetic) -> Vec<Expr> {
    match &e.head {
        Head::Op { op, .. } if *op == ops.add => e.args.iter().flat_map(|a| summands(a, ops)).collect(),
        _ => vec![e.clone()],
    }
}

fn joined(a: Expr, b: Expr, ops: &Arithmetic) -> Expr {
    Expr { head: Head::Op { op: ops.add, attrs: Attrs::none() }, args: vec![a, b] }
}

/// `c * term`, with few digits: what decides lies in the middle of an interval.
fn scaled(term: Expr, c: f64, ops: &Arithmetic) -> Expr {
    let args = vec![Expr::number(round(c, 3)), term];
    Expr { head: Head::Op { op: ops.mul, attrs: Attrs::none() }, args }
}

/// A term without its constant factor.
fn unscaled(e: Expr, ops: &Arithmetic) -> (Expr, f64) {
    if let (Head::Op { op, .. }, [Expr { head: Head::Number(c), .. }, term]) = (&e.head, e.args.as_slice())
        && *op == ops.mul
    {
        return (term.clone(), *c);
    }
    (e, 1.0)
}
