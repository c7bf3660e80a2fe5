#include "core/engine/engine.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "core/engine/ranks.h"
#include "core/engine/training.h"

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

std::string file_of(const EngineLibrary& of) {
  return (fs::read_symlink("/proc/self/exe").parent_path() / of.name).string();
}

void* open_library(const EngineLibrary& of) {
  const std::string file = file_of(of);
  // The engine is linked to find all it calls at once (-z now). Torch's thirty thousand calls among
  // its own libraries are found as they come: that is an eighth of a short run.
  void* library = dlopen(file.c_str(), RTLD_LAZY | RTLD_LOCAL);
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
  return library;
}

[[noreturn]] void refuse_version(const EngineLibrary& of, std::uint32_t expected) {
  const std::string file = file_of(of);
  fail(ExitCode::internal, {.file = file}, "engine version; expected ", expected,
       ", found another: build it again");
}

Engine* open_engine(const EngineLibrary& of) {
  void* const library = open_library(of);
  using Factory = decltype(&kappascope_engine);
  auto factory = reinterpret_cast<Factory>(dlsym(library, "kappascope_engine"));
  Engine* opened = factory ? factory(kEngineVersion) : nullptr;
  if (!opened) { refuse_version(of, kEngineVersion); }
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

std::unique_ptr<Trainer> start_training(const Model& model, const TrainingRules& rules,
                                        Progress& progress) {
  const EngineLibrary& of = rules.device == ComputeDevice::cuda ? kCuda : kCpu;
  void* const library = open_library(of);  // that it is open already costs nothing
  using Start = decltype(&kappascope_training);
  const auto start = reinterpret_cast<Start>(dlsym(library, "kappascope_training"));
  std::unique_ptr<Trainer> trainer;
  Failure failure;
  if (!start || !start(kTrainingVersion, &model, &rules, &progress, &trainer, &failure)) {
    refuse_version(of, kTrainingVersion);
  }
  if (failure) { throw Error(failure); }
  return trainer;
}

std::unique_ptr<Ranks> join_ranks(const RankPlace& place, Progress& progress) {
  // Torch warns at every try to reach a store that is not there yet; it reads this once.
  setenv("TORCH_CPP_LOG_LEVEL", "ERROR", /*overwrite=*/0);
  static void* const library = open_library(kCpu);
  using Join = decltype(&kappascope_ranks);
  const auto join = reinterpret_cast<Join>(dlsym(library, "kappascope_ranks"));
  std::unique_ptr<Ranks> ranks;
  Failure failure;
  if (!join || !join(kRanksVersion, &place, &progress, &ranks, &failure)) {
    refuse_version(kCpu, kRanksVersion);
  }
  if (failure) { throw Error(failure); }
  return ranks;
}

}  // namespace kappascope
