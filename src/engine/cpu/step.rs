//! What the steps of a pass do to one tile.

use super::fuse::{AHEAD, By, Chain, Step};
use super::pass::{Job, Target};
use super::tile::{Scratch, Staged, States, Stream, each_row};
use super::walk::{Tile, Touched};
use crate::ops::{self, Exec, Operand, Taken};
use crate::plan::program::{Instr, Place, Width};
use crate::plan::schedule::Walk;
use smallvec::SmallVec;

impl Job<'_> {
    pub(super) fn step(
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
                let mut out = scratch.f32.take(slot);
                if let Some(taken) = self.taken(chain, tile, scratch) {
                    kernel(&mut out[..tile.len()], &taken);
                }
                scratch.f32.put(slot, out);
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
        match *instr {
            Instr::Load { stream, slot, width } => {
                let source = &self.operands.streams[stream];
                match width {
                    Width::F32 => source.load_f32(tile, scratch.f32.write(slot)),
                    Width::F64 => source.load_f64(tile, scratch.f64.write(slot)),
                }
            }
            Instr::Spread { along, slot, width } => self.spread(at, along, slot, width, tile, scratch),
            Instr::Widen { from, slot } => {
                let mut out = scratch.f64.take(slot);
                if let Operand::Slice(x) = self.f32(&Place::Slot(from), tile, scratch) {
                    ops::convert(x, &mut out[..x.len()], f64::from);
                }
                scratch.f64.put(slot, out);
            }
            Instr::Map { op, width, ref args, slot } => self.map(op, width, args, slot, tile, scratch),
            Instr::Fold { reduction, ref arg, width } => {
                let place = Position {
                    tile,
                    touched: touched[reduction],
                    split: self.program.reductions[reduction].split,
                };
                self.fold(reduction, arg, width, &place, scratch, &mut states[reduction]);
            }
            Instr::Store { store, ref arg, width } => match (width, self.targets[store]) {
                (Width::F32, Target::F32(p)) => write(p, tile, self.f32(arg, tile, scratch)),
                (Width::F64, Target::F64(p)) => write(p, tile, self.f64(arg, tile, scratch)),
                _ => {}
            },
            Instr::Column(ref column) => self.column(column, tile, scratch),
        }
    }

    fn map(
        &self,
        op: ops::OpId,
        width: Width,
        args: &[Place],
        slot: usize,
        tile: &Tile,
        scratch: &mut Scratch,
    ) {
        let Exec::Elementwise { f32, f64, .. } = &ops::row(op).exec else { return };
        match width {
            Width::F32 => {
                let mut out = scratch.f32.take(slot);
                let args: SmallVec<[Operand<'_, f32>; 3]> =
                    args.iter().map(|a| self.f32(a, tile, scratch)).collect();
                f32(&mut out[..tile.len()], &args);
                drop(args);
                scratch.f32.put(slot, out);
            }
            Width::F64 => {
                let mut out = scratch.f64.take(slot);
                let args: SmallVec<[Operand<'_, f64>; 3]> =
                    args.iter().map(|a| self.f64(a, tile, scratch)).collect();
                f64(&mut out[..tile.len()], &args);
                drop(args);
                scratch.f64.put(slot, out);
            }
        }
    }

    fn fold(
        &self,
        reduction: usize,
        arg: &Place,
        width: Width,
        at: &Position<'_>,
        scratch: &Scratch,
        states: &mut States,
    ) {
        let Some(reduce) = self.reduces[reduction] else { return };
        match width {
            Width::F32 => {
                at.fold(self.rows_f32(arg, at.tile, scratch), states, reduce.f32, reduce.f32_across);
            }
            Width::F64 => {
                at.fold(self.rows_f64(arg, at.tile, scratch), states, reduce.f64, reduce.f64_across);
            }
        }
    }

    /// Repeats a tensor along its axis: without a copy where its elements lie as those of the tile do, and not
    /// again where its slot is kept for it and holds that part.
    fn spread(&self, at: usize, along: usize, slot: usize, width: Width, tile: &Tile, scratch: &mut Scratch) {
        let source = &self.operands.alongs[along];
        let run = source.run_of(tile).map(|first| (along, first));
        let mut held = false;
        if run.is_none() && self.program.kept.contains(&along) {
            let (_, len, inner) = source.split;
            let part = tile.start / (len * inner) * inner + tile.start % inner;
            held = scratch.filled[at].replace(part) == Some(part);
        }
        match width {
            Width::F32 => scratch.f32.repeat(slot, run, held, |out| source.fill_f32(tile, out)),
            Width::F64 => scratch.f64.repeat(slot, run, held, |out| source.fill_f64(tile, out)),
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
            Place::Slot(i) => {
                Operand::Slice(scratch.f32.read(i, tile.len(), |a| &self.operands.alongs[a].single))
            }
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
            Place::Slot(i) => {
                Operand::Slice(scratch.f64.read(i, tile.len(), |a| &self.operands.alongs[a].double))
            }
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
