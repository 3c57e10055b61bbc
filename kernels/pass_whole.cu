// Skeleton of passes over whole tensors: an elementwise chain per element, reductions of all
// elements to numbers, and tensors written out. Element for element in memory order, 16 bytes a
// load; a grid of (blocks, jobs), one job per tensor, for many sites share one launch.
//
// The order of every sum depends on the number of elements alone: threads keep f64 states, warps
// merge by shuffles, blocks through shared memory, and `pass_finish` merges the blocks.
#include "element.cuh"
// The generator puts the pass at hand in place of this one.
#include "sample.cuh"

constexpr unsigned THREADS = 256, WARPS = THREADS / 32;

extern "C" __global__ void __launch_bounds__(THREADS) pass(unsigned char* arena, i64 jobs) {
  constexpr unsigned PLACES = Pass::PLACES;
  __shared__ double part[WARPS * PLACES + 1];
  const i64* job = (const i64*)(arena + jobs) + blockIdx.y * Pass::STRIDE;
  const unsigned n = (unsigned)job[0], blocks = (unsigned)job[1];
  if (blockIdx.x >= blocks) return;
  const Pass p(arena, job);
  double s[PLACES + 1];
  p.init(s);
  for (unsigned e = (blockIdx.x * THREADS + threadIdx.x) * VECTOR; e < n; e += blocks * THREADS * VECTOR) {
    if (n - e >= VECTOR) {
      p.eight(e, s);
    } else {
      for (unsigned k = e; k < n; k++) p.one(k, s);
    }
  }
  if (PLACES == 0) return;
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  merge_warp(p, s);
  if (lane == 0)
    for (unsigned k = 0; k < PLACES; k++) part[warp * PLACES + k] = s[k];
  __syncthreads();
  if (warp > 0) return;
  p.init(s);
  if (lane < WARPS)
    for (unsigned k = 0; k < PLACES; k++) s[k] = part[lane * PLACES + k];
  merge_warp(p, s);
  double* partial = (double*)(arena + job[4]) + blockIdx.x * PLACES;
  if (lane == 0)
    for (unsigned k = 0; k < PLACES; k++) partial[k] = s[k];
}

// Merges the blocks of each job, one warp per job.
extern "C" __global__ void __launch_bounds__(32) pass_finish(unsigned char* arena, i64 jobs) {
  constexpr unsigned PLACES = Pass::PLACES;
  const i64* job = (const i64*)(arena + jobs) + blockIdx.y * Pass::STRIDE;
  const unsigned blocks = (unsigned)job[1], each = (blocks + 31) / 32;
  const Pass p(arena, job);
  const double* partial = (const double*)(arena + job[4]);
  double s[PLACES + 1];
  p.init(s);
  for (unsigned b = threadIdx.x * each; b < blocks && b < (threadIdx.x + 1) * each; b++) {
    double t[PLACES + 1];
    for (unsigned k = 0; k < PLACES; k++) t[k] = partial[b * PLACES + k];
    p.merge(s, t);
  }
  merge_warp(p, s);
  if (threadIdx.x == 0) p.finish(s, (double)job[0], 0);
}
