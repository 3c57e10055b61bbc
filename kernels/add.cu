// y = a + scale b, element for element (residual connections, accumulation of gradients), 16-byte
// loads. Any grid; n elements.
#include "model.cuh"

template <class T> __device__ void add(const T* a, const T* b, T* y, float scale, unsigned n) {
  const unsigned step = gridDim.x * blockDim.x * VECTOR;
  for (unsigned e = (blockIdx.x * blockDim.x + threadIdx.x) * VECTOR; e < n; e += step) {
    if (n - e >= VECTOR) {
      __align__(16) T u[VECTOR], v[VECTOR];
      load(a, e, u), load(b, e, v);
#pragma unroll
      for (unsigned j = 0; j < VECTOR; j++) u[j] = narrow<T>(widen(u[j]) + scale * widen(v[j]));
      store(u, y, e);
    } else {
      for (unsigned k = e; k < n; k++) y[k] = narrow<T>(widen(a[k]) + scale * widen(b[k]));
    }
  }
}
#define PARAMETERS(T) (const T* a, const T* b, T* y, float scale, unsigned n)
FOR_EACH_TYPE(add, PARAMETERS, (a, b, y, scale, n))
