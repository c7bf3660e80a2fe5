// The engine library's border: one factory; every failure leaves as a value.
#include <ATen/Parallel.h>
#include <torch/version.h>

#include <new>
#include <thread>

#include "core/engine.h"
#include "core/forward/feed_forward.h"
#include "core/forward/transformer.h"

namespace kappascope {
namespace {

// Runs `work` and turns whatever it throws into a Failure.
template <typename Work>
Failure guarded(Work&& work) noexcept {
  try {
    work();
    return {};
  } catch (const Stopped&) {
    return {ExitCode::interrupted, "interrupted"};
  } catch (const Error& error) {
    return error.failure();
  } catch (const std::bad_alloc&) {
    return {ExitCode::memory, "out of memory"};
  } catch (const c10::Error& error) {
    const std::string reason = error.what_without_backtrace();
    const bool memory = reason.find("allocate memory") != std::string::npos;
    return {memory ? ExitCode::memory : ExitCode::internal, printable(reason)};
  } catch (const std::exception& error) {
    return {ExitCode::internal, printable(error.what())};
  }
}

class LoadedModel final : public EngineModel {
 public:
  LoadedModel(const Model& model, Weights weights) : model_(model), weights_(std::move(weights)) {
    for (const std::string& tensor : weights_.nonfinite_in)
      nonfinite_tensors_ += (nonfinite_tensors_.empty() ? "" : ", ") + tensor;
  }

  Failure forward(const ForwardCall& call, const ForwardOptions& options, Probe& probe,
                  Progress& progress) noexcept override {
    return guarded([&] { run_transformer(model_, weights_, call, options, probe, progress); });
  }
  std::uint64_t nonfinite_weights() const noexcept override { return weights_.nonfinite; }
  const char* nonfinite_tensors() const noexcept override { return nonfinite_tensors_.c_str(); }

 private:
  const Model& model_;
  Weights weights_;
  std::string nonfinite_tensors_;
};

class TorchEngine final : public Engine {
 public:
  Failure load(const Model& model, const LoadOptions& options, Progress& progress,
               std::unique_ptr<EngineModel>& loaded) noexcept override {
    return guarded([&] {
      const int cores = int(std::thread::hardware_concurrency());
      at::set_num_threads(options.threads > 0 ? options.threads : std::max(1, cores));
      loaded = std::make_unique<LoadedModel>(model, load_weights(model, options.dtype, progress));
    });
  }
  const char* torch_version() const noexcept override { return TORCH_VERSION; }
};

}  // namespace
}  // namespace kappascope

extern "C" __attribute__((visibility("default"))) kappascope::Engine* kappascope_engine(
    std::uint32_t version) {
  static kappascope::TorchEngine engine;
  return version == kappascope::kEngineVersion ? &engine : nullptr;
}
