// The MoE layer of a few tokens, its kernels emulated: as many launches as it may take, and the
// numbers of the layer that takes any number of tokens.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <cstdio>
#include <vector>

#include "core/forward/device_cuda.h"
#include "core/forward/layer_source.h"
#include "tests/gpu/emulated/cuda_runtime.h"

namespace kappascope {
namespace {

constexpr std::int64_t kMostLaunches = 4;
constexpr std::int64_t kManyTokens = 40;  // more than a few

class Listener final : public Probe {
 public:
  explicit Listener(bool wants) : wants_(wants) {}
  ProbeWants wants() const noexcept override { return {.routing = wants_}; }

 private:
  bool wants_;
};

struct Shape {
  std::int64_t hidden, gates, experts, slots;
  bool kappa, rules = false, shared = false;
};
constexpr Shape kShapes[] = {{200, 96, 64, 2, true},
                             {64, 300, 48, 8, true},
                             {33, 70, 32, 3, false},
                             {72, 33, 32, 4, false, true},
                             {40, 96, 16, 2, false, true, true}};

class Layer {
 public:
  Layer(const Shape& of, at::ScalarType type) : of_(of) {
    const double scale = 1 / std::sqrt(double(of.hidden));
    MoeSpec moe;
    moe.router = {of.experts, of.slots, false, {}};
    moe.gates = of.gates;
    moe.score = KappaScore{};
    if (of.kappa) { moe.kappa = KappaSpec{}; }
    if (of.rules) {
      moe.router.logit_bias = true;
      moe.gate = {.kappa = 1.702, .limit = 1, .up_offset = 1, .bias = true};
    }
    if (of.shared) { moe.shared = SharedSpec{of.gates, true}; }
    LayerSpec layer;
    layer.feed_forward = moe;
    model_.architecture.width = of.hidden;
    model_.architecture.layers = {layer};
    model_.kappa.resize(1);
    if (of.kappa) {
      KappaParameters& kappa = model_.kappa[0];
      for (std::int64_t i = 0; i < of.experts * of.gates; ++i) {
        kappa.bias.push_back(float(i % 97) / 97 - 0.5f);
        kappa.scale.push_back(float(i % 89) / 89);
      }
      kappa.expert_stride = of.gates;
      kappa.gate_stride = 1;
    }
    plan_ = resolve(model_, {});
    std::vector<LayerWeights> layers(1);
    MoeWeights& to = layers[0].moe;
    to.w_g = at::randn({of.experts, of.hidden}) * scale;
    to.gate_proj = (at::randn({of.experts, of.hidden, of.gates}) * scale).to(type);
    to.c_fc = (at::randn({of.experts, of.hidden, of.gates}) * scale).to(type);
    to.c_proj = (at::randn({of.experts, of.gates, of.hidden}) * scale).to(type);
    if (of.rules) {
      to.router_bias = at::randn({of.experts});
      to.gate_bias = at::randn({of.experts, of.gates});
      to.up_bias = at::randn({of.experts, of.gates});
      to.down_bias = at::randn({of.experts, of.hidden});
    }
    if (of.shared) {
      to.shared = {(at::randn({of.gates, of.hidden}) * scale).to(type),
                   (at::randn({of.gates, of.hidden}) * scale).to(type),
                   (at::randn({of.hidden, of.gates}) * scale).to(type)};
      to.shared_weight = at::randn({1, of.hidden}) * scale;
    }
    weights_.layers = resident_layers(std::move(layers), {});
    prepare_device(model_, weights_);
  }

  // The output of a call; how many launches it took.
  at::Tensor run(const at::Tensor& x, bool recorded, std::int64_t& launches) {
    Listener probe(recorded);
    NoProgress progress;
    const std::vector<std::int32_t> ids(std::size_t(x.size(0)));
    const ForwardCall call{.ids = ids};
    CallContext context{model_,
                        call,
                        plan_,
                        probe,
                        progress,
                        probe.wants(),
                        native_backend(),
                        0,
                        0,
                        weights_.state.get()};
    const std::int64_t before = emulated::launches;
    const at::Tensor output = moe_layer(x, weights_.layers->layer(0, 1).moe, 0, 0, context);
    launches = emulated::launches - before;
    finish_taps(context);
    return output;
  }

 private:
  const Shape of_;
  Model model_;
  RunPlan plan_;
  Weights weights_;
};

bool holds(bool condition, const char* what) {
  if (!condition) { std::printf("FAILED %s\n", what); }
  return condition;
}

// float32: rounding alone. bfloat16: the layer of any size rounds z, up and y once more.
bool compare(const Shape& of, at::ScalarType type, double tolerance) {
  Layer layer(of, type);
  const at::Tensor x = at::randn({kManyTokens, of.hidden});
  std::int64_t launches = 0;
  const at::Tensor many = layer.run(x, false, launches);
  bool passed = holds(launches > kMostLaunches, "many tokens take the other way");
  const at::Tensor again = layer.run(x.narrow(0, 0, 2), true, launches);
  passed &= holds(launches > kMostLaunches, "recorded tokens take the other way");
  for (const std::int64_t tokens : {1, 2, 17, 32}) {
    const at::Tensor few = layer.run(x.narrow(0, 0, tokens).contiguous(), false, launches);
    passed &= holds(launches <= kMostLaunches + of.shared, "launches of a few tokens");
    const at::Tensor expected = many.narrow(0, 0, tokens);
    const double error = ((few - expected).norm() / expected.norm()).item<double>();
    std::printf("%s, %lld to %lld, %lld tokens: %lld launches, relative difference %.2e\n",
                at::toString(type), (long long)of.hidden, (long long)of.gates, (long long)tokens,
                (long long)launches, error);
    passed &= holds(error < tolerance, "the numbers of the layer of any size");
  }
  return passed;
}

// Of few tokens with many rows an expert each weight would be read several times.
bool compare_rule() {
  const Shape of{32, 64, 2, 2, false};  // 6 rows an expert are few
  Layer layer(of, at::kFloat);
  const at::Tensor x = at::randn({kManyTokens, of.hidden});
  std::int64_t many = 0, launches = 0, recorded_few = 0, recorded = 0;
  layer.run(x, true, many);
  layer.run(x.narrow(0, 0, 6).contiguous(), false, launches);
  layer.run(x.narrow(0, 0, 6).contiguous(), true, recorded_few);
  bool passed = holds(launches <= kMostLaunches, "6 rows an expert are few");
  passed &= holds(recorded_few != many, "recorded, too");
  layer.run(x.narrow(0, 0, 7).contiguous(), false, launches);
  layer.run(x.narrow(0, 0, 7).contiguous(), true, recorded);
  passed &= holds(launches > kMostLaunches, "7 rows an expert are many");
  return passed & holds(recorded == many, "recorded, too");
}

}  // namespace
}  // namespace kappascope

int main() {
  using namespace kappascope;
  const at::InferenceMode no_gradients;
  at::manual_seed(5);
  bool passed = compare_rule();
  for (const Shape& of : kShapes) {
    passed &= compare(of, at::kFloat, 2e-6);
    passed &= compare(of, at::kBFloat16, 1e-2);
  }
  return passed ? 0 : 1;
}
