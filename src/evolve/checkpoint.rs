//! Checkpoints: everything that evolves, as text, so that a run that was killed ends bit for bit
//! where the uninterrupted one would. Written whole or not at all.

use super::evaluator::Outcome;
use super::expr::Expr;
use super::judge::Fitness;
use super::population::{Hall, Individual};
use super::rules::{Counted, RULES};
use super::search::{Island, Line, State};
use super::space::Space;
use super::terms::{Term, Terms};
use crate::ir::key::Key;
use crate::ir::{Dag, Degenerate};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct StoredIndividual {
    genome: String,
    key: String,
    ranking: String,
    fitness: Fitness,
    complexity: f64,
    cost: f64,
    born: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredIsland {
    members: Vec<StoredIndividual>,
    best: f64,
    stale: u64,
    restarts: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredTerm {
    source: String,
    values: Vec<Option<StoredOutcome>>,
    noise: Option<bool>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredOutcome {
    Score(f64),
    Degenerate { degenerate: String, at: String },
}

#[derive(Serialize, Deserialize)]
struct Stored {
    generation: u64,
    evaluations: u64,
    ill_typed: u64,
    islands: Vec<StoredIsland>,
    hall: Vec<StoredIndividual>,
    met: Vec<String>,
    fingerprints: Vec<String>,
    rejected: Vec<u64>,
    history: Vec<Line>,
    terms: Vec<StoredTerm>,
}

/// Prints and parses expressions.
pub use super::space::free::Text;

/// The checkpoint's text.
///
/// # Errors
/// When it cannot be put into JSON (a number that is not finite).
pub fn write(state: &State, terms: &Terms, space: &dyn Space, text: &dyn Text) -> Result<String, String> {
    let one = |i: &Individual| store_individual(i, space);
    let island = |i: &Island| StoredIsland {
        members: i.members.iter().map(one).collect(),
        best: i.best,
        stale: i.stale,
        restarts: i.restarts,
    };
    let keys = |set: &rustc_hash::FxHashSet<Key>| {
        let mut all: Vec<String> = set.iter().map(|k| hex(*k)).collect();
        all.sort_unstable();
        all
    };
    let stored = Stored {
        generation: state.generation,
        evaluations: state.evaluations,
        ill_typed: state.ill_typed,
        islands: state.islands.iter().map(island).collect(),
        hall: state.hall.members.iter().map(one).collect(),
        met: keys(&state.met),
        fingerprints: keys(&state.fingerprints),
        rejected: state.rules.counts.clone(),
        history: state.history.clone(),
        // Where nothing looks at the values of terms they are computed again when needed.
        terms: match space.looks() {
            true => terms.list().iter().map(|t| store_term(t, text)).collect(),
            false => Vec::new(),
        },
    };
    serde_json::to_string(&stored).map_err(|e| e.to_string())
}

/// What [`write`] wrote.
///
/// # Errors
/// When the text is damaged or of another space or version.
pub fn read(
    stored: &str,
    mut rules: Counted,
    space: &dyn Space,
    text: &dyn Text,
) -> Result<(State, Terms), String> {
    let s: Stored = serde_json::from_str(stored).map_err(|e| e.to_string())?;
    if s.rejected.len() != RULES.len() {
        return Err("it counts other rules".into());
    }
    rules.counts = s.rejected;
    let island = |i: StoredIsland| -> Result<Island, String> {
        let members = i.members.into_iter().map(|m| load_individual(m, space)).collect::<Result<_, _>>()?;
        Ok(Island { members, best: i.best, stale: i.stale, restarts: i.restarts })
    };
    let hall = s.hall.into_iter().map(|m| load_individual(m, space)).collect::<Result<_, _>>()?;
    let keys = |all: Vec<String>| all.iter().map(|k| unhex(k)).collect::<Result<_, _>>();
    let state = State {
        generation: s.generation,
        evaluations: s.evaluations,
        ill_typed: s.ill_typed,
        islands: s.islands.into_iter().map(island).collect::<Result<_, _>>()?,
        hall: Hall { members: hall },
        met: keys(s.met)?,
        fingerprints: keys(s.fingerprints)?,
        rules,
        history: s.history,
    };
    let mut terms = Terms::default();
    for t in s.terms {
        let noise = t.noise;
        let (expr, values) = load_term(t, text)?;
        terms.restore(expr, values, noise);
    }
    Ok((state, terms))
}

fn store_individual(i: &Individual, space: &dyn Space) -> StoredIndividual {
    StoredIndividual {
        genome: space.store(&i.genome),
        key: hex(i.key),
        ranking: hex(i.ranking),
        fitness: i.fitness,
        complexity: i.complexity,
        cost: i.cost,
        born: i.born,
    }
}

fn load_individual(i: StoredIndividual, space: &dyn Space) -> Result<Individual, String> {
    Ok(Individual {
        genome: space.load(&i.genome)?,
        key: unhex(&i.key)?,
        ranking: unhex(&i.ranking)?,
        fitness: i.fitness,
        complexity: i.complexity,
        cost: i.cost,
        born: i.born,
    })
}

fn store_term(term: &Term, text: &dyn Text) -> StoredTerm {
    let mut dag = Dag::default();
    let root = term.expr.lower(&mut dag);
    let one = |o: &Outcome| match o {
        Ok(x) => StoredOutcome::Score(*x),
        Err(d) => StoredOutcome::Degenerate { degenerate: d.reason.clone(), at: d.at.clone() },
    };
    StoredTerm {
        source: text.print(&dag, root),
        values: term.values.iter().map(|v| v.as_ref().map(one)).collect(),
        noise: term.noise,
    }
}

fn load_term(t: StoredTerm, text: &dyn Text) -> Result<(Expr, Vec<Option<Outcome>>), String> {
    let mut dag = Dag::default();
    let root = text.parse(&t.source, &mut dag)?;
    let one = |o: StoredOutcome| match o {
        StoredOutcome::Score(x) => Ok(x),
        StoredOutcome::Degenerate { degenerate, at } => Err(Box::new(Degenerate { reason: degenerate, at })),
    };
    Ok((Expr::lift(&dag, root), t.values.into_iter().map(|v| v.map(one)).collect()))
}

fn hex(k: Key) -> String {
    format!("{:032x}", k.0)
}

fn unhex(text: &str) -> Result<Key, String> {
    u128::from_str_radix(text, 16).map(Key).map_err(|e| format!("`{text}` is no key: {e}"))
}
