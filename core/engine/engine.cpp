#include "core/engine/engine.h"

#include <dlfcn.h>
#include <unistd.h>

#include <filesystem>

namespace kappascope {
namespace {

namespace fs = std::filesystem;

struct EngineLibrary {
  const char* name;
  ExitCode code;  // when it does not open
  Remedy remedy;
  const char* needs;
};
constexpr EngineLibrary kCpu{"libkappascope_engine.so", ExitCode::internal, Remedy::none, ""};
constexpr EngineLibrary kCuda{"libkappascope_cuda.so", ExitCode::gpu, Remedy::use_cpu,
                              "; it needs the CUDA libraries that this Torch was built with"};

Engine* open_engine(const EngineLibrary& of) {
  const fs::path path = fs::read_symlink("/proc/self/exe").parent_path() / of.name;
  const std::string file = path.string();
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* given = dlerror();
    const std::string reason = given ? given : "no reason given";
    const bool memory = reason.find("failed to map") != reason.npos ||
                        reason.find("annot allocate memory") != reason.npos ||
                        reason.find("cannot map") != reason.npos;
    require(!memory, ExitCode::memory, {.file = file}, "no memory for the engine library (", reason,
            "); raise the limit of this process (ulimit -v)");
    fail(of.code, of.remedy, {.file = file}, "the engine library does not open: ", reason,
         of.needs);
  }
  using Factory = decltype(&kappascope_engine);
  auto factory = reinterpret_cast<Factory>(dlsym(library, "kappascope_engine"));
  Engine* opened = factory ? factory(kEngineVersion) : nullptr;
  require(opened, ExitCode::internal, {.file = file}, "engine version; expected ", kEngineVersion,
          ", found another: build it again");
  return opened;
}

}  // namespace

Engine& engine(ComputeDevice device) {
  if (device == ComputeDevice::cuda) {
    static Engine* const cuda = open_engine(kCuda);
    return *cuda;
  }
  static Engine* const cpu = open_engine(kCpu);
  return *cpu;
}

}  // namespace kappascope
