//! Strided batched products as cuBLAS wants them.

use super::error::CudaError;
use crate::tensor::gemm::{Into, View};
use crate::tensor::offload::Group;
use cudarc::cublas::CudaBlas;
use cudarc::cublas::result::{CublasError, gemm_strided_batched_ex};
use cudarc::cublas::sys::{cublasComputeType_t, cublasGemmAlgo_t, cublasOperation_t, cudaDataType_t};
use half::{bf16, f16};
use std::ffi::c_void;

/// A number type of cuBLAS.
pub trait Number: bytemuck::Pod {
    /// Its name there.
    const TYPE: cudaDataType_t;
}
impl Number for f16 {
    const TYPE: cudaDataType_t = cudaDataType_t::CUDA_R_16F;
}
impl Number for bf16 {
    const TYPE: cudaDataType_t = cudaDataType_t::CUDA_R_16BF;
}

/// A number type that products are summed in.
pub trait Sum: Number {
    /// Its name.
    const COMPUTE: cublasComputeType_t;
    /// A constant.
    fn of(x: f64) -> Self;
}
impl Number for f32 {
    const TYPE: cudaDataType_t = cudaDataType_t::CUDA_R_32F;
}
impl Sum for f32 {
    const COMPUTE: cublasComputeType_t = cublasComputeType_t::CUBLAS_COMPUTE_32F;
    fn of(x: f64) -> Self {
        x as f32
    }
}
impl Number for f64 {
    const TYPE: cudaDataType_t = cudaDataType_t::CUDA_R_64F;
}
impl Sum for f64 {
    const COMPUTE: cublasComputeType_t = cublasComputeType_t::CUBLAS_COMPUTE_64F;
    fn of(x: f64) -> Self {
        x
    }
}

/// An error of cuBLAS.
pub fn blas_error(e: CublasError) -> CudaError {
    CudaError::Launch { kernel: "cuBLAS".into(), message: format!("{e:?}") }
}

/// A factor as cuBLAS wants it: columns contiguous.
#[derive(Clone, Copy, Debug)]
struct Factor {
    /// Is it the right factor of our product?
    right: bool,
    op: cublasOperation_t,
    offset: usize,
    lead: i32,
    stride: i64,
}

/// A call of cuBLAS for a group.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    factors: [Factor; 2],
    /// m, n, k.
    sizes: [i32; 3],
    offset: usize,
    lead: i32,
    stride: i64,
    count: i32,
}

/// Is a matrix stored by columns (or may be seen so), and the distance of its columns; by rows, that
/// of its rows. None where neither is contiguous.
fn storage(v: &View) -> Option<(bool, i32)> {
    let lead = |distance: usize, length: usize| i32::try_from(distance.max(length).max(1)).ok();
    if v.cs == 1 && (v.rs >= v.cols || v.rows <= 1) {
        Some((false, lead(v.rs, v.cols)?))
    } else if v.rs == 1 && (v.cs >= v.rows || v.cols <= 1) {
        Some((true, lead(v.cs, v.rows)?))
    } else {
        None
    }
}

impl Call {
    /// None where the layout is not one that cuBLAS knows.
    pub fn new(g: &Group) -> Option<Call> {
        let [d, a, b] = g.views;
        let int = |n: usize| i32::try_from(n).ok();
        let (by_columns, lead) = storage(&d)?;
        let factor = |right: bool, v: &View, stride: usize, transposed: bool| {
            let (columns, lead) = storage(v)?;
            let op = match columns == transposed {
                true => cublasOperation_t::CUBLAS_OP_T,
                false => cublasOperation_t::CUBLAS_OP_N,
            };
            Some(Factor { right, op, offset: v.offset, lead, stride: stride as i64 })
        };
        // A destination by rows is its transpose by columns, and (a b)' = b' a'.
        let (factors, sizes) = match by_columns {
            true => (
                [factor(false, &a, g.strides[1], false)?, factor(true, &b, g.strides[2], false)?],
                [int(d.rows)?, int(d.cols)?, int(a.cols)?],
            ),
            false => (
                [factor(true, &b, g.strides[2], true)?, factor(false, &a, g.strides[1], true)?],
                [int(d.cols)?, int(d.rows)?, int(a.cols)?],
            ),
        };
        let (offset, stride, count) = (d.offset, g.strides[0] as i64, int(g.count)?);
        Some(Call { factors, sizes, offset, lead, stride, count })
    }
    /// Starts the product on the stream of `blas`, with destination and factors at three addresses;
    /// factors are of type `T`, sums and destination of type `S`.
    ///
    /// # Errors
    /// When cuBLAS refuses it.
    ///
    /// # Safety
    /// The group's views lie in the memory at the addresses, and the destination meets no factor.
    pub unsafe fn start<T: Number, S: Sum>(
        &self,
        blas: &CudaBlas,
        [dst, a, b]: [u64; 3],
        alpha: f64,
        into: Into,
    ) -> Result<(), CudaError> {
        let [first, second] = self.factors;
        let at = |base: u64, offset: usize, size: usize| (base + (offset * size) as u64) as *mut c_void;
        let base = |f: &Factor| at(if f.right { b } else { a }, f.offset, size_of::<T>()).cast_const();
        let (alpha, beta) = (S::of(alpha), S::of(if into == Into::Add { 1.0 } else { 0.0 }));
        // SAFETY: the caller's.
        unsafe {
            gemm_strided_batched_ex(
                *blas.handle(),
                first.op,
                second.op,
                self.sizes[0],
                self.sizes[1],
                self.sizes[2],
                (&raw const alpha).cast::<c_void>(),
                base(&first),
                T::TYPE,
                first.lead,
                first.stride,
                base(&second),
                T::TYPE,
                second.lead,
                second.stride,
                (&raw const beta).cast::<c_void>(),
                at(dst, self.offset, size_of::<S>()),
                S::TYPE,
                self.lead,
                self.stride,
                self.count,
                S::COMPUTE,
                cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(blas_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cuBLAS defines, on columns.
    fn gemm(c: &Call, a: &[f64], b: &[f64], dst: &mut [f64]) {
        let [m, n, k] = c.sizes.map(|x| x as usize);
        let read = |f: &Factor, p: usize, i: usize, j: usize| {
            let (i, j) = if f.op == cublasOperation_t::CUBLAS_OP_T { (j, i) } else { (i, j) };
            let x = if f.right { b } else { a };
            x[f.offset + p * f.stride as usize + i + j * f.lead as usize]
        };
        for p in 0..c.count as usize {
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let [x, y] = &c.factors;
                let sum = (0..k).map(|l| read(x, p, i, l) * read(y, p, l, j)).sum();
                dst[c.offset + p * c.stride as usize + i + j * c.lead as usize] = sum;
            }
        }
    }

    #[test]
    fn calls_compute_the_product_in_every_layout() {
        let (m, k, n) = (3, 5, 4);
        let layouts = |rows: usize, cols: usize| [View::new(rows, cols), View::new(cols, rows).t()];
        let numbers = |n: usize, s: usize| (0..n).map(|i| ((i * 37 + s) % 11) as f64).collect::<Vec<f64>>();
        let (a, b) = (numbers(2 * m * k, 1), numbers(2 * k * n, 2));
        for (dv, av, bv) in layouts(m, n)
            .into_iter()
            .flat_map(|d| layouts(m, k).into_iter().flat_map(move |a| layouts(k, n).map(move |b| (d, a, b))))
        {
            let g = Group { views: [dv, av, bv], strides: [m * n, m * k, k * n], count: 2 };
            let (mut got, mut want) = (vec![0.0; 2 * m * n], vec![0.0; 2 * m * n]);
            gemm(&Call::new(&g).unwrap(), &a, &b, &mut got);
            for i in 0..2 {
                let views = [dv.at(i * m * n), av.at(i * m * k), bv.at(i * k * n)];
                crate::tensor::gemm::product(&mut want, &a, &b, views, 1.0, Into::Set);
            }
            assert_eq!(got, want, "{g:?}");
        }
        let scattered = View { offset: 0, rows: 2, cols: 2, rs: 4, cs: 2 };
        assert!(Call::new(&Group { views: [scattered; 3], strides: [0; 3], count: 1 }).is_none());
    }
}
