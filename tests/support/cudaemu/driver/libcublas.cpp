// A stand-in for cuBLAS: strided batched products as its reference manual defines them, queued on the
// stream of the stand-in for the driver. f32 products sum in f32, from the first term on.
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API extern "C" __attribute__((visibility("default"))) int
struct Handle {
  void *stream;
};
struct Call {
  int ta, tb, m, n, k, lda, ldb, ldc, count, type;
  long long sa, sb, sc;
  double alpha, beta;
  const void *a, *b;
  void *c;
};

struct Bf16 {
  uint16_t bits;
  operator float() const {
    uint32_t wide = uint32_t(bits) << 16;
    float f;
    return memcpy(&f, &wide, 4), f;
  }
};

struct F16 {
  uint16_t bits;
  operator float() const {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const float x = exponent == 31 ? (fraction ? NAN : INFINITY)
                    : exponent     ? ldexpf(float(1024 + fraction), exponent - 25)
                                   : ldexpf(float(fraction), -24);
    return bits >> 15 ? -x : x;
  }
};

// Factors of type F; sums and destination of type T.
template <class F, class T> static void compute(const Call &q) {
  for (int p = 0; p < q.count; p++) {
    const F *a = static_cast<const F *>(q.a) + p * q.sa, *b = static_cast<const F *>(q.b) + p * q.sb;
    T *c = static_cast<T *>(q.c) + p * q.sc;
    for (int j = 0; j < q.n; j++)
      for (int i = 0; i < q.m; i++) {
        T sum = 0;
        for (int l = 0; l < q.k; l++)
          sum += T(q.ta ? a[l + (long long)i * q.lda] : a[i + (long long)l * q.lda]) *
                 T(q.tb ? b[j + (long long)l * q.ldb] : b[l + (long long)j * q.ldb]);
        T &out = c[i + (long long)j * q.ldc];
        out = T(q.alpha) * sum + (q.beta == 0 ? T(0) : T(q.beta) * out);
      }
  }
}
static void run(void *p) {
  Call *q = static_cast<Call *>(p);
  switch (q->type) {
    case 0: compute<float, float>(*q); break;
    case 2: compute<F16, float>(*q); break;
    case 14: compute<Bf16, float>(*q); break;
    default: compute<double, double>(*q);
  }
  delete q;
}

API cublasCreate_v2(Handle **h) { return *h = new Handle{nullptr}, 0; }
API cublasDestroy_v2(Handle *h) { return delete h, 0; }
API cublasSetStream_v2(Handle *h, void *s) { return h->stream = s, 0; }
API cublasGemmStridedBatchedEx(Handle *h, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int at,
                               int lda, long long sa, const void *b, int bt, int ldb, long long sb, const void *beta,
                               void *c, int ct, int ldc, long long sc, int count, int, int) {
  if (lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m) return 7; // CUBLAS_STATUS_INVALID_VALUE
  // Both in single or double precision, or in half (2) or bfloat16 (14) into single.
  const bool narrow = at == 2 || at == 14;
  if (at != bt || ct != (narrow ? 0 : at) || (at > 1 && !narrow)) return 15; // CUBLAS_STATUS_NOT_SUPPORTED
  auto number = [&](const void *x) { return ct == 0 ? double(*static_cast<const float *>(x)) : *static_cast<const double *>(x); };
  typedef void (*Push)(void *, void (*)(void *), void *);
  static Push push = Push(dlsym(dlopen("libcuda.so", RTLD_NOW | RTLD_NOLOAD), "fakecuda_push"));
  if (!push) return 1;
  push(h->stream, run, new Call{ta, tb, m, n, k, lda, ldb, ldc, count, at, sa, sb, sc, number(alpha), number(beta), a, b, c});
  static const bool say = getenv("FAKECUDA_TRACE");
  if (say) fprintf(stderr, "cublas%s %dx%dx%d %d\n", at == 14 ? " bf16" : at == 2 ? " f16" : "", m, n, k, count);
  return 0;
}
