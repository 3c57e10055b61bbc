// y = scale a b, element for element; a, b or both may be null, which is 1. Any grid; n elements. y may be
// a or b.
#include "model.cuh"

template <class T> __device__ void multiply(const T* a, const T* b, T* y, float scale, unsigned n) {
  for (unsigned e = blockIdx.x * blockDim.x + threadIdx.x; e < n; e += gridDim.x * blockDim.x) {
    float x = scale;
    if (a) x *= widen(a[e]);
    if (b) x *= widen(b[e]);
    y[e] = narrow<T>(x);
  }
}
#define PARAMETERS(T) (const T* a, const T* b, T* y, float scale, unsigned n)
FOR_EACH_TYPE(multiply, PARAMETERS, (a, b, y, scale, n))
