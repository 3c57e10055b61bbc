// Rows by number: of an embedding table, plus the position's row, y[t] = table[id[t]] + position[t % seq]; and
// the other way, y[id[t]] = x[t].
// Forward: a block per token. Backward: tokens are given sorted by id (stably, on the host), so
// that one block sums all gradients of one row, in order and without atomics.
#include "model.cuh"

// `position` may be null. y has `width` columns; one block per token.
template <class T>
__device__ void embedding(const T* table, const T* position, const unsigned* ids, T* y, unsigned width, unsigned seq) {
  const unsigned t = blockIdx.x;
  const i64 row = (i64)ids[t] * width, place = (i64)(t % seq) * width, out = (i64)t * width;
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x) {
    float x = widen(table[row + c]);
    if (position) x += widen(position[place + c]);
    y[out + c] = narrow<T>(x);
  }
}
#define FORWARD(T) (const T* table, const T* position, const unsigned* ids, T* y, unsigned width, unsigned seq)
FOR_EACH_TYPE(embedding, FORWARD, (table, position, ids, y, width, seq))

// Block s adds dy[order[k]] for k in starts[s]..starts[s + 1] to row rows[s] of the gradient.
template <class T>
__device__ void embedding_backward(const T* dy, const unsigned* order, const unsigned* starts, const unsigned* rows,
                                   float* gradient, unsigned width) {
  const unsigned s = blockIdx.x;
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x) {
    double sum = gradient[(i64)rows[s] * width + c];
    for (unsigned k = starts[s]; k < starts[s + 1]; k++) sum += widen(dy[(i64)order[k] * width + c]);
    gradient[(i64)rows[s] * width + c] = (float)sum;
  }
}
#define BACKWARD(T)                                                                                     \
  (const T* dy, const unsigned* order, const unsigned* starts, const unsigned* rows, float* gradient, unsigned width)
FOR_EACH_TYPE(embedding_backward, BACKWARD, (dy, order, starts, rows, gradient, width))

// Writes x[t] to row ids[t] of y; no two ids are equal. A block per row of x.
template <class T> __device__ void scatter(const T* x, const unsigned* ids, T* y, unsigned width) {
  const i64 to = (i64)ids[blockIdx.x] * width, from = (i64)blockIdx.x * width;
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x) y[to + c] = x[from + c];
}
#define SCATTER(T) (const T* x, const unsigned* ids, T* y, unsigned width)
FOR_EACH_TYPE(scatter, SCATTER, (x, ids, y, width))
