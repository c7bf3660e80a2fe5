// The layers of a model, their kernels emulated. An MoE layer of a few tokens takes as many
// launches as it may, and gives the numbers of the layer that takes any number of tokens. With many
// rows launches are counted, too, and how often the host waits with nothing started behind what it
// waits for, so that the GPU runs out of work: never, but where cuBLAS reads the counts of rows.
#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <cstdio>
#include <set>
#include <string>
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
  explicit Listener(bool wants) : wants_{.routing = wants} {}
  explicit Listener(const ProbeWants& wants) : wants_(wants) {}
  ProbeWants wants() const noexcept override { return wants_; }
  bool moe(const MoeTap& tap) noexcept override {
    layers.push_back(tap.layer);
    return true;
  }
  bool dense(const DenseTap& tap) noexcept override {
    layers.push_back(tap.layer);
    return true;
  }
  std::vector<std::int64_t> layers;  // in the order of their taps

 private:
  ProbeWants wants_;
};

// What Torch's operations would start on a GPU, and the copies to the host among them.
class Operations {
 public:
  Operations()
      : handle_(at::addGlobalCallback(
            at::RecordFunctionCallback(begin, end).scopes({at::RecordScope::FUNCTION}))) {}
  ~Operations() { at::removeCallback(handle_); }
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;
  static inline std::int64_t launches = 0, waits = 0;

 private:
  struct Counted final : at::ObserverContext {};
  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& of) {
    // Those that start nothing themselves, and copies on the stream of copies.
    static const std::set<std::string> kNothing{
        "empty",  "empty_like", "empty_strided", "view",   "narrow",     "slice",   "t",
        "select", "transpose",  "as_strided",    "alias",  "contiguous", "reshape", "to",
        "copy_",  "squeeze",    "unsqueeze",     "expand", "view_as",    "resize_"};
    const std::string name = std::string(of.name()).substr(6);  // behind "aten::"
    const auto full = of.operator_name();
    waits += (name == "to" && full && full->overload_name == "dtype_layout") || name == "item";
    if (inside_ > 0 || kNothing.count(name)) { return nullptr; }
    ++launches;
    ++inside_;
    return std::make_unique<Counted>();
  }
  static void end(const at::RecordFunction&, at::ObserverContext* counted) {
    if (counted) { --inside_; }
  }
  static inline int inside_ = 0;  // an operation is counted once, with those it calls
  at::CallbackHandle handle_;
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
    LayerSpec layer, dense;
    layer.feed_forward = moe;
    dense.feed_forward = DenseSpec{of.gates};
    model_.architecture.width = of.hidden;
    model_.architecture.layers = {layer, dense, dense};
    model_.kappa.resize(3);
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
    std::vector<LayerWeights> layers(3);
    const auto random = [&](std::int64_t rows, std::int64_t columns) {
      return (at::randn({rows, columns}) * scale).to(type);
    };
    for (const std::size_t i : {1, 2}) {
      layers[i].dense = {random(of.gates, of.hidden), random(of.gates, of.hidden),
                         random(of.hidden, of.gates)};
    }
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
      to.shared = {random(of.gates, of.hidden), random(of.gates, of.hidden),
                   random(of.hidden, of.gates)};
      to.shared_weight = at::randn({1, of.hidden}) * scale;
    }
    weights_.compute = type;
    weights_.layers = resident_layers(std::move(layers), {});
    prepare_device(model_, weights_);
  }

  // The output of a call; how many launches it took.
  at::Tensor run(const at::Tensor& x, bool recorded, std::int64_t& launches) {
    Listener probe(recorded);
    at::Tensor output;
    with_context(x, probe, [&](const CallContext& context) {
      const std::int64_t before = emulated::launches;
      output = moe_layer(x, weights_.layers->layer(0, 1).moe, 0, 0, context);
      launches = emulated::launches - before;
    });
    return output;
  }

  struct Counts {
    std::int64_t launches, waits;
    std::vector<std::int64_t> order;  // of the taps
  };
  // Of layers 0 (MoE), 1 and 2 (dense), in this order.
  Counts count(const at::Tensor& x, const ProbeWants& wants,
               const std::vector<std::int64_t>& layers) {
    Listener probe(wants);
    Counts counts{};
    with_context(x, probe, [&](const CallContext& context) {
      const Operations operations;
      const auto now = [] {
        return Counts{
            emulated::launches + Operations::launches, emulated::waits + Operations::waits, {}};
      };
      const Counts before = now();
      for (const std::int64_t layer : layers) {
        const LayerWeights& of = weights_.layers->layer(layer, 1);
        (void)(layer == 0 ? moe_layer(x, of.moe, layer, 0, context)
                          : dense_layer(x, of.dense, layer, 0, context));
      }
      counts = {now().launches - before.launches, now().waits - before.waits, {}};
    });
    counts.order = probe.layers;
    return counts;
  }

 private:
  template <typename Run>
  void with_context(const at::Tensor& x, Probe& probe, const Run& run) {
    NoProgress progress;
    const std::vector<std::int32_t> ids(std::size_t(x.size(0)));
    const ForwardCall call{.ids = ids};
    const CallContext context{model_,
                              call,
                              plan_,
                              probe,
                              progress,
                              probe.wants(),
                              native_backend(),
                              0,
                              0,
                              weights_.state.get()};
    run(context);
    finish_taps(context);
  }

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

// Launches of a layer of many rows and its waits: with nothing recorded, and with all statistics.
bool compare_counts(const Shape& of, at::ScalarType type, std::int64_t most, std::int64_t waits) {
  constexpr std::int64_t kMostRecording = 4;  // records cleared, norms, sums of effects
  Layer layer(of, type);
  const at::Tensor x = at::randn({7 * of.experts, of.hidden});
  const ProbeWants all{.routing = true, .gate_stats = true, .hidden = true};
  layer.count(x, all, {0, 1, 2});  // brings the numbers of κ to the device
  const auto plain = layer.count(x, {}, {0});
  const auto recorded = layer.count(x, all, {0, 1, 2, 0, 1});
  const auto dense = layer.count(x, {}, {1}), moe = layer.count(x, all, {0});
  std::printf(
      "%s, %lld to %lld: %lld launches, %lld with all statistics, a dense layer %lld; "
      "%lld waits, %lld in five recorded layers\n",
      at::toString(type), (long long)of.hidden, (long long)of.gates, (long long)plain.launches,
      (long long)moe.launches, (long long)dense.launches, (long long)plain.waits,
      (long long)recorded.waits);
  bool passed = holds(plain.launches <= most, "launches of a layer of many rows");
  passed &= holds(moe.launches <= most + kMostRecording, "launches of what is recorded");
  passed &= holds(plain.waits == waits, "the host waits in a layer");
  passed &= holds(recorded.waits == 2 * waits, "the host waits in a layer that is recorded");
  const std::vector<std::int64_t> order{0, 1, 2, 0, 1};
  return passed & holds(recorded.order == order, "taps in the order of the layers");
}

// A launch that is refused, here for its grid, is said and leaves nothing for Torch's next check.
bool compare_refused() {
  const CombineArgs args{1, 1, std::int64_t(65536) * 256, {}};
  const bool said = holds(combine_cuda(args, nullptr) != 0, "a refused launch is said");
  return said & holds(cudaGetLastError() == cudaSuccess, "no error is left behind");
}

}  // namespace
}  // namespace kappascope

int main() {
  using namespace kappascope;
  const at::InferenceMode no_gradients;
  at::manual_seed(5);
  bool passed = compare_rule() & compare_refused();
  // By the kernel for 9.0, and by cuBLAS with a copy of pointers for each of its three products.
  passed &= compare_counts(kShapes[0], at::kBFloat16, 12, 0);
  passed &= compare_counts(kShapes[2], at::kFloat, 15, 1);
  for (const Shape& of : kShapes) {
    passed &= compare(of, at::kFloat, 2e-6);
    passed &= compare(of, at::kBFloat16, 1e-2);
  }
  return passed ? 0 : 1;
}
