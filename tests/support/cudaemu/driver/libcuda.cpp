// A stand-in for the CUDA driver over the emulator: the calls that lpz makes, on the CPU. Built as
// `libcuda.so` by tests, which put it in the library path of the unchanged binary.
//
// Streams are queues that run as late as they may: when they are synchronised, or when another
// stream runs into a wait for one of their events. An order that the caller forgot to ask for is thus
// never kept by chance. Device memory is poisoned. Environment: FAKECUDA_VERSION (12040),
// FAKECUDA_MEMORY (bytes that may be allocated), FAKECUDA_DEVICES (1), FAKECUDA_TRACE (names every launch on
// standard error), FAKECUDA_FAIL (NAME:N, the launch of kernel NAME that fails: the N-th, from 1).
#include <dlfcn.h>
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#define API extern "C" __attribute__((visibility("default"))) int
namespace {
enum { OK = 0, INVALID = 1, NO_MEMORY = 2, NO_DEVICE = 101, NOT_FOUND = 500, LAUNCH_FAILED = 719 };

struct Stream;
struct Event {
  Stream *stream = nullptr;
  uint64_t at = 0;
};
struct Stream {
  std::deque<std::function<void()>> waiting;
  uint64_t done = 0, queued = 0;
  void push(std::function<void()> f) { waiting.push_back(std::move(f)), queued++; }
  void drain(uint64_t until) {
    while (done < until && !waiting.empty()) {
      auto f = std::move(waiting.front());
      waiting.pop_front();
      f();
      done++;
    }
  }
};

std::recursive_mutex lock;
int failed = OK; // as a device does: a failed kernel fails everything that follows
std::map<char *, size_t> allocated;
size_t in_use = 0;
std::set<Stream *> streams;

uint64_t setting(const char *name, uint64_t otherwise) {
  const char *v = getenv(name);
  return v ? strtoull(v, nullptr, 10) : otherwise;
}
#define TURN std::lock_guard<std::recursive_mutex> turn(lock)

int allocate(char **out, size_t bytes) {
  if (in_use + bytes > setting("FAKECUDA_MEMORY", SIZE_MAX)) return NO_MEMORY;
  char *p = static_cast<char *>(aligned_alloc(256, (bytes + 255) / 256 * 256 + 256));
  if (!p) return NO_MEMORY;
  memset(p, 0xff, bytes);
  allocated[p] = bytes, in_use += bytes, *out = p;
  return OK;
}
int release(char *p) {
  auto it = allocated.find(p);
  if (it == allocated.end()) return INVALID;
  in_use -= it->second, allocated.erase(it), free(p);
  return OK;
}

struct Launch {
  unsigned grid[3], block[3], smem, seed, nargs;
  const uint32_t *arg_sizes;
};
typedef bool (*Entry)(const Launch *, void **, char *);
struct Function {
  Entry entry;
  const uint32_t *sizes;
  std::string name;
};

// Is this launch the one that a test wants to fail?
bool refused(const std::string &name) {
  static const char *wanted = getenv("FAKECUDA_FAIL");
  static int seen = 0;
  if (!wanted) return false;
  const std::string w = wanted;
  const size_t colon = w.find(':');
  return name == w.substr(0, colon) && ++seen == atoi(w.c_str() + colon + 1);
}
} // namespace

API cuDriverGetVersion(int *v) { return *v = int(setting("FAKECUDA_VERSION", 12040)), OK; }
API cuInit(unsigned) { return OK; }
API cuDeviceGetCount(int *n) { return *n = int(setting("FAKECUDA_DEVICES", 1)), OK; }
API cuDeviceGet(int *d, int ordinal) { return *d = ordinal, ordinal < int(setting("FAKECUDA_DEVICES", 1)) ? OK : NO_DEVICE; }
API cuDeviceGetName(char *name, int n, int) { return snprintf(name, n, "Emulated"), OK; }
API cuDeviceTotalMem_v2(size_t *n, int) { return *n = setting("FAKECUDA_MEMORY", uint64_t(1) << 32), OK; }
API cuDeviceGetAttribute(int *v, int which, int) {
  *v = which == 75 ? 9 : which == 76 ? 0 : 1; // compute capability 9.0; memory pools
  return OK;
}
API cuDevicePrimaryCtxRetain(void **c, int) { return *c = &lock, OK; }
API cuDevicePrimaryCtxRelease_v2(int) { return OK; }
API cuCtxGetCurrent(void **c) { return *c = &lock, OK; }
API cuCtxSetCurrent(void *) { return OK; }
API cuCtxSynchronize() {
  TURN;
  for (Stream *s : streams) s->drain(UINT64_MAX);
  return failed;
}
API cuGetErrorName(int, const char **s) { return *s = "CUDA_ERROR", OK; }
API cuGetErrorString(int e, const char **s) {
  *s = e == NO_MEMORY ? "out of memory" : e == LAUNCH_FAILED ? "unspecified launch failure" : e == NO_DEVICE ? "no CUDA-capable device" : "invalid argument";
  return OK;
}

API cuStreamCreate(Stream **s, unsigned) {
  TURN;
  return *s = new Stream, streams.insert(*s), OK;
}
API cuStreamDestroy_v2(Stream *s) {
  TURN;
  s->drain(UINT64_MAX);
  streams.erase(s);
  return OK; // events may still point to it
}
API cuStreamSynchronize(Stream *s) {
  TURN;
  s->drain(UINT64_MAX);
  return failed;
}
API cuEventCreate(Event **e, unsigned) { return *e = new Event, OK; }
API cuEventRecord(Event *e, Stream *s) {
  TURN;
  return e->stream = s, e->at = s->queued, OK;
}
API cuStreamWaitEvent(Stream *s, Event *e, unsigned) {
  TURN;
  Stream *other = e->stream;
  uint64_t until = e->at;
  if (other) s->push([=] { other->drain(until); });
  return OK;
}
API cuEventDestroy_v2(Event *e) { return delete e, OK; }

API cuMemAllocAsync(char **p, size_t n, Stream *) {
  TURN;
  return allocate(p, n);
}
API cuMemAlloc_v2(char **p, size_t n) {
  TURN;
  return allocate(p, n);
}
API cuMemFreeAsync(char *p, Stream *s) {
  TURN;
  return s->push([=] { release(p); }), OK;
}
API cuMemFree_v2(char *p) {
  TURN;
  return release(p);
}
API cuMemcpyHtoDAsync_v2(char *to, const char *from, size_t n, Stream *s) {
  TURN; // from pageable memory: staged at once, arrives later
  auto staged = std::make_shared<std::string>(from, n);
  return s->push([=] { memcpy(to, staged->data(), staged->size()); }), failed;
}
API cuMemcpyDtoHAsync_v2(char *to, const char *from, size_t n, Stream *s) {
  TURN;
  return s->push([=] { memcpy(to, from, n); }), failed;
}
API cuMemcpyDtoDAsync_v2(char *to, const char *from, size_t n, Stream *s) {
  TURN;
  return s->push([=] { memmove(to, from, n); }), failed;
}
API cuMemsetD8Async(char *to, unsigned char v, size_t n, Stream *s) {
  TURN;
  return s->push([=] { memset(to, v, n); }), failed;
}

// A "cubin" is a shared library that the stand-in for NVRTC built.
API cuModuleLoadData(void **module, const void *image) {
  TURN;
  const Elf64_Ehdr *e = static_cast<const Elf64_Ehdr *>(image);
  if (memcmp(e->e_ident, ELFMAG, SELFMAG) != 0) return INVALID;
  char path[] = "/tmp/fakecuda-XXXXXX";
  int fd = mkstemp(path);
  size_t n = e->e_shoff + size_t(e->e_shnum) * e->e_shentsize;
  if (fd < 0 || write(fd, image, n) != ssize_t(n)) return INVALID;
  close(fd);
  *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!*module) fprintf(stderr, "fakecuda: %s\n", dlerror());
  unlink(path);
  return *module ? OK : INVALID;
}
API cuModuleUnload(void *) { return OK; } // thread-local storage of the emulator outlives a launch
API cuModuleGetFunction(Function **f, void *module, const char *name) {
  TURN;
  auto entry = Entry(dlsym(module, (std::string("cudaemu_launch_") + name).c_str()));
  typedef const uint32_t *(*Sizes)();
  auto sizes = Sizes(dlsym(module, (std::string("fakecuda_sizes_") + name).c_str()));
  if (!entry || !sizes) return NOT_FOUND;
  return *f = new Function{entry, sizes(), name}, OK;
}
API cuLaunchKernel(Function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned smem, Stream *s, void **args, void **) {
  TURN;
  static const bool say = getenv("FAKECUDA_TRACE");
  if (say) fprintf(stderr, "kernel %s\n", f->name.c_str());
  if (refused(f->name)) return s->push([] { failed = LAUNCH_FAILED; }), failed;
  unsigned n = f->sizes[0];
  auto values = std::make_shared<std::vector<std::string>>();
  for (unsigned i = 0; i < n; i++) values->emplace_back(static_cast<char *>(args[i]), f->sizes[i + 1]);
  s->push([=] {
    std::vector<void *> ptrs;
    for (auto &v : *values) ptrs.push_back(&v[0]);
    if (failed) return; // nothing runs on a device that failed
    Launch l{{gx, gy, gz}, {bx, by, bz}, smem, 7, n, f->sizes + 1};
    char error[256];
    if (!f->entry(&l, ptrs.data(), error)) fprintf(stderr, "fakecuda: %s\n", error), failed = LAUNCH_FAILED;
  });
  return failed;
}

// For the stand-in for cuBLAS: work on a stream.
extern "C" __attribute__((visibility("default"))) void fakecuda_push(Stream *s, void (*f)(void *), void *p) {
  TURN;
  s->push([=] { f(p); });
}
