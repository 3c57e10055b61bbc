// A stand-in for cuBLAS: strided batched products as its reference manual defines them, queued on the
// stream of the stand-in for the driver. f32 products sum in f32, from the first term on.
#include <dlfcn.h>
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

template <class T> static void compute(const Call &q) {
  for (int p = 0; p < q.count; p++) {
    const T *a = static_cast<const T *>(q.a) + p * q.sa, *b = static_cast<const T *>(q.b) + p * q.sb;
    T *c = static_cast<T *>(q.c) + p * q.sc;
    for (int j = 0; j < q.n; j++)
      for (int i = 0; i < q.m; i++) {
        T sum = 0;
        for (int l = 0; l < q.k; l++)
          sum += (q.ta ? a[l + (long long)i * q.lda] : a[i + (long long)l * q.lda]) *
                 (q.tb ? b[j + (long long)l * q.ldb] : b[l + (long long)j * q.ldb]);
        T &out = c[i + (long long)j * q.ldc];
        out = T(q.alpha) * sum + (q.beta == 0 ? T(0) : T(q.beta) * out);
      }
  }
}
static void run(void *p) {
  Call *q = static_cast<Call *>(p);
  q->type == 0 ? compute<float>(*q) : compute<double>(*q);
  delete q;
}

API cublasCreate_v2(Handle **h) { return *h = new Handle{nullptr}, 0; }
API cublasDestroy_v2(Handle *h) { return delete h, 0; }
API cublasSetStream_v2(Handle *h, void *s) { return h->stream = s, 0; }
API cublasGemmStridedBatchedEx(Handle *h, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int at,
                               int lda, long long sa, const void *b, int, int ldb, long long sb, const void *beta,
                               void *c, int, int ldc, long long sc, int count, int, int) {
  if (lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m || at > 1) return 7; // CUBLAS_STATUS_INVALID_VALUE
  auto number = [&](const void *x) { return at == 0 ? double(*static_cast<const float *>(x)) : *static_cast<const double *>(x); };
  typedef void (*Push)(void *, void (*)(void *), void *);
  static Push push = Push(dlsym(dlopen("libcuda.so", RTLD_NOW | RTLD_NOLOAD), "fakecuda_push"));
  if (!push) return 1;
  push(h->stream, run, new Call{ta, tb, m, n, k, lda, ldb, ldc, count, at, sa, sb, sc, number(alpha), number(beta), a, b, c});
  static const bool say = getenv("FAKECUDA_TRACE");
  if (say) fprintf(stderr, "cublas %dx%dx%d %d\n", m, n, k, count);
  return 0;
}
