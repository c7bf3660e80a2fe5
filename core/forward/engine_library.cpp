// The engine library's border: one factory; every failure leaves as a value.
#include <c10/core/DeviceGuard.h>
#include <torch/version.h>

#include "core/engine/engine.h"
#include "core/engine/memory_plan.h"
#include "core/forward/device.h"
#include "core/forward/guarded.h"
#include "core/forward/token_cache.h"
#include "core/forward/transformer.h"

namespace kappascope {
namespace {

// What came of a file that changed meanwhile is not to be believed, success or failure.
template <typename Work>
Failure guarded_reading(const Model& model, Work&& work) noexcept {
  const Failure failure = guarded(work);
  const Failure changed = guarded([&] { model.tensors->require_unchanged(); });
  return changed && failure.code != ExitCode::interrupted ? changed : failure;
}

class LoadedModel final : public EngineModel {
 public:
  LoadedModel(const Model& model, Weights weights)
      : model_(model),
        weights_(std::move(weights)),
        description_(prepare_device(model_, weights_)) {
    for (const std::string& tensor : weights_.nonfinite_in) {
      nonfinite_tensors_ += (nonfinite_tensors_.empty() ? "" : ", ") + tensor;
    }
  }

  Failure forward(const ForwardCall& call, const RunPlan& plan, Probe& probe,
                  Progress& progress) noexcept override {
    const auto work = [&] {
      const c10::DeviceGuard device(weights_.device);
      run_transformer(model_, weights_, call, plan, probe, progress);
    };
    return weights_.device.is_cpu() ? guarded_reading(model_, work)
                                    : guarded(work);  // views of the file
  }
  Failure make_cache(std::int64_t passes, std::int64_t tokens,
                     std::unique_ptr<TokenCache>& cache) noexcept override {
    return guarded([&] {
      const at::InferenceMode no_gradients;
      const c10::DeviceGuard device(weights_.device);
      if (cache) { return static_cast<StackCache&>(*cache).grow(model_.architecture, tokens); }
      cache = std::make_unique<StackCache>(model_.architecture, passes, tokens, weights_.device);
    });
  }
  std::uint64_t nonfinite_weights() const noexcept override { return weights_.nonfinite; }
  const char* nonfinite_tensors() const noexcept override { return nonfinite_tensors_.c_str(); }
  const char* description() const noexcept override { return description_.c_str(); }

 private:
  const Model& model_;
  Weights weights_;
  std::string description_, nonfinite_tensors_;
};

class TorchEngine final : public Engine {
 public:
  Failure load(const Model& model, const LoadOptions& options, Progress& progress,
               std::unique_ptr<EngineModel>& loaded) noexcept override {
    return guarded_reading(model, [&] {
      const at::InferenceMode no_gradients;
      const at::Device place = open_device(options);
      const c10::DeviceGuard device(place);
      const MemoryPlan plan = plan_memory(model, options);
      require_memory(model, plan, place);
      Weights weights = read_weights(model, options, place, plan, progress);
      weights.backend = options.plain ? &plain_backend() : &native_backend();
      loaded = std::make_unique<LoadedModel>(model, std::move(weights));
    });
  }
  Failure check_device(const LoadOptions& options) noexcept override {
    return guarded([&] { open_device(options); });
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
