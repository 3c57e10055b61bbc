// Convolutions along the sequence, zeros beyond its ends (ConvBERT's dynamic span convolution, Jiang
// et al., 2020). Tensors are [batch, seq, width]; `size` taps, centred. Any grid for values.
#include "model.cuh"

// The row that tap `t` of row `s` reads, or -1 beyond the ends.
__device__ __forceinline__ int tap(int s, int t, int size, int seq) {
  const int at = s + t - size / 2;
  return at >= 0 && at < seq ? at : -1;
}

// y[b, s, f] = sum_t x[b, s + t - size/2, f] w[f, t]; where `flip` is 1, s - t + size/2 (the gradient of x).
template <class T>
__device__ void depthwise(const T* x, const float* w, T* y, unsigned n, int seq, unsigned width, int size, int flip) {
  for (unsigned e = blockIdx.x * blockDim.x + threadIdx.x; e < n; e += gridDim.x * blockDim.x) {
    const unsigned f = e % width, row = e / width, s = row % seq, base = row - s;
    float sum = 0;
    for (int t = 0; t < size; t++) {
      const int at = flip ? s - t + size / 2 : s + t - size / 2;
      if (at >= 0 && at < seq) sum += widen(x[(i64)(base + at) * width + f]) * w[f * size + t];
    }
    y[e] = narrow<T>(sum);
  }
}
#define FORWARD(T) (const T* x, const float* w, T* y, unsigned n, int seq, unsigned width, int size, int flip)
FOR_EACH_TYPE(depthwise, FORWARD, (x, w, y, n, seq, width, size, flip))

// dw[f, t] = sum over rows of dy x, a block per (f, t).
template <class T>
__device__ void depthwise_weights(const T* x, const T* dy, float* dw, unsigned rows, int seq, unsigned width, int size) {
  __shared__ double shared[32];
  const unsigned f = blockIdx.x / size;
  const int t = blockIdx.x % size;
  double sum = 0;
  for (unsigned row = threadIdx.x; row < rows; row += blockDim.x) {
    const int s = row % seq, at = tap(s, t, size, seq);
    if (at >= 0) sum += (double)widen(dy[(i64)row * width + f]) * widen(x[(i64)(row - s + at) * width + f]);
  }
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) dw[blockIdx.x] = (float)sum;
}
#define WEIGHTS(T) (const T* x, const T* dy, float* dw, unsigned rows, int seq, unsigned width, int size)
FOR_EACH_TYPE(depthwise_weights, WEIGHTS, (x, dy, dw, rows, seq, width, size))

// y[b, s, h, j] = sum_t x[b, s + t - size/2, h, j] k[b, s, h, t]: every position with a kernel of its own.
template <class T>
__device__ void dynamic_mix(const T* x, const T* k, T* y, unsigned n, int seq, unsigned heads, unsigned each, int size) {
  for (unsigned e = blockIdx.x * blockDim.x + threadIdx.x; e < n; e += gridDim.x * blockDim.x) {
    const unsigned row = e / (heads * each), h = e / each % heads, s = row % seq;
    float sum = 0;
    for (int t = 0; t < size; t++) {
      const int at = tap(s, t, size, seq);
      if (at >= 0) sum += widen(x[e + (i64)(at - (int)s) * heads * each]) * widen(k[((i64)row * heads + h) * size + t]);
    }
    y[e] = narrow<T>(sum);
  }
}
#define MIX(T) (const T* x, const T* k, T* y, unsigned n, int seq, unsigned heads, unsigned each, int size)
FOR_EACH_TYPE(dynamic_mix, MIX, (x, k, y, n, seq, heads, each, size))

// dx[b, s, h, j] = sum_t dy[b, s - t + size/2, h, j] k[b, s - t + size/2, h, t].
template <class T>
__device__ void dynamic_mix_inputs(const T* k, const T* dy, T* dx, unsigned n, int seq, unsigned heads, unsigned each,
                                   int size) {
  for (unsigned e = blockIdx.x * blockDim.x + threadIdx.x; e < n; e += gridDim.x * blockDim.x) {
    const unsigned row = e / (heads * each), h = e / each % heads, s = row % seq;
    float sum = 0;
    for (int t = 0; t < size; t++) {
      const int from = (int)s - t + size / 2;
      if (from < 0 || from >= seq) continue;
      const i64 move = from - (int)s;
      sum += widen(dy[e + move * heads * each]) * widen(k[((row + move) * heads + h) * size + t]);
    }
    dx[e] = narrow<T>(sum);
  }
}
#define INPUTS(T) (const T* k, const T* dy, T* dx, unsigned n, int seq, unsigned heads, unsigned each, int size)
FOR_EACH_TYPE(dynamic_mix_inputs, INPUTS, (k, dy, dx, n, seq, heads, each, size))

// dk[b, s, h, t] = sum_j dy[b, s, h, j] x[b, s + t - size/2, h, j], n elements of dk.
template <class T>
__device__ void dynamic_mix_kernels(const T* x, const T* dy, T* dk, unsigned n, int seq, unsigned heads, unsigned each,
                                    int size) {
  for (unsigned e = blockIdx.x * blockDim.x + threadIdx.x; e < n; e += gridDim.x * blockDim.x) {
    const int t = e % size;
    const unsigned h = e / size % heads, row = e / (size * heads), s = row % seq;
    const int at = tap(s, t, size, seq);
    double sum = 0;
    if (at >= 0)
      for (unsigned j = 0; j < each; j++)
        sum += (double)widen(dy[((i64)row * heads + h) * each + j]) *
               widen(x[((i64)(row - s + at) * heads + h) * each + j]);
    dk[e] = narrow<T>((float)sum);
  }
}
#define KERNELS(T) (const T* x, const T* dy, T* dk, unsigned n, int seq, unsigned heads, unsigned each, int size)
FOR_EACH_TYPE(dynamic_mix_kernels, KERNELS, (x, dy, dk, n, seq, heads, each, size))
