//! Every program of a finite space: each branch is evaluated once per architecture, then all
//! combinations are arithmetic on the numbers that the branches left behind. The best of them is the
//! certified optimum of the space on these architectures.

use super::evaluator::{Evaluator, EvaluatorError};
use super::expr::{Expr, Head};
use super::judge::{Fitness, Judge};
use super::population::{Hall, Individual};
use super::search::ranking;
use super::space::vocab::{Form, Genes, VocabSpace};
use super::space::{Genome, Space};
use crate::ir::key::{Key, key_of};
use crate::ir::{Dag, NodeId, Program};
use crate::ops::{self, Eval, Shape, Value};
use crate::site::CaptureSpec;
use rayon::prelude::*;
use rustc_hash::FxHashSet;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The best programs.
    pub hall: Hall,
    /// Programs of the space.
    pub programs: f64,
    /// Branches, and those among them with different values.
    pub branches: (usize, usize),
    /// Programs with different scores that are finite everywhere, up to rounding.
    pub distinct: u64,
}

/// A branch: its choices and its value at every site of every architecture.
struct Branch {
    input: usize,
    ops: Vec<usize>,
    values: Vec<Vec<f64>>,
}

/// Most programs with different values that are looked at.
const LIMIT: f64 = 5e7;

/// Evaluates the whole space on `archs`.
///
/// # Errors
/// When the space is not finite in this sense (`graph`), too large, or an architecture cannot be run.
pub fn search(
    space: &VocabSpace,
    eval: &mut dyn Evaluator,
    archs: &[usize],
    judge: &Judge,
    capture: CaptureSpec,
    progress: &dyn Fn(&str),
) -> Result<Outcome, EvaluatorError> {
    let (n, joined) = match space.form {
        Form::Linear(n) => (n, false),
        Form::Tree(n) => (n, true),
        Form::Graph(_) => {
            return Err(failed("the space graph is too large to be searched whole", "use linear or tree"));
        }
    };
    let all = choices(space, n);
    if all.len() > 200_000 {
        return Err(failed(&format!("{} branches are too many", all.len()), "use a smaller --n-unary"));
    }
    progress(&format!("{} branches on {} architectures", all.len(), archs.len()));
    let total = all.len();
    let branches = distinct(evaluate(space, all, eval, archs, capture)?);
    progress(&format!("{} branches differ", branches.len()));
    let mut out =
        Outcome { programs: space.count(), branches: (total, branches.len()), ..Outcome::default() };
    if joined {
        let joins = joins(space)?;
        let pairs = branches.len() as f64 * branches.len() as f64 * joins.len() as f64;
        if pairs > LIMIT {
            return Err(failed(
                &format!("{pairs:.0} combinations are too many"),
                "use a smaller --n-unary or vocabulary",
            ));
        }
        combine(space, &branches, &joins, judge, &mut out);
    } else {
        let singles = branches.iter().filter_map(|b| single(b, judge));
        gather(singles, &mut FxHashSet::default(), &mut out);
    }
    Ok(out)
}

fn failed(message: &str, help: &str) -> EvaluatorError {
    EvaluatorError { message: message.into(), help: Some(help.into()), halted: false }
}

/// Input and operations of every branch.
fn choices(space: &VocabSpace, n: usize) -> Vec<(usize, Vec<usize>)> {
    let u = space.vocabulary.unary.len();
    let mut chains = vec![Vec::new()];
    for _ in 0..n {
        chains = chains
            .iter()
            .flat_map(|c: &Vec<usize>| (0..u).map(|op| [c.as_slice(), &[op]].concat()).collect::<Vec<_>>())
            .collect();
    }
    (0..space.inputs.len()).flat_map(|i| chains.iter().map(move |c| (i, c.clone()))).collect()
}

fn evaluate(
    space: &VocabSpace,
    all: Vec<(usize, Vec<usize>)>,
    eval: &mut dyn Evaluator,
    archs: &[usize],
    capture: CaptureSpec,
) -> Result<Vec<Branch>, EvaluatorError> {
    let mut dag = Dag::default();
    let mut kept = Vec::new();
    let mut programs = Vec::new();
    for (input, ops) in all {
        let i = &space.inputs[input];
        let text = format!("mean x in {} {{ mean({}) }}", i.sites, space.chain(&ops, &i.of("x")));
        if let Ok(root) = (space.compile)(&text, &mut dag) {
            programs.push(Program { name: String::new(), root, capture });
            kept.push((input, ops));
        }
    }
    let rows = eval.per_site(&dag, &programs, archs)?;
    Ok(kept.into_iter().zip(rows).map(|((input, ops), values)| Branch { input, ops, values }).collect())
}

/// The first of every set of branches with equal values.
fn distinct(all: Vec<Branch>) -> Vec<Branch> {
    let mut seen = FxHashSet::default();
    all.into_iter()
        .filter(|b| {
            b.values.iter().all(|v| !v.is_empty()) && seen.insert(print(b.values.iter().flatten().copied()))
        })
        .collect()
}

/// Identity of numbers up to rounding.
fn print(values: impl Iterator<Item = f64>) -> Key {
    // Twelve bits of the mantissa are noise of the order of evaluation.
    let rounded: Vec<u64> = values.map(|x| (x.to_bits().wrapping_add(1 << 11)) >> 12).collect();
    key_of(&rounded)
}

/// A join of two numbers as a small program.
pub struct Join {
    index: usize,
    body: Expr,
}

/// Names that stand for the two numbers.
const STAND_IN: [&str; 2] = ["params", "flops"];

impl Join {
    fn apply(&self, x: f64, y: f64) -> f64 {
        apply(&self.body, x, y)
    }
}

fn apply(e: &Expr, x: f64, y: f64) -> f64 {
    match &e.head {
        Head::Number(c) => *c,
        Head::Model(name, _) => {
            if *name == STAND_IN[0] {
                x
            } else {
                y
            }
        }
        Head::Op { op, attrs } => {
            let mut args = [0.0; 4];
            for (slot, a) in args.iter_mut().zip(&e.args) {
                *slot = apply(a, x, y);
            }
            let row = ops::row(*op);
            let args = &args[..e.args.len().min(4)];
            match row.eval {
                Eval::Scalar(f) => f(args),
                Eval::Whole(_) => {
                    let values: Vec<Value> = args.iter().map(|&v| Value::number(v)).collect();
                    let refs: Vec<&Value> = values.iter().collect();
                    row.evaluate(&Shape::number(), &refs, attrs).item().unwrap_or(f64::NAN)
                }
            }
        }
        _ => f64::NAN,
    }
}

/// Joins that differ: those that agree on a grid of numbers count once.
fn joins(space: &VocabSpace) -> Result<Vec<Join>, EvaluatorError> {
    let mut out: Vec<Join> = Vec::new();
    let mut seen: FxHashSet<Vec<u64>> = FxHashSet::default();
    for (index, f) in space.vocabulary.join.iter().enumerate() {
        let mut dag = Dag::default();
        let text = format!("{}({}, {})", f.name, STAND_IN[0], STAND_IN[1]);
        let root: NodeId =
            (space.compile)(&text, &mut dag).map_err(|e| failed(&e, "a join takes two numbers"))?;
        let join = Join { index, body: Expr::lift(&dag, root) };
        let grid = [-3.5, -1.0, 0.0, 0.3, 2.0, 7.0];
        let values: Vec<u64> =
            grid.iter().flat_map(|&x| grid.map(|y| (join.apply(x, y) + 0.0).to_bits())).collect();
        if seen.insert(values) {
            out.push(join);
        }
    }
    Ok(out)
}

/// A program with its fitness.
struct Scored {
    genes: Vec<usize>,
    fitness: Fitness,
    ranking: Key,
    print: Key,
}

fn single(b: &Branch, judge: &Judge) -> Option<Scored> {
    let scores: Vec<f64> = b.values.iter().map(|v| v.iter().sum::<f64>() / v.len() as f64).collect();
    scored([vec![b.input], b.ops.clone()].concat(), &scores, judge)
}

fn scored(genes: Vec<usize>, scores: &[f64], judge: &Judge) -> Option<Scored> {
    let first = *scores.first()?;
    if !scores.iter().all(|x| x.is_finite()) || scores.iter().all(|x| *x == first) {
        return None;
    }
    let fitness = judge.fitness(scores);
    Some(Scored {
        genes,
        fitness,
        ranking: ranking(scores, fitness.sign),
        print: print(scores.iter().copied()),
    })
}

fn combine(space: &VocabSpace, branches: &[Branch], joins: &[Join], judge: &Judge, out: &mut Outcome) {
    let mut seen = FxHashSet::default();
    for a in branches {
        // In parallel within one row, gathered in order: the same on any number of threads.
        let row: Vec<Option<Scored>> =
            branches.par_iter().flat_map_iter(|b| joins.iter().map(|j| pair(a, b, j, judge))).collect();
        gather(row.into_iter().flatten(), &mut seen, out);
    }
    let _ = space;
}

fn pair(a: &Branch, b: &Branch, join: &Join, judge: &Judge) -> Option<Scored> {
    let mean = |x: &Vec<f64>, y: &Vec<f64>| {
        let n = x.len().min(y.len());
        x.iter().zip(y).map(|(&p, &q)| join.apply(p, q)).sum::<f64>() / n as f64
    };
    let scores: Vec<f64> = a.values.iter().zip(&b.values).map(|(x, y)| mean(x, y)).collect();
    let genes = [vec![a.input, b.input], a.ops.clone(), b.ops.clone(), vec![join.index]].concat();
    scored(genes, &scores, judge)
}

fn gather(all: impl Iterator<Item = Scored>, seen: &mut FxHashSet<Key>, out: &mut Outcome) {
    for s in all {
        if !seen.insert(s.print) {
            continue;
        }
        out.distinct += 1;
        let floor = out.hall.members.last().filter(|_| out.hall.members.len() >= super::population::HALL);
        if floor.is_some_and(|f| f.fitness.value >= s.fitness.value) {
            continue;
        }
        out.hall.offer(&Individual {
            genome: Genome::Genes(Genes(s.genes)),
            key: s.print,
            ranking: s.ranking,
            fitness: s.fitness,
            complexity: 1.0,
            cost: 0.0,
            born: out.distinct,
        });
    }
}

/// Complexity and cost of the hall's members, which the combination does not know.
pub fn annotate(outcome: &mut Outcome, space: &VocabSpace, eval: &dyn Evaluator, capture: CaptureSpec) {
    for m in &mut outcome.hall.members {
        let mut dag = Dag::default();
        if let Ok(root) = space.lower(&m.genome, &mut dag) {
            m.complexity = dag.nodes().len() as f64;
            let program = Program { name: String::new(), root, capture };
            m.cost = eval.cost(&dag, &program).unwrap_or(0.0);
        }
    }
}
