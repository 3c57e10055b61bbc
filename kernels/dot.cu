// The sum of a b (or of a, where b is null), in f64 and in an order that the grid alone decides: blocks
// leave partial sums, which one block adds up.
#include "model.cuh"

template <class T> __device__ void dot_parts(const T* a, const T* b, double* parts, unsigned n) {
  __shared__ double shared[32];
  double sum = 0;
  for (unsigned e = blockIdx.x * blockDim.x + threadIdx.x; e < n; e += gridDim.x * blockDim.x)
    sum += (double)widen(a[e]) * (b ? widen(b[e]) : 1);
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}
#define PARTS(T) (const T* a, const T* b, double* parts, unsigned n)
FOR_EACH_TYPE(dot_parts, PARTS, (a, b, parts, n))

template <class T> __device__ void dot_total(const double* parts, T* y, unsigned n) {
  __shared__ double shared[32];
  double sum = 0;
  for (unsigned e = threadIdx.x; e < n; e += blockDim.x) sum += parts[e];
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) y[0] = narrow<T>((float)sum);
}
#define TOTAL(T) (const double* parts, T* y, unsigned n)
FOR_EACH_TYPE(dot_total, TOTAL, (parts, y, n))
