//! How a product is cut for several threads: into blocks of its destination that depend on sizes alone.

use super::View;
use std::ops::Range;

/// Operations of a block.
const BLOCK: usize = 1 << 27;
/// The most blocks of a product.
const MOST: usize = 32;
/// Operations from which on two threads share a product.
const SHARED: usize = 1 << 25;

/// Rows and columns of a destination.
pub(super) struct Block {
    pub rows: Range<usize>,
    pub cols: Range<usize>,
}

impl Block {
    /// The views of destination and factors that a block consists of.
    pub fn views(&self, [d, a, b]: [View; 3]) -> [View; 3] {
        let part = |v: View, rows: &Range<usize>, cols: &Range<usize>| View {
            offset: v.offset + rows.start * v.rs + cols.start * v.cs,
            rows: rows.len(),
            cols: cols.len(),
            ..v
        };
        let inner = 0..a.cols;
        [part(d, &self.rows, &self.cols), part(a, &self.rows, &inner), part(b, &inner, &self.cols)]
    }
}

/// Cuts a destination of a product over `inner` elements. Each block packs its part of the factors for
/// itself, which costs the less the more of it is used again: blocks are few and as square as may be.
pub(super) fn blocks(d: View, inner: usize) -> Vec<Block> {
    let work = d.rows.saturating_mul(d.cols).saturating_mul(2 * inner);
    let parts = (work / BLOCK).clamp(if work >= SHARED { 2 } else { 1 }, MOST);
    let (mut down, mut across) = (1, 1);
    while 2 * down * across <= parts {
        let (height, width) = (d.rows.div_ceil(down), d.cols.div_ceil(across));
        match () {
            () if height >= width && height >= 32 => down *= 2,
            () if width >= 192 => across *= 2,
            () if height >= 32 => down *= 2,
            () => break,
        }
    }
    let height = d.rows.div_ceil(down).next_multiple_of(if down > 1 { 16 } else { 1 }).max(1);
    // Kernels write 96 columns at a time where there are as many.
    let width = d.cols.div_ceil(across);
    let whole = if width >= 768 { 96 } else { 32 };
    let width = if across > 1 { width.next_multiple_of(whole) } else { width.max(1) };
    let starts = |n: usize, step: usize| (0..n.max(1)).step_by(step).map(move |at| at..(at + step).min(n));
    starts(d.rows, height)
        .flat_map(|rows| starts(d.cols, width).map(move |cols| Block { rows: rows.clone(), cols }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_a_destination_once() {
        for (m, k, n) in
            [(1, 1, 1), (300, 517, 190), (20_000, 3072, 256), (3072, 256, 20_001), (64, 4096, 96)]
        {
            let mut seen = vec![0u8; m * n];
            let all = blocks(View::new(m, n), k);
            for b in &all {
                for r in b.rows.clone() {
                    seen[r * n + b.cols.start..r * n + b.cols.end].iter_mut().for_each(|x| *x += 1);
                }
            }
            assert!(seen.iter().all(|&x| x == 1), "{m} {k} {n}");
            let work = 2 * m * k * n;
            assert!(all.len() <= MOST && (work < SHARED || all.len() > 1), "{m} {k} {n}");
        }
        assert_eq!(blocks(View::new(0, 5), 3).len(), 1);
    }
}
