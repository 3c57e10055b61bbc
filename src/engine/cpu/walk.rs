//! How a pass is cut: into chunks (the unit of parallel work, each with states of its own) and
//! chunks into tiles (the unit that stays in cache).
//!
//! Both depend on shapes alone, so results have the same bits on any number of threads.

use crate::plan::schedule::Walk;

/// Elements of a tile.
pub const TILE: usize = 2048;
/// Elements of a linear chunk.
const CHUNK: usize = 16 * TILE;
/// Elements of a strided chunk: larger, for each has states for a whole row.
const STRIDED_CHUNK: usize = 128 * TILE;

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
        Walk::Linear => ranges(numel, CHUNK).map(|r| Chunk::Linear { start: r.start, end: r.end }).collect(),
        Walk::Strided { outer, len, inner } => {
            let width = inner.min(TILE);
            let height = (STRIDED_CHUNK / width).clamp(1, len);
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

fn ranges(n: usize, step: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..n).step_by(step).map(move |i| i..(i + step).min(n))
}

/// Calls `f(start, len)` for every tile of a chunk: elements `start..start + len`.
pub fn tiles(chunk: &Chunk, walk: Walk, mut f: impl FnMut(usize, usize)) {
    match (chunk, walk) {
        (Chunk::Strided { outer, rows, cols }, Walk::Strided { len, inner, .. }) => {
            let whole_rows = cols.len() == inner;
            let step = if whole_rows { (TILE / inner).max(1) } else { 1 };
            for o in outer.clone() {
                for r in rows.clone().step_by(step) {
                    let count = step.min(rows.end - r);
                    f(
                        (o * len + r) * inner + cols.start,
                        if whole_rows { count * inner } else { cols.len() },
                    );
                }
            }
        }
        (Chunk::Linear { start, end }, _) => {
            for s in (*start..*end).step_by(TILE) {
                f(s, TILE.min(end - s));
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
            (Chunk::Strided { outer, cols, .. }, Some((_, _, inner))) => Touched::Columns {
                plane: outer.start,
                planes: outer.len(),
                col: cols.start,
                cols: cols.len(),
                inner,
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
                tiles(&chunk, walk, |s, len| {
                    assert!(len <= TILE.max(1));
                    seen[s..s + len].iter_mut().for_each(|x| *x += 1);
                });
            }
            assert!(seen.iter().all(|&x| x == 1), "{walk:?}");
        }
        assert!(chunks(Walk::Linear, 0).is_empty());
    }
}
