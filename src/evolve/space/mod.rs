//! Search spaces: what a genome is, how it is drawn and varied, and which program it stands for.

pub mod free;
pub mod vocab;

use super::bank::Bank;
use super::expr::Expr;
use crate::ir::{Dag, NodeId};
use crate::random::Stream;

/// What is inherited.
#[derive(Clone, Debug, PartialEq)]
pub enum Genome {
    /// Choices from a vocabulary; see [`vocab::VocabSpace`].
    Genes(vocab::Genes),
    /// An expression.
    Expr(Expr),
}

/// A space of programs.
pub trait Space {
    /// Name on the command line.
    fn name(&self) -> &'static str;
    /// A random genome.
    fn random(&self, s: &mut Stream) -> Genome;
    /// A short program that may become a part of others; none where programs have no parts.
    fn probe(&self, _: &mut Stream) -> Option<Genome> {
        None
    }
    /// A changed copy; `bank` holds terms whose values are known.
    fn mutate(&self, parent: &Genome, s: &mut Stream, bank: &Bank) -> Genome;
    /// A mixture of two genomes.
    fn cross(&self, a: &Genome, b: &Genome, s: &mut Stream) -> Genome;
    /// Puts the genome's program into `dag`.
    ///
    /// # Errors
    /// When the program does not type-check, with the checker's message.
    fn lower(&self, genome: &Genome, dag: &mut Dag) -> Result<NodeId, String>;
    /// The genome as one line of text, from which [`Space::load`] restores it exactly.
    fn store(&self, genome: &Genome) -> String;
    /// Restores a genome.
    ///
    /// # Errors
    /// When the text is not one that [`Space::store`] wrote for this space.
    fn load(&self, text: &str) -> Result<Genome, String>;
    /// The program's expression as a person would write it.
    fn source(&self, genome: &Genome) -> String;
    /// Lines that a module needs before the proxies (`use ...`).
    fn preamble(&self) -> String;
    /// Does [`Space::mutate`] look at the bank? Then the values of terms are part of a checkpoint.
    fn looks(&self) -> bool {
        false
    }
    /// The space as one over a vocabulary, which may be finite.
    fn over_vocabulary(&self) -> Option<&vocab::VocabSpace> {
        None
    }
    /// Words for the program's name, the most telling first.
    fn words(&self, genome: &Genome) -> Vec<String>;
}
