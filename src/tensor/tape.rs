//! Reverse mode over coarse operations: each computes its value when it is put on the tape and
//! carries a hand-written backward.
//!
//! Gradients are finished in reverse order: when the walk reaches a variable, everything that used
//! it has been walked, so its gradient is final and can be handed out and dropped (streaming).

use super::Dims;
use super::par;
use super::pool::Pool;
use super::real::Real;
use std::sync::Arc;

/// A variable: index of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Var(pub(crate) usize);

/// One recorded operation. Shapes and indices are kept by the operation; values of its inputs are
/// read from the tape.
pub trait Op<R: Real>: Send {
    /// Pushes the gradient `g` of its output to its inputs.
    fn backward(self: Box<Self>, g: Grad<R>, cx: &mut Backward<'_, R>);
}

/// A final gradient; reads like a slice.
pub enum Grad<R> {
    /// The tape's own.
    Own(Vec<R>),
    /// Somebody observes it.
    Seen(Arc<Vec<R>>),
}

impl<R> std::ops::Deref for Grad<R> {
    type Target = [R];
    fn deref(&self) -> &[R] {
        match self {
            Grad::Own(g) => g,
            Grad::Seen(g) => g,
        }
    }
}

impl<R> Grad<R> {
    /// The elements, shared with the tape.
    pub fn share(&mut self) -> Arc<Vec<R>> {
        if let Grad::Own(g) = self {
            *self = Grad::Seen(Arc::new(std::mem::take(g)));
        }
        match self {
            Grad::Seen(g) => g.clone(),
            Grad::Own(_) => Arc::default(),
        }
    }
}

enum Value<R> {
    Own(Vec<R>),
    /// Somebody observes it.
    Seen(Arc<Vec<R>>),
    Shared(Arc<[R]>),
}

struct Node<R: Real> {
    value: Value<R>,
    dims: Dims,
    op: Option<Box<dyn Op<R>>>,
    needs: bool,
    /// Gradients that are kept apart, one per sample; 1 where they are added.
    samples: usize,
}

/// The recorded operations and their values.
pub struct Tape<R: Real> {
    nodes: Vec<Node<R>>,
    grads: Vec<Option<Vec<R>>>,
    pool: Pool<R>,
    record: bool,
    /// Of the gradients of parameters only tangents are wanted; values may be left out.
    pub tangents: bool,
    /// Set by the normalisation nearest to the objective during `backward`: size of what it passed
    /// on relative to what its terms were before they cancelled.
    pub cancellation: Option<f64>,
}

impl<R: Real> Drop for Tape<R> {
    fn drop(&mut self) {
        for node in std::mem::take(&mut self.nodes) {
            self.pool.release(node.value);
        }
        self.pool.bequeath();
    }
}

impl<R: Real> Pool<R> {
    /// Keeps the buffer of a value that nobody else holds.
    fn release(&mut self, value: Value<R>) {
        match value {
            Value::Own(x) => self.give(x),
            Value::Seen(x) => Arc::try_unwrap(x).into_iter().for_each(|x| self.give(x)),
            Value::Shared(_) => {}
        }
    }
}

impl<R: Real> Tape<R> {
    /// An empty tape; with `record` false nothing can be differentiated.
    pub fn new(record: bool) -> Self {
        Tape {
            nodes: Vec::new(),
            grads: Vec::new(),
            pool: Pool::inherit(),
            record,
            tangents: false,
            cancellation: None,
        }
    }

    /// A buffer of `n` elements with arbitrary contents.
    pub fn buffer(&mut self, n: usize) -> Vec<R> {
        self.pool.take(n)
    }

    /// Returns a buffer.
    pub fn recycle(&mut self, buffer: Vec<R>) {
        self.pool.give(buffer);
    }

    /// A leaf over shared elements; `needs` asks for its gradient.
    pub fn leaf(&mut self, dims: &[usize], value: Arc<[R]>, needs: bool) -> Var {
        debug_assert_eq!(dims.iter().product::<usize>(), value.len());
        self.add(Node {
            value: Value::Shared(value),
            dims: dims.into(),
            op: None,
            needs: needs && self.record,
            samples: 1,
        })
    }

    /// Keeps the gradients of a leaf apart by sample, where the rows of what uses it are `samples` runs
    /// of equal length: its gradient is then as many tensors, one after the other. The operations that
    /// can do so are `linear`, `layer_norm`, `add_table` and `gather`.
    pub fn apart(&mut self, v: Var, samples: usize) {
        self.nodes[v.0].samples = samples;
    }

    /// A constant.
    pub fn constant(&mut self, dims: &[usize], value: Vec<R>) -> Var {
        debug_assert_eq!(dims.iter().product::<usize>(), value.len());
        self.add(Node { value: Value::Own(value), dims: dims.into(), op: None, needs: false, samples: 1 })
    }

    /// Records an operation whose value is computed; `needs` is true where an input needs a gradient.
    pub fn push(&mut self, dims: &[usize], value: Vec<R>, needs: bool, op: impl Op<R> + 'static) -> Var {
        debug_assert_eq!(dims.iter().product::<usize>(), value.len());
        let needs = needs && self.record;
        let op: Option<Box<dyn Op<R>>> = if needs { Some(Box::new(op)) } else { None };
        self.add(Node { value: Value::Own(value), dims: dims.into(), op, needs, samples: 1 })
    }

    fn add(&mut self, node: Node<R>) -> Var {
        self.nodes.push(node);
        self.grads.push(None);
        Var(self.nodes.len() - 1)
    }

    /// The elements of a variable.
    pub fn value(&self, v: Var) -> &[R] {
        match &self.nodes[v.0].value {
            Value::Own(x) => x,
            Value::Seen(x) => x,
            Value::Shared(x) => x,
        }
    }

    /// The elements of a variable, shared with the tape where it made them.
    pub fn share(&mut self, v: Var) -> Arc<Vec<R>> {
        let value = &mut self.nodes[v.0].value;
        if let Value::Own(x) = value {
            *value = Value::Seen(Arc::new(std::mem::take(x)));
        }
        match value {
            Value::Seen(x) => x.clone(),
            Value::Own(x) => Arc::new(x.clone()),
            Value::Shared(x) => Arc::new(x.to_vec()),
        }
    }

    /// Its sizes.
    pub fn dims(&self, v: Var) -> &[usize] {
        &self.nodes[v.0].dims
    }

    /// Size of its last axis.
    pub fn width(&self, v: Var) -> usize {
        self.nodes[v.0].dims.last().copied().unwrap_or(1)
    }

    /// Number of its rows: the product of all sizes but the last.
    pub fn rows(&self, v: Var) -> usize {
        let d = &self.nodes[v.0].dims;
        d[..d.len().saturating_sub(1)].iter().product()
    }

    /// Does it have a gradient?
    pub fn needs(&self, v: Var) -> bool {
        self.nodes[v.0].needs
    }

    /// Asks for the gradient of a variable that no parameter with a gradient leads to.
    pub fn require(&mut self, v: Var) {
        self.nodes[v.0].needs |= self.record;
    }

    /// Walks back from `scale` times the number `from`, calling `done` with every variable whose gradient
    /// is final. The tape is used up.
    pub fn backward(&mut self, from: Var, scale: f64, done: &mut dyn FnMut(Var, &mut Grad<R>)) {
        if !self.nodes[from.0].needs {
            return;
        }
        let n = self.value(from).len();
        self.grads[from.0] = Some(vec![R::of(scale); n]);
        for i in (0..=from.0).rev() {
            let op = self.nodes[i].op.take();
            if let Some(g) = self.grads[i].take() {
                let mut g = Grad::Own(g);
                done(Var(i), &mut g);
                let mut cx = Backward { tape: self, node: Var(i) };
                match op {
                    Some(op) => op.backward(g, &mut cx),
                    None => cx.recycle(g),
                }
            }
            let value = std::mem::replace(&mut self.nodes[i].value, Value::Own(Vec::new()));
            self.pool.release(value);
        }
    }
}

/// What an operation sees while it pushes its gradient back.
pub struct Backward<'a, R: Real> {
    tape: &'a mut Tape<R>,
    node: Var,
}

impl<R: Real> Backward<'_, R> {
    /// Value of an input.
    pub fn value(&self, v: Var) -> &[R] {
        self.tape.value(v)
    }
    /// Value of the output.
    pub fn output(&self) -> &[R] {
        self.tape.value(self.node)
    }
    /// Is the gradient of this input wanted?
    pub fn needs(&self, v: Var) -> bool {
        self.tape.needs(v)
    }
    /// Are the tangents of parameters' gradients enough?
    pub fn tangents(&self) -> bool {
        self.tape.tangents
    }
    /// How many gradients of this input are kept apart.
    pub fn samples(&self, v: Var) -> usize {
        self.tape.nodes[v.0].samples
    }
    /// A buffer with arbitrary contents.
    pub fn buffer(&mut self, n: usize) -> Vec<R> {
        self.tape.pool.take(n)
    }
    /// Returns a buffer.
    pub fn reuse(&mut self, buffer: Vec<R>) {
        self.tape.pool.give(buffer);
    }
    /// Returns the buffer of a gradient.
    pub fn recycle(&mut self, g: Grad<R>) {
        match g {
            Grad::Own(g) => self.tape.pool.give(g),
            Grad::Seen(g) => self.tape.pool.release(Value::Seen(g)),
        }
    }
    /// The gradient to write to: itself, or a copy where it is observed.
    pub fn own(&mut self, g: Grad<R>) -> Vec<R> {
        match g {
            Grad::Own(g) => g,
            Grad::Seen(g) => {
                let mut own = self.tape.pool.take(g.len());
                par::copy(&mut own, &g);
                own
            }
        }
    }
    /// The buffer of an input that nothing walked after this operation reads; `None` where it is observed
    /// or not the tape's own.
    pub fn take_value(&mut self, v: Var) -> Option<Vec<R>> {
        match &mut self.tape.nodes[v.0].value {
            Value::Own(x) => Some(std::mem::take(x)),
            _ => None,
        }
    }
    /// Adds a copy of `g` to the gradient of `v`.
    pub fn add(&mut self, v: Var, g: &[R]) {
        if !self.tape.needs(v) {
            return;
        }
        match &mut self.tape.grads[v.0] {
            Some(sum) => par::add(sum, g),
            slot => {
                let mut own = self.tape.pool.take(g.len());
                par::copy(&mut own, g);
                *slot = Some(own);
            }
        }
    }
    /// Adds `g` to the gradient of `v`.
    pub fn give(&mut self, v: Var, g: Vec<R>) {
        if !self.tape.needs(v) {
            self.tape.pool.give(g);
            return;
        }
        match &mut self.tape.grads[v.0] {
            Some(sum) => {
                par::add(sum, &g);
                self.tape.pool.give(g);
            }
            slot => *slot = Some(g),
        }
    }
    /// The gradient of `v` so far, to be written to and put back with [`Self::put`]; the flag says
    /// whether it holds anything (otherwise its contents are arbitrary).
    pub fn slot(&mut self, v: Var) -> (Vec<R>, bool) {
        match self.tape.grads[v.0].take() {
            Some(g) => (g, true),
            None => {
                let n = self.tape.value(v).len() * self.samples(v);
                (self.tape.pool.take(n), false)
            }
        }
    }
    /// The gradient of `v` so far, zeros at first.
    pub fn zeroed(&mut self, v: Var) -> Vec<R> {
        let (mut g, held) = self.slot(v);
        if !held {
            g.fill(R::default());
        }
        g
    }
    /// Puts a gradient back.
    pub fn put(&mut self, v: Var, g: Vec<R>) {
        self.tape.grads[v.0] = Some(g);
    }
    /// Notes how far the terms of a normalisation's gradient cancelled.
    pub fn note_cancellation(&mut self, ratio: f64) {
        self.tape.cancellation.get_or_insert(ratio);
    }
}
