//! Runs the code of a pass over its tiles, in parallel over chunks.

use super::tile::{Scratch, Spread, Staged, States, Stream, fold_rows};
use super::walk::{Chunk, Tile, Touched, chunks, tiles};
use crate::ops::{self, Exec, Operand, Reduce};
use crate::plan::lower::PrimId;
use crate::plan::program::{Instr, Place, Program, Reduction, Width};
use crate::plan::schedule::{Pass, Walk};
use crate::tensor::Tensor;
use rayon::prelude::*;
use smallvec::SmallVec;

/// What the code of a pass refers to.
pub(super) struct Operands<'a> {
    pub streams: Vec<Stream<'a>>,
    pub alongs: Vec<Spread>,
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
    let strided = matches!(pass.walk, Walk::Strided { .. });
    let scratch = || Scratch::new(program.slots, program.code.len(), &operands.streams, strided);
    let states: Vec<Vec<States>> = if chunks.len() == 1 {
        vec![job.chunk(&chunks[0], &mut scratch())]
    } else {
        chunks.par_iter().map_init(scratch, |s, c| job.chunk(c, s)).collect()
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
    fn chunk(&self, chunk: &Chunk, scratch: &mut Scratch) -> Vec<States> {
        let touched: Vec<Touched> =
            self.program.reductions.iter().map(|r| Touched::new(chunk, r.split)).collect();
        let init = |r: usize| self.reduces[r].map_or([0.0; 4], |x| x.init);
        let states = |(r, t): (usize, &Touched)| match t {
            Touched::Run { .. } => States::Runs(vec![init(r); t.count()]),
            Touched::Columns { .. } => {
                let places = self.reduces[r].map_or(0, |x| x.cuda.places);
                let of = |k: usize| if k < places { vec![init(r)[k]; t.count()] } else { Vec::new() };
                States::Columns([0, 1, 2, 3].map(of))
            }
        };
        let mut states: Vec<States> = touched.iter().enumerate().map(states).collect();
        scratch.filled.fill(None);
        tiles(chunk, self.pass.walk, |tile| {
            if !tile.is_run() {
                self.stage(&tile, scratch);
            }
            let steps = self.program.code.len();
            for (at, instr) in self.program.code.iter().enumerate() {
                self.operands.streams.iter().for_each(|s| s.prefetch(&tile.next(), at, steps));
                self.step(at, instr, &tile, scratch, &touched, &mut states);
            }
        });
        for (r, (t, states)) in touched.iter().zip(&mut states).enumerate() {
            self.finish(r, t, states);
        }
        states
    }

    /// Finishes what no other chunk adds to.
    fn finish(&self, r: usize, touched: &Touched, states: &mut States) {
        let reduction = &self.program.reductions[r];
        let (Some(reduce), Some((_, len, _))) = (self.reduces[r], reduction.split) else { return };
        if let (Touched::Columns { whole: true, .. }, States::Columns(places)) = (touched, &*states) {
            let mut results = vec![0.0; touched.count()];
            let places = places.each_ref().map(Vec::as_slice);
            (reduce.finish_across)(&places, len, &reduction.attrs, &mut results);
            *states = States::Finished(results);
        }
    }

    /// Puts the rows of streams one behind the other.
    fn stage(&self, tile: &Tile, scratch: &mut Scratch) {
        for (stream, staged) in self.operands.streams.iter().zip(&mut scratch.staged) {
            match staged {
                Staged::F32(out) => stream.load_f32(tile, out),
                Staged::F64(out) => stream.load_f64(tile, out),
                Staged::None => {}
            }
        }
    }

    fn step(
        &self,
        at: usize,
        instr: &Instr,
        tile: &Tile,
        scratch: &mut Scratch,
        touched: &[Touched],
        states: &mut [States],
    ) {
        let len = tile.len();
        match *instr {
            Instr::Load { stream, slot, width } => {
                let source = &self.operands.streams[stream];
                match width {
                    Width::F32 => source.load_f32(tile, &mut scratch.f32[slot]),
                    Width::F64 => source.load_f64(tile, &mut scratch.f64[slot]),
                }
            }
            Instr::Spread { along, slot, width } => self.spread(at, along, slot, width, tile, scratch),
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
                            args.iter().map(|a| self.f32(a, tile, scratch)).collect();
                        f32(&mut out[..len], &args);
                        drop(args);
                        scratch.f32[slot] = out;
                    }
                    Width::F64 => {
                        let mut out = std::mem::take(&mut scratch.f64[slot]);
                        let args: SmallVec<[Operand<'_, f64>; 3]> =
                            args.iter().map(|a| self.f64(a, tile, scratch)).collect();
                        f64(&mut out[..len], &args);
                        drop(args);
                        scratch.f64[slot] = out;
                    }
                }
            }
            Instr::Fold { reduction, ref arg, width } => {
                let Some(reduce) = self.reduces[reduction] else { return };
                let split = self.program.reductions[reduction].split;
                let place = Position { tile, touched: touched[reduction], split };
                let states = &mut states[reduction];
                match width {
                    Width::F32 => {
                        place.fold(self.f32(arg, tile, scratch), states, reduce.f32, reduce.f32_across)
                    }
                    Width::F64 => {
                        place.fold(self.f64(arg, tile, scratch), states, reduce.f64, reduce.f64_across)
                    }
                }
            }
            Instr::Store { store, ref arg, width } => match (width, self.targets[store]) {
                (Width::F32, Target::F32(p)) => write(p, tile, self.f32(arg, tile, scratch)),
                (Width::F64, Target::F64(p)) => write(p, tile, self.f64(arg, tile, scratch)),
                _ => {}
            },
        }
    }

    /// Repeats a tensor along its axis; not again where its slot is kept for it and holds that part.
    fn spread(&self, at: usize, along: usize, slot: usize, width: Width, tile: &Tile, scratch: &mut Scratch) {
        let source = &self.operands.alongs[along];
        if self.program.kept.contains(&along) {
            let (_, len, inner) = source.split;
            let part = tile.start / (len * inner) * inner + tile.start % inner;
            if scratch.filled[at].replace(part) == Some(part) {
                return;
            }
        }
        match width {
            Width::F32 => source.fill_f32(tile, &mut scratch.f32[slot]),
            Width::F64 => source.fill_f64(tile, &mut scratch.f64[slot]),
        }
    }

    fn f32<'s>(&'s self, place: &Place, tile: &Tile, scratch: &'s Scratch) -> Operand<'s, f32> {
        match *place {
            Place::Stream(i) => match (&self.operands.streams[i], &scratch.staged[i]) {
                (Stream::F32(d), _) if tile.is_run() => {
                    Operand::Slice(&d[tile.start..tile.start + tile.len()])
                }
                (_, Staged::F32(d)) => Operand::Slice(&d[..tile.len()]),
                _ => Operand::Splat(f32::NAN),
            },
            Place::Slot(i) => Operand::Slice(&scratch.f32[i][..tile.len()]),
            Place::Number(i) => Operand::Splat(self.operands.numbers[i] as f32),
        }
    }

    fn f64<'s>(&'s self, place: &Place, tile: &Tile, scratch: &'s Scratch) -> Operand<'s, f64> {
        match *place {
            Place::Stream(i) => match (&self.operands.streams[i], &scratch.staged[i]) {
                (Stream::F64(d), _) if tile.is_run() => {
                    Operand::Slice(&d[tile.start..tile.start + tile.len()])
                }
                (_, Staged::F64(d)) => Operand::Slice(&d[..tile.len()]),
                _ => Operand::Splat(f64::NAN),
            },
            Place::Slot(i) => Operand::Slice(&scratch.f64[i][..tile.len()]),
            Place::Number(i) => Operand::Splat(self.operands.numbers[i]),
        }
    }

    /// Merges the states of all chunks, in order, and finishes.
    fn merge(&self, r: usize, chunks: &[Chunk], states: &[Vec<States>]) -> (PrimId, Vec<f64>) {
        let reduction = &self.program.reductions[r];
        let Some(reduce) = self.reduces[r] else { return (reduction.node, Vec::new()) };
        let (results, count) = match reduction.split {
            None => (1, self.pass.numel),
            Some((outer, len, inner)) => (outer * inner, len),
        };
        if states.iter().any(|s| matches!(s[r], States::Finished(_))) {
            return (reduction.node, gather(r, chunks, states, reduction.split, results));
        }
        let mut all = vec![reduce.init; results];
        for (chunk, states) in chunks.iter().zip(states) {
            let touched = Touched::new(chunk, reduction.split);
            for i in 0..touched.count() {
                (reduce.merge)(&mut all[touched.result(i)], &states[r].get(i));
            }
        }
        let values = all.iter().map(|s| (reduce.finish)(s, count, &reduction.attrs)).collect();
        (reduction.node, values)
    }
}

/// The results of chunks that each finished theirs, in order.
fn gather(
    r: usize,
    chunks: &[Chunk],
    states: &[Vec<States>],
    split: Option<(usize, usize, usize)>,
    results: usize,
) -> Vec<f64> {
    let mut all = vec![0.0; results];
    for (chunk, states) in chunks.iter().zip(states) {
        let touched = Touched::new(chunk, split);
        if let (States::Finished(values), Touched::Columns { cols, .. }) = (&states[r], touched) {
            for (i, row) in values.chunks(cols).enumerate() {
                all[touched.result(i * cols)..][..cols].copy_from_slice(row);
            }
        }
    }
    all
}

/// Where a tile lies, for a fold.
struct Position<'a> {
    tile: &'a Tile,
    touched: Touched,
    split: Option<(usize, usize, usize)>,
}

impl Position<'_> {
    fn fold<T>(
        &self,
        elements: Operand<'_, T>,
        states: &mut States,
        fold: fn(&mut [f64; 4], &[T]),
        across: fn(&mut [&mut [f64]; 4], &[T], usize),
    ) {
        let Operand::Slice(elements) = elements else { return };
        match (self.touched, self.split, states) {
            (Touched::Run { .. }, None, States::Runs(states)) => fold(&mut states[0], elements),
            (Touched::Run { first, .. }, Some((_, len, _)), States::Runs(states)) => {
                fold_rows(elements, self.tile.start, len, first, states, fold);
            }
            (Touched::Columns { plane, col, cols, .. }, Some((_, len, inner)), States::Columns(places)) => {
                let o = self.tile.start / (len * inner) - plane;
                let first = o * cols + self.tile.start % inner - col;
                let range = first..first + self.tile.width;
                let mut part = places.each_mut().map(|p| p.get_mut(range.clone()).unwrap_or_default());
                across(&mut part, elements, self.tile.width);
            }
            _ => {}
        }
    }
}

fn write<T: Copy>(target: *mut T, tile: &Tile, operand: Operand<'_, T>) {
    let rows = if tile.is_run() { Tile { rows: 1, width: tile.len(), ..*tile } } else { *tile };
    for (start, at) in rows.row_starts() {
        // SAFETY: the target holds as many elements as the pass walks over, and this tile alone
        // covers its rows.
        let out = unsafe { std::slice::from_raw_parts_mut(target.add(start), rows.width) };
        match operand {
            Operand::Slice(s) => out.copy_from_slice(&s[at..at + rows.width]),
            Operand::Splat(x) => out.fill(x),
        }
    }
}
