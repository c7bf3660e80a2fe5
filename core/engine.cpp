#include "core/engine.h"

#include <dlfcn.h>
#include <unistd.h>

#include <filesystem>

namespace kappascope {
namespace {

std::filesystem::path library_path() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "libkappascope_engine.so";
}

Engine* open_engine() {
  const std::string path = library_path().string();
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* reason = dlerror();
    fail(ExitCode::internal, {.file = path},
         "the engine library does not open: ", reason ? reason : "no reason given");
  }
  using Factory = decltype(&kappascope_engine);
  auto factory = reinterpret_cast<Factory>(dlsym(library, "kappascope_engine"));
  Engine* opened = factory ? factory(kEngineVersion) : nullptr;
  require(opened, ExitCode::internal, {.file = path}, "engine version; expected ", kEngineVersion,
          ", found another: build it again");
  return opened;
}

}  // namespace

Engine& engine() {
  static Engine* opened = open_engine();
  return *opened;
}

}  // namespace kappascope
