// A pass written by hand, as the generator writes them: SNIP's sum |w g| over f32 weights and bf16
// gradients. It makes each skeleton a complete file.

struct Pass {
  // Words of a job: elements, blocks or rows, length and inner size of a reduced axis, partial
  // states, then what the pass itself needs: where tensors are, and numbers.
  static constexpr unsigned STRIDE = 8, PLACES = 1;
  const float* x0;
  const __nv_bfloat16* x1;
  double* r0;

  __device__ Pass(unsigned char* arena, const i64* job)
      : x0((const float*)(arena + job[5])), x1((const __nv_bfloat16*)(arena + job[6])), r0((double*)(arena + job[7])) {}
  // The state of no elements.
  __device__ __forceinline__ void init(double* s) const { s[0] = 0; }
  // Takes one element in.
  __device__ __forceinline__ void element(unsigned, float v0, __nv_bfloat16 v1, double* s) const {
    s[0] += fabs(widen(v0) * widen(v1));
  }
  // Takes element e in.
  __device__ __forceinline__ void one(unsigned e, double* s) const { element(e, x0[e], x1[e], s); }
  // Takes elements e to e + 8 in; e is a multiple of 8.
  __device__ __forceinline__ void eight(unsigned e, double* s) const {
    __align__(16) float v0[VECTOR];
    __align__(16) __nv_bfloat16 v1[VECTOR];
    load(x0, e, v0), load(x1, e, v1);
#pragma unroll
    for (unsigned j = 0; j < VECTOR; j++) element(e + j, v0[j], v1[j], s);
  }
  // Merges the state t of later elements into s.
  static __device__ __forceinline__ void merge(double* s, const double* t) { s[0] += t[0]; }
  // Writes result `at` of a reduction of n elements.
  __device__ void finish(const double* s, double, unsigned at) const { r0[at] = s[0]; }
};
