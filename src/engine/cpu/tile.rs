//! Tiles: scratch memory, widening while loading, repeating along an axis, folding along axes.

use super::walk::{STRIDED_TILE, TILE, Tile};
use crate::ops::{convert, widen_bf16};
use crate::plan::program::{Program, Width};
use crate::tensor::{Data, Tensor};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use std::ops::Range;

/// State of a reduction.
pub(super) type State = [f64; 4];

/// States of a reduction in a chunk.
pub(super) enum States {
    /// One by one.
    Runs(Vec<State>),
    /// Place by place, for columns side by side; places that the reduction does not have are empty.
    Columns([Vec<f64>; 4]),
    /// Results, where a chunk holds all of their elements.
    Finished(Vec<f64>),
}

impl States {
    /// The state of result `i`.
    pub fn get(&self, i: usize) -> State {
        match self {
            States::Runs(s) => s[i],
            States::Columns(places) => places.each_ref().map(|p| p.get(i).copied().unwrap_or_default()),
            States::Finished(_) => State::default(),
        }
    }
}

/// Tiles that steps write and read. In place of one may stand a part of a repeated tensor, which is then not
/// copied.
pub(super) struct Slots<T> {
    own: Vec<Vec<T>>,
    /// The tensor and the place of its first element.
    lent: Vec<Option<(usize, usize)>>,
}

impl<T: Copy + Default> Slots<T> {
    fn new(count: usize, tile: usize) -> Self {
        Slots { own: vec![vec![T::default(); tile]; count], lent: vec![None; count] }
    }

    /// The elements of a slot, to be written.
    pub fn write(&mut self, slot: usize) -> &mut [T] {
        self.lent[slot] = None;
        &mut self.own[slot]
    }

    /// The same, to be put back.
    pub fn take(&mut self, slot: usize) -> Vec<T> {
        self.lent[slot] = None;
        std::mem::take(&mut self.own[slot])
    }

    /// Puts a slot back.
    pub fn put(&mut self, slot: usize, elements: Vec<T>) {
        self.own[slot] = elements;
    }

    /// Repeats a tensor into a slot: `run`, the tensor and the place of its first element, stands in the slot's
    /// place; otherwise `fill` writes the elements, where the slot does not hold them.
    pub fn repeat(
        &mut self,
        slot: usize,
        run: Option<(usize, usize)>,
        held: bool,
        fill: impl FnOnce(&mut [T]),
    ) {
        self.lent[slot] = run;
        if run.is_none() && !held {
            fill(&mut self.own[slot]);
        }
    }

    /// The elements of a slot; `repeated` gives those of repeated tensors.
    pub fn read<'s>(&'s self, slot: usize, len: usize, repeated: impl Fn(usize) -> &'s [T]) -> &'s [T] {
        match self.lent[slot] {
            Some((along, first)) => &repeated(along)[first..first + len],
            None => &self.own[slot][..len],
        }
    }
}

/// The tile memory of a thread.
pub(super) struct Scratch {
    pub f32: Slots<f32>,
    pub f64: Slots<f64>,
    /// Rows of streams that are read in place where they lie in one run, by stream.
    pub staged: Vec<Staged>,
    /// What the slots of repeated tensors hold, by step of the code: the place of the first element.
    pub filled: Vec<Option<usize>>,
    /// Slots of numbers per column.
    pub columns: Vec<Vec<f64>>,
    /// States of a reduction of columns, place by place.
    pub states: [Vec<f64>; 4],
}

/// Rows of a stream, put one behind the other.
pub(super) enum Staged {
    None,
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Scratch {
    pub fn new(program: &Program, streams: &[Stream<'_>], strided: bool) -> Self {
        let tile = if strided { STRIDED_TILE } else { TILE };
        let stage = |s: &Stream<'_>| match s {
            Stream::F32(_) if strided => Staged::F32(vec![0.0; tile]),
            Stream::F64(_) if strided => Staged::F64(vec![0.0; tile]),
            _ => Staged::None,
        };
        Scratch {
            f32: Slots::new(program.slots[0], tile),
            f64: Slots::new(program.slots[1], tile),
            staged: streams.iter().map(stage).collect(),
            filled: vec![None; program.code.len()],
            columns: vec![vec![0.0; tile]; program.column_slots],
            states: Default::default(),
        }
    }
}

/// A held tensor that is read element for element.
#[derive(Clone, Copy)]
pub(super) enum Stream<'a> {
    F64(&'a [f64]),
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

impl<'a> Stream<'a> {
    pub fn new(tensor: &'a Tensor) -> Self {
        match tensor.data() {
            Data::F64(d) => Stream::F64(d),
            Data::F32(d) => Stream::F32(d),
            Data::F16(d) => Stream::F16(d),
            Data::Bf16(d) => Stream::Bf16(d),
        }
    }

    /// Elements from `start` on, as f32.
    fn run_f32(&self, start: usize, out: &mut [f32]) {
        let range = start..start + out.len();
        match self {
            Stream::F64(d) => convert(&d[range], out, |x| x as f32),
            Stream::F32(d) => out.copy_from_slice(&d[range]),
            Stream::F16(d) => d[range].convert_to_f32_slice(out),
            Stream::Bf16(d) => convert(&d[range], out, widen_bf16),
        }
    }

    /// Elements from `start` on, as f64.
    fn run_f64(&self, start: usize, out: &mut [f64]) {
        let range = start..start + out.len();
        match self {
            Stream::F64(d) => out.copy_from_slice(&d[range]),
            Stream::F32(d) => convert(&d[range], out, f64::from),
            Stream::F16(d) => d[range].convert_to_f64_slice(out),
            Stream::Bf16(d) => convert(&d[range], out, |x| f64::from(widen_bf16(x))),
        }
    }

    /// The elements of a tile, as f32.
    pub fn load_f32(&self, tile: &Tile, out: &mut [f32]) {
        match tile.is_run() {
            true => self.run_f32(tile.start, &mut out[..tile.len()]),
            false => tile.row_starts().for_each(|(s, at)| self.run_f32(s, &mut out[at..at + tile.width])),
        }
    }

    /// The elements of a tile, as f64.
    pub fn load_f64(&self, tile: &Tile, out: &mut [f64]) {
        match tile.is_run() {
            true => self.run_f64(tile.start, &mut out[..tile.len()]),
            false => tile.row_starts().for_each(|(s, at)| self.run_f64(s, &mut out[at..at + tile.width])),
        }
    }

    /// Asks for one of `parts` parts of a tile that comes next, so that memory works while this one
    /// is computed: in parts between the steps, for there is room for few lines under way.
    pub fn prefetch(&self, tile: &Tile, part: usize, parts: usize) {
        match self {
            Stream::F64(d) => prefetch(d, tile, part, parts),
            Stream::F32(d) => prefetch(d, tile, part, parts),
            Stream::F16(d) => prefetch(d, tile, part, parts),
            Stream::Bf16(d) => prefetch(d, tile, part, parts),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn prefetch<T>(data: &[T], tile: &Tile, part: usize, parts: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    const LINE: usize = 64;
    let run = |start: usize, end: usize| {
        for at in (start..end.min(data.len())).step_by(LINE / size_of::<T>()) {
            // SAFETY: a hint, and the address lies within the slice.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(data.as_ptr().add(at).cast()) };
        }
    };
    let share = |n: usize| n * part / parts..n * (part + 1) / parts;
    if tile.is_run() {
        let share = share(tile.len());
        return run(tile.start + share.start, tile.start + share.end);
    }
    for row in share(tile.rows) {
        let start = tile.start + row * tile.stride;
        run(start, start + tile.width);
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn prefetch<T>(_: &[T], _: &Tile, _: usize, _: usize) {}

/// A held tensor that repeats along an axis that it lacks.
pub(super) struct Spread {
    /// Its elements in single precision, where the code asks for them.
    pub single: Vec<f32>,
    /// In double precision, likewise.
    pub double: Vec<f64>,
    /// Elements before, along and after the axis.
    pub split: (usize, usize, usize),
}

impl Spread {
    /// `wanted` says whether elements are asked for in a width.
    pub fn new(tensor: &Tensor, split: (usize, usize, usize), wanted: impl Fn(Width) -> bool) -> Self {
        let single = |x: &[f64]| {
            let mut out = vec![0.0; x.len()];
            convert(x, &mut out, |x| x as f32);
            out
        };
        let single = match (wanted(Width::F32), tensor.as_slice::<f64>()) {
            (false, _) => Vec::new(),
            (true, Some(d)) => single(d),
            (true, None) => single(&tensor.to_f64()),
        };
        let double = if wanted(Width::F64) { tensor.to_f64() } else { Vec::new() };
        Spread { single, double, split }
    }

    /// Where the elements that stand against those of a tile begin, if they lie one behind the other.
    pub fn run_of(&self, tile: &Tile) -> Option<usize> {
        let (_, len, inner) = self.split;
        let at = tile.start.checked_rem(inner)?;
        let within = inner > 1 && tile.is_run() && at + tile.len() <= inner;
        within.then(|| tile.start / (len * inner) * inner + at)
    }

    /// The elements that stand against those of a tile of the larger tensor, as f32.
    pub fn fill_f32(&self, tile: &Tile, out: &mut [f32]) {
        self.fill(tile, &self.single, out);
    }

    /// As [`Spread::fill_f32`], as f64.
    pub fn fill_f64(&self, tile: &Tile, out: &mut [f64]) {
        self.fill(tile, &self.double, out);
    }

    fn fill<T: Copy>(&self, tile: &Tile, values: &[T], out: &mut [T]) {
        match tile.is_run() {
            true => self.run(tile.start, values, &mut out[..tile.len()]),
            false => tile.row_starts().for_each(|(s, at)| self.run(s, values, &mut out[at..at + tile.width])),
        }
    }

    fn run<T: Copy>(&self, start: usize, values: &[T], out: &mut [T]) {
        let (_, len, inner) = self.split;
        let plane = len * inner;
        let (mut at, end) = (start, start + out.len());
        while at < end {
            let o = at / plane;
            let stop = if inner == 1 { end.min((o + 1) * plane) } else { end.min(at + inner - at % inner) };
            let part = &mut out[at - start..stop - start];
            match inner {
                1 => part.fill(values[o]),
                _ => part.copy_from_slice(&values[o * inner + at % inner..][..stop - at]),
            }
            at = stop;
        }
    }
}

/// Cuts a run of `n` elements from `start` on into rows of `len` elements: calls `f` with the row and the
/// part of the run that lies in it.
pub(super) fn each_row(n: usize, start: usize, len: usize, mut f: impl FnMut(usize, Range<usize>)) {
    let (mut at, end) = (start, start + n);
    while at < end {
        let row = at / len;
        let stop = end.min((row + 1) * len);
        f(row, at - start..stop - start);
        at = stop;
    }
}
