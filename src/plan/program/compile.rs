//! A pass to code: operands in the order of the nodes, each in the width that its reader wants, in slots of
//! their own.

use super::{Along, Instr, Place, Program, Reduction, Width, slots};
use crate::ops::{self, OpId, Placement};
use crate::plan::lower::{Prim, PrimId, Prims};
use crate::plan::schedule::{Output, Pass, Split, Walk, split, split_at};
use crate::tensor::Dtype;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

impl Program {
    /// Compiles a pass. `held` gives the element type of tensors that are there already; nodes
    /// without are computed in the pass.
    pub fn new(prims: &Prims, pass: &Pass, held: &dyn Fn(PrimId) -> Option<Dtype>) -> Self {
        let targets: Vec<PrimId> = pass.outputs.iter().map(|o| target(prims, *o)).collect();
        let mut c = Compiler::new(prims, held);
        let mut outputs: FxHashMap<PrimId, Vec<Output>> = FxHashMap::default();
        for (o, t) in pass.outputs.iter().zip(&targets) {
            outputs.entry(*t).or_default().push(*o);
        }
        for n in c.order(&targets) {
            match &prims.nodes[n] {
                _ if held(n).is_some() => {}
                Prim::Map { op, args } if prims.shapes[n].numel() == pass.numel => c.map(n, *op, args),
                Prim::Map { op, args } => c.column_map(n, *op, args),
                Prim::Reduce { op, attrs, arg } => c.column(n, *op, attrs, *arg),
                _ => {}
            }
            for o in outputs.get(&n).into_iter().flatten() {
                c.output(*o, n);
            }
        }
        if let Walk::Strided { outer, len, inner } = pass.walk {
            let same = |(i, a): (usize, &Along)| (a.split == (outer, len, inner)).then_some(i);
            c.out.kept = c.out.alongs.iter().enumerate().filter_map(same).collect();
        }
        slots::assign(&mut c.out, c.slots);
        c.out
    }
}

/// The node whose elements an output takes.
fn target(prims: &Prims, output: Output) -> PrimId {
    match output {
        Output::Stored(n) => n,
        Output::Reduced(n) => prims.nodes[n].args()[0],
    }
}

/// An operand before slots are assigned, and the width it is in.
type Operand = (Place, Width);

pub(super) struct Compiler<'a> {
    pub(super) prims: &'a Prims,
    pub(super) held: &'a dyn Fn(PrimId) -> Option<Dtype>,
    pub(super) out: Program,
    /// Where the elements of a node are, by width.
    pub(super) at: FxHashMap<(PrimId, Option<Width>), Operand>,
    /// Where the numbers per column of a node are.
    pub(super) columns: FxHashMap<PrimId, usize>,
    slots: [usize; 2],
}

impl<'a> Compiler<'a> {
    fn new(prims: &'a Prims, held: &'a dyn Fn(PrimId) -> Option<Dtype>) -> Self {
        let (at, columns) = (FxHashMap::default(), FxHashMap::default());
        Compiler { prims, held, out: Program::default(), at, columns, slots: [0; 2] }
    }

    /// Nodes computed for `targets`, operands first, held nodes among the targets included.
    fn order(&self, targets: &[PrimId]) -> Vec<PrimId> {
        let mut seen = rustc_hash::FxHashSet::default();
        let mut stack = targets.to_vec();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) || (self.held)(n).is_some() {
                continue;
            }
            let node = &self.prims.nodes[n];
            let passes = matches!(node, Prim::Reshape { .. } | Prim::Reduce { .. });
            let here = |&&a: &&PrimId| {
                let place = ops::placement(&self.prims.shapes[a], &self.prims.shapes[n]);
                let stands = matches!(place, Some(Placement::Same | Placement::Along(_)));
                (stands || passes) && (self.held)(a).is_none()
            };
            stack.extend(node.args().iter().filter(here));
        }
        let mut order: Vec<PrimId> = seen.into_iter().collect();
        order.sort_unstable();
        order
    }

    /// The node whose elements a reshape passes on.
    fn base(&self, mut n: PrimId) -> PrimId {
        while let Prim::Reshape { arg, .. } = &self.prims.nodes[n] {
            if (self.held)(n).is_some() && (self.held)(*arg).is_none() {
                break;
            }
            n = *arg;
        }
        n
    }

    fn map(&mut self, n: PrimId, op: OpId, args: &[PrimId]) {
        let shape = &self.prims.shapes[n];
        let place = |a: PrimId| ops::placement(&self.prims.shapes[a], shape).unwrap_or(Placement::Same);
        let places: SmallVec<[Placement; 3]> = args.iter().map(|&a| place(a)).collect();
        let same = args.iter().zip(&places).filter(|(_, p)| **p == Placement::Same);
        let wide = same.map(|(&a, _)| self.width(a)).any(|w| w == Width::F64);
        let width = if wide { Width::F64 } else { Width::F32 };
        let mut operands = SmallVec::new();
        for (&a, p) in args.iter().zip(places) {
            operands.push(match p {
                Placement::Number => self.number(a),
                Placement::Same => self.elements(a, Some(width)).0,
                Placement::Along(axis) => match self.columns.get(&a) {
                    Some(&from) => self.repeat(a, from, width),
                    None => self.along(a, split_at(&self.prims.shapes[n].dims, axis), width),
                },
            });
        }
        let slot = self.slot(width);
        self.out.code.push(Instr::Map { op, width, args: operands, slot });
        for key in [None, Some(width)] {
            self.at.insert((n, key), (Place::Slot(slot), width));
        }
    }

    /// The natural width of a node's elements.
    fn width(&self, n: PrimId) -> Width {
        let n = self.base(n);
        match self.at.get(&(n, None)) {
            Some(&(_, w)) => w,
            None => match (self.held)(n) {
                Some(Dtype::F64) | None => Width::F64,
                Some(_) => Width::F32,
            },
        }
    }

    /// Elements of a node in a width (its own when `None`).
    pub(super) fn elements(&mut self, n: PrimId, want: Option<Width>) -> Operand {
        let n = self.base(n);
        if let Some(&found) = self.at.get(&(n, want)) {
            return found;
        }
        let own = self.width(n);
        let width = want.unwrap_or(own);
        if let Some(&(Place::Slot(from), Width::F32)) = self.at.get(&(n, None)) {
            let slot = self.slot(Width::F64);
            self.out.code.push(Instr::Widen { from, slot });
            return self.keep(n, want, (Place::Slot(slot), Width::F64));
        }
        let stream = position(&mut self.out.streams, n);
        let direct = matches!(
            ((self.held)(n), width),
            (Some(Dtype::F32), Width::F32) | (Some(Dtype::F64), Width::F64)
        );
        if direct {
            return self.keep(n, want, (Place::Stream(stream), width));
        }
        let slot = self.slot(width);
        self.out.code.push(Instr::Load { stream, slot, width });
        self.keep(n, want, (Place::Slot(slot), width))
    }

    fn keep(&mut self, n: PrimId, want: Option<Width>, operand: Operand) -> Operand {
        self.at.insert((n, want), operand);
        self.at.insert((n, Some(operand.1)), operand);
        operand
    }

    pub(super) fn number(&mut self, n: PrimId) -> Place {
        Place::Number(position(&mut self.out.numbers, n))
    }

    fn along(&mut self, node: PrimId, split: Split, width: Width) -> Place {
        let along = position(&mut self.out.alongs, Along { node, split });
        // Keys of repeated tensors do not meet those of streamed ones: they lie behind all nodes.
        let key = (self.prims.nodes.len() + along, Some(width));
        if let Some(&(place, _)) = self.at.get(&key) {
            return place;
        }
        let slot = self.slot(width);
        self.out.code.push(Instr::Spread { along, slot, width });
        self.at.insert(key, (Place::Slot(slot), width));
        Place::Slot(slot)
    }

    fn output(&mut self, output: Output, n: PrimId) {
        let (arg, width) = self.elements(n, None);
        match output {
            Output::Stored(node) => {
                self.out.stores.push((node, width));
                self.out.code.push(Instr::Store { store: self.out.stores.len() - 1, arg, width });
            }
            Output::Reduced(node) => {
                let Prim::Reduce { op, attrs, arg: operand } = &self.prims.nodes[node] else { return };
                let split = split(self.prims, node, *operand);
                self.out.reductions.push(Reduction { node, op: *op, attrs: attrs.clone(), split });
                self.out.code.push(Instr::Fold { reduction: self.out.reductions.len() - 1, arg, width });
            }
        }
    }

    pub(super) fn slot(&mut self, width: Width) -> usize {
        let count = &mut self.slots[width as usize];
        *count += 1;
        *count - 1
    }
}

fn position<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    if let Some(i) = list.iter().position(|x| *x == item) {
        return i;
    }
    list.push(item);
    list.len() - 1
}
