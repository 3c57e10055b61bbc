//! The evolver: searches programs of the language for proxies that rank architectures it never saw.

pub mod analysis;
pub mod bank;
pub mod canon;
pub mod checkpoint;
pub mod driver;
pub mod emit;
pub mod evaluator;
pub mod expr;
pub mod figures;
pub mod finish;
pub mod folder;
pub mod held;
pub mod inputs;
pub mod judge;
pub mod language;
pub mod line;
pub mod nsga;
pub mod population;
pub mod rules;
pub mod run;
pub mod search;
pub mod settings;
pub mod space;
pub mod split;
pub mod terms;
