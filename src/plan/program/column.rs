//! Steps on one number per column, for reductions that are used in passing (see [`crate::plan::schedule`]). Their
//! results are in double precision and have slots of their own, which nothing else takes.

use super::compile::Compiler;
use super::{Instr, Place, Reduction, Width};
use crate::ops::{self, Attrs, OpId};
use crate::plan::lower::PrimId;
use crate::plan::schedule::split;
use smallvec::SmallVec;

/// One step on the columns of a tile.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Reduces every column.
    Reduce {
        /// Index into [`super::Program::columns`].
        reduction: usize,
        /// Elements of the tile.
        arg: Place,
        /// Their width.
        width: Width,
        /// Slot of the results.
        slot: usize,
        /// Slot of the results of the reduction that this one does along the way ([`crate::ops::Reduce::first`]), where those
        /// are wanted too.
        first: Option<usize>,
    },
    /// Applies an elementwise operator, in double precision.
    Map {
        /// Row.
        op: OpId,
        /// Operands: numbers, and slots of columns.
        args: SmallVec<[Place; 3]>,
        /// Slot of the results.
        slot: usize,
    },
    /// Repeats a number per column in every row.
    Repeat {
        /// Slot of columns.
        from: usize,
        /// Slot of a tile.
        slot: usize,
        /// Its width.
        width: Width,
    },
}

/// The reduction that another does along the way.
fn first_of(op: OpId) -> Option<&'static str> {
    ops::row(op).reduce().and_then(|reduce| reduce.first)
}

impl Compiler<'_> {
    /// A reduction of the columns of elements.
    pub(super) fn column(&mut self, node: PrimId, op: OpId, attrs: &Attrs, arg: PrimId) {
        let split = split(self.prims, node, arg);
        let (arg, width) = self.elements(arg, None);
        let slot = self.column_slot(node);
        let this = Reduction { node, op, attrs: attrs.clone(), split };
        for instr in &mut self.out.code {
            if let Instr::Column(Column::Reduce { reduction, arg: a, width: w, slot: other, first }) = instr
                && (*a, *w, *first) == (arg, width, None)
            {
                let there = &mut self.out.columns[*reduction];
                if first_of(there.op) == Some(ops::row(op).name) {
                    *first = Some(slot);
                    return;
                }
                if first_of(op) == Some(ops::row(there.op).name) {
                    (*there, *first, *other) = (this, Some(*other), slot);
                    return;
                }
            }
        }
        self.out.columns.push(this);
        let reduction = self.out.columns.len() - 1;
        self.out.code.push(Instr::Column(Column::Reduce { reduction, arg, width, slot, first: None }));
    }

    /// Arithmetic over numbers per column.
    pub(super) fn column_map(&mut self, node: PrimId, op: OpId, args: &[PrimId]) {
        let mut places = SmallVec::new();
        for &a in args {
            places.push(match self.columns.get(&a) {
                Some(&slot) => Place::Slot(slot),
                None => self.number(a),
            });
        }
        let slot = self.column_slot(node);
        self.out.code.push(Instr::Column(Column::Map { op, args: places, slot }));
    }

    /// A tile in which every row holds the numbers per column of `node`.
    pub(super) fn repeat(&mut self, node: PrimId, from: usize, width: Width) -> Place {
        if let Some(&(place, _)) = self.at.get(&(node, Some(width))) {
            return place;
        }
        let slot = self.slot(width);
        self.out.code.push(Instr::Column(Column::Repeat { from, slot, width }));
        self.at.insert((node, Some(width)), (Place::Slot(slot), width));
        Place::Slot(slot)
    }

    fn column_slot(&mut self, node: PrimId) -> usize {
        let slot = self.out.column_slots;
        self.out.column_slots += 1;
        self.columns.insert(node, slot);
        slot
    }
}
