//! The end of a run: who is reported, and with which figures.
//!
//! Selection saw the search part only. Here the validation part decides the order, and the test part
//! is looked at once, for the programs that are reported and for the proxies they are compared with.

use super::evaluator::{Evaluator, EvaluatorError};
use super::figures::{Figures, Part};
use super::judge::Judge;
use super::population::{Hall, Individual};
use super::rounding::rounded;
use super::search::ranking;
use super::space::{Genome, Space};
use super::tidy::tidied;
use crate::ir::{Dag, NodeId, Program};
use crate::site::CaptureSpec;
use serde::{Deserialize, Serialize};

/// A program in the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Name in `hall_of_fame.lpz`.
    pub name: String,
    /// Its expression, with the sign fixed.
    pub source: String,
    /// On what selection saw.
    pub search: Figures,
    /// On what the choice saw.
    pub validation: Figures,
    /// On what nothing saw.
    pub test: Figures,
    /// On all of them together: what `lpz rank` prints for the same architectures.
    pub all: Figures,
    /// Nodes.
    pub complexity: f64,
    /// Additions per score, an estimate.
    pub cost: f64,
    /// Evaluations when it was found.
    pub born: u64,
    /// A proxy of which its scores are a monotone function.
    pub same_as: Option<String>,
    /// Scores on search, validation and test, in this order; for plots.
    #[serde(skip)]
    pub scores: Vec<f64>,
}

/// A known proxy, for comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// Name.
    pub name: String,
    /// A trivial baseline?
    pub baseline: bool,
    /// On the test part; none where it has no finite score on an architecture.
    pub test: Option<Figures>,
    /// On the search part.
    pub search: Option<Figures>,
    /// Why there are no figures.
    pub degenerate: Option<String>,
}

/// A known proxy before it is scored.
pub struct Reference {
    /// Name.
    pub name: String,
    /// A trivial baseline?
    pub baseline: bool,
    /// Program in the [`Dag`] given along.
    pub program: Program,
}

/// The parts of the split.
pub struct Parts {
    /// What selection sees.
    pub search: Part,
    /// What the choice sees.
    pub validation: Part,
    /// What is looked at once.
    pub test: Part,
    /// Seed of the bootstrap.
    pub seed: u64,
}

impl Parts {
    /// Everything: search, then validation, then test.
    pub fn all(&self) -> Part {
        let parts = [&self.search, &self.validation, &self.test];
        let join = |get: fn(&Part) -> &Vec<f64>| parts.iter().flat_map(|p| get(p).iter().copied()).collect();
        Part {
            archs: parts.iter().flat_map(|p| p.archs.iter().copied()).collect(),
            truth: join(|p| &p.truth),
            params: join(|p| &p.params),
            bench: parts.iter().flat_map(|p| p.bench.iter().copied()).collect(),
            over: self.search.over,
        }
    }
}

/// The report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Programs, the best on the validation part first.
    pub best: Vec<Entry>,
    /// Known proxies on the same parts.
    pub known: Vec<Known>,
}

/// What [`report`] needs.
pub struct Finish<'a> {
    /// Space of the genomes.
    pub space: &'a dyn Space,
    /// Parts.
    pub parts: &'a Parts,
    /// What a ranking of the search part is worth.
    pub judge: &'a Judge,
    /// What is run for every program.
    pub capture: CaptureSpec,
    /// Programs reported at most.
    pub keep: usize,
    /// Known proxies and their [`Dag`].
    pub references: &'a [Reference],
    /// Where the references live.
    pub reference_dag: &'a Dag,
}

/// Chooses on the validation part, then looks at the test part.
///
/// # Errors
/// When an architecture cannot be run.
pub fn report(hall: &Hall, f: &Finish<'_>, eval: &mut dyn Evaluator) -> Result<Report, EvaluatorError> {
    let known = references(f, eval)?;
    // Twice as many as are kept: those without a score on an unseen architecture fall out.
    let chosen: Vec<&Individual> = choose(hall, f, eval)?.into_iter().take(2 * f.keep).collect();
    let genomes: Vec<(Genome, f64)> = chosen.iter().map(|i| (i.genome.clone(), i.fitness.sign)).collect();
    let genomes = tidied(genomes, f.judge, eval, f.capture, &f.parts.search.archs)?;
    let genomes = rounded(genomes, eval, f.capture, &f.parts.search.archs)?;
    let mut dag = Dag::default();
    let mut programs = Vec::new();
    let mut kept = Vec::new();
    for (i, genome) in chosen.into_iter().zip(genomes) {
        if let Ok(root) = f.space.lower(&genome, &mut dag) {
            programs.push(program(root, f.capture));
            let complexity = match &genome {
                Genome::Expr(e) => nodes(e),
                Genome::Genes(_) => i.complexity,
            };
            kept.push(Individual { genome, complexity, ..i.clone() });
        }
    }
    let archs: Vec<usize> = [&f.parts.search, &f.parts.validation, &f.parts.test]
        .iter()
        .flat_map(|p| p.archs.iter().copied())
        .collect();
    let rows = eval.scores(&dag, &programs, &archs)?;
    let mut names: Vec<String> = Vec::new();
    let mut best = Vec::new();
    for (i, row) in kept.iter().zip(rows) {
        let signed: Option<Vec<f64>> =
            row.iter().map(|o| o.as_ref().ok().map(|x| x * i.fitness.sign)).collect();
        // Without a score on an architecture that was never seen it is no proxy.
        let Some(scores) = signed else { continue };
        if best.len() == f.keep {
            break;
        }
        let name = super::emit::name(&f.space.words(&i.genome), &names);
        names.push(name.clone());
        best.push(entry(i, name, &scores, &known, f));
    }
    Ok(Report { best, known: known.into_iter().map(|k| k.0).collect() })
}

/// Nodes of an expression, equal ones once.
fn nodes(e: &super::expr::Expr) -> f64 {
    let mut dag = Dag::default();
    e.lower(&mut dag);
    dag.nodes().len() as f64
}

fn program(root: NodeId, capture: CaptureSpec) -> Program {
    Program { name: String::new(), root, capture }
}

/// Share of the best search fitness that a program needs to be considered.
const SHARE: f64 = 0.9;

/// Hall members by their fitness on the validation part, with the sign that the search part gave.
fn choose<'h>(
    hall: &'h Hall,
    f: &Finish<'_>,
    eval: &mut dyn Evaluator,
) -> Result<Vec<&'h Individual>, EvaluatorError> {
    // What is far from the best on the search part would be chosen by luck alone.
    let least = SHARE * hall.members.first().map_or(0.0, |m| m.fitness.value);
    let mut dag = Dag::default();
    let lowered: Vec<(&Individual, NodeId)> = hall
        .members
        .iter()
        .filter(|m| m.fitness.value >= least)
        .filter_map(|i| Some((i, f.space.lower(&i.genome, &mut dag).ok()?)))
        .collect();
    if f.parts.validation.archs.is_empty() {
        return Ok(lowered.into_iter().map(|(i, _)| i).collect());
    }
    let programs: Vec<Program> = lowered.iter().map(|(_, r)| program(*r, f.capture)).collect();
    let rows = eval.scores(&dag, &programs, &f.parts.validation.archs)?;
    let mut ranked: Vec<(&Individual, f64)> = Vec::new();
    for ((i, _), row) in lowered.into_iter().zip(rows) {
        let signed: Option<Vec<f64>> =
            row.iter().map(|o| o.as_ref().ok().map(|x| x * i.fitness.sign)).collect();
        if let Some(s) = signed {
            ranked.push((i, f.parts.validation.figures(&s, f.parts.seed).tau_a));
        }
    }
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.complexity.total_cmp(&b.0.complexity)));
    Ok(ranked.into_iter().map(|(i, _)| i).collect())
}

/// Scores of a known proxy on search, validation and test, where all are finite.
type Scored = (Known, Option<Vec<f64>>);

fn references(f: &Finish<'_>, eval: &mut dyn Evaluator) -> Result<Vec<Scored>, EvaluatorError> {
    let parts = [&f.parts.search, &f.parts.validation, &f.parts.test];
    let archs: Vec<usize> = parts.iter().flat_map(|p| p.archs.iter().copied()).collect();
    let programs: Vec<Program> = f.references.iter().map(|r| r.program.clone()).collect();
    let rows = eval.scores(f.reference_dag, &programs, &archs)?;
    let (a, b) = (parts[0].archs.len(), parts[1].archs.len());
    let one = |(r, row): (&Reference, Vec<super::evaluator::Outcome>)| {
        let failed = row.iter().find_map(|o| o.as_ref().err());
        let degenerate = failed.map(|d| format!("{} at {}", d.reason, d.at));
        let scores: Option<Vec<f64>> = row.iter().map(|o| o.as_ref().ok().copied()).collect();
        let test = scores.as_ref().map(|s| parts[2].figures(&s[a + b..], f.parts.seed));
        let search = scores.as_ref().map(|s| parts[0].figures(&s[..a], f.parts.seed));
        (Known { name: r.name.clone(), baseline: r.baseline, test, search, degenerate }, scores)
    };
    Ok(f.references.iter().zip(rows).map(one).collect())
}

fn entry(i: &Individual, name: String, scores: &[f64], known: &[Scored], f: &Finish<'_>) -> Entry {
    let parts = f.parts;
    let (a, b) = (parts.search.archs.len(), parts.validation.archs.len());
    let mine = ranking(scores, 1.0);
    let monotone = |s: &[f64]| mine == ranking(s, 1.0) || mine == ranking(s, -1.0);
    let same = known.iter().find(|(k, s)| k.baseline && s.as_ref().is_some_and(|s| monotone(s)));
    let source = f.space.source(&i.genome);
    Entry {
        name,
        source: if i.fitness.sign < 0.0 { format!("-({source})") } else { source },
        search: parts.search.figures(&scores[..a], parts.seed),
        validation: parts.validation.figures(&scores[a..a + b], parts.seed),
        test: parts.test.figures(&scores[a + b..], parts.seed),
        all: parts.all().figures(scores, parts.seed),
        complexity: i.complexity,
        cost: i.cost,
        born: i.born,
        same_as: same.map(|(k, _)| k.name.clone()),
        scores: scores.to_vec(),
    }
}
