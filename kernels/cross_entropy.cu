// Negative log-likelihood of a target per row of logits, -log softmax(x)[target], and its gradient.
// Rows whose target is 0xffffffff give 0. A block per row; sums in f64.
#include "model.cuh"

constexpr unsigned IGNORE = 0xffffffffu;

template <class T> __device__ double log_sum_exp(const T* x, unsigned width, double* sums, float* tops) {
  float top = -__int_as_float(0x7f800000);
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x) top = fmaxf(top, widen(x[c]));
  top = block_max(top, tops);
  double sum = 0;
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x) sum += expf(widen(x[c]) - top);
  return log(block_sum(sum, sums)) + top;
}

// Also keeps log(sum(exp(x))) of each row for the backward pass.
template <class T>
__device__ void cross_entropy(const T* x, const unsigned* targets, float* loss, float* normaliser, unsigned width) {
  __shared__ double sums[32];
  __shared__ float tops[32];
  const T* row = x + (i64)blockIdx.x * width;
  const double z = log_sum_exp(row, width, sums, tops);
  if (threadIdx.x > 0) return;
  const unsigned target = targets[blockIdx.x];
  normaliser[blockIdx.x] = (float)z;
  loss[blockIdx.x] = target == IGNORE ? 0 : (float)(z - widen(row[target]));
}
#define FORWARD(T) (const T* x, const unsigned* targets, float* loss, float* normaliser, unsigned width)
FOR_EACH_TYPE(cross_entropy, FORWARD, (x, targets, loss, normaliser, width))

// dx = (softmax(x) - onehot(target)) g, g the gradient of each row's loss.
template <class T>
__device__ void cross_entropy_backward(const T* x, const unsigned* targets, const float* normaliser, const float* g,
                                       T* dx, unsigned width) {
  const i64 row = (i64)blockIdx.x * width;
  const unsigned target = targets[blockIdx.x];
  const float z = normaliser[blockIdx.x], by = target == IGNORE ? 0 : g[blockIdx.x];
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x)
    dx[row + c] = narrow<T>((expf(widen(x[row + c]) - z) - (c == target ? 1 : 0)) * by);
}
#define BACKWARD(T) (const T* x, const unsigned* targets, const float* normaliser, const float* g, T* dx, unsigned width)
FOR_EACH_TYPE(cross_entropy_backward, BACKWARD, (x, targets, normaliser, g, dx, width))
