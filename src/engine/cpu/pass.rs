//! Runs the code of a pass over its tiles, in parallel over chunks.

use super::tile::{Scratch, Spread, State, Stream, fold_across, fold_rows};
use super::walk::{Chunk, Touched, chunks, tiles};
use crate::ops::{self, Exec, Operand, Reduce};
use crate::plan::lower::PrimId;
use crate::plan::program::{Instr, Place, Program, Reduction, Width};
use crate::plan::schedule::Pass;
use crate::tensor::Tensor;
use rayon::prelude::*;
use smallvec::SmallVec;

/// What the code of a pass refers to.
pub(super) struct Operands<'a> {
    pub streams: Vec<Stream<'a>>,
    pub alongs: Vec<Spread<'a>>,
    pub numbers: Vec<f64>,
}

/// Results of a pass.
pub(super) struct Results {
    /// Values of reductions, in the order of [`Program::reductions`].
    pub reduced: Vec<(PrimId, Vec<f64>)>,
    /// Elements written out, in the order of [`Program::stores`].
    pub stored: Vec<(PrimId, Elements)>,
}

/// Elements written out.
pub(super) enum Elements {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Elements {
    fn new(width: Width, n: usize) -> Self {
        match width {
            Width::F32 => Elements::F32(vec![0.0; n]),
            Width::F64 => Elements::F64(vec![0.0; n]),
        }
    }
    /// As a tensor.
    pub fn tensor(self, dims: &[usize]) -> Tensor {
        match self {
            Elements::F32(d) => Tensor::new(dims, d),
            Elements::F64(d) => Tensor::new(dims, d),
        }
    }
}

/// Where chunks write: every element belongs to one tile of one chunk.
#[derive(Clone, Copy)]
enum Target {
    F32(*mut f32),
    F64(*mut f64),
}
// SAFETY: chunks run on several threads and write to disjoint elements (see `walk`).
unsafe impl Sync for Target {}
// SAFETY: as above.
unsafe impl Send for Target {}

/// Runs a pass.
pub(super) fn run(pass: &Pass, program: &Program, operands: &Operands<'_>) -> Results {
    let mut stored: Vec<Elements> =
        program.stores.iter().map(|&(_, w)| Elements::new(w, pass.numel)).collect();
    let targets: Vec<Target> = stored
        .iter_mut()
        .map(|e| match e {
            Elements::F32(d) => Target::F32(d.as_mut_ptr()),
            Elements::F64(d) => Target::F64(d.as_mut_ptr()),
        })
        .collect();
    let reduces: Vec<Option<&'static Reduce>> = program.reductions.iter().map(reduce_of).collect();
    let job = Job { pass, program, operands, targets, reduces };
    let chunks = chunks(pass.walk, pass.numel);
    let states: Vec<Vec<Vec<State>>> = if chunks.len() == 1 {
        vec![job.chunk(&chunks[0], &mut Scratch::new(program.slots))]
    } else {
        chunks.par_iter().map_init(|| Scratch::new(program.slots), |s, c| job.chunk(c, s)).collect()
    };
    let reduced = (0..program.reductions.len()).map(|r| job.merge(r, &chunks, &states)).collect();
    let stored = program.stores.iter().map(|s| s.0).zip(stored).collect();
    Results { reduced, stored }
}

fn reduce_of(r: &Reduction) -> Option<&'static Reduce> {
    match &ops::row(r.op).exec {
        Exec::Reduce(reduce) => Some(reduce),
        _ => None,
    }
}

struct Job<'a> {
    pass: &'a Pass,
    program: &'a Program,
    operands: &'a Operands<'a>,
    targets: Vec<Target>,
    reduces: Vec<Option<&'static Reduce>>,
}

impl Job<'_> {
    /// Runs the code over the tiles of a chunk and gives the states of every reduction.
    fn chunk(&self, chunk: &Chunk, scratch: &mut Scratch) -> Vec<Vec<State>> {
        let touched: Vec<Touched> =
            self.program.reductions.iter().map(|r| Touched::new(chunk, r.split)).collect();
        let init = |r: usize| self.reduces[r].map_or([0.0; 4], |x| x.init);
        let mut states: Vec<Vec<State>> =
            touched.iter().enumerate().map(|(r, t)| vec![init(r); t.count()]).collect();
        tiles(chunk, self.pass.walk, |start, len| {
            for instr in &self.program.code {
                self.step(instr, start, len, scratch, &touched, &mut states);
            }
        });
        states
    }

    fn step(
        &self,
        instr: &Instr,
        start: usize,
        len: usize,
        scratch: &mut Scratch,
        touched: &[Touched],
        states: &mut [Vec<State>],
    ) {
        match *instr {
            Instr::Load { stream, slot, width } => {
                let source = &self.operands.streams[stream];
                match width {
                    Width::F32 => source.load_f32(start, &mut scratch.f32[slot][..len]),
                    Width::F64 => source.load_f64(start, &mut scratch.f64[slot][..len]),
                }
            }
            Instr::Spread { along, slot, width } => {
                let source = &self.operands.alongs[along];
                match width {
                    Width::F32 => source.fill(start, &mut scratch.f32[slot][..len], |x| x as f32),
                    Width::F64 => source.fill(start, &mut scratch.f64[slot][..len], |x| x),
                }
            }
            Instr::Widen { from, slot } => {
                for (o, x) in scratch.f64[slot][..len].iter_mut().zip(&scratch.f32[from][..len]) {
                    *o = f64::from(*x);
                }
            }
            Instr::Map { op, width, ref args, slot } => {
                let Exec::Elementwise { f32, f64, .. } = &ops::row(op).exec else { return };
                match width {
                    Width::F32 => {
                        let mut out = std::mem::take(&mut scratch.f32[slot]);
                        let args: SmallVec<[Operand<'_, f32>; 3]> =
                            args.iter().map(|a| self.f32(a, start, len, scratch)).collect();
                        f32(&mut out[..len], &args);
                        drop(args);
                        scratch.f32[slot] = out;
                    }
                    Width::F64 => {
                        let mut out = std::mem::take(&mut scratch.f64[slot]);
                        let args: SmallVec<[Operand<'_, f64>; 3]> =
                            args.iter().map(|a| self.f64(a, start, len, scratch)).collect();
                        f64(&mut out[..len], &args);
                        drop(args);
                        scratch.f64[slot] = out;
                    }
                }
            }
            Instr::Fold { reduction, ref arg, width } => {
                self.fold(
                    reduction,
                    arg,
                    width,
                    start,
                    len,
                    scratch,
                    &touched[reduction],
                    &mut states[reduction],
                );
            }
            Instr::Store { store, ref arg, width } => match (width, self.targets[store]) {
                (Width::F32, Target::F32(p)) => write(p, start, len, self.f32(arg, start, len, scratch)),
                (Width::F64, Target::F64(p)) => write(p, start, len, self.f64(arg, start, len, scratch)),
                _ => {}
            },
        }
    }

    fn f32<'s>(&'s self, place: &Place, start: usize, len: usize, scratch: &'s Scratch) -> Operand<'s, f32> {
        match *place {
            Place::Stream(i) => match self.operands.streams[i] {
                Stream::F32(d) => Operand::Slice(&d[start..start + len]),
                _ => Operand::Splat(f32::NAN),
            },
            Place::Slot(i) => Operand::Slice(&scratch.f32[i][..len]),
            Place::Number(i) => Operand::Splat(self.operands.numbers[i] as f32),
        }
    }

    fn f64<'s>(&'s self, place: &Place, start: usize, len: usize, scratch: &'s Scratch) -> Operand<'s, f64> {
        match *place {
            Place::Stream(i) => match self.operands.streams[i] {
                Stream::F64(d) => Operand::Slice(&d[start..start + len]),
                _ => Operand::Splat(f64::NAN),
            },
            Place::Slot(i) => Operand::Slice(&scratch.f64[i][..len]),
            Place::Number(i) => Operand::Splat(self.operands.numbers[i]),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn fold(
        &self,
        reduction: usize,
        arg: &Place,
        width: Width,
        start: usize,
        len: usize,
        scratch: &Scratch,
        touched: &Touched,
        states: &mut [State],
    ) {
        let Some(reduce) = self.reduces[reduction] else { return };
        let at = Position { start, touched: *touched, split: self.program.reductions[reduction].split };
        match width {
            Width::F32 => {
                if let Operand::Slice(tile) = self.f32(arg, start, len, scratch) {
                    at.fold(tile, states, reduce.f32, reduce.f32_across);
                }
            }
            Width::F64 => {
                if let Operand::Slice(tile) = self.f64(arg, start, len, scratch) {
                    at.fold(tile, states, reduce.f64, reduce.f64_across);
                }
            }
        }
    }

    /// Merges the states of all chunks, in order, and finishes.
    fn merge(&self, r: usize, chunks: &[Chunk], states: &[Vec<Vec<State>>]) -> (PrimId, Vec<f64>) {
        let reduction = &self.program.reductions[r];
        let Some(reduce) = self.reduces[r] else { return (reduction.node, Vec::new()) };
        let (results, count) = match reduction.split {
            None => (1, self.pass.numel),
            Some((outer, len, inner)) => (outer * inner, len),
        };
        let mut all = vec![reduce.init; results];
        for (chunk, states) in chunks.iter().zip(states) {
            let touched = Touched::new(chunk, reduction.split);
            for (i, s) in states[r].iter().enumerate() {
                (reduce.merge)(&mut all[touched.result(i)], s);
            }
        }
        let values = all.iter().map(|s| (reduce.finish)(s, count, &reduction.attrs)).collect();
        (reduction.node, values)
    }
}

/// Where a tile lies, for a fold.
struct Position {
    start: usize,
    touched: Touched,
    split: Option<(usize, usize, usize)>,
}

impl Position {
    fn fold<T>(
        &self,
        tile: &[T],
        states: &mut [State],
        fold: fn(&mut State, &[T]),
        across: fn(&mut [State], &[T]),
    ) {
        match (self.touched, self.split) {
            (Touched::Run { .. }, None) => fold(&mut states[0], tile),
            (Touched::Run { first, .. }, Some((_, len, _))) => {
                fold_rows(tile, self.start, len, first, states, fold, across);
            }
            (Touched::Columns { plane, cols, .. }, Some((_, len, inner))) => {
                let o = self.start / (len * inner) - plane;
                fold_across(tile, &mut states[o * cols..(o + 1) * cols], across);
            }
            (Touched::Columns { .. }, None) => {}
        }
    }
}

fn write<T: Copy>(target: *mut T, start: usize, len: usize, operand: Operand<'_, T>) {
    // SAFETY: the target holds as many elements as the pass walks over, and this tile alone
    // covers `start..start + len`.
    let out = unsafe { std::slice::from_raw_parts_mut(target.add(start), len) };
    match operand {
        Operand::Slice(s) => out.copy_from_slice(s),
        Operand::Splat(x) => out.fill(x),
    }
}
