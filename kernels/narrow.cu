// y = x in another type, for products of half precision. Any grid; n elements.
#include "model.cuh"

template <class T> __device__ void narrowed(const float* x, T* y, unsigned n) {
  for (unsigned e = blockIdx.x * blockDim.x + threadIdx.x; e < n; e += gridDim.x * blockDim.x) y[e] = narrow<T>(x[e]);
}
#define PARAMETERS(T) (const float* x, T* y, unsigned n)
FOR_EACH_TYPE(narrowed, PARAMETERS, (x, y, n))
