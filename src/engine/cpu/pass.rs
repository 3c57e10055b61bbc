//! Runs the code of a pass over its tiles, in parallel over chunks.

use super::fuse::{AHEAD, By, Chain, Code, Step};
use super::tile::{Scratch, Spread, Staged, States, Stream, each_row};
use super::walk::{Chunk, Tile, Touched, chunks, tiles};
use crate::ops::{self, Exec, Operand, Reduce, Taken};
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
pub(super) fn run(pass: &Pass, code: &Code, operands: &Operands<'_>) -> Results {
    let program = &code.program;
    let mut stored: Vec<Elements> =
        program.stores.iter().map(|&(_, w)| Elements::new(w, pass.numel)).collect();
    let targets: Vec<Target> = stored
        .iter_mut()
        .map(|e| match e {
            Elements::F32(d) => Target::F32(d.as_mut_ptr()),
            Elements::F64(d) => Target::F64(d.as_mut_ptr()),
        })
        .collect();
    let rows = |r: &[Reduction]| -> Vec<Option<&'static Reduce>> {
        r.iter().map(|r| ops::row(r.op).reduce()).collect()
    };
    let (reduces, columns) = (rows(&program.reductions), rows(&program.columns));
    let job = Job { pass, code, program, operands, targets, reduces, columns };
    let chunks = chunks(pass.walk, pass.numel);
    let strided = matches!(pass.walk, Walk::Strided { .. });
    let scratch = || Scratch::new(program, &operands.streams, strided);
    let states: Vec<Vec<States>> = if chunks.len() == 1 {
        vec![job.chunk(&chunks[0], &mut scratch())]
    } else {
        chunks.par_iter().map_init(scratch, |s, c| job.chunk(c, s)).collect()
    };
    let reduced = (0..program.reductions.len()).map(|r| job.merge(r, &chunks, &states)).collect();
    let stored = program.stores.iter().map(|s| s.0).zip(stored).collect();
    Results { reduced, stored }
}

pub(super) struct Job<'a> {
    pass: &'a Pass,
    code: &'a Code,
    pub(super) program: &'a Program,
    pub(super) operands: &'a Operands<'a>,
    targets: Vec<Target>,
    reduces: Vec<Option<&'static Reduce>>,
    /// Of reductions that are used in passing.
    pub(super) columns: Vec<Option<&'static Reduce>>,
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
            let steps = self.code.steps.len();
            for (at, step) in self.code.steps.iter().enumerate() {
                for (i, stream) in self.operands.streams.iter().enumerate() {
                    // Kernels ask for what comes next themselves, and reductions of rows in their place.
                    if !self.code.asked[i] && (self.code.staged[i] || tile.is_run()) {
                        stream.prefetch(&tile.next(), at, steps);
                    }
                }
                self.step(at, step, &tile, scratch, &touched, &mut states);
            }
        });
        let finished: Vec<Option<States>> =
            touched.iter().enumerate().map(|(r, t)| self.finished(r, t, &states)).collect();
        finished.into_iter().zip(states).map(|(done, states)| done.unwrap_or(states)).collect()
    }

    /// The results of what no other chunk adds to.
    fn finished(&self, r: usize, touched: &Touched, states: &[States]) -> Option<States> {
        let reduction = &self.program.reductions[r];
        let (reduce, (_, len, _)) = (self.reduces[r]?, reduction.split?);
        let from = &states[self.code.first_of[r].unwrap_or(r)];
        let (Touched::Columns { whole: true, .. }, States::Columns(places)) = (touched, from) else {
            return None;
        };
        let mut results = vec![0.0; touched.count()];
        let places = places.each_ref().map(Vec::as_slice);
        (reduce.finish_across)(&places, len, &reduction.attrs, &mut results);
        Some(States::Finished(results))
    }

    /// Puts the rows of streams one behind the other.
    fn stage(&self, tile: &Tile, scratch: &mut Scratch) {
        let wanted = self.code.staged.iter();
        let streams = self.operands.streams.iter().zip(&mut scratch.staged).zip(wanted);
        for ((stream, staged), _) in streams.filter(|(_, wanted)| **wanted) {
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
        step: &Step,
        tile: &Tile,
        scratch: &mut Scratch,
        touched: &[Touched],
        states: &mut [States],
    ) {
        match *step {
            Step::Plain(ref instr) => self.plain(at, instr, tile, scratch, touched, states),
            Step::Map { kernel, ref chain, slot } => {
                let mut out = std::mem::take(&mut scratch.f32[slot]);
                if let Some(taken) = self.taken(chain, tile, scratch) {
                    kernel(&mut out[..tile.len()], &taken);
                }
                scratch.f32[slot] = out;
            }
            Step::Fold { reduction, ref chain } => {
                let fold = self.reduces[reduction].and_then(|r| r.taken);
                let (Some(fold), Some(taken)) = (fold, self.taken(chain, tile, scratch)) else { return };
                match (touched[reduction], self.program.reductions[reduction].split, &mut states[reduction]) {
                    (Touched::Run { .. }, None, States::Runs(states)) => fold(&mut states[0], &taken),
                    (Touched::Run { first, .. }, Some((_, len, _)), States::Runs(states)) => {
                        each_row(tile.len(), tile.start, len, |row, range| {
                            fold(&mut states[row - first], &taken.part(range));
                        });
                    }
                    _ => {}
                }
            }
        }
    }

    /// The elements at the beginning of a chain, and what is taken in passing.
    fn taken<'s>(&'s self, chain: &Chain, tile: &Tile, scratch: &'s Scratch) -> Option<Taken<'s>> {
        let elements = |place: &Place| match self.f32(place, tile, scratch) {
            Operand::Slice(x) => Some(x),
            Operand::Splat(_) => None,
        };
        let number = |n: usize| self.operands.numbers[n] as f32;
        let ahead = match (chain.streams() && self.pass.walk == Walk::Linear, chain.x == chain.y) {
            (true, true) => AHEAD,
            (true, false) => AHEAD / 2,
            (false, _) => 0,
        };
        Some(Taken {
            join: chain.join,
            x: elements(&chain.x)?,
            y: elements(&chain.y)?,
            mask: if chain.abs { Taken::UNSIGNED } else { Taken::SIGNED },
            add: chain.add.map_or(-0.0, |(n, away)| if away { -number(n) } else { number(n) }),
            by: match chain.by {
                By::One => 1.0,
                By::MinusOne => -1.0,
                By::Number(n) => number(n),
            },
            square: chain.square,
            ahead,
        })
    }

    fn plain(
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
                ops::convert(&scratch.f32[from][..len], &mut scratch.f64[slot][..len], f64::from);
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
                        let elements = self.rows_f32(arg, tile, scratch);
                        place.fold(elements, states, reduce.f32, reduce.f32_across)
                    }
                    Width::F64 => {
                        let elements = self.rows_f64(arg, tile, scratch);
                        place.fold(elements, states, reduce.f64, reduce.f64_across)
                    }
                }
            }
            Instr::Store { store, ref arg, width } => match (width, self.targets[store]) {
                (Width::F32, Target::F32(p)) => write(p, tile, self.f32(arg, tile, scratch)),
                (Width::F64, Target::F64(p)) => write(p, tile, self.f64(arg, tile, scratch)),
                _ => {}
            },
            Instr::Column(ref column) => self.column(column, tile, scratch),
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

    /// As [`Job::f32`], but the rows of a stream are left where they lie; with their distance.
    pub(super) fn rows_f32<'s>(&'s self, place: &Place, tile: &Tile, scratch: &'s Scratch) -> Rows<'s, f32> {
        if let Place::Stream(i) = place
            && let Stream::F32(d) = &self.operands.streams[*i]
        {
            return Some((&d[tile.span()], tile.stride));
        }
        match self.f32(place, tile, scratch) {
            Operand::Slice(x) => Some((x, tile.width)),
            Operand::Splat(_) => None,
        }
    }

    /// As [`Job::rows_f32`].
    pub(super) fn rows_f64<'s>(&'s self, place: &Place, tile: &Tile, scratch: &'s Scratch) -> Rows<'s, f64> {
        if let Place::Stream(i) = place
            && let Stream::F64(d) = &self.operands.streams[*i]
        {
            return Some((&d[tile.span()], tile.stride));
        }
        match self.f64(place, tile, scratch) {
            Operand::Slice(x) => Some((x, tile.width)),
            Operand::Splat(_) => None,
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
        // The states of another reduction may do.
        let at = self.code.first_of[r].unwrap_or(r);
        if states.iter().any(|s| matches!(s[r], States::Finished(_))) {
            return (reduction.node, gather(r, chunks, states, reduction.split, results));
        }
        let Some(merge) = self.reduces[at].map(|r| r.merge) else { return (reduction.node, Vec::new()) };
        let mut all = vec![self.reduces[at].map_or(reduce.init, |r| r.init); results];
        for (chunk, states) in chunks.iter().zip(states) {
            let touched = Touched::new(chunk, reduction.split);
            for i in 0..touched.count() {
                merge(&mut all[touched.result(i)], &states[at].get(i));
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
/// Rows of elements, from the first to the last, and how far apart they begin.
pub(super) type Rows<'s, T> = Option<(&'s [T], usize)>;

/// Where a tile lies, for a fold.
struct Position<'a> {
    tile: &'a Tile,
    touched: Touched,
    split: Option<(usize, usize, usize)>,
}

impl Position<'_> {
    fn fold<T>(
        &self,
        rows: Rows<'_, T>,
        states: &mut States,
        fold: fn(&mut [f64; 4], &[T]),
        across: fn(&mut [&mut [f64]; 4], &[T], usize, usize),
    ) {
        let Some((elements, stride)) = rows else { return };
        match (self.touched, self.split, states) {
            (Touched::Run { .. }, None, States::Runs(states)) => fold(&mut states[0], elements),
            (Touched::Run { first, .. }, Some((_, len, _)), States::Runs(states)) => {
                each_row(elements.len(), self.tile.start, len, |row, range| {
                    fold(&mut states[row - first], &elements[range]);
                });
            }
            (Touched::Columns { plane, col, cols, .. }, Some((_, len, inner)), States::Columns(places)) => {
                let o = self.tile.start / (len * inner) - plane;
                let first = o * cols + self.tile.start % inner - col;
                let range = first..first + self.tile.width;
                let mut part = places.each_mut().map(|p| p.get_mut(range.clone()).unwrap_or_default());
                across(&mut part, elements, self.tile.width, stride);
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
