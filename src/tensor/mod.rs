//! Dense row-major tensors: what models hand out, captures store and engines read.
//!
//! A [`Tensor`] is immutable and cheap to clone (the elements are shared). Elements keep the type
//! they were captured in; engines widen them while reading. The differentiable tape that the models
//! run on is in `tape`; it hands its results out as [`Tensor`]s.

pub mod device;
pub mod fast;
pub mod file;
pub mod gemm;
pub mod nn;
pub mod offload;
pub mod par;
mod pool;
pub mod real;
mod shared;
pub mod simd;
pub mod stored;
pub mod tape;
mod tile;
pub mod write;

pub use shared::Shared;

use half::{bf16, f16};
use smallvec::SmallVec;

/// Sizes of the axes, outermost first. Rank 0 (no axes) is a number.
pub type Dims = SmallVec<[usize; 4]>;

/// Element type of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
}

/// Shared elements of one type.
#[derive(Clone, Debug)]
pub enum Data {
    /// Double precision.
    F64(Shared<f64>),
    /// Single precision.
    F32(Shared<f32>),
    /// Half precision.
    F16(Shared<f16>),
    /// bfloat16.
    Bf16(Shared<bf16>),
}

/// An immutable dense tensor, row-major.
#[derive(Clone, Debug)]
pub struct Tensor {
    dims: Dims,
    data: Data,
}

/// Element types a [`Tensor`] can be made of.
pub trait Element: bytemuck::Pod + Send + Sync {
    /// The dtype tag of this type.
    const DTYPE: Dtype;
    /// Wraps shared elements.
    fn wrap(data: Shared<Self>) -> Data;
    /// The elements, where `data` holds this type.
    fn unwrap(data: &Data) -> Option<&[Self]>;
    /// Widens to f64, exactly.
    fn to_f64(self) -> f64;
}

macro_rules! element {
    ($t:ty, $variant:ident, $widen:expr) => {
        impl Element for $t {
            const DTYPE: Dtype = Dtype::$variant;
            fn wrap(data: Shared<Self>) -> Data {
                Data::$variant(data)
            }
            fn unwrap(data: &Data) -> Option<&[Self]> {
                match data {
                    Data::$variant(d) => Some(d),
                    _ => None,
                }
            }
            fn to_f64(self) -> f64 {
                $widen(self)
            }
        }
    };
}
element!(f64, F64, |x| x);
element!(f32, F32, f64::from);
element!(f16, F16, f64::from);
// As vectors can do it, which the crate's conversion is not.
element!(bf16, Bf16, |x: bf16| f64::from(f32::from_bits(u32::from(x.to_bits()) << 16)));

impl Tensor {
    /// A tensor over `data`, which must hold as many elements as `dims` say.
    ///
    /// # Panics
    /// When the number of elements differs: a fault in the calling code, never in a user's input.
    pub fn new<T: Element>(dims: &[usize], data: impl Into<Shared<T>>) -> Self {
        Tensor::shared(dims, data.into())
    }

    /// A tensor over shared elements.
    ///
    /// # Panics
    /// As [`Tensor::new`].
    pub fn shared<T: Element>(dims: &[usize], data: Shared<T>) -> Self {
        assert_eq!(dims.iter().product::<usize>(), data.len(), "elements of a tensor {dims:?}");
        Tensor { dims: dims.into(), data: T::wrap(data) }
    }

    /// A number.
    pub fn number(x: f64) -> Self {
        Tensor::new(&[], vec![x])
    }

    /// Sizes of the axes.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.dims.iter().product()
    }

    /// Bytes of the elements.
    pub fn bytes(&self) -> usize {
        let size = match self.data {
            Data::F64(_) => 8,
            Data::F32(_) => 4,
            Data::F16(_) | Data::Bf16(_) => 2,
        };
        self.numel() * size
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        match self.data {
            Data::F64(_) => Dtype::F64,
            Data::F32(_) => Dtype::F32,
            Data::F16(_) => Dtype::F16,
            Data::Bf16(_) => Dtype::Bf16,
        }
    }

    /// The shared elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The elements, where they are of type `T`.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::unwrap(&self.data)
    }

    /// Every element widened to f64.
    pub fn to_f64(&self) -> Vec<f64> {
        fn widen<T: Element>(d: &[T]) -> Vec<f64> {
            d.iter().map(|&x| x.to_f64()).collect()
        }
        match &self.data {
            Data::F64(d) => widen(&d[..]),
            Data::F32(d) => widen(&d[..]),
            Data::F16(d) => widen(&d[..]),
            Data::Bf16(d) => widen(&d[..]),
        }
    }

    /// The value of a rank-0 tensor (or of any tensor of one element).
    pub fn item(&self) -> Option<f64> {
        (self.numel() == 1).then(|| self.to_f64()[0])
    }

    /// The same elements under other sizes (of equal product).
    ///
    /// # Panics
    /// When the products differ: a fault in the calling code.
    pub fn reshape(&self, dims: &[usize]) -> Self {
        assert_eq!(dims.iter().product::<usize>(), self.numel(), "reshape to {dims:?}");
        Tensor { dims: dims.into(), data: self.data.clone() }
    }
}
