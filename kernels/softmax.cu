// Softmax over rows of `width` elements, x scaled first: attention probabilities. Row r is query
// r % queries. `mask` 0: it sees all keys. 1 (causal): keys 0 to r % queries + width - queries only, the
// others get 0. 2 (flipped): later keys have the score 1e4 instead of their own. A block per row; sums in
// f64. y may be x.
#include "model.cuh"

constexpr float FLIPPED = 1e4f;

__device__ __forceinline__ unsigned visible(unsigned row, unsigned width, unsigned queries, int mask) {
  return mask ? row % queries + 1 + width - queries : width;
}

template <class T>
__device__ void softmax(const T* x, T* y, unsigned width, unsigned queries, float scale, int mask) {
  __shared__ double sums[32];
  __shared__ float tops[32];
  const i64 row = (i64)blockIdx.x * width;
  const unsigned n = visible(blockIdx.x, width, queries, mask);
  const bool flipped = mask == 2 && n < width;
  float top = flipped ? FLIPPED : -__int_as_float(0x7f800000);
  for (unsigned c = threadIdx.x; c < n; c += blockDim.x) top = fmaxf(top, scale * widen(x[row + c]));
  top = block_max(top, tops);
  double sum = 0;
  for (unsigned c = threadIdx.x; c < n; c += blockDim.x) sum += expf(scale * widen(x[row + c]) - top);
  sum = block_sum(sum, sums);
  const float later = flipped ? expf(FLIPPED - top) : 0;
  const float over = (float)(1 / (sum + (double)later * (width - n)));
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x)
    y[row + c] = narrow<T>((c < n ? expf(scale * widen(x[row + c]) - top) : later) * over);
}
#define FORWARD(T) (const T* x, T* y, unsigned width, unsigned queries, float scale, int mask)
FOR_EACH_TYPE(softmax, FORWARD, (x, y, width, queries, scale, mask))

// dx = scale y (dy - sum(dy y)), and 0 where a key was not seen. dx may be dy.
template <class T>
__device__ void softmax_backward(const T* y, const T* dy, T* dx, unsigned width, unsigned queries, float scale,
                                 int mask) {
  __shared__ double sums[32];
  const i64 row = (i64)blockIdx.x * width;
  const unsigned n = visible(blockIdx.x, width, queries, mask);
  double dot = 0;
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x) dot += (double)widen(y[row + c]) * widen(dy[row + c]);
  dot = block_sum(dot, sums);
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x)
    dx[row + c] = narrow<T>(c < n ? (float)(scale * widen(y[row + c]) * (widen(dy[row + c]) - dot)) : 0);
}
#define BACKWARD(T) (const T* y, const T* dy, T* dx, unsigned width, unsigned queries, float scale, int mask)
FOR_EACH_TYPE(softmax_backward, BACKWARD, (y, dy, dx, width, queries, scale, mask))
