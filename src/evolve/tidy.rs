//! Sums as a person would write them: one term after the other, factors in front, and no term without
//! which the search architectures are ranked as well.

use super::evaluator::{Evaluator, EvaluatorError};
use super::expr::{Expr, Head};
use super::judge::Judge;
use super::space::Genome;
use crate::ir::{Dag, Program};
use crate::ops::{self, Attrs, OpId, Position};
use crate::site::CaptureSpec;

/// The arithmetic that combines terms, looked up by symbol.
#[derive(Clone, Copy)]
pub struct Arithmetic {
    /// Sum.
    pub add: OpId,
    /// Difference.
    pub sub: OpId,
    /// Product.
    pub mul: OpId,
    /// Negation.
    pub neg: OpId,
}

impl Arithmetic {
    /// From the operator rows; `None` where they lack a symbol.
    pub fn find() -> Option<Self> {
        let find = |s: &str| ops::by_symbol(s, Position::Infix);
        let neg = ops::by_symbol("-", Position::Prefix)?;
        Some(Arithmetic { add: find("+")?, sub: find("-")?, mul: find("*")?, neg })
    }

    /// The parts of a sum with their constant factors.
    pub fn parts(&self, e: &Expr) -> Vec<(f64, Expr)> {
        let mut out = Vec::new();
        self.collect(e, 1.0, &mut out);
        out
    }

    fn collect(&self, e: &Expr, factor: f64, out: &mut Vec<(f64, Expr)>) {
        if let Head::Op { op, .. } = &e.head {
            match e.args.as_slice() {
                [a, b] if *op == self.add || *op == self.sub => {
                    self.collect(a, factor, out);
                    return self.collect(b, if *op == self.sub { -factor } else { factor }, out);
                }
                [Expr { head: Head::Number(c), .. }, x] | [x, Expr { head: Head::Number(c), .. }]
                    if *op == self.mul =>
                {
                    return self.collect(x, c * factor, out);
                }
                [x] if *op == self.neg => return self.collect(x, -factor, out),
                _ => {}
            }
        }
        out.push((factor, e.clone()));
    }

    /// The sum of parts, from left to right, those that count positively first.
    pub fn sum(&self, parts: &[(f64, Expr)]) -> Option<Expr> {
        let (up, down): (Vec<_>, Vec<_>) = parts.iter().partition(|(c, _)| *c > 0.0);
        let mut all = up.into_iter().chain(down);
        let (c, first) = all.next()?;
        let mut sum = match *c {
            1.0 => first.clone(),
            -1.0 => apply(self.neg, vec![first.clone()]),
            c => apply(self.mul, vec![Expr::number(c), first.clone()]),
        };
        for (c, part) in all {
            let size = c.abs();
            let term = match size == 1.0 {
                true => part.clone(),
                false => apply(self.mul, vec![Expr::number(size), part.clone()]),
            };
            sum = apply(if *c < 0.0 { self.sub } else { self.add }, vec![sum, term]);
        }
        Some(sum)
    }
}

/// An operator without constants.
pub fn apply(op: OpId, args: Vec<Expr>) -> Expr {
    Expr { head: Head::Op { op, attrs: Attrs::none() }, args }
}

/// The genomes, each with the sign of its fitness, with their sums in order and without idle terms; genomes that are no expressions stay.
///
/// # Errors
/// When an architecture cannot be run.
pub fn tidied(
    genomes: Vec<(Genome, f64)>,
    judge: &Judge,
    eval: &mut dyn Evaluator,
    capture: CaptureSpec,
    search: &[usize],
) -> Result<Vec<Genome>, EvaluatorError> {
    let Some(arithmetic) = Arithmetic::find() else { return Ok(genomes.into_iter().map(|g| g.0).collect()) };
    genomes
        .into_iter()
        .map(|(g, sign)| match g {
            Genome::Expr(e) => {
                let parts = needed(arithmetic.parts(&e), &arithmetic, judge, &mut |sums| {
                    fitness((sums, sign), judge, eval, capture, search)
                })?;
                Ok(Genome::Expr(arithmetic.sum(&parts).unwrap_or(e)))
            }
            other => Ok(other),
        })
        .collect()
}

/// Fitness of several expressions; `None` where one has no finite score.
type Fitness<'a> = dyn FnMut(&[Expr]) -> Result<Vec<Option<f64>>, EvaluatorError> + 'a;

/// Takes out the parts whose absence costs nothing, one at a time, the least useful first.
fn needed(
    mut parts: Vec<(f64, Expr)>,
    arithmetic: &Arithmetic,
    judge: &Judge,
    fitness: &mut Fitness<'_>,
) -> Result<Vec<(f64, Expr)>, EvaluatorError> {
    // Where nothing was judged there is nothing to compare.
    if judge.truth().is_empty() {
        return Ok(parts);
    }
    while parts.len() > 1 {
        let without = |i: usize| {
            let rest: Vec<(f64, Expr)> =
                parts.iter().enumerate().filter(|(k, _)| *k != i).map(|(_, p)| p.clone()).collect();
            arithmetic.sum(&rest).unwrap_or_else(|| Expr::number(0.0))
        };
        let whole = arithmetic.sum(&parts).unwrap_or_else(|| Expr::number(0.0));
        let all: Vec<Expr> = std::iter::once(whole).chain((0..parts.len()).map(without)).collect();
        let values = fitness(&all)?;
        let Some(Some(now)) = values.first().copied() else { break };
        let least = (0..parts.len())
            .filter_map(|i| values[1 + i].map(|v| (v, i)))
            .filter(|(v, _)| *v >= now)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, i)) = least else { break };
        parts.remove(i);
    }
    Ok(parts)
}

fn fitness(
    (all, sign): (&[Expr], f64),
    judge: &Judge,
    eval: &mut dyn Evaluator,
    capture: CaptureSpec,
    search: &[usize],
) -> Result<Vec<Option<f64>>, EvaluatorError> {
    let mut dag = Dag::default();
    let program = |e: &Expr| Program { name: String::new(), root: e.lower(&mut dag), capture };
    let programs: Vec<Program> = all.iter().map(program).collect();
    let rows = eval.scores(&dag, &programs, search)?;
    let one = |row: Vec<super::evaluator::Outcome>| {
        let scores: Option<Vec<f64>> = row.into_iter().map(Result::ok).collect();
        scores.map(|s| judge.fitness(&s)).filter(|f| f.sign == sign).map(|f| f.value)
    };
    Ok(rows.into_iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Dag;
    use crate::lang::{Library, print_node};

    #[test]
    fn sums_come_in_order() {
        let mut dag = Dag::default();
        let root = Library::new()
            .expression("p", "2 * (depth - width * 3) - (-(vocab) + 0.5 * flops)", &mut dag)
            .unwrap()
            .program
            .root;
        let a = Arithmetic::find().unwrap();
        let parts = a.parts(&Expr::lift(&dag, root));
        let sum = a.sum(&parts).unwrap().lower(&mut dag);
        assert_eq!(print_node(&dag, sum), "2 * depth + vocab - 6 * width - 0.5 * flops");
    }
}
