//! What a program needs run, read off its lowered form: for grouping in the documentation.

use crate::ir::{Dag, Node, Program};
use crate::site::{
    Batches, CaptureSpec, FIELDS, INPUTS, Inputs, NUMBERS, OBJECTIVES, PARAMS_MODES, ParamsMode, Pass,
    option_name,
};

/// Headings that proxies are grouped under, from cheap to dear.
pub const GROUPS: [&str; 4] = [
    "Proxies that need no data",
    "Proxies that need a forward pass",
    "Proxies that need a backward pass",
    "Proxies that need second order",
];

/// What a program needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The dearest pass that yields something it uses.
    pub pass: Pass,
    /// How that is run.
    pub capture: CaptureSpec,
}

impl Needs {
    /// Reads the fields and numbers under a program's root.
    pub fn of(dag: &Dag, program: &Program) -> Self {
        let mut seen = vec![false; dag.nodes().len()];
        let mut stack = vec![program.root];
        let mut pass = Pass::Weights;
        while let Some(n) = stack.pop() {
            if std::mem::replace(&mut seen[n], true) {
                continue;
            }
            match dag.node(n) {
                Node::Op { args, .. } => stack.extend(args.iter().copied()),
                Node::Fold { body, .. } => stack.push(*body),
                node => pass = pass.max(pass_of(node)),
            }
        }
        Needs { pass, capture: program.capture }
    }

    /// The heading among [`GROUPS`]. A pass over ones or noise takes no data, however dear it is.
    pub fn group(&self) -> &'static str {
        let no_data = self.pass == Pass::Weights || self.capture.inputs != Inputs::Data;
        GROUPS[if no_data { 0 } else { self.pass as usize }]
    }

    /// In words: `a backward pass per sequence over noise, objective projection`.
    pub fn describe(&self) -> String {
        let c = &self.capture;
        let mut text = match self.pass {
            Pass::Weights => "parameters alone",
            Pass::Forward => "a forward pass",
            Pass::Backward => "a backward pass",
            Pass::SecondOrder => "Hessian-vector products",
        }
        .to_string();
        if self.pass >= Pass::Backward {
            match c.batches {
                Batches::One => {}
                Batches::EachSample => text.push_str(" per sequence"),
                Batches::Many(n) => text.push_str(&format!(" for each of {n} batches")),
            }
        }
        if self.pass > Pass::Weights && c.inputs != Inputs::Data {
            text.push_str(&format!(" over {}", option_name(INPUTS, &c.inputs)));
        }
        if c.params != ParamsMode::Init {
            text.push_str(&format!(", params {}", option_name(PARAMS_MODES, &c.params)));
        }
        if let (Some(o), true) = (c.objective, self.pass >= Pass::Backward) {
            text.push_str(&format!(", objective {}", option_name(OBJECTIVES, &o)));
        }
        text
    }
}

fn pass_of(node: &Node) -> Pass {
    match node {
        Node::Field { field, .. } => {
            FIELDS.iter().find(|r| r.field == *field).map_or(Pass::SecondOrder, |r| r.pass)
        }
        Node::Model(name, _) => NUMBERS.iter().find(|r| r.name == *name).map_or(Pass::Weights, |r| r.pass),
        _ => Pass::Weights,
    }
}
