//! Tiles: scratch memory, widening while loading, repeating along an axis, folding along axes.

use super::walk::TILE;
use crate::tensor::{Data, Tensor};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// State of a reduction.
pub(super) type State = [f64; 4];

/// The tile slots of a thread.
pub(super) struct Scratch {
    pub f32: Vec<Vec<f32>>,
    pub f64: Vec<Vec<f64>>,
}

impl Scratch {
    pub fn new(slots: [usize; 2]) -> Self {
        Scratch { f32: vec![vec![0.0; TILE]; slots[0]], f64: vec![vec![0.0; TILE]; slots[1]] }
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
    pub fn load_f32(&self, start: usize, out: &mut [f32]) {
        let range = start..start + out.len();
        match self {
            Stream::F64(d) => convert(&d[range], out, |x| x as f32),
            Stream::F32(d) => out.copy_from_slice(&d[range]),
            Stream::F16(d) => d[range].convert_to_f32_slice(out),
            Stream::Bf16(d) => convert(&d[range], out, widen_bf16),
        }
    }

    /// Elements from `start` on, as f64.
    pub fn load_f64(&self, start: usize, out: &mut [f64]) {
        let range = start..start + out.len();
        match self {
            Stream::F64(d) => out.copy_from_slice(&d[range]),
            Stream::F32(d) => convert(&d[range], out, f64::from),
            Stream::F16(d) => d[range].convert_to_f64_slice(out),
            Stream::Bf16(d) => convert(&d[range], out, |x| f64::from(widen_bf16(x))),
        }
    }
}

fn widen_bf16(x: bf16) -> f32 {
    f32::from_bits(u32::from(x.to_bits()) << 16)
}

fn convert<A: Copy, B>(from: &[A], to: &mut [B], f: impl Fn(A) -> B) {
    for (o, x) in to.iter_mut().zip(from) {
        *o = f(*x);
    }
}

/// A held tensor that repeats along an axis that it lacks.
pub(super) struct Spread<'a> {
    /// Its elements.
    pub values: &'a [f64],
    /// Elements before, along and after the axis.
    pub split: (usize, usize, usize),
}

impl Spread<'_> {
    /// The elements that stand against elements `start..` of the larger tensor.
    pub fn fill<T: Copy>(&self, start: usize, out: &mut [T], to: impl Fn(f64) -> T) {
        let (_, len, inner) = self.split;
        let plane = len * inner;
        let (mut at, end) = (start, start + out.len());
        while at < end {
            let o = at / plane;
            if inner == 1 {
                let stop = end.min((o + 1) * plane);
                out[at - start..stop - start].fill(to(self.values[o]));
                at = stop;
            } else {
                let i = at % inner;
                let stop = end.min(at + inner - i);
                let from = &self.values[o * inner + i..][..stop - at];
                convert(from, &mut out[at - start..stop - start], &to);
                at = stop;
            }
        }
    }
}

/// Folds a tile of rows of `len` elements, each into the state of its row.
pub(super) fn fold_rows<T>(
    tile: &[T],
    start: usize,
    len: usize,
    first: usize,
    states: &mut [State],
    fold: fn(&mut State, &[T]),
    across: fn(&mut [State], &[T]),
) {
    if len == 1 {
        across(&mut states[start - first..][..tile.len()], tile);
        return;
    }
    let (mut at, end) = (start, start + tile.len());
    while at < end {
        let row = at / len;
        let stop = end.min((row + 1) * len);
        fold(&mut states[row - first], &tile[at - start..stop - start]);
        at = stop;
    }
}

/// Folds a tile of rows as long as `states`, each element into the state of its column.
pub(super) fn fold_across<T>(tile: &[T], states: &mut [State], across: fn(&mut [State], &[T])) {
    for row in tile.chunks(states.len().max(1)) {
        across(states, row);
    }
}
