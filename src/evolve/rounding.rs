//! Constants with as few digits as the ranking of the search architectures allows.

use super::evaluator::{Evaluator, EvaluatorError};
use super::expr::{Expr, Head};
use super::search::ranking;
use super::space::Genome;
use super::space::free::round;
use crate::ir::{Dag, Program};
use crate::site::CaptureSpec;

/// Digits that are tried, fewest first.
const DIGITS: [usize; 4] = [1, 2, 3, 4];

/// The genomes with rounded constants; genomes that are no expressions stay as they are.
///
/// # Errors
/// When an architecture cannot be run.
pub fn rounded(
    genomes: Vec<Genome>,
    eval: &mut dyn Evaluator,
    capture: CaptureSpec,
    search: &[usize],
) -> Result<Vec<Genome>, EvaluatorError> {
    let mut dag = Dag::default();
    let mut programs = Vec::new();
    for g in &genomes {
        if let Genome::Expr(e) = g {
            let mut add = |e: &Expr| {
                programs.push(Program { name: String::new(), root: e.lower(&mut dag), capture });
            };
            add(e);
            DIGITS.iter().for_each(|&d| add(&with_digits(e, d)));
        }
    }
    let rows = eval.scores(&dag, &programs, search)?;
    let ranks = |i: usize| {
        let scores: Option<Vec<f64>> = rows[i].iter().map(|o| o.as_ref().ok().copied()).collect();
        scores.map(|s| ranking(&s, 1.0))
    };
    let mut at = 0;
    let one = |g: Genome| {
        let Genome::Expr(e) = g else { return g };
        let exact = ranks(at);
        let found = DIGITS.iter().enumerate().find(|(k, _)| ranks(at + 1 + k) == exact);
        at += 1 + DIGITS.len();
        Genome::Expr(found.map_or_else(|| e.clone(), |(_, &d)| with_digits(&e, d)))
    };
    Ok(genomes.into_iter().map(one).collect())
}

fn with_digits(e: &Expr, digits: usize) -> Expr {
    let head = match &e.head {
        Head::Number(x) => Head::Number(round(*x, digits)),
        other => other.clone(),
    };
    Expr { head, args: e.args.iter().map(|a| with_digits(a, digits)).collect() }
}
