//! The spaces `linear`, `tree` and `graph` of LPZero (Dong et al., EMNLP Findings 2024) over a
//! vocabulary: a module of `.lpz` functions with weights. Functions of one argument are the unary
//! operations, functions of two the joins.
//!
//! - `linear`: one input, a chain of unary operations, the mean per site, the mean over sites.
//! - `tree`: two such chains, joined per pair of sites, the mean over the pairs.
//! - `graph`: two inputs and `n` unary nodes, each on any earlier node; the means of the nodes that
//!   nobody uses are joined from left to right.

use super::super::bank::Bank;
use super::super::inputs::Input;
use super::{Genome, Space};
use crate::ir::{Dag, NodeId};
use crate::random::Stream;
use std::fmt::Write;
use std::rc::Rc;

/// A function of the vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// How often it is drawn, relative to the others.
    pub weight: f64,
}

/// A vocabulary.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// Functions of one argument.
    pub unary: Vec<Function>,
    /// Functions of two arguments.
    pub join: Vec<Function>,
    /// `use` line that brings them in.
    pub import: String,
}

/// How many operations a program has, and how they are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A chain of so many unary operations.
    Linear(usize),
    /// Two chains of so many.
    Tree(usize),
    /// So many nodes.
    Graph(usize),
}

/// Choices, one per place; places are the inputs, then the operations, then the join.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Genes(pub Vec<usize>);

/// Type-checks an expression and puts it into a [`Dag`].
pub type Compile = Rc<dyn Fn(&str, &mut Dag) -> Result<NodeId, String>>;

/// A space over a vocabulary.
pub struct VocabSpace {
    /// Shape of the programs.
    pub form: Form,
    /// Operations.
    pub vocabulary: Vocabulary,
    /// Inputs.
    pub inputs: Vec<Input>,
    /// The language.
    pub compile: Compile,
}

/// What is chosen at a place.
#[derive(Clone, Copy)]
enum Place {
    Input,
    Unary,
    /// One of the `n` earlier nodes.
    Source(usize),
    Join,
}

impl VocabSpace {
    fn places(&self) -> Vec<Place> {
        match self.form {
            Form::Linear(n) => [vec![Place::Input], vec![Place::Unary; n]].concat(),
            Form::Tree(n) => [vec![Place::Input; 2], vec![Place::Unary; 2 * n], vec![Place::Join]].concat(),
            Form::Graph(n) => {
                let nodes = (0..n).flat_map(|k| [Place::Unary, Place::Source(k + 2)]).collect();
                [vec![Place::Input; 2], nodes, vec![Place::Join]].concat()
            }
        }
    }

    fn choices(&self, place: Place) -> usize {
        match place {
            Place::Input => self.inputs.len(),
            Place::Unary => self.vocabulary.unary.len(),
            Place::Source(n) => n,
            Place::Join => self.vocabulary.join.len(),
        }
    }

    /// Number of genomes.
    pub fn count(&self) -> f64 {
        self.places().iter().map(|&p| self.choices(p) as f64).product()
    }

    fn draw(&self, place: Place, s: &mut Stream) -> usize {
        match place {
            Place::Input => s.below(self.inputs.len()),
            Place::Unary => weighted(&self.vocabulary.unary, s),
            // Recent nodes twice as often, so that depth is reached.
            Place::Source(n) => {
                if s.below(2) == 0 {
                    n - 1
                } else {
                    s.below(n)
                }
            }
            Place::Join => weighted(&self.vocabulary.join, s),
        }
    }

    fn genes<'a>(&self, genome: &'a Genome) -> &'a [usize] {
        match genome {
            Genome::Genes(g) => &g.0,
            Genome::Expr(_) => &[],
        }
    }

    /// The expression of one chain of operations on `x`.
    pub fn chain(&self, ops: &[usize], x: &str) -> String {
        ops.iter().fold(x.to_owned(), |inner, &op| format!("{}({inner})", self.vocabulary.unary[op].name))
    }

    fn linear(&self, g: &[usize]) -> String {
        let i = &self.inputs[g[0]];
        format!("mean x in {} {{ mean({}) }}", i.sites, self.chain(&g[1..], &i.of("x")))
    }

    fn tree(&self, g: &[usize], n: usize) -> String {
        let (sites, x, y) = self.pair(g[0], g[1]);
        let join = &self.vocabulary.join[g[2 + 2 * n]].name;
        let (a, b) = (self.chain(&g[2..2 + n], &x), self.chain(&g[2 + n..2 + 2 * n], &y));
        format!("mean {sites} {{ {join}(mean({a}), mean({b})) }}")
    }

    fn graph(&self, g: &[usize], n: usize) -> String {
        let (sites, x, y) = self.pair(g[0], g[1]);
        let mut names = vec![x, y];
        let mut used = vec![false; n + 2];
        let mut body = String::new();
        for k in 0..n {
            let (op, source) = (g[2 + 2 * k], g[3 + 2 * k]);
            used[source] = true;
            let _ = write!(body, "let t{k} = {}({}) ", self.vocabulary.unary[op].name, names[source]);
            names.push(format!("t{k}"));
        }
        let join = &self.vocabulary.join[g[2 + 2 * n]].name;
        let sinks = (2..n + 2).filter(|&k| !used[k]).map(|k| format!("mean({})", names[k]));
        let value = sinks.reduce(|a, b| format!("{join}({a}, {b})")).unwrap_or_default();
        format!("mean {sites} {{ {body}{value} }}")
    }

    /// Pattern and collection of two inputs, and what they are called: one site where both come from
    /// the same collection.
    fn pair(&self, a: usize, b: usize) -> (String, String, String) {
        let (a, b) = (&self.inputs[a], &self.inputs[b]);
        if a.sites == b.sites {
            return (format!("x in {}", a.sites), a.of("x"), b.of("x"));
        }
        (format!("(x, y) in zip({}, {})", a.sites, b.sites), a.of("x"), b.of("y"))
    }
}

fn weighted(functions: &[Function], s: &mut Stream) -> usize {
    let total: f64 = functions.iter().map(|f| f.weight).sum();
    let mut left = s.uniform() * total;
    for (i, f) in functions.iter().enumerate() {
        left -= f.weight;
        if left < 0.0 {
            return i;
        }
    }
    functions.len().saturating_sub(1)
}

impl Space for VocabSpace {
    fn name(&self) -> &'static str {
        match self.form {
            Form::Linear(_) => "linear",
            Form::Tree(_) => "tree",
            Form::Graph(_) => "graph",
        }
    }

    fn random(&self, s: &mut Stream) -> Genome {
        Genome::Genes(Genes(self.places().into_iter().map(|p| self.draw(p, s)).collect()))
    }

    fn mutate(&self, parent: &Genome, s: &mut Stream, _: &Bank) -> Genome {
        let mut genes = self.genes(parent).to_vec();
        let places = self.places();
        let changes = 1 + usize::from(s.below(3) == 0);
        for _ in 0..changes {
            let at = s.below(places.len());
            if let Some(gene) = genes.get_mut(at) {
                *gene = self.draw(places[at], s);
            }
        }
        Genome::Genes(Genes(genes))
    }

    fn cross(&self, a: &Genome, b: &Genome, s: &mut Stream) -> Genome {
        let pairs = self.genes(a).iter().zip(self.genes(b));
        Genome::Genes(Genes(pairs.map(|(&x, &y)| if s.below(2) == 0 { x } else { y }).collect()))
    }

    fn lower(&self, genome: &Genome, dag: &mut Dag) -> Result<NodeId, String> {
        (self.compile)(&self.source(genome), dag)
    }

    fn store(&self, genome: &Genome) -> String {
        let genes: Vec<String> = self.genes(genome).iter().map(usize::to_string).collect();
        genes.join(" ")
    }

    fn load(&self, text: &str) -> Result<Genome, String> {
        let genes: Result<Vec<usize>, _> = text.split(' ').map(str::parse).collect();
        let genes = genes.map_err(|e| format!("genome `{text}`: {e}"))?;
        let places = self.places();
        let fits = genes.len() == places.len() && genes.iter().zip(places).all(|(&g, p)| g < self.choices(p));
        if fits {
            Ok(Genome::Genes(Genes(genes)))
        } else {
            Err(format!("genome `{text}` is of another space"))
        }
    }

    fn source(&self, genome: &Genome) -> String {
        let g = self.genes(genome);
        match self.form {
            Form::Linear(_) => self.linear(g),
            Form::Tree(n) => self.tree(g, n),
            Form::Graph(n) => self.graph(g, n),
        }
    }

    fn preamble(&self) -> String {
        self.vocabulary.import.clone()
    }

    fn over_vocabulary(&self) -> Option<&VocabSpace> {
        Some(self)
    }

    fn words(&self, genome: &Genome) -> Vec<String> {
        let g = self.genes(genome);
        let inputs = if matches!(self.form, Form::Linear(_)) { 1 } else { 2 };
        let mut words: Vec<String> = g[..inputs].iter().map(|&i| self.inputs[i].name.clone()).collect();
        words.dedup();
        if let (Form::Tree(n), Some(&op)) = (self.form, g.get(1 + inputs)) {
            let short = |op: usize| self.vocabulary.unary[op].name.replace("element_wise_", "");
            words.insert(1, short(op));
            words.push(short(g[1 + inputs + n]));
        }
        words
    }
}
