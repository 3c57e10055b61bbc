// A pass that interprets the code of a program, for programs that run too seldom to be worth
// compiling. It stands in every skeleton where the sample stands, does the same operations in the
// same order as the generated pass, and so gives the same bits. What operator numbers mean
// (`apply`, `fold_*`) is generated from the rows and precedes this text.
//
// A job holds, after the skeleton's words, the offset of a description: numbers of streams, repeated
// tensors, stores, reductions, numbers and instructions; then what a generated pass has in its job
// (where streams are; where repeated tensors are, with two sizes each; where results go; numbers);
// element types of streams and repeated tensors; for every reduction its operator, the place of its
// state and two constants; the code.
//
// An instruction is a word. Low half: kind (4 bits), is it double precision (1), 3 unused, slot (8),
// operator or index (16). High half: three operands of 10 bits: a stream, slot or number (2), which (8).

enum Kind { LOAD, SPREAD, WIDEN, MAP, FOLD, STORE };
enum Place { STREAM, SLOT, NUMBER };
enum Type { F64, F32, F16, BF16 };

// The most slots a program may have; the engine generates code for larger ones.
constexpr unsigned SLOTS_F32 = 32, SLOTS_F64 = 16;

struct Pass {
  static constexpr unsigned STRIDE = 6, PLACES = 12;
  unsigned char* arena;
  const i64 *counts, *streams, *alongs, *stores, *reductions, *numbers, *types, *folds, *code;

  __device__ Pass(unsigned char* a, const i64* job) : arena(a), counts((const i64*)(a + job[5])) {
    streams = counts + 6;
    alongs = streams + counts[0];
    stores = alongs + 3 * counts[1];
    reductions = stores + counts[2];
    numbers = reductions + counts[3];
    types = numbers + counts[4];
    folds = types + counts[0] + counts[1];
    code = folds + 4 * counts[3];
  }

  // N elements of a tensor from e on.
  template <class T, unsigned N> __device__ static void fetch(const T* x, unsigned e, T* out) {
    if (N == VECTOR) {
      load(x, e, out);
    } else {
      out[0] = x[e];
    }
  }
  template <class T, class S, unsigned N> __device__ static void widened(const S* x, unsigned e, T* out) {
    __align__(16) S v[N];
    fetch<S, N>(x, e, v);
    for (unsigned j = 0; j < N; j++) out[j] = (T)widen(v[j]);
  }
  template <class T, unsigned N> __device__ void read(unsigned i, unsigned e, T* out) const {
    const unsigned char* x = arena + streams[i];
    switch (types[i]) {
      case F64: return widened<T, double, N>((const double*)x, e, out);
      case F32: return widened<T, float, N>((const float*)x, e, out);
      case F16: return widened<T, __half, N>((const __half*)x, e, out);
      default: return widened<T, __nv_bfloat16, N>((const __nv_bfloat16*)x, e, out);
    }
  }
  // One element of a repeated tensor.
  template <class T> __device__ T along(unsigned i, unsigned e) const {
    const unsigned char* y = arena + alongs[3 * i];
    const unsigned period = (unsigned)alongs[3 * i + 1], inner = (unsigned)alongs[3 * i + 2];
    const unsigned k = e / period * inner + e % inner;
    switch (types[counts[0] + i]) {
      case F64: return (T)((const double*)y)[k];
      case F32: return (T)((const float*)y)[k];
      case F16: return (T)widen(((const __half*)y)[k]);
      default: return (T)widen(((const __nv_bfloat16*)y)[k]);
    }
  }
  template <class T, unsigned N>
  __device__ void operand(unsigned p, unsigned e, const T* slots, T* out) const {
    const unsigned i = p & 255;
    switch (p >> 8 & 3) {
      case STREAM: return fetch<T, N>((const T*)(arena + streams[i]), e, out);
      case SLOT:
        for (unsigned j = 0; j < N; j++) out[j] = slots[i * N + j];
        return;
      default:
        for (unsigned j = 0; j < N; j++) out[j] = (T)__longlong_as_double(numbers[i]);
    }
  }

  // One instruction on N elements; `slots` are those of its own width.
  template <class T, unsigned N>
  __device__ void step(unsigned low, unsigned high, unsigned e, T* slots, const float* narrow, double* s) const {
    const unsigned which = low >> 16, i = high & 255;
    T* to = slots + (low >> 8 & 255) * N;
    __align__(16) T a[N];
    __align__(16) T b[N];
    __align__(16) T c[N];
    switch (low & 15) {
      case LOAD: return read<T, N>(i, e, to);
      case SPREAD:
        for (unsigned j = 0; j < N; j++) to[j] = along<T>(i, e + j);
        return;
      case WIDEN:
        for (unsigned j = 0; j < N; j++) to[j] = narrow[i * N + j];
        return;
      case MAP:
        operand<T, N>(high, e, slots, a);
        operand<T, N>(high >> 10, e, slots, b);
        operand<T, N>(high >> 20, e, slots, c);
#pragma unroll 1
        for (unsigned j = 0; j < N; j++) to[j] = apply<T>(which, a[j], b[j], c[j]);
        return;
      case FOLD: {
        operand<T, N>(high, e, slots, a);
        const unsigned op = (unsigned)folds[4 * which];
        double* state = s + folds[4 * which + 1];
#pragma unroll 1
        for (unsigned j = 0; j < N; j++) fold_push(op, state, a[j]);
        return;
      }
      default: {
        operand<T, N>(high, e, slots, a);
        T* out = (T*)(arena + stores[which]) + e;
        for (unsigned j = 0; j < N; j++) out[j] = a[j];
      }
    }
  }
  template <unsigned N> __device__ void run(unsigned e, double* s) const {
    __align__(16) float f[SLOTS_F32 * N];
    __align__(16) double d[SLOTS_F64 * N];
#pragma unroll 1
    for (unsigned k = 0; k < (unsigned)counts[5]; k++) {
      const i64 word = code[k];
      const unsigned low = (unsigned)word, high = (unsigned)(word >> 32);
      if (low & 16) {
        step<double, N>(low, high, e, d, f, s);
      } else {
        step<float, N>(low, high, e, f, f, s);
      }
    }
  }

  __device__ __forceinline__ void one(unsigned e, double* s) const { run<1>(e, s); }
  __device__ __forceinline__ void eight(unsigned e, double* s) const { run<VECTOR>(e, s); }
  __device__ void init(double* s) const {
    for (unsigned k = 0; k < PLACES; k++) s[k] = 0;
    for (unsigned r = 0; r < (unsigned)counts[3]; r++) fold_init((unsigned)folds[4 * r], s + folds[4 * r + 1]);
  }
  __device__ void merge(double* s, const double* t) const {
    for (unsigned r = 0; r < (unsigned)counts[3]; r++)
      fold_merge((unsigned)folds[4 * r], s + folds[4 * r + 1], t + folds[4 * r + 1]);
  }
  __device__ void finish(const double* s, double n, unsigned at) const {
    for (unsigned r = 0; r < (unsigned)counts[3]; r++) {
      const i64* f = folds + 4 * r;
      ((double*)(arena + reductions[r]))[at] =
          fold_finish((unsigned)f[0], s + f[1], n, __longlong_as_double(f[2]), __longlong_as_double(f[3]));
    }
  }
};
