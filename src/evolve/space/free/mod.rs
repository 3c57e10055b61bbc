//! The space `free`: typed expressions over sites, filters, reducers, operators, constants and model
//! numbers, within limits of size and depth.

pub mod menu;
pub mod types;

mod grow;
mod over;
mod tune;
mod vary;

use super::super::bank::Bank;
use super::super::expr::{Expr, Head};
use super::{Genome, Space};
use crate::ir::{Dag, NodeId};
use crate::random::Stream;
use crate::site::{Field, Kind};
use menu::Menu;
use std::rc::Rc;
pub use vary::round;

/// A kind of sites that every architecture has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Kind.
    pub kind: Kind,
    /// Roles with which every architecture has some.
    pub roles: Vec<&'static str>,
    /// Fields that may be read.
    pub fields: Vec<Field>,
    /// Those among them that cost a run of the model every time: drawn seldom.
    pub dear: Vec<Field>,
}

/// The language, as this space needs it.
pub trait Text {
    /// The expression of a node, in canonical form.
    fn print(&self, dag: &Dag, root: NodeId) -> String;
    /// Type-checks an expression and puts it into `dag`.
    ///
    /// # Errors
    /// With the checker's message.
    fn parse(&self, text: &str, dag: &mut Dag) -> Result<NodeId, String>;
}

/// The space.
pub struct FreeSpace {
    /// What may be walked over.
    pub sites: Vec<Choice>,
    /// Model numbers that differ between architectures.
    pub numbers: Vec<(&'static str, Option<&'static str>)>,
    /// Most nodes.
    pub size: usize,
    /// Most levels of a random expression.
    pub depth: usize,
    /// Operators.
    pub menu: Menu,
    /// The language.
    pub text: Rc<dyn Text>,
}

/// Attempts at a random expression before a plain one is taken.
const ATTEMPTS: usize = 60;

impl FreeSpace {
    fn expr<'a>(&self, genome: &'a Genome) -> Option<&'a Expr> {
        match genome {
            Genome::Expr(e) => Some(e),
            Genome::Genes(_) => None,
        }
    }

    /// Within the limits and well-typed?
    pub fn allows(&self, e: &Expr) -> bool {
        e.size() <= self.size && types::well_typed(e)
    }

    fn some_program(&self, s: &mut Stream) -> Expr {
        let found = (0..ATTEMPTS).find_map(|_| self.program(s).filter(|e| self.allows(e)));
        found.or_else(|| self.model_number(s)).unwrap_or_else(|| Expr::number(1.0))
    }
}

impl Space for FreeSpace {
    fn name(&self) -> &'static str {
        "free"
    }

    fn random(&self, s: &mut Stream) -> Genome {
        Genome::Expr(self.some_program(s))
    }

    fn probe(&self, s: &mut Stream) -> Option<Genome> {
        let found = (0..8).find_map(|_| self.chain(s).filter(|e| self.allows(e)));
        found.map(Genome::Expr)
    }

    fn mutate(&self, parent: &Genome, s: &mut Stream, bank: &Bank) -> Genome {
        let Some(e) = self.expr(parent) else { return self.random(s) };
        // Most changes look for what goes well with what is already known: they cost nothing to score.
        let changed = if s.below(5) < 3 { self.tune(e, s, bank) } else { None };
        let changed = changed.or_else(|| (0..8).find_map(|_| self.change(e, s).filter(|n| self.allows(n))));
        Genome::Expr(changed.unwrap_or_else(|| self.some_program(s)))
    }

    fn cross(&self, a: &Genome, b: &Genome, s: &mut Stream) -> Genome {
        let (Some(x), Some(y)) = (self.expr(a), self.expr(b)) else { return self.random(s) };
        let child = (0..8).find_map(|_| self.graft(x, y, s).filter(|n| self.allows(n)));
        Genome::Expr(child.unwrap_or_else(|| x.clone()))
    }

    fn lower(&self, genome: &Genome, dag: &mut Dag) -> Result<NodeId, String> {
        let e = self.expr(genome).ok_or("a genome of another space")?;
        if !types::well_typed(e) {
            return Err("the expression is not well-typed".into());
        }
        Ok(e.lower(dag))
    }

    fn store(&self, genome: &Genome) -> String {
        self.source(genome)
    }

    fn load(&self, text: &str) -> Result<Genome, String> {
        let mut dag = Dag::default();
        let root = self.text.parse(text, &mut dag)?;
        Ok(Genome::Expr(Expr::lift(&dag, root)))
    }

    fn source(&self, genome: &Genome) -> String {
        let Some(e) = self.expr(genome) else { return String::new() };
        let mut dag = Dag::default();
        let root = e.lower(&mut dag);
        self.text.print(&dag, root)
    }

    fn preamble(&self) -> String {
        String::new()
    }

    fn looks(&self) -> bool {
        true
    }

    fn words(&self, genome: &Genome) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(e) = self.expr(genome) {
            name(e, &mut words);
        }
        words
    }
}

/// Kinds with filters, fields, and model numbers, in the order of reading.
fn name(e: &Expr, words: &mut Vec<String>) {
    use crate::ir::Collection;
    let mut add = |w: &str| {
        if !words.iter().any(|x| x == w) {
            words.push(w.to_owned());
        }
    };
    match &e.head {
        Head::Model(name, role) => add(role.unwrap_or(name)),
        Head::Fold { over: Collection::Sites { kind, filter, .. }, .. } => {
            let row = crate::site::KINDS.iter().find(|k| k.kind == *kind);
            add(filter.roles.first().copied().or(row.map(|r| r.name)).unwrap_or_default());
        }
        Head::Field { field, .. } => {
            let row = crate::site::FIELDS.iter().find(|f| f.field == *field);
            add(row.map(|r| r.name).unwrap_or_default());
        }
        _ => {}
    }
    e.args.iter().for_each(|a| name(a, words));
}
