// What passes over tensors share: element types, 16-byte loads, and merging of reduction states
// across a warp. No CUDA header is needed, so the compiler library alone compiles it.

#ifndef CUDAEMU // a test's emulator brings its own conversions
struct __half {
  unsigned short bits;
};
struct __nv_bfloat16 {
  unsigned short bits;
};
__device__ __forceinline__ float __half2float(__half h) {
  float f;
  asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h.bits));
  return f;
}
__device__ __forceinline__ __half __float2half_rn(float f) {
  __half h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(f));
  return h;
}
__device__ __forceinline__ float __bfloat162float(__nv_bfloat16 h) {
  return __uint_as_float((unsigned)h.bits << 16);
}
__device__ __forceinline__ __nv_bfloat16 __float2bfloat16_rn(float f) {
  __nv_bfloat16 h;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h.bits) : "f"(f));
  return h;
}
#endif

typedef long long i64;

// Elements that a thread takes at once: 16 bytes of half precision, 32 of single.
constexpr unsigned VECTOR = 8;

__device__ __forceinline__ double widen(double x) { return x; }
__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ float widen(__half x) { return __half2float(x); }
__device__ __forceinline__ float widen(__nv_bfloat16 x) { return __bfloat162float(x); }

__device__ __forceinline__ double not_a_number() { return __longlong_as_double(0x7ff8000000000000LL); }
// Rounding may take a sum of squares below 0; NaN stays NaN.
__device__ __forceinline__ double nonnegative(double x) { return x < 0 ? 0 : x; }

// out[0..8] = p[e..e + 8]; p + e is aligned to 16 bytes, and so is out.
template <class T> __device__ __forceinline__ void load(const T* p, unsigned e, T* out) {
  const uint4* from = reinterpret_cast<const uint4*>(p + e);
  uint4* to = reinterpret_cast<uint4*>(out);
#pragma unroll
  for (unsigned k = 0; k < sizeof(T) * VECTOR / 16; k++) to[k] = from[k];
}

// p[e..e + 8] = in[0..8], aligned in the same way.
template <class T> __device__ __forceinline__ void store(const T* in, T* p, unsigned e) {
  const uint4* from = reinterpret_cast<const uint4*>(in);
  uint4* to = reinterpret_cast<uint4*>(p + e);
#pragma unroll
  for (unsigned k = 0; k < sizeof(T) * VECTOR / 16; k++) to[k] = from[k];
}

// Merges the states of a warp's lanes, in an order that depends on nothing; lane 0 has the result.
template <class P> __device__ __forceinline__ void merge_warp(const P& p, double* s) {
#pragma unroll
  for (unsigned offset = 16; offset > 0; offset >>= 1) {
    double t[P::PLACES + 1];
#pragma unroll
    for (unsigned k = 0; k < P::PLACES; k++) t[k] = __shfl_down_sync(0xffffffffu, s[k], offset);
    p.merge(s, t);
  }
}
