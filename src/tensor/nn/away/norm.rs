//! Layer normalisation.

use super::push;
use crate::tensor::Dims;
use crate::tensor::device::Arg::{Float, Null, Size};
use crate::tensor::device::{Grid, Held, at};
use crate::tensor::real::Real;
use crate::tensor::tape::{Tape, Var};

pub fn layer_norm<R: Real>(t: &mut Tape<R>, x: Var, w: Var, b: Var, eps: f64) -> Option<Var> {
    let s = t.session()?;
    let (rows, width) = (t.rows(x), t.width(x));
    let (y, mean, scale) = (s.room(rows * width), s.room(rows), s.room(rows));
    let inputs = [x, w, b].map(|v| t.held(v, &*s));
    let [xs, ws, bs] = inputs.each_ref().map(at);
    let args = [xs, ws, bs, at(&y), at(&mean), at(&scale), Size(width), Float(eps)];
    s.kernel("layer_norm", Grid::Rows(rows, width), &args);
    let dims: Dims = t.dims(x).into();
    push(t, &dims, y, &[x, w, b], move |g, cx| {
        let xs = cx.value(x);
        if cx.needs(w) || cx.needs(b) {
            let samples = cx.samples(w).max(cx.samples(b));
            let (dw, db) = (cx.s.room(samples * width), cx.s.room(samples * width));
            let each = rows / samples;
            let args = [at(&xs), at(g), at(&mean), at(&scale), at(&dw), at(&db), Size(each), Size(width)];
            cx.s.kernel("layer_norm_parameters", Grid::Columns(width, samples), &args);
            // Without a gradient of its own it may have no place for several.
            cx.give(w, dw);
            cx.give(b, db);
        }
        if cx.needs(x) {
            let d = cx.s.room(rows * width);
            // Two numbers in double precision per row.
            let sizes = cx.cx.asks_cancellation().then(|| cx.s.room(4 * rows));
            let noted = sizes.as_ref().map_or(Null, at);
            let ws = cx.value(w);
            let args = [at(&xs), at(&ws), at(g), at(&mean), at(&scale), at(&d), noted, Size(width)];
            cx.s.kernel("layer_norm_backward", Grid::Rows(rows, width), &args);
            cx.give(x, d);
            if let Some(sizes) = sizes {
                cx.cx.note_cancellation(cancellation(&sizes));
            }
        }
    })
}

/// What is left of a gradient relative to its terms, from the sums of squares of every row.
fn cancellation(sizes: &Held) -> f64 {
    let mut words = vec![0f32; sizes.len()];
    sizes.read(&mut words);
    let number = |w: &[f32]| f64::from_bits(u64::from(w[0].to_bits()) | u64::from(w[1].to_bits()) << 32);
    let (left, all) = words
        .chunks_exact(4)
        .fold((0.0, 0.0), |sum: (f64, f64), row| (sum.0 + number(&row[..2]), sum.1 + number(&row[2..])));
    if all > 0.0 { (left / all).sqrt() } else { 1.0 }
}
