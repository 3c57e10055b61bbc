//! Reverse mode over coarse operations: each computes its value when it is put on the tape and
//! carries a hand-written backward.
//!
//! Gradients are finished in reverse order: when the walk reaches a variable, everything that used
//! it has been walked, so its gradient is final and can be handed out and dropped (streaming).

mod backward;

pub use backward::Backward;

use super::Dims;
use super::device::{Held, Session};
use super::pool::Pool;
use super::real::Real;
use super::stored::Stored;
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
pub type Grad<R> = Stored<R>;

struct Node<R: Real> {
    value: Stored<R>,
    dims: Dims,
    op: Option<Box<dyn Op<R>>>,
    needs: bool,
    /// Gradients that are kept apart, one per sample; 1 where they are added.
    samples: usize,
}

/// The recorded operations and their values.
pub struct Tape<R: Real> {
    nodes: Vec<Node<R>>,
    grads: Vec<Option<Grad<R>>>,
    pool: Pool<R>,
    /// Where operations run that a device has kernels for.
    session: Option<Arc<dyn Session>>,
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
            node.value.release(&mut self.pool);
        }
        self.pool.bequeath();
    }
}

impl<R: Real> Tape<R> {
    /// An empty tape; with `record` false nothing can be differentiated.
    pub fn new(record: bool) -> Self {
        Tape {
            nodes: Vec::new(),
            grads: Vec::new(),
            pool: Pool::inherit(),
            session: None,
            record,
            tangents: false,
            cancellation: None,
        }
    }

    /// Lets operations run on a device from now on.
    pub fn reside(&mut self, session: Option<Arc<dyn Session>>) {
        self.session = session;
    }

    /// The device's session, where operations may run on one.
    pub fn session(&self) -> Option<Arc<dyn Session>> {
        self.session.clone()
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
            value: Stored::shared(value),
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
        self.add(Node { value: Stored::own(value), dims: dims.into(), op: None, needs: false, samples: 1 })
    }

    /// Records an operation whose value is computed; `needs` is true where an input needs a gradient.
    pub fn push(&mut self, dims: &[usize], value: Vec<R>, needs: bool, op: impl Op<R> + 'static) -> Var {
        debug_assert_eq!(dims.iter().product::<usize>(), value.len());
        self.record(dims, Stored::own(value), needs, op)
    }

    /// The same for a value on a device.
    pub fn push_held(&mut self, dims: &[usize], value: Held, needs: bool, op: impl Op<R> + 'static) -> Var {
        debug_assert_eq!(dims.iter().product::<usize>(), value.len());
        self.record(dims, Stored::away(value), needs, op)
    }

    fn record(&mut self, dims: &[usize], value: Stored<R>, needs: bool, op: impl Op<R> + 'static) -> Var {
        let needs = needs && self.record;
        let op: Option<Box<dyn Op<R>>> = if needs { Some(Box::new(op)) } else { None };
        self.add(Node { value, dims: dims.into(), op, needs, samples: 1 })
    }

    fn add(&mut self, node: Node<R>) -> Var {
        self.nodes.push(node);
        self.grads.push(None);
        Var(self.nodes.len() - 1)
    }

    /// The elements of a variable.
    pub fn value(&self, v: Var) -> &[R] {
        &self.nodes[v.0].value
    }

    /// The elements of a variable on the device of `session`.
    pub fn held(&self, v: Var, session: &dyn Session) -> Held {
        self.nodes[v.0].value.held(session)
    }

    /// The elements of a variable, shared with the tape where it made them.
    pub fn share(&mut self, v: Var) -> Arc<Vec<R>> {
        self.nodes[v.0].value.share()
    }

    /// Number of its elements.
    pub fn len(&self, v: Var) -> usize {
        self.nodes[v.0].dims.iter().product()
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
        self.grads[from.0] = Some(Stored::own(vec![R::of(scale); self.len(from)]));
        for i in (0..=from.0).rev() {
            let op = self.nodes[i].op.take();
            if let Some(mut g) = self.grads[i].take() {
                done(Var(i), &mut g);
                let mut cx = Backward { tape: self, node: Var(i) };
                match op {
                    Some(op) => op.backward(g, &mut cx),
                    None => cx.recycle(g),
                }
            }
            std::mem::take(&mut self.nodes[i].value).release(&mut self.pool);
        }
    }
}
