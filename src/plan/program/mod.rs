//! A pass as straight-line code over tiles: loads, elementwise kernels, folds, with tile slots
//! assigned by liveness, so that a batch of programs works in a handful of slots that stay in cache.
//!
//! Here is what code consists of; `compile` makes it of a pass, `slots` assigns the slots.

mod column;
mod compile;
mod slots;

pub use column::Column;

use super::lower::PrimId;
use super::schedule::Split;
use crate::ops::{Attrs, OpId};
use smallvec::SmallVec;

/// Element type of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// Single precision: captured f32, and f16 and bf16 widened.
    F32,
    /// Double precision: captured f64, and results of reductions and whole-tensor operators.
    F64,
}

/// Where an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the memory of a held tensor of the tile's own element type; index into [`Program::streams`].
    Stream(usize),
    /// In a tile slot of the instruction's width.
    Slot(usize),
    /// One number; index into [`Program::numbers`].
    Number(usize),
}

/// One step on a tile.
#[derive(Clone, Debug, PartialEq)]
pub enum Instr {
    /// Converts elements of a held tensor into a slot.
    Load {
        /// Index into [`Program::streams`].
        stream: usize,
        /// Slot.
        slot: usize,
        /// Width of the slot.
        width: Width,
    },
    /// Repeats the elements of a held tensor along the axis it lacks.
    Spread {
        /// Index into [`Program::alongs`].
        along: usize,
        /// Slot.
        slot: usize,
        /// Width of the slot.
        width: Width,
    },
    /// Converts f32 elements to f64.
    Widen {
        /// Slot of f32 elements.
        from: usize,
        /// Slot of f64 elements.
        slot: usize,
    },
    /// Applies an elementwise operator.
    Map {
        /// Row.
        op: OpId,
        /// Width of operands and slot.
        width: Width,
        /// Operands.
        args: SmallVec<[Place; 3]>,
        /// Slot of the result.
        slot: usize,
    },
    /// Folds a tile into the states of a reduction.
    Fold {
        /// Index into [`Program::reductions`].
        reduction: usize,
        /// Operand.
        arg: Place,
        /// Its width.
        width: Width,
    },
    /// Writes a tile out.
    Store {
        /// Index into [`Program::stores`].
        store: usize,
        /// Operand.
        arg: Place,
        /// Its width.
        width: Width,
    },
    /// Works on one number per column of a tile that holds whole columns.
    Column(Column),
}

/// A held tensor that repeats along an axis of the elements walked over.
#[derive(Clone, Debug, PartialEq)]
pub struct Along {
    /// The node.
    pub node: PrimId,
    /// Elements before, along and after the axis.
    pub split: Split,
}

/// A reduction of a pass, or one used in passing.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduction {
    /// The node.
    pub node: PrimId,
    /// Row.
    pub op: OpId,
    /// Constants.
    pub attrs: Attrs,
    /// Elements before, along and after the axis; `None` for a whole reduction.
    pub split: Option<Split>,
}

/// The code of a pass.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Code, run for every tile.
    pub code: Vec<Instr>,
    /// Held tensors read element for element.
    pub streams: Vec<PrimId>,
    /// Held numbers.
    pub numbers: Vec<PrimId>,
    /// Held tensors that repeat.
    pub alongs: Vec<Along>,
    /// Indices into [`Program::alongs`] of those that repeat from row to row of a strided walk: their
    /// slots are given to nothing else, so that they are filled once for many tiles.
    pub kept: Vec<usize>,
    /// Reductions.
    pub reductions: Vec<Reduction>,
    /// Reductions that are used in passing.
    pub columns: Vec<Reduction>,
    /// Number of slots of a number per column.
    pub column_slots: usize,
    /// Nodes that are written out, with their width.
    pub stores: Vec<(PrimId, Width)>,
    /// Number of slots of f32 and f64 elements.
    pub slots: [usize; 2],
}

impl Program {
    /// Does the code repeat tensor `along` in this width?
    pub fn spreads(&self, along: usize, width: Width) -> bool {
        let here =
            |i: &Instr| matches!(*i, Instr::Spread { along: a, width: w, .. } if (a, w) == (along, width));
        self.code.iter().any(here)
    }
}

impl Instr {
    /// Slots read, with their widths.
    pub fn reads(&self) -> SmallVec<[(Width, usize); 3]> {
        let slot = |p: &Place, w: Width| if let Place::Slot(s) = p { Some((w, *s)) } else { None };
        match self {
            Instr::Widen { from, .. } => smallvec::smallvec![(Width::F32, *from)],
            Instr::Map { args, width, .. } => args.iter().filter_map(|a| slot(a, *width)).collect(),
            Instr::Fold { arg, width, .. }
            | Instr::Store { arg, width, .. }
            | Instr::Column(Column::Reduce { arg, width, .. }) => slot(arg, *width).into_iter().collect(),
            Instr::Load { .. } | Instr::Spread { .. } | Instr::Column(_) => SmallVec::new(),
        }
    }

    /// The slot written, with its width.
    pub fn writes(&self) -> Option<(Width, usize)> {
        self.clone().written().map(|(w, s)| (w, *s))
    }

    /// The slot written, to be changed.
    pub fn written(&mut self) -> Option<(Width, &mut usize)> {
        match self {
            Instr::Load { slot, width, .. }
            | Instr::Spread { slot, width, .. }
            | Instr::Map { slot, width, .. }
            | Instr::Column(Column::Repeat { slot, width, .. }) => Some((*width, slot)),
            Instr::Widen { slot, .. } => Some((Width::F64, slot)),
            Instr::Fold { .. } | Instr::Store { .. } | Instr::Column(_) => None,
        }
    }

    /// Gives the slots that are read other numbers.
    pub fn rename(&mut self, to: &dyn Fn(Width, usize) -> usize) {
        let place = |p: &mut Place, w: Width| {
            if let Place::Slot(s) = p {
                *s = to(w, *s);
            }
        };
        match self {
            Instr::Widen { from, .. } => *from = to(Width::F32, *from),
            Instr::Map { args, width, .. } => args.iter_mut().for_each(|a| place(a, *width)),
            Instr::Fold { arg, width, .. }
            | Instr::Store { arg, width, .. }
            | Instr::Column(Column::Reduce { arg, width, .. }) => place(arg, *width),
            Instr::Load { .. } | Instr::Spread { .. } | Instr::Column(_) => {}
        }
    }
}
