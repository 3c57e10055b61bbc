//! How a pass is cut: into chunks (the unit of parallel work, each with states of its own) and
//! chunks into tiles (the unit that stays in cache).
//!
//! Both depend on shapes alone, so results have the same bits on any number of threads.

use crate::plan::schedule::{ROWS, Walk};

/// Elements of a tile. More are hardly faster where arithmetic counts, and slower where memory does: what
/// is asked for ahead between two steps then exceeds the lines that a core can have under way.
pub const TILE: usize = 1024;
/// Elements of a strided tile, and the most of any: as many rows as it takes to fold columns in registers.
pub const STRIDED_TILE: usize = 4 * TILE;
/// Columns of a strided tile: its rows are long enough to be read at speed, and as many as it takes
/// to fold them in registers.
const STRIP: usize = 256;
/// Short columns are whole in a tile.
const _: () = assert!(STRIP * ROWS <= STRIDED_TILE);
/// Columns of a strip are a multiple of this where the rows allow.
const ALIGN: usize = 16;
/// Columns of a chunk that holds whole columns: their states stay in cache.
const COLUMNS: usize = 4096;
/// The least elements of a linear chunk.
const CHUNK: usize = 32 * TILE;
/// Linear chunks are as many as this where they are neither small nor large (sixteen times the least).
const CHUNKS: usize = 64;
/// Elements of a strided chunk: larger, for each has states for a whole row.
const STRIDED_CHUNK: usize = 256 * TILE;

/// Rows of elements, `stride` apart: the unit of work of every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// The first element.
    pub start: usize,
    /// Number of rows.
    pub rows: usize,
    /// Elements of a row.
    pub width: usize,
    /// Elements from one row to the next.
    pub stride: usize,
}

impl Tile {
    fn line(start: usize, len: usize) -> Self {
        Tile { start, rows: 1, width: len, stride: len }
    }
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.rows * self.width
    }
    /// Do the elements lie one behind the other?
    pub fn is_run(&self) -> bool {
        self.rows == 1 || self.width == self.stride
    }
    /// From the first element to the last.
    pub fn span(&self) -> std::ops::Range<usize> {
        let last = self.rows.saturating_sub(1);
        self.start..self.start + last * self.stride + self.width
    }
    /// The places of the rows: of the first element, among all and in the tile.
    pub fn row_starts(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Tile { start, rows, width, stride } = *self;
        (0..rows).map(move |r| (start + r * stride, r * width))
    }
    /// The tile that most likely follows.
    pub fn next(&self) -> Self {
        Tile { start: self.start + self.rows * self.stride, ..*self }
    }
}

/// A part of a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Elements `start..end`.
    Linear {
        /// First element.
        start: usize,
        /// Behind the last element.
        end: usize,
    },
    /// A box of planes, rows and columns.
    Strided {
        /// Planes.
        outer: std::ops::Range<usize>,
        /// Rows.
        rows: std::ops::Range<usize>,
        /// Columns.
        cols: std::ops::Range<usize>,
    },
}

/// Cuts the elements of a pass into chunks, in a fixed order.
pub fn chunks(walk: Walk, numel: usize) -> Vec<Chunk> {
    if numel == 0 {
        return Vec::new();
    }
    match walk {
        Walk::Linear => {
            let chunk = (numel / CHUNKS).next_multiple_of(TILE).clamp(CHUNK, 16 * CHUNK);
            ranges(numel, chunk).map(|r| Chunk::Linear { start: r.start, end: r.end }).collect()
        }
        Walk::Strided { outer, len, inner } => {
            let width = strip(inner);
            let height = (STRIDED_CHUNK / width).clamp(1, len);
            let most = if height == len { (STRIDED_CHUNK / len).min(COLUMNS) } else { width };
            let width = (most / width * width).clamp(width, inner);
            let depth = if height == len && width == inner { STRIDED_CHUNK / (len * inner) } else { 1 };
            let mut out = Vec::new();
            for o in ranges(outer, depth.max(1)) {
                for rows in ranges(len, height) {
                    for cols in ranges(inner, width) {
                        out.push(Chunk::Strided { outer: o.clone(), rows: rows.clone(), cols });
                    }
                }
            }
            out
        }
    }
}

/// Columns of a strided tile.
fn strip(inner: usize) -> usize {
    inner.div_ceil(inner.div_ceil(STRIP)).next_multiple_of(ALIGN).min(inner)
}

fn ranges(n: usize, step: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..n).step_by(step).map(move |i| i..(i + step).min(n))
}

/// Calls `f` for every tile of a chunk.
pub fn tiles(chunk: &Chunk, walk: Walk, mut f: impl FnMut(Tile)) {
    match (chunk, walk) {
        (Chunk::Strided { outer, rows, cols }, Walk::Strided { len, inner, .. }) => {
            let width = strip(inner);
            for (o, c) in outer.clone().flat_map(|o| cols.clone().step_by(width).map(move |c| (o, c))) {
                let width = width.min(cols.end - c);
                let step = (STRIDED_TILE / width).max(1);
                for r in rows.clone().step_by(step) {
                    let start = (o * len + r) * inner + c;
                    f(Tile { start, rows: step.min(rows.end - r), width, stride: inner });
                }
            }
        }
        (Chunk::Linear { start, end }, _) => {
            for s in (*start..*end).step_by(TILE) {
                f(Tile::line(s, TILE.min(end - s)));
            }
        }
        (Chunk::Strided { .. }, Walk::Linear) => {}
    }
}

/// The results of an axis reduction that a chunk contributes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// Results `first..first + count`.
    Run {
        /// First result.
        first: usize,
        /// Number of results.
        count: usize,
    },
    /// For every plane of `planes` from `plane`: columns `col..col + cols` of `inner`.
    Columns {
        /// First plane.
        plane: usize,
        /// Number of planes.
        planes: usize,
        /// First column.
        col: usize,
        /// Number of columns.
        cols: usize,
        /// Columns of a plane.
        inner: usize,
        /// Whether the chunk holds all elements of every result.
        whole: bool,
    },
}

impl Touched {
    /// For a reduction that splits its operand so (`None`: wholly).
    pub fn new(chunk: &Chunk, split: Option<(usize, usize, usize)>) -> Self {
        match (chunk, split) {
            (_, None) => Touched::Run { first: 0, count: 1 },
            (Chunk::Linear { start, end }, Some((_, len, _))) => {
                let first = start / len.max(1);
                Touched::Run { first, count: (end - 1) / len.max(1) + 1 - first }
            }
            (Chunk::Strided { outer, cols, rows }, Some((_, len, inner))) => Touched::Columns {
                plane: outer.start,
                planes: outer.len(),
                col: cols.start,
                cols: cols.len(),
                inner,
                whole: rows.len() == len,
            },
        }
    }

    /// Number of results.
    pub fn count(&self) -> usize {
        match *self {
            Touched::Run { count, .. } => count,
            Touched::Columns { planes, cols, .. } => planes * cols,
        }
    }

    /// The result that the `i`-th state belongs to.
    pub fn result(&self, i: usize) -> usize {
        match *self {
            Touched::Run { first, .. } => first + i,
            Touched::Columns { plane, col, cols, inner, .. } => (plane + i / cols) * inner + col + i % cols,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_walked_once() {
        let strided = [(3, 5, 7), (1, 5000, 3), (2, 3, 5000), (1, 1, 9), (300, 10, 70), (1, 300, 2049)];
        let walks =
            strided.map(|(outer, len, inner)| (Walk::Strided { outer, len, inner }, outer * len * inner));
        let linear = [1, 5000, 120_000, 128 * 700].map(|n| (Walk::Linear, n));
        for (walk, n) in walks.into_iter().chain(linear) {
            let mut seen = vec![0; n];
            for chunk in chunks(walk, n) {
                tiles(&chunk, walk, |tile| {
                    assert!(tile.len() <= STRIDED_TILE);
                    for (at, _) in tile.row_starts() {
                        seen[at..at + tile.width].iter_mut().for_each(|x| *x += 1);
                    }
                });
            }
            assert!(seen.iter().all(|&x| x == 1), "{walk:?}");
        }
        assert!(chunks(Walk::Linear, 0).is_empty());
    }
}
