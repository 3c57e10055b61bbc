//! A backend that runs nothing and keeps what would run: for `lpz explain --cuda`, and for tests
//! that compile what the engine generates.

use super::Cuda;
use super::backend::{Backend, Launch};
use super::choose::How;
use super::error::CudaError;
use crate::engine::Known;
use crate::ir::{Bound, BoundId, BoundNode};
use crate::tensor::{Dtype, Tensor};

/// Keeps launches.
#[derive(Debug, Default)]
pub struct Recorder {
    /// All launches so far.
    pub launches: Vec<Launch>,
}

impl Backend for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }
    fn reserve(&mut self, _: usize) -> Result<(), CudaError> {
        Ok(())
    }
    fn write(&mut self, _: usize, _: &[u8]) -> Result<(), CudaError> {
        Ok(())
    }
    fn launch(&mut self, launch: Launch) -> Result<(), CudaError> {
        self.launches.push(launch);
        Ok(())
    }
    fn read(&mut self, _: usize, into: &mut [u8]) -> Result<(), CudaError> {
        into.fill(0);
        Ok(())
    }
}

/// Leaves of ones.
struct Ones<'a> {
    graph: &'a Bound,
    dtype: Dtype,
}

impl Known for Ones<'_> {
    fn get(&self, node: BoundId) -> Option<Tensor> {
        let shape = &self.graph.shapes[node];
        match &self.graph.nodes[node] {
            BoundNode::Leaf(_) if shape.is_number() => Some(Tensor::number(1.0)),
            BoundNode::Leaf(_) => Some(ones(&shape.dims, shape.numel(), self.dtype)),
            _ => None,
        }
    }
}

fn ones(dims: &[usize], n: usize, dtype: Dtype) -> Tensor {
    match dtype {
        Dtype::F64 => Tensor::new(dims, vec![1.0f64; n]),
        Dtype::F32 => Tensor::new(dims, vec![1.0f32; n]),
        Dtype::F16 => Tensor::new(dims, vec![half::f16::ONE; n]),
        Dtype::Bf16 => Tensor::new(dims, vec![half::bf16::ONE; n]),
    }
}

/// The launches that evaluating `want` comes to, where leaves are of a type.
///
/// # Errors
/// When a row has no CUDA text, or a tensor has too many elements.
pub fn launches(graph: &Bound, want: &[BoundId], dtype: Dtype) -> Result<Vec<Launch>, CudaError> {
    let mut engine = Cuda::new(Recorder::default()).always(How::Generated);
    engine.try_evaluate(graph, want, &Ones { graph, dtype })?;
    Ok(std::mem::take(&mut engine.backend().launches))
}
