//! Runs the code of a pass over its tiles, in parallel over chunks.

use super::fuse::Code;
use super::tile::{Scratch, Spread, Staged, States, Stream};
use super::walk::{Chunk, Tile, Touched, chunks, tiles};
use crate::ops::{self, Reduce};
use crate::plan::lower::PrimId;
use crate::plan::program::{Program, Reduction, Width};
use crate::plan::schedule::{Pass, Walk};
use crate::tensor::Tensor;
use rayon::prelude::*;

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
pub(super) enum Target {
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

/// A pass at work.
pub(super) struct Job<'a> {
    pub(super) pass: &'a Pass,
    code: &'a Code,
    pub(super) program: &'a Program,
    pub(super) operands: &'a Operands<'a>,
    pub(super) targets: Vec<Target>,
    pub(super) reduces: Vec<Option<&'static Reduce>>,
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
