// A stand-in for NVRTC: compiles CUDA C++ with the host's compiler after the emulator's header, into
// a shared library that the stand-in for the driver loads as if it were machine code of a device.
// Environment: FAKECUDA_INCLUDE (folder of cudaemu.h), CXX (g++), FAKECUDA_REFUSE (a text: the line
// with it is an error).
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#define API extern "C" __attribute__((visibility("default"))) int
struct Program {
  std::string source, log, image;
};

static std::string slurp(const std::string &path) {
  std::ifstream f(path, std::ios::binary);
  std::stringstream s;
  s << f.rdbuf();
  return s.str();
}

// The identifier before the parameters at `at`, behind `void` and launch bounds.
static std::string name_at(const std::string &s, size_t at) {
  size_t bounds = s.find("__launch_bounds__", at), open = s.find('(', at);
  if (bounds != std::string::npos && bounds < open) {
    int depth = 0;
    for (at = open; at < s.size(); at++) {
      depth += s[at] == '(';
      depth -= s[at] == ')';
      if (depth == 0) break;
    }
    open = s.find('(', ++at);
  }
  size_t end = s.find_last_not_of(" \n", open - 1), begin = s.find_last_of(" \n)", end);
  return s.substr(begin + 1, end - begin);
}

static std::vector<std::string> kernels(const std::string &s) {
  std::vector<std::string> out;
  const std::string plain = "\nextern \"C\" __global__", each = "\nFOR_EACH_TYPE(";
  for (size_t at = 0; (at = s.find(plain, at)) != std::string::npos;) out.push_back(name_at(s, at += plain.size()));
  for (size_t at = 0; (at = s.find(each, at)) != std::string::npos;) {
    at += each.size();
    std::string name = s.substr(at, s.find(',', at) - at);
    for (const char *type : {"_f32", "_f16", "_bf16"}) out.push_back(name + type);
  }
  return out;
}

API nvrtcVersion(int *major, int *minor) { return *major = 12, *minor = 9, 0; }
API nvrtcCreateProgram(Program **p, const char *source, const char *, int, const char *const *, const char *const *) {
  return *p = new Program{source, "", ""}, 0;
}
API nvrtcDestroyProgram(Program **p) { return delete *p, *p = nullptr, 0; }

API nvrtcCompileProgram(Program *p, int, const char *const *) {
  if (const char *refused = getenv("FAKECUDA_REFUSE")) {
    std::istringstream lines(p->source);
    std::string line;
    for (int n = 1; std::getline(lines, line); n++)
      if (line.find(refused) != std::string::npos) {
        p->log = "pass.cu(" + std::to_string(n) + "): error: refused by the test\n\n1 error detected";
        return 6;
      }
  }
  std::string text = "#include \"cudaemu.h\"\n#line 1 \"pass.cu\"\n" + p->source;
  text += "\ntemplate <class... A> const uint32_t *fakecuda_sizes(void (*)(A...)) {\n"
          "  static const uint32_t s[] = {sizeof...(A), uint32_t(sizeof(A))...};\n  return s;\n}\n";
  for (auto &k : kernels(p->source))
    text += "CUDAEMU_EXPORT(" + k + ")\nextern \"C\" __attribute__((visibility(\"default\"))) const uint32_t *fakecuda_sizes_" + k +
            "() { return fakecuda_sizes(" + k + "); }\n";
  char stem[] = "/tmp/fakenvrtc-XXXXXX";
  if (!mkdtemp(stem)) return 11;
  const std::string at = stem, cpp = at + "/k.cpp", so = at + "/k.so", log = at + "/k.log";
  std::ofstream(cpp) << text;
  const char *cxx = getenv("CXX") ? getenv("CXX") : "g++", *include = getenv("FAKECUDA_INCLUDE");
  const std::string command = std::string(cxx) + " -std=c++17 -O1 -fPIC -shared -fno-strict-aliasing -ffp-contract=off"
                              " -fno-extern-tls-init -Wno-unknown-pragmas -I" + (include ? include : ".") +
                              " " + cpp + " -o " + so + " 2>" + log;
  int result = system(command.c_str());
  p->log = slurp(log), p->image = slurp(so);
  (void)!system(("rm -rf " + at).c_str());
  return result == 0 ? 0 : 6;
}
API nvrtcGetProgramLogSize(Program *p, size_t *n) { return *n = p->log.size() + 1, 0; }
API nvrtcGetProgramLog(Program *p, char *out) { return memcpy(out, p->log.c_str(), p->log.size() + 1), 0; }
API nvrtcGetCUBINSize(Program *p, size_t *n) { return *n = p->image.size(), 0; }
API nvrtcGetCUBIN(Program *p, char *out) { return memcpy(out, p->image.data(), p->image.size()), 0; }
API nvrtcGetErrorString(int) { return 0; }
