// Adaptive softmax (Grave et al., 2017; projected as in Transformer-XL): frequent words are classes
// of the head, each cluster of rare words is one more class of it and has logits of its own, a tail.
//
// Per token t: logits of the head in a row of `width` = shortlist + clusters, its `target` word, the
// `cluster` it is in (0: the shortlist), that cluster's `first` word and `size`, and where (`at`) its
// logits begin among the tails. A block per token.
#include "model.cuh"

template <class T> __device__ double log_sum_exp(const T* x, unsigned width, double* sums, float* tops) {
  float top = -__int_as_float(0x7f800000);
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x) top = fmaxf(top, widen(x[c]));
  top = block_max(top, tops);
  double sum = 0;
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x) sum += expf(widen(x[c]) - top);
  return log(block_sum(sum, sums)) + top;
}

// loss = -log p(target); keeps both normalisers for the backward pass.
template <class T>
__device__ void adaptive_softmax(const T* head, const T* tail, const unsigned* target, const unsigned* cluster,
                                 const unsigned* first, const unsigned* size, const i64* at, float* loss,
                                 float* normaliser, unsigned shortlist, unsigned width) {
  __shared__ double sums[32];
  __shared__ float tops[32];
  const unsigned t = blockIdx.x, group = cluster[t];
  const T* row = head + (i64)t * width;
  const double z = log_sum_exp(row, width, sums, tops);
  const unsigned pick = group == 0 ? target[t] : shortlist + group - 1;
  double nll = z - widen(row[pick]), y = 0;
  if (group > 0) { // the same for the whole block
    const T* words = tail + at[t];
    y = log_sum_exp(words, size[t], sums, tops);
    nll += y - widen(words[target[t] - first[t]]);
  }
  if (threadIdx.x == 0) loss[t] = (float)nll, normaliser[2 * t] = (float)z, normaliser[2 * t + 1] = (float)y;
}
#define FORWARD(T)                                                                                      \
  (const T* head, const T* tail, const unsigned* target, const unsigned* cluster, const unsigned* first, \
   const unsigned* size, const i64* at, float* loss, float* normaliser, unsigned shortlist, unsigned width)
FOR_EACH_TYPE(adaptive_softmax, FORWARD,
              (head, tail, target, cluster, first, size, at, loss, normaliser, shortlist, width))

// Gradients of head and tail logits, g the gradient of each token's loss.
template <class T>
__device__ void adaptive_softmax_backward(const T* head, const T* tail, const unsigned* target, const unsigned* cluster,
                                          const unsigned* first, const unsigned* size, const i64* at,
                                          const float* normaliser, const float* g, T* dhead, T* dtail,
                                          unsigned shortlist, unsigned width) {
  const unsigned t = blockIdx.x, group = cluster[t];
  const i64 row = (i64)t * width;
  const float by = g[t], z = normaliser[2 * t], y = normaliser[2 * t + 1];
  const unsigned pick = group == 0 ? target[t] : shortlist + group - 1;
  for (unsigned c = threadIdx.x; c < width; c += blockDim.x)
    dhead[row + c] = narrow<T>((expf(widen(head[row + c]) - z) - (c == pick ? 1 : 0)) * by);
  if (group == 0) return;
  const i64 from = at[t];
  const unsigned word = target[t] - first[t];
  for (unsigned c = threadIdx.x; c < size[t]; c += blockDim.x)
    dtail[from + c] = narrow<T>((expf(widen(tail[from + c]) - y) - (c == word ? 1 : 0)) * by);
}
#define BACKWARD(T)                                                                                     \
  (const T* head, const T* tail, const unsigned* target, const unsigned* cluster, const unsigned* first, \
   const unsigned* size, const i64* at, const float* normaliser, const float* g, T* dhead, T* dtail,       \
   unsigned shortlist, unsigned width)
FOR_EACH_TYPE(adaptive_softmax_backward, BACKWARD,
              (head, tail, target, cluster, first, size, at, normaliser, g, dhead, dtail, shortlist, width))
