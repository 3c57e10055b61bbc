//! Where the nodes of a schedule stand: which are streamed, stored or used in passing, and in which step.

use super::lower::{Prim, PrimId, Prims};
use super::schedule::{LEAST, ROWS, Split, split, split_at};
use crate::ops::{self, Placement};

/// Facts of nodes, decided in order.
pub(super) struct Facts {
    /// Derived from something as large as an input (not from results of reductions alone).
    pub large: Vec<bool>,
    /// Elements exist tile by tile only.
    pub streamed: Vec<bool>,
    /// Elements are written out for those who need them whole.
    pub store: Vec<bool>,
    /// The step of the pass it belongs to (streamed), or from which on it is there.
    pub steps: Vec<usize>,
    /// Streamed elements that use columns in passing: tiles must hold whole columns of this split.
    pub frame: Vec<Option<Split>>,
    /// What can be used in passing: a value per column of a split, from the step of the pass on.
    column: Vec<Option<(Split, usize)>>,
    passing: bool,
}

impl Facts {
    /// Of `n` nodes, nothing known; is anything used in passing?
    pub fn new(n: usize, passing: bool) -> Self {
        Facts {
            large: vec![false; n],
            streamed: vec![false; n],
            store: vec![false; n],
            steps: vec![0; n],
            frame: vec![None; n],
            column: vec![None; n],
            passing,
        }
    }

    /// Decides the facts of one node, and which operands have to be stored for it.
    pub fn place(&mut self, prims: &Prims, id: PrimId) {
        let shape = &prims.shapes[id];
        let args = prims.nodes[id].args();
        self.steps[id] = args.iter().map(|&a| self.steps[a]).max().unwrap_or(0);
        match &prims.nodes[id] {
            Prim::Number(_) => {}
            Prim::Input(_) | Prim::Literal(..) => self.large[id] = !shape.is_number(),
            Prim::Map { args, .. } => {
                self.large[id] = args.iter().any(|&a| self.large[a]) && !shape.is_number();
                self.streamed[id] = self.large[id];
                match self.large[id] {
                    true => self.map(prims, id, args),
                    false => self.column_map(prims, id, args),
                }
            }
            Prim::Reshape { arg, .. } => {
                self.large[id] = self.large[*arg] && !shape.is_number();
                self.streamed[id] = self.streamed[*arg];
                self.frame[id] = self.frame[*arg];
            }
            Prim::Reduce { arg, .. } => self.reduce(prims, id, *arg),
            Prim::Whole { args, .. } => {
                self.whole(args, id);
                self.large[id] = !shape.is_number() && shape.reduced.is_none();
            }
            Prim::Fold { terms, .. } => {
                self.whole(terms, id);
                self.large[id] = !shape.is_number();
            }
        }
    }

    /// A node that needs whole operands.
    fn whole(&mut self, args: &[PrimId], id: PrimId) {
        for &a in args {
            if self.streamed[a] {
                self.keep(a, id);
            }
        }
    }

    /// Stores a streamed operand.
    fn keep(&mut self, arg: PrimId, user: PrimId) {
        self.store[arg] = true;
        self.steps[user] = self.steps[user].max(self.steps[arg] + 1);
    }

    fn reduce(&mut self, prims: &Prims, id: PrimId, arg: PrimId) {
        if !self.large[arg] {
            return;
        }
        let split = split(prims, id, arg);
        let frame = self.frame[arg];
        if frame.is_some() && split.is_some() && split != frame {
            self.keep(arg, id);
        } else if let Some(split) = split.filter(|_| self.passing)
            && (2..=ROWS).contains(&split.1)
            && split.2 >= LEAST
        {
            self.column[id] = Some((split, self.steps[arg]));
        }
        self.steps[id] += 1;
    }

    /// Arithmetic over values per column, beside numbers.
    fn column_map(&mut self, prims: &Prims, id: PrimId, args: &[PrimId]) {
        let mut found: Option<(Split, usize)> = None;
        let mut step = 0;
        for &a in args {
            match self.column[a] {
                Some((split, at)) if prims.shapes[a].dims == prims.shapes[id].dims => {
                    if found.is_some_and(|(other, _)| other != split) {
                        return;
                    }
                    found = Some((split, at));
                    step = step.max(at);
                }
                _ if prims.shapes[a].is_number() => step = step.max(self.steps[a]),
                _ => return,
            }
        }
        self.column[id] = found.map(|(split, _)| (split, step));
    }

    /// Streamed elements.
    fn map(&mut self, prims: &Prims, id: PrimId, args: &[PrimId]) {
        let shape = &prims.shapes[id];
        let same = |a: PrimId| ops::placement(&prims.shapes[a], shape) == Some(Placement::Same);
        let streams = || args.iter().copied().filter(|&a| self.streamed[a]);
        let mut frames: Vec<Split> = streams().filter(|&a| same(a)).filter_map(|a| self.frame[a]).collect();
        frames.dedup();
        let clash = frames.len() > 1;
        let stored: Vec<PrimId> =
            streams().filter(|&a| !same(a) || (clash && self.frame[a].is_some())).collect();
        let columns = || args.iter().filter_map(|&a| self.passes(prims, id, a));
        let frame = if clash { None } else { frames.first().copied().or(columns().next()) };
        // What is used in passing need not be held before.
        let before = |&a: &PrimId| match (frame, self.column[a]) {
            (Some(_), Some((_, at))) if self.passes(prims, id, a) == frame => at,
            _ => self.steps[a],
        };
        self.steps[id] = args.iter().map(before).max().unwrap_or(0);
        self.frame[id] = frame;
        for a in stored {
            self.keep(a, id);
        }
    }

    /// The split of the columns that stand against the elements of `user`, where `arg` is a value per column.
    fn passes(&self, prims: &Prims, user: PrimId, arg: PrimId) -> Option<Split> {
        let (split, _) = self.column[arg]?;
        match ops::placement(&prims.shapes[arg], &prims.shapes[user]) {
            Some(Placement::Along(axis)) if split_at(&prims.shapes[user].dims, axis) == split => Some(split),
            _ => None,
        }
    }

    /// Whose values are kept: what is not streamed, but for what is used in passing alone.
    pub fn held(&self, prims: &Prims) -> Vec<bool> {
        let mut held: Vec<bool> =
            (0..prims.nodes.len()).map(|id| !self.streamed[id] && self.column[id].is_none()).collect();
        for &w in &prims.wanted {
            held[w] |= !self.streamed[w];
        }
        for id in (0..prims.nodes.len()).rev() {
            if !held[id] && !self.streamed[id] {
                continue;
            }
            for &a in prims.nodes[id].args().iter().filter(|&&a| self.column[a].is_some()) {
                let passing = self.frame[id].is_some() && self.passes(prims, id, a) == self.frame[id];
                held[a] |= !passing;
            }
        }
        held
    }
}
