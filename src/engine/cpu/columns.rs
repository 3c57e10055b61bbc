//! Steps on one number per column: a strided tile that holds whole columns reduces them and uses the results at
//! once, so that they never leave the cache.

use super::pass::Job;
use super::step::Rows;
use super::tile::Scratch;
use super::walk::Tile;
use crate::ops::{self, Exec, Operand, Reduce, convert};
use crate::plan::program::{Column, Place, Width};
use smallvec::SmallVec;

impl Job<'_> {
    /// Runs one step.
    pub(super) fn column(&self, column: &Column, tile: &Tile, scratch: &mut Scratch) {
        match *column {
            Column::Reduce { reduction, ref arg, width, slot, first } => {
                let Some(reduce) = self.columns[reduction] else { return };
                let mut states = std::mem::take(&mut scratch.states);
                let mut results = std::mem::take(&mut scratch.columns[slot]);
                begin(reduce, &mut states, tile.width);
                match width {
                    Width::F32 => {
                        fold(self.rows_f32(arg, tile, scratch), &mut states, tile, reduce.f32_across)
                    }
                    Width::F64 => {
                        fold(self.rows_f64(arg, tile, scratch), &mut states, tile, reduce.f64_across)
                    }
                }
                let attrs = &self.program.columns[reduction].attrs;
                let places = states.each_ref().map(Vec::as_slice);
                (reduce.finish_across)(&places, tile.rows, attrs, &mut results[..tile.width]);
                if let Some(first) = first {
                    scratch.columns[first][..tile.width].copy_from_slice(&states[0][..tile.width]);
                }
                (scratch.states, scratch.columns[slot]) = (states, results);
            }
            Column::Map { op, ref args, slot } => {
                let Exec::Elementwise { f64, .. } = &ops::row(op).exec else { return };
                let mut out = std::mem::take(&mut scratch.columns[slot]);
                let operand = |a: &Place| match *a {
                    Place::Slot(i) => Operand::Slice(&scratch.columns[i][..tile.width]),
                    Place::Number(i) => Operand::Splat(self.operands.numbers[i]),
                    Place::Stream(_) => Operand::Splat(f64::NAN),
                };
                let args: SmallVec<[Operand<'_, f64>; 3]> = args.iter().map(operand).collect();
                f64(&mut out[..tile.width], &args);
                drop(args);
                scratch.columns[slot] = out;
            }
            Column::Repeat { from, slot, width } => match width {
                Width::F32 => repeat(&scratch.columns[from], scratch.f32.write(slot), tile, |x| x as f32),
                Width::F64 => repeat(&scratch.columns[from], scratch.f64.write(slot), tile, |x| x),
            },
        }
    }
}

/// States of no elements, for the columns of a tile.
fn begin(reduce: &Reduce, states: &mut [Vec<f64>; 4], width: usize) {
    for (states, init) in states.iter_mut().zip(reduce.init).take(reduce.cuda.places) {
        states.resize(width, init);
        states.fill(init);
    }
}

fn fold<T>(
    rows: Rows<'_, T>,
    states: &mut [Vec<f64>; 4],
    tile: &Tile,
    across: fn(&mut [&mut [f64]; 4], &[T], usize, usize),
) {
    if let Some((elements, stride)) = rows {
        across(&mut states.each_mut().map(Vec::as_mut_slice), elements, tile.width, stride);
    }
}

fn repeat<T: Copy>(columns: &[f64], out: &mut [T], tile: &Tile, narrow: impl Fn(f64) -> T) {
    convert(&columns[..tile.width], &mut out[..tile.width], narrow);
    for row in 1..tile.rows {
        out.copy_within(..tile.width, row * tile.width);
    }
}
