// What the models' kernels share: narrowing to the stored type, and sums of a block that come out
// the same in every run (a fixed tree, in f64).
#include "element.cuh"

template <class T> __device__ __forceinline__ T narrow(float x);
template <> __device__ __forceinline__ float narrow<float>(float x) { return x; }
template <> __device__ __forceinline__ __half narrow<__half>(float x) { return __float2half_rn(x); }
template <> __device__ __forceinline__ __nv_bfloat16 narrow<__nv_bfloat16>(float x) { return __float2bfloat16_rn(x); }

// The sum of v over the block, for every thread; `shared` has room for a number per warp.
__device__ __forceinline__ double block_sum(double v, double* shared) {
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = v;
  __syncthreads();
  double total = 0;
  for (unsigned w = 0; w < blockDim.x / 32; w++) total += shared[w];
  __syncthreads();
  return total;
}

// The largest v of the block, for every thread.
__device__ __forceinline__ float block_max(float v, float* shared) {
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, o));
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = v;
  __syncthreads();
  float top = shared[0];
  for (unsigned w = 1; w < blockDim.x / 32; w++) top = fmaxf(top, shared[w]);
  __syncthreads();
  return top;
}

// Most threads of a block.
constexpr unsigned MODEL_THREADS = 256;

// Makes `name_f32`, `name_f16` and `name_bf16` of a device function template.
#define FOR_EACH_TYPE(name, PARAMETERS, ARGUMENTS)                                                       \
  extern "C" __global__ void __launch_bounds__(MODEL_THREADS) name##_f32 PARAMETERS(float) { name<float> ARGUMENTS; } \
  extern "C" __global__ void __launch_bounds__(MODEL_THREADS) name##_f16 PARAMETERS(__half) { name<__half> ARGUMENTS; } \
  extern "C" __global__ void __launch_bounds__(MODEL_THREADS) name##_bf16 PARAMETERS(__nv_bfloat16) {     \
    name<__nv_bfloat16> ARGUMENTS;                                                                       \
  }
