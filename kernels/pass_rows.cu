// Skeleton of passes that reduce along the last axis: one warp per row, neighbouring lanes on
// neighbouring elements. A grid of (blocks, jobs); the order of every sum depends on the length of
// the row alone.
#include "element.cuh"
// The generator puts the pass at hand in place of this one.
#include "sample.cuh"

constexpr unsigned THREADS = 256, WARPS = THREADS / 32;

extern "C" __global__ void __launch_bounds__(THREADS) pass(unsigned char* arena, i64 jobs) {
  constexpr unsigned PLACES = Pass::PLACES;
  const i64* job = (const i64*)(arena + jobs) + blockIdx.y * Pass::STRIDE;
  const unsigned rows = (unsigned)job[1], length = (unsigned)job[2];
  const Pass p(arena, job);
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (unsigned row = blockIdx.x * WARPS + warp; row < rows; row += gridDim.x * WARPS) {
    const unsigned start = row * length;
    double s[PLACES + 1];
    p.init(s);
    if (length % VECTOR == 0) {
      for (unsigned e = lane * VECTOR; e < length; e += 32 * VECTOR) p.eight(start + e, s);
    } else {
      for (unsigned e = lane; e < length; e += 32) p.one(start + e, s);
    }
    merge_warp(p, s);
    if (lane == 0) p.finish(s, length, row);
  }
}
