// y = act(x + b) over rows of `width` features, and its gradients. `act`: 0 none, 1 ReLU, 2 GELU
// (exact), 3 GELU (tanh approximation), 4 SiLU. Any grid for values; sums over rows as in layer_norm.cu.
#include "model.cuh"

__device__ __forceinline__ float activate(float x, int act) {
  switch (act) {
    case 1: return x < 0 ? 0 : x;
    case 2: return 0.5f * x * (1 + erff(x * 0.70710678f));
    case 3: return 0.5f * x * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case 4: return x / (1 + expf(-x));
    default: return x;
  }
}

__device__ __forceinline__ float slope(float x, int act) {
  switch (act) {
    case 1: return x > 0 ? 1 : 0;
    case 2: return 0.5f * (1 + erff(x * 0.70710678f)) + x * 0.39894228f * expf(-0.5f * x * x);
    case 3: {
      const float t = tanhf(0.79788456f * (x + 0.044715f * x * x * x));
      return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.79788456f * (1 + 0.134145f * x * x);
    }
    case 4: {
      const float s = 1 / (1 + expf(-x));
      return s * (1 + x * (1 - s));
    }
    default: return 1;
  }
}

// `b` may be null, y may be x.
template <class T>
__device__ void bias_activation(const T* x, const float* b, T* y, unsigned n, unsigned width, int act) {
  for (unsigned e = blockIdx.x * blockDim.x + threadIdx.x; e < n; e += gridDim.x * blockDim.x)
    y[e] = narrow<T>(activate(widen(x[e]) + (b ? b[e % width] : 0), act));
}
#define FORWARD(T) (const T* x, const float* b, T* y, unsigned n, unsigned width, int act)
FOR_EACH_TYPE(bias_activation, FORWARD, (x, b, y, n, width, act))

// dx = dy act'(x + b).
template <class T>
__device__ void bias_activation_backward(const T* x, const float* b, const T* dy, T* dx, unsigned n, unsigned width,
                                         int act) {
  for (unsigned e = blockIdx.x * blockDim.x + threadIdx.x; e < n; e += gridDim.x * blockDim.x)
    dx[e] = narrow<T>(widen(dy[e]) * slope(widen(x[e]) + (b ? b[e % width] : 0), act));
}
#define BACKWARD(T) (const T* x, const float* b, const T* dy, T* dx, unsigned n, unsigned width, int act)
FOR_EACH_TYPE(bias_activation_backward, BACKWARD, (x, b, dy, dx, n, width, act))

// db[c] = sum over rows of dx: a block takes 32 columns, 8 rows at a time. The grid's second axis counts
// runs of `rows` rows, each of which has sums of its own.
template <class T> __device__ void column_sums(const T* dx, float* db, unsigned rows, unsigned width) {
  __shared__ double part[8][32];
  const unsigned lane = threadIdx.x % 32, y = threadIdx.x / 32, c = blockIdx.x * 32 + lane;
  const unsigned first = blockIdx.y * rows;
  double sum = 0;
  if (c < width)
    for (unsigned r = first + y; r < first + rows; r += 8) sum += widen(dx[(i64)r * width + c]);
  part[y][lane] = sum;
  __syncthreads();
  if (y > 0 || c >= width) return;
  for (unsigned k = 1; k < 8; k++) sum += part[k][lane];
  db[(i64)blockIdx.y * width + c] = (float)sum;
}
#define SUMS(T) (const T* dx, float* db, unsigned rows, unsigned width)
FOR_EACH_TYPE(column_sums, SUMS, (dx, db, rows, width))
