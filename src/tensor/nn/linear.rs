//! Linear maps in both layouts.

use super::act::{Act, Activation, activation};
use super::away;
use crate::tensor::Dims;
use crate::tensor::gemm::{Into, Split, View, batched, product, product_biased, tangent_product};
use crate::tensor::par;
use crate::tensor::real::Real;
use crate::tensor::tape::{Backward, Grad, Op, Tape, Var};

/// How a weight is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[out, in]`, `y = x W^T + b`.
    OutIn,
    /// `[in, out]` (Conv1D), `y = x W + b`.
    InOut,
}

struct Linear {
    x: Var,
    w: Var,
    b: Option<Var>,
    layout: Layout,
    n: usize,
    inner: usize,
    outer: usize,
    /// The bias' gradient is summed elsewhere.
    summed: bool,
}

impl Linear {
    /// The weight as an `[in, out]` matrix.
    fn weight(&self) -> View {
        match self.layout {
            Layout::OutIn => View::new(self.outer, self.inner).t(),
            Layout::InOut => View::new(self.inner, self.outer),
        }
    }
}

/// `x [.., in]` to `[.., out]`; the weight has two axes (more, if they are of size 1), the bias `out`
/// elements.
pub fn linear<R: Real>(t: &mut Tape<R>, x: Var, w: Var, b: Option<Var>, layout: Layout) -> Var {
    if let Some(y) = away::linear(t, x, w, b, layout) {
        return y;
    }
    let op = Linear::new(t, x, w, b, layout);
    let y = op.forward(t, |_, _| {});
    op.push(t, y)
}

/// [`linear`], and a non-linearity of it that is its only use: the second is computed of every block of the
/// first while that is in cache, and the bias' gradient while the non-linearity's is. `observed`: is the
/// gradient of the first wanted for itself? Returns both.
pub fn linear_act<R: Real>(
    t: &mut Tape<R>,
    x: Var,
    w: Var,
    b: Option<Var>,
    layout: Layout,
    act: Act,
    observed: bool,
) -> (Var, Var) {
    if t.session().is_some() {
        let y = linear(t, x, w, b, layout);
        if observed {
            t.require(y);
        }
        return (y, activation(t, y, act));
    }
    let mut op = Linear::new(t, x, w, b, layout);
    let mut a = t.buffer(op.n * op.outer);
    let (out, apply) = (Split::new(&mut a), act.apply());
    // SAFETY: of every run of the one there is one run of the other.
    let y = op.forward(t, |at, y| apply(unsafe { out.part(at..at + y.len()) }, y));
    op.summed = true;
    let y = op.push(t, y);
    if observed {
        t.require(y);
    }
    let (dims, needs): (Dims, bool) = (t.dims(y).into(), t.needs(y));
    (y, t.push(&dims, a, needs, Activation { x: y, act, bias: b }))
}

impl Linear {
    fn new<R: Real>(t: &Tape<R>, x: Var, w: Var, b: Option<Var>, layout: Layout) -> Self {
        let (n, inner) = (t.rows(x), t.width(x));
        let outer = t.value(w).len() / inner.max(1);
        Linear { x, w, b, layout, n, inner, outer, summed: false }
    }

    /// The result; `after` sees runs of it as soon as they are final.
    fn forward<R: Real>(&self, t: &mut Tape<R>, after: impl Fn(usize, &[R]) + Sync) -> Vec<R> {
        let mut y = t.buffer(self.n * self.outer);
        let views = [View::new(self.n, self.outer), View::new(self.n, self.inner), self.weight()];
        product_biased(&mut y, t.value(self.x), t.value(self.w), views, self.b.map(|b| t.value(b)), after);
        y
    }

    fn push<R: Real>(self, t: &mut Tape<R>, y: Vec<R>) -> Var {
        let mut dims: Dims = t.dims(self.x).into();
        if let Some(last) = dims.last_mut() {
            *last = self.outer;
        }
        let needs = t.needs(self.x) || t.needs(self.w) || self.b.is_some_and(|b| t.needs(b));
        t.push(&dims, y, needs, self)
    }
}

impl<R: Real> Op<R> for Linear {
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>) {
        let (n, inner, outer) = (self.n, self.inner, self.outer);
        if cx.needs(self.w) {
            let (mut dw, held) = cx.slot(self.w);
            let into = if held { Into::Add } else { Into::Set };
            let samples = cx.samples(self.w);
            let rows = n / samples;
            let x = |s: usize| View::new(rows, inner).at(s * rows * inner);
            let gv = |s: usize| View::new(rows, outer).at(s * rows * outer);
            let xs = cx.value(self.x);
            let multiply = |d: &mut [R], a: &[R], b: &[R], views: [View; 3]| match cx.tangents() {
                true => tangent_product(d, a, b, views, into),
                false => product(d, a, b, views, 1.0, into),
            };
            match (self.layout, samples) {
                (Layout::OutIn, 1) => multiply(&mut dw, &g, xs, [View::new(outer, inner), gv(0).t(), x(0)]),
                (Layout::InOut, 1) => multiply(&mut dw, xs, &g, [View::new(inner, outer), x(0).t(), gv(0)]),
                (Layout::OutIn, _) => {
                    let d = |s: usize| View::new(outer, inner).at(s * outer * inner);
                    batched(samples, &mut dw, &g, xs, |s| [d(s), gv(s).t(), x(s)], 1.0, into)
                }
                (Layout::InOut, _) => {
                    let d = |s: usize| View::new(inner, outer).at(s * outer * inner);
                    batched(samples, &mut dw, xs, &g, |s| [d(s), x(s).t(), gv(s)], 1.0, into)
                }
            }
            cx.put(self.w, dw);
        }
        if let Some(b) = self.b.filter(|&b| !self.summed && cx.needs(b)) {
            let rows = g.len() / cx.samples(b);
            let sums = g.chunks(rows.max(1)).flat_map(|g| par::column_sums(g, outer)).collect();
            cx.give(b, sums);
        }
        if cx.needs(self.x) {
            let (mut dx, held) = cx.slot(self.x);
            let into = if held { Into::Add } else { Into::Set };
            let views = [View::new(n, inner), View::new(n, outer), self.weight().t()];
            product(&mut dx, &g, cx.value(self.w), views, 1.0, into);
            cx.put(self.x, dx);
        }
        cx.recycle(g);
    }
}
