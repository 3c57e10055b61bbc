//! Matrix products of the models by cuBLAS. Factors are copied to the device and the result back: a
//! product is handed over only where that is small beside the arithmetic (`tensor::offload`).

use super::Remark;
use super::error::CudaError;
use super::probe::{driver_error, guarded};
use crate::tensor::gemm::{Into, View};
use crate::tensor::offload::{self, Elements, Group, Products};
use cudarc::cublas::CudaBlas;
use cudarc::cublas::result::{CublasError, gemm_strided_batched_ex};
use cudarc::cublas::sys::{
    cublasComputeType_t, cublasGemmAlgo_t, cublasOperation_t, cudaDataType_t, is_culib_present,
};
use cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtr, DevicePtrMut};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Lets large products of the models run on device `ordinal`. Where they cannot, `remark` hears why.
pub fn install(ordinal: usize, remark: Remark) {
    // SAFETY: only opens the library.
    if !unsafe { is_culib_present() } {
        return remark("cuBLAS (libcublas) is not there: models run on the CPU, programs on the device");
    }
    offload::install(Box::new(Blas {
        ordinal,
        remark,
        idle: Mutex::default(),
        failed: AtomicBool::new(false),
    }));
}

/// Products on one device, for any number of threads.
struct Blas {
    ordinal: usize,
    remark: Remark,
    /// States that no thread uses at present.
    idle: Mutex<Vec<State>>,
    failed: AtomicBool,
}

/// A stream with its handle, and memory for a destination and two factors.
struct State {
    stream: Arc<CudaStream>,
    blas: CudaBlas,
    buffers: [Option<CudaSlice<u8>>; 3],
}

impl Products for Blas {
    fn products(&self, elements: Elements<'_>, groups: &[Group], alpha: f64, into: Into) -> bool {
        let Some(calls) = groups.iter().map(Call::new).collect::<Option<Vec<_>>>() else { return false };
        if self.failed.load(Ordering::Relaxed) {
            return false;
        }
        let done = match elements {
            Elements::F32(d, a, b) => self.run(d, [a, b], groups, &calls, alpha as f32, into),
            Elements::F64(d, a, b) => self.run(d, [a, b], groups, &calls, alpha, into),
        };
        if let Err(e) = &done {
            self.failed.store(true, Ordering::Relaxed);
            (self.remark)(&format!("products of the model run on the CPU: {e}"));
        }
        done.is_ok()
    }
}

/// A number type of cuBLAS.
trait Number: bytemuck::Pod {
    const TYPE: cudaDataType_t;
    const COMPUTE: cublasComputeType_t;
    fn of(x: f32) -> Self;
}
impl Number for f32 {
    const TYPE: cudaDataType_t = cudaDataType_t::CUDA_R_32F;
    const COMPUTE: cublasComputeType_t = cublasComputeType_t::CUBLAS_COMPUTE_32F;
    fn of(x: f32) -> Self {
        x
    }
}
impl Number for f64 {
    const TYPE: cudaDataType_t = cudaDataType_t::CUDA_R_64F;
    const COMPUTE: cublasComputeType_t = cublasComputeType_t::CUBLAS_COMPUTE_64F;
    fn of(x: f32) -> Self {
        x.into()
    }
}

impl Blas {
    fn run<T: Number>(
        &self,
        dst: &mut [T],
        [a, b]: [&[T]; 2],
        groups: &[Group],
        calls: &[Call],
        alpha: T,
        into: Into,
    ) -> Result<(), CudaError> {
        let idle = self.idle.lock().ok().and_then(|mut all| all.pop());
        let mut state = match idle {
            Some(state) => state,
            None => guarded(|| State::new(self.ordinal))?,
        };
        guarded(|| state.run(dst, [a, b], groups, calls, alpha, into))?;
        if let Ok(mut all) = self.idle.lock() {
            all.push(state);
        }
        Ok(())
    }
}

fn blas_error(e: CublasError) -> CudaError {
    CudaError::Launch { kernel: "cuBLAS".into(), message: format!("{e:?}") }
}

impl State {
    fn new(ordinal: usize) -> Result<Self, CudaError> {
        let context = CudaContext::new(ordinal).map_err(driver_error)?;
        // SAFETY: everything of a state happens on its one stream.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(driver_error)?;
        let blas = CudaBlas::new(stream.clone()).map_err(blas_error)?;
        Ok(State { stream, blas, buffers: [const { None }; 3] })
    }

    fn run<T: Number>(
        &mut self,
        dst: &mut [T],
        [a, b]: [&[T]; 2],
        groups: &[Group],
        calls: &[Call],
        alpha: T,
        into: Into,
    ) -> Result<(), CudaError> {
        self.upload(1, bytemuck::cast_slice(a))?;
        self.upload(2, bytemuck::cast_slice(b))?;
        // What is not overwritten comes back as it was.
        let whole = |g: &Group| g.count == 1 && g.views[0].rows * g.views[0].cols == dst.len();
        match into == Into::Set && groups.iter().any(whole) {
            true => self.room(0, size_of_val(dst))?,
            false => self.upload(0, bytemuck::cast_slice(dst))?,
        }
        for call in calls {
            self.call(call, alpha, T::of(if into == Into::Add { 1.0 } else { 0.0 }))?;
        }
        let n = size_of_val(dst);
        let result = self.buffers[0].as_ref().and_then(|x| x.try_slice(..n));
        let result = result.ok_or(CudaError::OutOfMemory { bytes: n })?;
        // The destination is written only once everything went well.
        let mut back = vec![0u8; n];
        self.stream.memcpy_dtoh(&result, &mut back).map_err(driver_error)?;
        self.stream.synchronize().map_err(driver_error)?;
        bytemuck::cast_slice_mut::<T, u8>(dst).copy_from_slice(&back);
        Ok(())
    }

    fn room(&mut self, which: usize, bytes: usize) -> Result<(), CudaError> {
        if self.buffers[which].as_ref().is_none_or(|x| x.len() < bytes) {
            self.buffers[which] = None;
            self.stream.synchronize().map_err(driver_error)?;
            // SAFETY: products read only what is uploaded or overwritten first.
            let made = unsafe { self.stream.alloc::<u8>(bytes) };
            self.buffers[which] = Some(made.map_err(|e| super::device::out_of_memory(e, bytes))?);
        }
        Ok(())
    }

    fn upload(&mut self, which: usize, bytes: &[u8]) -> Result<(), CudaError> {
        self.room(which, bytes.len())?;
        let place = self.buffers[which].as_mut().and_then(|x| x.try_slice_mut(..bytes.len()));
        let mut place = place.ok_or(CudaError::OutOfMemory { bytes: bytes.len() })?;
        self.stream.memcpy_htod(bytes, &mut place).map_err(driver_error)
    }

    fn call<T: Number>(&mut self, c: &Call, alpha: T, beta: T) -> Result<(), CudaError> {
        let [dst, a, b] = &mut self.buffers;
        let (Some(dst), Some(a), Some(b)) = (dst, a, b) else {
            return Err(CudaError::OutOfMemory { bytes: 0 });
        };
        let ((dst, _d), (a, _a), (b, _b)) =
            (dst.device_ptr_mut(&self.stream), a.device_ptr(&self.stream), b.device_ptr(&self.stream));
        let at = |base: u64, offset: usize| (base + (offset * size_of::<T>()) as u64) as *mut c_void;
        let [first, second] = c.factors;
        let base = |f: &Factor| at(if f.right { b } else { a }, f.offset).cast_const();
        let (alpha, beta) = ((&raw const alpha).cast::<c_void>(), (&raw const beta).cast::<c_void>());
        // SAFETY: the views lie in slices that were copied whole; sizes were checked by `gemm`.
        unsafe {
            gemm_strided_batched_ex(
                *self.blas.handle(),
                first.op,
                second.op,
                c.sizes[0],
                c.sizes[1],
                c.sizes[2],
                alpha,
                base(&first),
                T::TYPE,
                first.lead,
                first.stride,
                base(&second),
                T::TYPE,
                second.lead,
                second.stride,
                beta,
                at(dst, c.offset),
                T::TYPE,
                c.lead,
                c.stride,
                c.count,
                T::COMPUTE,
                cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(blas_error)
    }
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
struct Call {
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
    fn new(g: &Group) -> Option<Call> {
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
