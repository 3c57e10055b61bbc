// Transposes and the splitting of heads; both are their own backward passes, the other way round.
#include "model.cuh"

// y[b, j, i] = x[b, i, j] for matrices of `rows` by `cols`, through tiles in shared memory so that
// reads and writes both run along memory. A grid of (column tiles, row tiles, batch), 256 threads.
template <class T> __device__ void transpose(const T* x, T* y, unsigned rows, unsigned cols) {
  __shared__ float tile[32][33];
  const unsigned lane = threadIdx.x % 32, line = threadIdx.x / 32;
  const unsigned left = blockIdx.x * 32, top = blockIdx.y * 32;
  const i64 base = (i64)blockIdx.z * rows * cols;
  for (unsigned r = line; r < 32; r += 8)
    if (top + r < rows && left + lane < cols) tile[r][lane] = widen(x[base + (i64)(top + r) * cols + left + lane]);
  __syncthreads();
  for (unsigned c = line; c < 32; c += 8)
    if (left + c < cols && top + lane < rows) y[base + (i64)(left + c) * rows + top + lane] = narrow<T>(tile[lane][c]);
}
#define MATRICES(T) (const T* x, T* y, unsigned rows, unsigned cols)
FOR_EACH_TYPE(transpose, MATRICES, (x, y, rows, cols))

// [batch, a, b, each] to [batch, b, a, each]: heads of [batch, seq, heads, width] and back.
template <class T> __device__ void swap_axes(const T* x, T* y, unsigned n, unsigned a, unsigned b, unsigned each) {
  for (unsigned e = blockIdx.x * blockDim.x + threadIdx.x; e < n; e += gridDim.x * blockDim.x) {
    const unsigned d = e % each, i = e / each % a, j = e / (each * a) % b, batch = e / (each * a * b);
    y[e] = x[(((i64)batch * a + i) * b + j) * each + d];
  }
}
#define AXES(T) (const T* x, T* y, unsigned n, unsigned a, unsigned b, unsigned each)
FOR_EACH_TYPE(swap_axes, AXES, (x, y, n, a, b, each))
