//! The code of a pass as the CPU runs it: cheap steps are taken in passing by the kernel or the reduction
//! that they lead to, where nothing else needs their result. No bit depends on it.

use crate::ops::{self, Cheap, Exec, Join, TakenFn};
use crate::plan::lower::{Prim, Prims};
use crate::plan::program::{Column, Instr, Place, Program, Width};
use crate::plan::schedule::Walk;
use smallvec::{SmallVec, smallvec};

/// How many elements ahead a kernel asks for that reads one tensor from memory; one that reads two asks
/// half as far, so that as many lines are under way.
pub(super) const AHEAD: usize = 2048;

/// A program and its steps.
#[derive(Debug)]
pub(super) struct Code {
    pub program: Program,
    pub steps: Vec<Step>,
    /// By stream: do kernels themselves ask memory for what they read next?
    pub asked: Vec<bool>,
    /// By stream: does a step want the rows of a strided tile one behind the other? Reductions do not.
    pub staged: Vec<bool>,
    /// By reduction: the one whose states hold its result in their first place, where there is one.
    pub first_of: Vec<Option<usize>>,
}

/// A step on a tile.
#[derive(Debug)]
pub(super) enum Step {
    /// As the program says.
    Plain(Instr),
    /// An elementwise operator with what leads to it.
    Map { kernel: TakenFn, chain: Chain, slot: usize },
    /// A reduction with what leads to it.
    Fold { reduction: usize, chain: Chain },
}

impl Step {
    fn chain(&self) -> Option<&Chain> {
        match self {
            Step::Plain(_) => None,
            Step::Map { chain, .. } | Step::Fold { chain, .. } => Some(chain),
        }
    }
    /// Where its operands are.
    fn places(&self) -> SmallVec<[Place; 3]> {
        match self {
            Step::Plain(Instr::Map { args, .. }) => args.clone(),
            Step::Plain(
                Instr::Fold { arg, .. }
                | Instr::Store { arg, .. }
                | Instr::Column(Column::Reduce { arg, .. }),
            ) => smallvec![*arg],
            Step::Plain(_) => SmallVec::new(),
            Step::Map { chain, .. } | Step::Fold { chain, .. } => SmallVec::from_slice(&chain.places()),
        }
    }
}

/// Cheap steps on f32 elements, in the order in which [`ops::Taken`] takes them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chain {
    pub join: Join,
    pub x: Place,
    /// The same as `x` where one tile is read.
    pub y: Place,
    pub abs: bool,
    /// Number that is added, and whether it is taken away instead.
    pub add: Option<(usize, bool)>,
    pub by: By,
    pub square: bool,
}

/// What scales.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum By {
    One,
    MinusOne,
    Number(usize),
}

impl Chain {
    fn plain(x: Place) -> Self {
        Chain { join: Join::Scaled, x, y: x, abs: false, add: None, by: By::One, square: false }
    }
    fn places(&self) -> [Place; 2] {
        [self.x, self.y]
    }
    /// Do all elements come from memory, as they are?
    pub fn streams(&self) -> bool {
        self.places().iter().all(|p| matches!(p, Place::Stream(_)))
    }
    /// Does it take anything, or ask for it ahead?
    fn gains(&self) -> bool {
        self.streams() || *self != Chain::plain(self.x)
    }
    /// The chain with a step put before it, if it can stand there.
    fn after(&self, cheap: Cheap, args: &[Place], two: impl Fn(usize) -> bool) -> Option<Chain> {
        let single = self.x == self.y && matches!(self.join, Join::Scaled | Join::Divided);
        let unscaled = self.by == By::One && self.join == Join::Scaled;
        let bare = single && unscaled && self.add.is_none() && !self.abs;
        let next = self.clone();
        match (cheap, args) {
            (Cheap::Abs, &[x]) if single && !self.abs => Some(Chain { x, y: x, abs: true, ..next }),
            (Cheap::Neg, &[x]) if bare => Some(Chain { x, y: x, by: By::MinusOne, ..next }),
            (Cheap::Square, &[x]) if bare && !self.square => Some(Chain { x, y: x, square: true, ..next }),
            (Cheap::Pow, &[x, Place::Number(n)]) if bare && !self.square && two(n) => {
                Some(Chain { x, y: x, square: true, ..next })
            }
            (Cheap::Mul, &[x, Place::Number(n)] | &[Place::Number(n), x]) if bare => {
                Some(Chain { x, y: x, by: By::Number(n), ..next })
            }
            (Cheap::Div, &[x, Place::Number(n)]) if bare => {
                Some(Chain { x, y: x, by: By::Number(n), join: Join::Divided, ..next })
            }
            (Cheap::Add, &[x, Place::Number(n)] | &[Place::Number(n), x])
                if single && self.add.is_none() && !self.abs =>
            {
                Some(Chain { x, y: x, add: Some((n, false)), ..next })
            }
            (Cheap::Sub, &[x, Place::Number(n)]) if single && self.add.is_none() && !self.abs => {
                Some(Chain { x, y: x, add: Some((n, true)), ..next })
            }
            (_, &[x, y]) if single && unscaled && self.add.is_none() => {
                let numbers = [x, y].iter().any(|p| matches!(p, Place::Number(_)));
                let join = joined(cheap).filter(|_| !numbers)?;
                Some(Chain { x, y, join, ..next })
            }
            _ => None,
        }
        .filter(|c| !matches!(c.x, Place::Number(_)))
    }
}

fn joined(cheap: Cheap) -> Option<Join> {
    match cheap {
        Cheap::Add => Some(Join::Sum),
        Cheap::Sub => Some(Join::Difference),
        Cheap::Mul => Some(Join::Product),
        Cheap::Div => Some(Join::Quotient),
        _ => None,
    }
}

impl Code {
    /// Fuses the steps of a program.
    pub fn new(prims: &Prims, mut program: Program, walk: Walk) -> Self {
        let mut flow = Flow::new(&program.code);
        let first_of = first_of(&program, &flow);
        let spared = |i: &Instr| matches!(i, Instr::Fold { reduction, .. } if first_of[*reduction].is_some());
        let mut taken: Vec<bool> = program.code.iter().map(spared).collect();
        let mut steps: Vec<Option<Step>> = Vec::new();
        for at in 0..program.code.len() {
            let two = |n: usize| prims.nodes[program.numbers[n]] == Prim::Number(2.0f64.to_bits());
            let mut find = |x: Place, square| flow.chain(&program.code, at, x, square, &two, &mut taken);
            let mut step = match program.code[at] {
                Instr::Fold { reduction, .. } if first_of[reduction].is_some() => None,
                Instr::Map { op, width: Width::F32, ref args, slot } => match (kernel(op), args.as_slice()) {
                    (Some(kernel), &[x]) => find(x, false).map(|chain| Step::Map { kernel, chain, slot }),
                    _ => None,
                },
                Instr::Fold { reduction, arg, width: Width::F32 }
                    if walk == Walk::Linear && takes(program.reductions[reduction].op) =>
                {
                    find(arg, true).map(|chain| Step::Fold { reduction, chain })
                }
                _ => None,
            };
            if let Some(Step::Map { chain, slot, .. }) = &mut step
                && chain.places().contains(&Place::Slot(*slot))
            {
                *slot = move_result(&mut program, at);
                flow = Flow::new(&program.code);
            }
            steps.push(step);
        }
        let steps: Vec<Step> = steps
            .into_iter()
            .zip(&program.code)
            .zip(taken)
            .filter(|(_, taken)| !taken)
            .map(|((step, instr), _)| step.unwrap_or_else(|| Step::Plain(instr.clone())))
            .collect();
        let mut asked = vec![false; program.streams.len()];
        let mut staged = asked.clone();
        for step in &steps {
            let reduces =
                matches!(step, Step::Plain(Instr::Fold { .. } | Instr::Column(Column::Reduce { .. })));
            let asks = walk == Walk::Linear && step.chain().is_some_and(Chain::streams);
            for place in step.places() {
                if let Place::Stream(i) = place {
                    asked[i] |= asks;
                    staged[i] |= !reduces;
                }
            }
        }
        Code { program, steps, asked, staged, first_of }
    }
}

/// Reductions that another one of the same elements does along the way.
fn first_of(program: &Program, flow: &Flow) -> Vec<Option<usize>> {
    // What a reduction reads: where it is, and since when.
    let arg = |r: usize| {
        program.code.iter().enumerate().find_map(|(at, i)| match *i {
            Instr::Fold { reduction, arg, width } if reduction == r => match arg {
                Place::Slot(_) if width == Width::F64 => None,
                Place::Slot(slot) => Some((arg, width, flow.writer(slot, at))),
                _ => Some((arg, width, None)),
            },
            _ => None,
        })
    };
    let first = |r: usize| ops::row(program.reductions[r].op).reduce().and_then(|reduce| reduce.first);
    let all = 0..program.reductions.len();
    let serves = |r: usize, other: usize| {
        first(other) == Some(ops::row(program.reductions[r].op).name)
            && program.reductions[r].split == program.reductions[other].split
            && arg(r).is_some()
            && arg(r) == arg(other)
    };
    all.clone().map(|r| all.clone().find(|&other| serves(r, other))).collect()
}

/// Gives the result of instruction `at` a slot of its own: the one it had was free when its operand was
/// read, not when what leads to the operand was.
fn move_result(program: &mut Program, at: usize) -> usize {
    let fresh = program.slots[Width::F32 as usize];
    program.slots[Width::F32 as usize] += 1;
    let Some((_, slot)) = program.code[at].written() else { return fresh };
    let old = std::mem::replace(slot, fresh);
    for instr in &mut program.code[at + 1..] {
        instr.rename(&|w, s| if (w, s) == (Width::F32, old) { fresh } else { s });
        if instr.writes() == Some((Width::F32, old)) {
            break;
        }
    }
    fresh
}

/// The kernel of an operator that takes steps in passing.
fn kernel(op: ops::OpId) -> Option<TakenFn> {
    match ops::row(op).exec {
        Exec::Elementwise { taken, .. } => taken,
        _ => None,
    }
}
fn takes(op: ops::OpId) -> bool {
    ops::row(op).reduce().is_some_and(|r| r.taken.is_some())
}

/// Which instruction writes what another reads. Slots of f32 elements alone.
struct Flow {
    /// By slot: the instructions that write it, in order.
    writers: Vec<Vec<usize>>,
    /// By instruction: how often its result is read.
    reads: Vec<usize>,
}

impl Flow {
    fn new(code: &[Instr]) -> Self {
        let mut flow = Flow { writers: Vec::new(), reads: vec![0; code.len()] };
        for (at, instr) in code.iter().enumerate() {
            for (_, slot) in instr.reads().into_iter().filter(|r| r.0 == Width::F32) {
                if let Some(writer) = flow.writer(slot, at) {
                    flow.reads[writer] += 1;
                }
            }
            if let Some((Width::F32, slot)) = instr.writes() {
                if flow.writers.len() <= slot {
                    flow.writers.resize(slot + 1, Vec::new());
                }
                flow.writers[slot].push(at);
            }
        }
        flow
    }

    /// The last instruction before `at` that writes a slot.
    fn writer(&self, slot: usize, at: usize) -> Option<usize> {
        let writers = self.writers.get(slot)?;
        writers[..writers.partition_point(|&w| w < at)].last().copied()
    }

    /// What leads to the operand `x` of instruction `at`; marks the instructions that it takes. `None`
    /// where nothing is gained.
    fn chain(
        &self,
        code: &[Instr],
        at: usize,
        x: Place,
        square: bool,
        two: &dyn Fn(usize) -> bool,
        taken: &mut [bool],
    ) -> Option<Chain> {
        let mut chain = Chain::plain(x);
        let (mut reader, mut found) = (at, Vec::new());
        // The longest chain whose beginning still stands there.
        let mut best = (chain.clone(), 0);
        while chain.x == chain.y
            && let Place::Slot(slot) = chain.x
            && let Some(writer) = self.writer(slot, reader)
            && self.reads[writer] == 1
            && let Instr::Map { op, width: Width::F32, args, .. } = &code[writer]
            && let Exec::Elementwise { cheap: Some(cheap), .. } = ops::row(*op).exec
            && let Some(next) = chain.after(cheap, args, two)
            && (square || !next.square)
        {
            (chain, reader) = (next, writer);
            found.push(writer);
            let gone = |w: usize| taken[w] || found.contains(&w);
            if chain.places().iter().all(|p| self.kept(*p, writer, at, gone)) {
                best = (chain.clone(), found.len());
            }
        }
        let (chain, count) = best;
        found[..count].iter().for_each(|&f| taken[f] = true);
        chain.gains().then_some(chain)
    }

    /// Does what instruction `from` reads still stand there when `to` runs? Instructions that are `gone`
    /// write nothing.
    fn kept(&self, place: Place, from: usize, to: usize, gone: impl Fn(usize) -> bool) -> bool {
        let Place::Slot(slot) = place else { return true };
        let writers = self.writers.get(slot).into_iter().flatten();
        writers.filter(|&&w| (from..to).contains(&w)).all(|&w| gone(w))
    }
}
