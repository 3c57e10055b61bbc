// Layer normalisation (Ba, Kiros and Hinton, 2016): y = (x - mean) / sqrt(var + eps) w + b over the
// last axis. A block per row; means and variances in f64, in two passes over the row.
#include "model.cuh"

// Also keeps mean and 1 / sqrt(var + eps) of each row for the backward pass.
template <class T>
__device__ void layer_norm(const T* x, const float* w, const float* b, T* y, float* mean, float* scale, unsigned width,
                           float eps) {
  __shared__ double shared[32];
  const i64 row = (i64)blockIdx.x * width;
  double sum = 0;
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x) sum += widen(x[row + c]);
  const double m = block_sum(sum, shared) / width;
  double squares = 0;
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x) {
    const double d = widen(x[row + c]) - m;
    squares += d * d;
  }
  const double s = 1.0 / sqrt(block_sum(squares, shared) / width + eps);
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x)
    y[row + c] = narrow<T>((float)((widen(x[row + c]) - m) * s) * w[c] + b[c]);
  if (threadIdx.x == 0) mean[blockIdx.x] = (float)m, scale[blockIdx.x] = (float)s;
}
#define FORWARD(T)                                                                                      \
  (const T* x, const float* w, const float* b, T* y, float* mean, float* scale, unsigned width, float eps)
FOR_EACH_TYPE(layer_norm, FORWARD, (x, w, b, y, mean, scale, width, eps))

// dx = s (g - mean(g) - n mean(g n)) with g = dy w and n the normalised row. A block per row. `sizes`, where
// it is not null, gets two sums of squares per row: of dx / s, and of g, from which it is what remains.
template <class T>
__device__ void layer_norm_backward(const T* x, const float* w, const T* dy, const float* mean, const float* scale,
                                    T* dx, double* sizes, unsigned width) {
  __shared__ double shared[32];
  const i64 row = (i64)blockIdx.x * width;
  const double m = mean[blockIdx.x], s = scale[blockIdx.x];
  double sum = 0, dot = 0;
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x) {
    const double g = (double)widen(dy[row + c]) * w[c];
    sum += g;
    dot += g * ((widen(x[row + c]) - m) * s);
  }
  sum = block_sum(sum, shared) / width;
  dot = block_sum(dot, shared) / width;
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x) {
    const double g = (double)widen(dy[row + c]) * w[c], n = (widen(x[row + c]) - m) * s;
    dx[row + c] = narrow<T>((float)(s * (g - sum - n * dot)));
  }
  if (!sizes) return; // for the whole block
  double left = 0, all = 0;
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x) {
    const double g = (double)widen(dy[row + c]) * w[c], d = g - sum - (widen(x[row + c]) - m) * s * dot;
    left += d * d, all += g * g;
  }
  left = block_sum(left, shared), all = block_sum(all, shared);
  if (threadIdx.x == 0) sizes[2 * blockIdx.x] = left, sizes[2 * blockIdx.x + 1] = all;
}
#define BACKWARD(T)                                                                                     \
  (const T* x, const float* w, const T* dy, const float* mean, const float* scale, T* dx, double* sizes, \
   unsigned width)
FOR_EACH_TYPE(layer_norm_backward, BACKWARD, (x, w, dy, mean, scale, dx, sizes, width))

// dw[c] = sum over rows of dy n, db[c] = sum over rows of dy: a block takes 32 columns, 8 rows at a time.
// The grid's second axis counts runs of `rows` rows, each of which has sums of its own.
template <class T>
__device__ void layer_norm_parameters(const T* x, const T* dy, const float* mean, const float* scale, float* dw,
                                      float* db, unsigned rows, unsigned width) {
  __shared__ double part[2][8][32];
  const unsigned lane = threadIdx.x % 32, y = threadIdx.x / 32, c = blockIdx.x * 32 + lane;
  const unsigned first = blockIdx.y * rows;
  double weight = 0, bias = 0;
  if (c < width)
    for (unsigned r = first + y; r < first + rows; r += 8) {
      const double g = widen(dy[(i64)r * width + c]);
      weight += g * ((widen(x[(i64)r * width + c]) - (double)mean[r]) * scale[r]);
      bias += g;
    }
  part[0][y][lane] = weight, part[1][y][lane] = bias;
  __syncthreads();
  if (y > 0 || c >= width) return;
  for (unsigned k = 1; k < 8; k++) weight += part[0][k][lane], bias += part[1][k][lane];
  const i64 to = (i64)blockIdx.y * width + c;
  dw[to] = (float)weight, db[to] = (float)bias;
}
#define SUMS(T)                                                                                         \
  (const T* x, const T* dy, const float* mean, const float* scale, float* dw, float* db, unsigned rows, unsigned width)
FOR_EACH_TYPE(layer_norm_parameters, SUMS, (x, dy, mean, scale, dw, db, rows, width))
