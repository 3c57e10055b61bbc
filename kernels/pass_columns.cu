// Skeleton of passes that reduce along an axis that is not the last: tensors are planes of `length`
// rows of `inner` elements, and each of the inner columns is reduced. A block takes 32 neighbouring
// columns, 8 rows at a time. A grid of (blocks, jobs); the order of every sum depends on the length
// of the axis alone.
#include "element.cuh"
// The generator puts the pass at hand in place of this one.
#include "sample.cuh"

constexpr unsigned COLUMNS = 32, ROWS = 8;

extern "C" __global__ void __launch_bounds__(COLUMNS * ROWS) pass(unsigned char* arena, i64 jobs) {
  constexpr unsigned PLACES = Pass::PLACES;
  __shared__ double part[ROWS * PLACES * COLUMNS + 1];
  const i64* job = (const i64*)(arena + jobs) + blockIdx.y * Pass::STRIDE;
  const unsigned planes = (unsigned)job[1], length = (unsigned)job[2], inner = (unsigned)job[3];
  const Pass p(arena, job);
  const unsigned x = threadIdx.x % COLUMNS, y = threadIdx.x / COLUMNS;
  const unsigned across = (inner + COLUMNS - 1) / COLUMNS;
  for (unsigned tile = blockIdx.x; tile < planes * across; tile += gridDim.x) {
    const unsigned plane = tile / across, column = tile % across * COLUMNS + x;
    double s[PLACES + 1];
    p.init(s);
    if (column < inner)
      for (unsigned row = y; row < length; row += ROWS) p.one((plane * length + row) * inner + column, s);
    for (unsigned k = 0; k < PLACES; k++) part[(y * PLACES + k) * COLUMNS + x] = s[k];
    __syncthreads();
    if (y == 0 && column < inner) {
      for (unsigned r = 1; r < ROWS; r++) {
        double t[PLACES + 1];
        for (unsigned k = 0; k < PLACES; k++) t[k] = part[(r * PLACES + k) * COLUMNS + x];
        p.merge(s, t);
      }
      p.finish(s, length, plane * inner + column);
    }
    __syncthreads();
  }
}
