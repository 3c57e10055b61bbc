// Softmax over rows of `width` elements, x scaled first: attention probabilities. Row r is query
// r % queries; where `causal` is 1 it sees keys 0 to r % queries + width - queries only, the others
// get 0. A block per row; sums in f64.
#include "model.cuh"

__device__ __forceinline__ unsigned visible(unsigned row, unsigned width, unsigned queries, int causal) {
  return causal ? row % queries + 1 + width - queries : width;
}

template <class T>
__device__ void softmax(const T* x, T* y, unsigned width, unsigned queries, float scale, int causal) {
  __shared__ double sums[32];
  __shared__ float tops[32];
  const i64 row = (i64)blockIdx.x * width;
  const unsigned n = visible(blockIdx.x, width, queries, causal);
  float top = -__int_as_float(0x7f800000);
  for (unsigned c = threadIdx.x; c < n; c += blockDim.x) top = fmaxf(top, scale * widen(x[row + c]));
  top = block_max(top, tops);
  double sum = 0;
  for (unsigned c = threadIdx.x; c < n; c += blockDim.x) sum += expf(scale * widen(x[row + c]) - top);
  const float over = (float)(1 / block_sum(sum, sums));
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x)
    y[row + c] = narrow<T>(c < n ? expf(scale * widen(x[row + c]) - top) * over : 0);
}
#define FORWARD(T) (const T* x, T* y, unsigned width, unsigned queries, float scale, int causal)
FOR_EACH_TYPE(softmax, FORWARD, (x, y, width, queries, scale, causal))

// dx = scale y (dy - sum(dy y)); masked elements have y = 0 and get 0.
template <class T> __device__ void softmax_backward(const T* y, const T* dy, T* dx, unsigned width, float scale) {
  __shared__ double sums[32];
  const i64 row = (i64)blockIdx.x * width;
  double dot = 0;
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x) dot += (double)widen(y[row + c]) * widen(dy[row + c]);
  dot = block_sum(dot, sums);
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x)
    dx[row + c] = narrow<T>((float)(scale * widen(y[row + c]) * (widen(dy[row + c]) - dot)));
}
#define BACKWARD(T) (const T* y, const T* dy, T* dx, unsigned width, float scale)
FOR_EACH_TYPE(softmax_backward, BACKWARD, (y, dy, dx, width, scale))
