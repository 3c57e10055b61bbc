// cudaemu.h - run CUDA C++ kernel source on the CPU, for tests. Needs a GNU-compatible C++17 compiler.
//
// The kernel source is compiled unchanged after this header. The threads of a block are fibers on one
// OS thread, blocks run one after another, and every wait (__syncthreads, *_sync) is a switch back to
// the scheduler. `Launch::seed` picks the order of blocks, warps and lanes: 0 ascending, 1 descending, both
// taking one warp as far as it gets; anything else shuffles, and switches warps earlier half of the time.
//
// Checked: divergent or deadlocked barriers and warp collectives, exited threads at a barrier,
// uninitialised shared memory (poisoned before each block; by seed % 3 NaN, huge, or hugely negative,
// since fmaxf and fminf swallow NaN), dynamic shared memory overrun, argument count and sizes. Built with -fsanitize=thread (as an executable, see CUDAEMU_MAIN),
// it also finds data races: every CUDA thread is a thread to TSan; __syncthreads and __syncwarp order
// memory, shuffles and votes do not (as in CUDA), atomics do (CUDA: only with fences), blocks never.
#pragma once
#include <math.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <type_traits>
#include <utility>
#if !defined(__x86_64__) && !defined(CUDAEMU_UCONTEXT)
#define CUDAEMU_UCONTEXT // portable, but each switch costs a system call
#endif
#ifdef CUDAEMU_UCONTEXT
#include <ucontext.h>
#endif

#if defined(__SANITIZE_THREAD__)
extern "C" {
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned);
void __tsan_destroy_fiber(void *);
void __tsan_switch_to_fiber(void *, unsigned);
void __tsan_acquire(void *);
void __tsan_release(void *);
}
#define CUDAEMU_TSAN(...) __VA_ARGS__
#define CUDAEMU_NOTSAN __attribute__((no_sanitize("thread")))
#else
#define CUDAEMU_TSAN(...)
#define CUDAEMU_NOTSAN
#endif

#pragma GCC visibility push(hidden) // each kernel's library must keep its own copy of everything below

// ---------------------------------------------------------------- language
#define CUDAEMU 1
#define __CUDA_ARCH__ 800
#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __shared__ thread_local // static per OS thread, and a block never leaves its OS thread
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))

struct uint3 { unsigned x, y, z; };
using dim3 = uint3;
struct int2 { int x, y; };
struct __align__(16) int4 { int x, y, z, w; };
struct uint2 { unsigned x, y; };
struct __align__(16) uint4 { unsigned x, y, z, w; };
struct __align__(8) float2 { float x, y; };
struct __align__(16) float4 { float x, y, z, w; };
struct __align__(16) double2 { double x, y; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// ---------------------------------------------------------------- fibers
namespace cudaemu {
#ifndef CUDAEMU_UCONTEXT
typedef void *Context; // the saved stack pointer
extern "C" void cudaemu_switch(void **save, void *load);
asm(R"(.pushsection .text
.local cudaemu_switch
.type cudaemu_switch,@function
cudaemu_switch:
  push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
  ret
.size cudaemu_switch, .-cudaemu_switch
.popsection)");
inline void ctx_switch(Context &from, Context &to) { cudaemu_switch(&from, to); }
CUDAEMU_NOTSAN inline void ctx_make(Context &c, char *stack, size_t size, void (*entry)()) {
  void **sp = reinterpret_cast<void **>(stack + size);
  *--sp = nullptr; // entry's "return address": keeps the stack aligned as after a call
  *--sp = reinterpret_cast<void *>(entry);
  for (int i = 0; i < 6; i++) *--sp = nullptr;
  c = sp;
}
#else
typedef ucontext_t Context;
inline void ctx_switch(Context &from, Context &to) { swapcontext(&from, &to); }
inline void ctx_make(Context &c, char *stack, size_t size, void (*entry)()) {
  getcontext(&c);
  c.uc_stack.ss_sp = stack;
  c.uc_stack.ss_size = size;
  c.uc_link = nullptr;
  makecontext(&c, entry, 0);
}
#endif

// ---------------------------------------------------------------- scheduler
struct Launch { // mirrored in Rust
  unsigned grid[3], block[3], smem, seed, nargs;
  const uint32_t *arg_sizes; // nargs of them
};

enum State : uint8_t { READY, AT_BARRIER, AT_WARP, DONE };
constexpr unsigned WARP = 32, MAX_THREADS = 1024;
constexpr unsigned BALLOT = WARP, SYNC = WARP + 1; // not lanes
constexpr size_t STACK = 64 << 10, SMEM = 48 << 10, ERROR = 256;

struct Fiber {
  Context ctx;
  uint3 tid;
  State state;
  int line;       // where it waits
  uint32_t mask;  // AT_WARP: lanes taking part
  unsigned src;   // AT_WARP: lane to read, or BALLOT, or SYNC
  uint64_t value; // AT_WARP: in; afterwards out
  Fiber *leader;  // AT_WARP: afterwards the lane that completed it
  void *tsan;
};

struct Machine {
  Context sched;
  void *sched_tsan;
  char *stacks;
  void (*body)(void *);
  void *body_arg;
  char *error; // [ERROR]
  unsigned n;
  unsigned barriers;  // completed so far
  uint64_t poison;
  char token[3];      // for TSan: two for alternating barriers, one for the end of the kernel
  Fiber fiber[MAX_THREADS];
};

// Everything the running thread can see; the rest of this module's TLS is shared memory.
struct Tls {
  Machine *m;
  Fiber *self;
  uint3 blockIdx;
  dim3 blockDim, gridDim;
};
inline thread_local Tls tls;

CUDAEMU_NOTSAN inline void yield() {
  Machine *m = tls.m;
  Fiber *f = tls.self;
  CUDAEMU_TSAN(__tsan_switch_to_fiber(m->sched_tsan, 1));
  ctx_switch(f->ctx, m->sched);
}

// Leaves the kernel for good; only the first error is kept.
template <class... A> CUDAEMU_NOTSAN void fail(const char *fmt, A... a) {
  Machine *m = tls.m;
  if (!m->error[0]) {
    unsigned k = snprintf(m->error, ERROR, "block (%u,%u,%u) thread (%u,%u,%u): ", tls.blockIdx.x,
                          tls.blockIdx.y, tls.blockIdx.z, tls.self->tid.x, tls.self->tid.y, tls.self->tid.z);
    snprintf(m->error + k, ERROR - k, fmt, a...);
  }
  tls.self->state = DONE;
  yield();
}

CUDAEMU_NOTSAN inline void fiber_main() {
  tls.m->body(tls.m->body_arg);
  CUDAEMU_TSAN(__tsan_release(tls.m->token + 2));
  tls.self->state = DONE;
  yield();
}

CUDAEMU_NOTSAN inline void barrier(int line) {
  Fiber *f = tls.self;
  f->state = AT_BARRIER;
  f->line = line;
  CUDAEMU_TSAN(char *token = tls.m->token + tls.m->barriers % 2; __tsan_release(token));
  yield();
  CUDAEMU_TSAN(__tsan_acquire(token));
}

// All live lanes of `mask` meet here; the last to arrive hands every lane its result.
CUDAEMU_NOTSAN inline uint64_t collective(uint32_t mask, uint64_t value, unsigned src, int line) {
  Machine *m = tls.m;
  Fiber *f = tls.self;
  unsigned t = f - m->fiber, lane = t % WARP;
  Fiber *w = f - lane;
  uint32_t live = 0;
  bool complete = true;
  if (!(mask >> lane & 1)) fail("line %d: calling lane %u is not in mask %08x", line, lane, mask);
  f->state = AT_WARP, f->line = line, f->mask = mask, f->src = src, f->value = value;
  CUDAEMU_TSAN(if (src == SYNC) __tsan_release(f));
  for (unsigned l = 0; l < WARP && t - lane + l < m->n; l++) {
    if (!(mask >> l & 1) || w[l].state == DONE) continue; // PTX: exited lanes are not waited for
    if (w[l].state != AT_WARP) { complete = false; break; }
    if (w[l].mask != mask || w[l].line != line || (w[l].src < WARP ? 0 : w[l].src) != (src < WARP ? 0 : src))
      fail("divergent warp collective: line %d mask %08x, but lane %u is at line %d mask %08x", line, mask, l,
           w[l].line, w[l].mask);
    live |= 1u << l;
  }
  if (complete) {
    uint64_t in[WARP], ballot = 0;
    for (unsigned l = 0; l < WARP; l++)
      if (live >> l & 1) in[l] = w[l].value, ballot |= uint64_t(in[l] != 0) << l;
    for (unsigned l = 0; l < WARP; l++)
      if (live >> l & 1) {
        unsigned s = w[l].src;
        w[l].value = s >= WARP ? ballot : live >> s & 1 ? in[s] : m->poison; // absent lane
        w[l].state = READY, w[l].leader = f;
        CUDAEMU_TSAN(if (src == SYNC) __tsan_acquire(w + l));
      }
    CUDAEMU_TSAN(if (src == SYNC) __tsan_release(&f->value));
  } else {
    yield();
    CUDAEMU_TSAN(if (src == SYNC) __tsan_acquire(&f->leader->value));
  }
  return f->value;
}

inline uint32_t next_random(uint32_t &s) { return s ^= s << 13, s ^= s >> 17, s ^= s << 5; }
inline void permute(unsigned *v, unsigned n, unsigned seed, uint32_t &rng) {
  for (unsigned i = 0; i < n; i++) v[i] = seed == 1 ? n - 1 - i : i;
  if (seed > 1)
    for (unsigned i = n; i > 1; i--) std::swap(v[i - 1], v[next_random(rng) % i]);
}

struct Span { char *base; size_t size; };
inline Span module_tls() { // the TLS block of the module this header was compiled into
  // The address is taken before the walk: to look it up within could wait for a thread that loads a
  // library, which waits for the walk to end.
  struct Search { char *mine; Span found; } search{reinterpret_cast<char *>(&tls), {}};
  dl_iterate_phdr(
      [](dl_phdr_info *i, size_t, void *p) {
        Search &s = *static_cast<Search *>(p);
        for (int k = 0; k < i->dlpi_phnum; k++) {
          Span c{static_cast<char *>(i->dlpi_tls_data), i->dlpi_phdr[k].p_memsz};
          if (i->dlpi_phdr[k].p_type == PT_TLS && c.base && s.mine >= c.base && s.mine < c.base + c.size)
            return s.found = c, 1;
        }
        return 0;
      },
      &search);
  return search.found;
}

// Dynamic shared memory: CUDA source names it in `extern __shared__ T NAME[];`, so the symbol is NAME.
#ifndef CUDAEMU_DYN_SMEM
#define CUDAEMU_DYN_SMEM "smem"
#endif
extern thread_local char dyn_smem[SMEM] __asm__(CUDAEMU_DYN_SMEM);
__align__(16) thread_local char dyn_smem[SMEM];

CUDAEMU_NOTSAN inline void run_block(Machine *m, const Launch &L, uint32_t &rng) {
  for (unsigned i = 0; i < m->n; i++) {
    Fiber &f = m->fiber[i];
    f.tid = {i % L.block[0], i / L.block[0] % L.block[1], i / L.block[0] / L.block[1]};
    f.state = READY;
    ctx_make(f.ctx, m->stacks + i * STACK, STACK, fiber_main);
    CUDAEMU_TSAN(f.tsan = __tsan_create_fiber(0));
  }
  while (!m->error[0]) {
    bool ran = false;
    unsigned done = 0, waiting = 0;
    unsigned warps[MAX_THREADS / WARP], lanes[WARP];
    permute(warps, m->n / WARP, L.seed, rng);
    permute(lanes, WARP, L.seed, rng);
    bool greedy = L.seed < 2 || next_random(rng) & 1;
    for (unsigned w = 0; w < m->n / WARP; w++)
      for (bool again = true; again;) {
        again = false;
        for (unsigned l = 0; l < WARP && !m->error[0]; l++) {
          Fiber &f = m->fiber[warps[w] * WARP + lanes[l]];
          if (f.state != READY) continue;
          tls.self = &f, ran = true, again = greedy;
          CUDAEMU_TSAN(__tsan_switch_to_fiber(f.tsan, 1));
          ctx_switch(m->sched, f.ctx);
        }
      }
    Fiber *first = nullptr, *odd = nullptr;
    for (unsigned i = 0; i < m->n; i++) {
      Fiber &f = m->fiber[i];
      done += f.state == DONE, waiting += f.state == AT_BARRIER;
      if (f.state == AT_BARRIER && !first) first = &f;
      if (f.state == AT_BARRIER && f.line != first->line) odd = &f;
    }
    if (m->error[0] || done == m->n) break;
    if (waiting == m->n && !odd) {
      for (unsigned i = 0; i < m->n; i++) m->fiber[i].state = READY;
      m->barriers++;
    } else if (!ran || waiting + done == m->n) {
      unsigned k = snprintf(m->error, ERROR, "block (%u,%u,%u): stuck:", tls.blockIdx.x, tls.blockIdx.y,
                            tls.blockIdx.z);
      for (unsigned i = 0, last = ~0u; i < m->n && k < ERROR - 80; i++) { // one entry per run of threads
        Fiber &f = m->fiber[i];
        unsigned key = f.state << 24 | (f.state == DONE ? 0 : f.line);
        if (key != last)
          k += snprintf(m->error + k, ERROR - k, " thread %u.. %s line %d;", i,
                        f.state == DONE ? "exited" : f.state == AT_WARP ? "in warp collective" : "at __syncthreads",
                        f.state == DONE ? 0 : f.line);
        last = key;
      }
    }
  }
  CUDAEMU_TSAN(for (unsigned i = 0; i < m->n; i++) __tsan_destroy_fiber(m->fiber[i].tsan));
}

struct Job { Machine *m; const Launch *L; unsigned block; uint32_t rng; };
CUDAEMU_NOTSAN inline void *run_job(void *p) {
  Job &j = *static_cast<Job *>(p);
  Machine *m = j.m;
  const unsigned *g = j.L->grid, *b = j.L->block;
  Span shared = module_tls();
  typedef volatile uint64_t Word; // volatile, so that it stays a loop: TSan must not see a memset
  for (size_t i = 0; i + 8 <= shared.size; i += 8) *reinterpret_cast<Word *>(shared.base + i) = m->poison;
  tls = {m, nullptr, {j.block % g[0], j.block / g[0] % g[1], j.block / g[0] / g[1]}, {b[0], b[1], b[2]}, {g[0], g[1], g[2]}};
  CUDAEMU_TSAN(m->sched_tsan = __tsan_get_current_fiber());
  if (!m->stacks)
    m->stacks = static_cast<char *>(mmap(nullptr, m->n * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  run_block(m, *j.L, j.rng);
  CUDAEMU_TSAN(munmap(m->stacks, m->n * STACK); m->stacks = nullptr); // so that TSan forgets what lived there
  for (size_t i = (j.L->smem + 7) / 8 * 8; i < SMEM && !m->error[0]; i += 8)
    if (*reinterpret_cast<Word *>(dyn_smem + i) != m->poison)
      snprintf(m->error, ERROR, "dynamic shared memory written near byte %zu, but only %u were asked for", i, j.L->smem);
  return nullptr;
}

// On failure fills `error` and returns false.
template <class... A, size_t... I>
bool launch(void (*kernel)(A...), const Launch &L, void **args, char *error, std::index_sequence<I...>) {
  const uint32_t sizes[] = {sizeof(A)..., 0};
  unsigned n = L.block[0] * L.block[1] * L.block[2], blocks = L.grid[0] * L.grid[1] * L.grid[2];
  bool sizes_ok = L.nargs == sizeof...(A);
  for (size_t i = 0; i < sizeof...(A) && sizes_ok; i++) sizes_ok = sizes[i] == L.arg_sizes[i];
  error[0] = 0;
  if (!sizes_ok) return snprintf(error, ERROR, "wrong number or size of kernel arguments"), false;
  if (!n || n > MAX_THREADS || n % WARP || L.smem > SMEM) return snprintf(error, ERROR, "bad launch configuration"), false;

  struct Body { void (*kernel)(A...); void **args; } body{kernel, args};
  Machine *m = static_cast<Machine *>(calloc(1, sizeof(Machine)));
  const uint64_t poison[] = {~uint64_t(0), 0x7f7f7f7f7f7f7f7f, 0xfefefefefefefefe};
  m->n = n, m->error = error, m->body_arg = &body, m->poison = poison[L.seed % 3];
  m->body = [](void *p) {
    Body &b = *static_cast<Body *>(p);
    (void)b;
    b.kernel(*static_cast<std::remove_cv_t<A> *>(b.args[I])...);
  };
  unsigned *order = static_cast<unsigned *>(malloc(blocks * sizeof *order));
  Job job{m, &L, 0, L.seed * 2654435761u | 1};
  permute(order, blocks, L.seed, job.rng);
  for (unsigned k = 0; k < blocks && !error[0]; k++) {
    job.block = order[k];
    // For TSan each block gets an OS thread of its own, hence shared memory (TLS) of its own.
    CUDAEMU_TSAN(pthread_t t; pthread_create(&t, nullptr, run_job, &job); pthread_join(t, nullptr); continue);
    run_job(&job);
  }
  CUDAEMU_TSAN(__tsan_acquire(m->token + 2));
  if (m->stacks) munmap(m->stacks, n * STACK);
  free(order), free(m);
  return !error[0];
}

template <class T> uint64_t to_bits(T v) {
  static_assert(std::is_trivially_copyable<T>::value && sizeof(T) <= 8, "shuffles move at most 8 bytes");
  uint64_t b = 0;
  return memcpy(&b, &v, sizeof v), b;
}
template <class T> T from_bits(uint64_t b) {
  T v;
  return memcpy(&v, &b, sizeof v), v;
}
inline unsigned lane() { return (tls.self - tls.m->fiber) % WARP; }
} // namespace cudaemu

#define threadIdx (::cudaemu::tls.self->tid)
#define blockIdx (::cudaemu::tls.blockIdx)
#define blockDim (::cudaemu::tls.blockDim)
#define gridDim (::cudaemu::tls.gridDim)
#define warpSize 32

// ---------------------------------------------------------------- synchronisation
inline void __syncthreads(int line = __builtin_LINE()) { cudaemu::barrier(line); }
inline void __syncwarp(unsigned mask = ~0u, int line = __builtin_LINE()) { cudaemu::collective(mask, 0, cudaemu::SYNC, line); }
inline unsigned __ballot_sync(unsigned mask, int p, int line = __builtin_LINE()) {
  return cudaemu::collective(mask, p != 0, cudaemu::BALLOT, line);
}
inline int __any_sync(unsigned mask, int p, int line = __builtin_LINE()) { return __ballot_sync(mask, p, line) != 0; }
inline int __all_sync(unsigned mask, int p, int line = __builtin_LINE()) { return __ballot_sync(mask, !p, line) == 0; }
template <class T> T __shfl_sync(unsigned mask, T v, int src, int width = 32, int line = __builtin_LINE()) {
  unsigned base = cudaemu::lane() & ~(width - 1);
  return cudaemu::from_bits<T>(cudaemu::collective(mask, cudaemu::to_bits(v), base + (src & (width - 1)), line));
}
template <class T> T __shfl_up_sync(unsigned mask, T v, unsigned d, int width = 32, int line = __builtin_LINE()) {
  unsigned l = cudaemu::lane(), base = l & ~(width - 1);
  return cudaemu::from_bits<T>(cudaemu::collective(mask, cudaemu::to_bits(v), l < base + d ? l : l - d, line));
}
template <class T> T __shfl_down_sync(unsigned mask, T v, unsigned d, int width = 32, int line = __builtin_LINE()) {
  unsigned l = cudaemu::lane(), end = (l & ~(width - 1)) + width;
  return cudaemu::from_bits<T>(cudaemu::collective(mask, cudaemu::to_bits(v), l + d >= end ? l : l + d, line));
}
template <class T> T __shfl_xor_sync(unsigned mask, T v, int x, int width = 32, int line = __builtin_LINE()) {
  unsigned l = cudaemu::lane(), end = (l & ~(width - 1)) + width, s = l ^ x;
  return cudaemu::from_bits<T>(cudaemu::collective(mask, cudaemu::to_bits(v), s >= end ? l : s, line));
}
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T, class F> T cudaemu_rmw(T *p, F f) {
  T old, next;
  __atomic_load(p, &old, __ATOMIC_RELAXED);
  do next = f(old);
  while (!__atomic_compare_exchange(p, &old, &next, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
  return old;
}
template <class T> T atomicAdd(T *p, std::common_type_t<T> v) { return cudaemu_rmw(p, [=](T o) { return T(o + v); }); }
template <class T> T atomicMax(T *p, std::common_type_t<T> v) { return cudaemu_rmw(p, [=](T o) { return o < v ? v : o; }); }
template <class T> T atomicMin(T *p, std::common_type_t<T> v) { return cudaemu_rmw(p, [=](T o) { return v < o ? v : o; }); }
template <class T> T atomicExch(T *p, std::common_type_t<T> v) { return cudaemu_rmw(p, [=](T) { return v; }); }
template <class T> T atomicCAS(T *p, std::common_type_t<T> c, std::common_type_t<T> v) {
  return cudaemu_rmw(p, [=](T o) { return o == c ? v : o; });
}

// ---------------------------------------------------------------- maths
inline int __float_as_int(float v) { return cudaemu::from_bits<int>(cudaemu::to_bits(v)); }
inline unsigned __float_as_uint(float v) { return cudaemu::from_bits<unsigned>(cudaemu::to_bits(v)); }
inline float __int_as_float(int v) { return cudaemu::from_bits<float>(cudaemu::to_bits(v)); }
inline float __uint_as_float(unsigned v) { return cudaemu::from_bits<float>(cudaemu::to_bits(v)); }
inline double __longlong_as_double(long long v) { return cudaemu::from_bits<double>(cudaemu::to_bits(v)); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
#define __expf(x) expf(x) // glibc declares these names itself, so macros
#define __logf(x) logf(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __powf(x, y) powf(x, y)
#define __fdividef(x, y) ((x) / (y))
#define __frcp_rn(x) (1.0f / (x))
#define __fsqrt_rn(x) sqrtf(x)
#define __fmaf_rn(a, b, c) fmaf(a, b, c)
template <class T> T __ldg(const T *p) { return *p; }
template <class T> constexpr T min(T a, T b) { return b < a ? b : a; }
template <class T> constexpr T max(T a, T b) { return a < b ? b : a; }

// ---------------------------------------------------------------- half and bfloat16 storage types
struct __align__(2) __half { uint16_t bits; };
struct __align__(2) __nv_bfloat16 { uint16_t bits; };
struct __align__(4) __half2 { __half x, y; };
struct __align__(4) __nv_bfloat162 { __nv_bfloat16 x, y; };
inline float __half2float(__half h) {
  uint32_t s = uint32_t(h.bits & 0x8000) << 16, e = h.bits >> 10 & 31, m = h.bits & 0x3ff;
  if (e == 31) return __uint_as_float(s | 0x7f800000 | m << 13);
  if (e) return __uint_as_float(s | (e + 112) << 23 | m << 13);
  return __uint_as_float(s | __float_as_uint(float(m) * 0x1p-24f)); // zero and subnormals, exact
}
inline __half __float2half_rn(float f) {
  uint32_t x = __float_as_uint(f), a = x & 0x7fffffff;
  uint16_t s = x >> 16 & 0x8000;
  if (a > 0x7f800000) return {0x7fff};                    // NaN: what cvt.rn.f16.f32 gives
  if (a >= 0x477ff000) return {uint16_t(s | 0x7c00)};     // rounds to infinity
  if (a < 0x38800000) {                                   // subnormal: let the FPU round to a multiple of 2^-24
    float r = __uint_as_float(a) + 0.5f;
    return {uint16_t(s | (__float_as_uint(r) - 0x3f000000))};
  }
  return {uint16_t(s | ((a + 0xfff + (a >> 13 & 1) - 0x38000000) >> 13))};
}
inline float __bfloat162float(__nv_bfloat16 h) { return __uint_as_float(uint32_t(h.bits) << 16); }
inline __nv_bfloat16 __float2bfloat16_rn(float f) {
  uint32_t x = __float_as_uint(f);
  if ((x & 0x7fffffff) > 0x7f800000) return {0x7fff}; // NaN: what cvt.rn.bf16.f32 gives
  return {uint16_t((x + 0x7fff + (x >> 16 & 1)) >> 16)};
}
inline __half __float2half(float f) { return __float2half_rn(f); }
inline __nv_bfloat16 __float2bfloat16(float f) { return __float2bfloat16_rn(f); }
inline float2 __half22float2(__half2 h) { return {__half2float(h.x), __half2float(h.y)}; }
inline float2 __bfloat1622float2(__nv_bfloat162 h) { return {__bfloat162float(h.x), __bfloat162float(h.y)}; }
inline __half2 __floats2half2_rn(float a, float b) { return {__float2half_rn(a), __float2half_rn(b)}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float a, float b) { return {__float2bfloat16_rn(a), __float2bfloat16_rn(b)}; }

// ---------------------------------------------------------------- entry points
// In a shared library: `bool cudaemu_launch_KERNEL(const Launch *, void **args, char error[ERROR])`.
#define CUDAEMU_EXPORT(k)                                                                          \
  template <class... A> static bool cudaemu_call_##k(void (*f)(A...), const cudaemu::Launch &L, void **a, char *e) { \
    return cudaemu::launch(f, L, a, e, std::index_sequence_for<A...>{});                           \
  }                                                                                                \
  extern "C" __attribute__((visibility("default"))) bool cudaemu_launch_##k(const cudaemu::Launch *L, void **a, char *e) { \
    return cudaemu_call_##k(k, *L, a, e);                                                          \
  }

// In an executable, after the exports: job on stdin, result on stdout, all little-endian u32 but the data:
//   in:  index of the kernel, grid[3] block[3] smem seed nargs, then per argument: kind (0 scalar, 1 buffer) bytes data
//   out: length and text of the error (0 = none), then per buffer its bytes
// Buffers are exact-size heap blocks, so -fsanitize=address sees every overrun.
#define CUDAEMU_MAIN(...)                                                                          \
  int main() {                                                                                     \
    static const cudaemu::Entry entries[] = {__VA_ARGS__};                                         \
    return cudaemu::serve(entries, sizeof entries / sizeof *entries);                              \
  }
namespace cudaemu {
typedef bool (*Entry)(const Launch *, void **, char *);
inline void must(bool ok) {
  if (!ok) fputs("cudaemu: bad job\n", stderr), exit(2);
}
inline int serve(const Entry *entries, unsigned count) {
  struct Arg { uint32_t kind, size; void *data, *ptr; } arg[64];
  Launch L;
  uint32_t which;
  alarm(120); // a kernel that never ends
  must(fread(&which, 4, 1, stdin) == 1 && which < count);
  must(fread(&L, 4, 9, stdin) == 9 && L.nargs <= 64);
  void *args[64];
  uint32_t sizes[64];
  for (unsigned i = 0; i < L.nargs; i++) {
    Arg &a = arg[i];
    must(fread(&a, 4, 2, stdin) == 2);
    a.ptr = a.data = malloc(a.size);
    must(fread(a.data, 1, a.size, stdin) == a.size);
    args[i] = a.kind ? &a.ptr : a.data;
    sizes[i] = a.kind ? sizeof(void *) : a.size;
  }
  L.arg_sizes = sizes;
  char error[ERROR];
  entries[which](&L, args, error);
  uint32_t n = strlen(error);
  fwrite(&n, 4, 1, stdout), fwrite(error, 1, n, stdout);
  for (unsigned i = 0; i < L.nargs; i++)
    if (arg[i].kind) fwrite(arg[i].data, 1, arg[i].size, stdout);
  return fflush(stdout) != 0;
}
} // namespace cudaemu
#pragma GCC visibility pop
