// The splitting of heads, and columns of matrices; both are their own backward passes, the other way round.
#include "model.cuh"

// [batch, a, b, each] to [batch, b, a, each]: heads of [batch, seq, heads, width] and back.
template <class T> __device__ void swap_axes(const T* x, T* y, unsigned n, unsigned a, unsigned b, unsigned each) {
  for (unsigned e = blockIdx.x * blockDim.x + threadIdx.x; e < n; e += gridDim.x * blockDim.x) {
    const unsigned d = e % each, i = e / each % a, j = e / (each * a) % b, batch = e / (each * a * b);
    y[e] = x[(((i64)batch * a + i) * b + j) * each + d];
  }
}
#define AXES(T) (const T* x, T* y, unsigned n, unsigned a, unsigned b, unsigned each)
FOR_EACH_TYPE(swap_axes, AXES, (x, y, n, a, b, each))

// Copies `width` columns of n / width rows: x has rows of `from` elements and y of `to`. Where columns begin is
// in the addresses.
template <class T>
__device__ void copy_columns(const T* x, T* y, unsigned n, unsigned width, unsigned from, unsigned to) {
  for (unsigned e = blockIdx.x * blockDim.x + threadIdx.x; e < n; e += gridDim.x * blockDim.x) {
    const unsigned row = e / width, c = e % width;
    y[(i64)row * to + c] = x[(i64)row * from + c];
  }
}
#define COLUMNS(T) (const T* x, T* y, unsigned n, unsigned width, unsigned from, unsigned to)
FOR_EACH_TYPE(copy_columns, COLUMNS, (x, y, n, width, from, to))
