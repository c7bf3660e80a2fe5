// The G rows of the benchmark: one MoE layer in bfloat16 on a GPU. Ours is the whole layer with its
// routing; the peer is handed the routing, sorted, and does the rest by Torch's own operations:
// at::_grouped_mm three times and κ-SwiGLU as written. And κ-SwiGLU of one expert in training,
// forward and backward in float32; the peer's derivatives are those that Torch derives.
//
// A library, so that a machine without CUDA's libraries is told apart from one that fails:
// kappascope_gpu_rows(path, rounds) writes {"G1_a": {"ratio":…, "ours_ms":…, "peer_ms":…, "goal":…,
// "holds":…}, …} and returns 0 when every row holds, 1 when not, 77 without a device. One round is
// for a profiler: nothing is then warmed up, and no ratio means anything.
#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "core/forward/device_cuda.h"
#include "core/forward/kappa_function.h"
#include "core/forward/layer_source.h"

namespace kappascope {
namespace {

constexpr double kLogBound = 1.0986123;  // ln 3
constexpr int kLayers = 4;               // of G4

struct Shape {
  const char* name;
  std::int64_t hidden, gates, experts, slots;
};
constexpr Shape kShapes[] = {{"a", 1024, 4096, 64, 2}, {"b", 2048, 768, 128, 8}};

class Listener final : public Probe {
 public:
  explicit Listener(bool wants) : wants_(wants) {}
  ProbeWants wants() const noexcept override { return {.routing = wants_, .gate_stats = wants_}; }

 private:
  bool wants_;
};

// A layer of a shape, its weights drawn, and its calls.
class Layer {
 public:
  Layer(const Shape& of, at::Device device) : shape(of) {
    const auto half = at::TensorOptions(at::kBFloat16).device(device);
    const double scale = 1 / std::sqrt(double(of.hidden));
    MoeSpec moe_spec;
    moe_spec.router = {
        of.experts, of.slots, false, {}};  // nothing is dropped: the peer drops nothing
    moe_spec.gates = of.gates;
    moe_spec.score = KappaScore{};  // twice the weight
    moe_spec.kappa = KappaSpec{};
    LayerSpec layer;
    layer.feed_forward = moe_spec;
    model_.architecture.width = of.hidden;
    model_.architecture.layers = {layer};
    model_.kappa.resize(1);
    KappaParameters& kappa = model_.kappa[0];
    const std::size_t units = std::size_t(of.experts * of.gates);
    kappa.bias.assign(units, 0);
    kappa.scale.assign(units, 0);
    for (std::size_t i = 0; i < units; ++i) {
      kappa.bias[i] = float(i % 97) / 97 - 0.5f;
      kappa.scale[i] = float(i % 89) / 89;
    }
    kappa.expert_stride = of.gates;
    kappa.gate_stride = 1;
    plans_[0] = resolve(model_, {{.edit = Edit::kappa}});
    plans_[1] = resolve(model_, {});
    weights_.device = device;
    weights_.compute = at::kBFloat16;
    std::vector<LayerWeights> layers(1);
    MoeWeights& moe = layers[0].moe;
    moe.w_g = at::randn({of.experts, of.hidden}, half.dtype(at::kFloat)) * scale;
    moe.gate_proj = at::randn({of.experts, of.hidden, of.gates}, half) * scale;
    moe.c_fc = at::randn({of.experts, of.hidden, of.gates}, half) * scale;
    moe.c_proj = at::randn({of.experts, of.gates, of.hidden}, half) * scale;
    weights_.layers = resident_layers(std::move(layers), {});
    description = prepare_device(model_, weights_);
    kappa_bias = at::tensor(kappa.bias).view({of.experts, of.gates}).to(device);
    kappa_scale = at::tensor(kappa.scale).view({of.experts, of.gates}).to(device);
  }

  // The layer, `times` after each other as a model runs its layers: what is recorded of one is
  // copied while the next runs.
  at::Tensor run(const at::Tensor& x, bool kappa, Probe& probe, int times = 1) {
    NoProgress progress;
    const std::vector<std::int32_t> ids(std::size_t(x.size(0)));
    const ForwardCall call{.ids = ids};
    CallContext context{
        model_, call, plans_[kappa ? 1 : 0], probe, progress, probe.wants(), native_backend(),
        0,      0,    weights_.state.get()};
    at::Tensor output;
    for (int i = 0; i < times; ++i) { output = moe_layer(x, moe(), 0, 0, context); }
    finish_taps(context);
    return output;
  }
  // The same without a kernel that does what is then not recorded.
  void run_unfused(const at::Tensor& x, Probe& probe, int times) {
    weights_.state->fuses_swiglu = false;
    run(x, true, probe, times);
    weights_.state->fuses_swiglu = true;
  }
  const MoeWeights& moe() const { return weights_.layers->layer(0, 1).moe; }

  const Shape shape;
  std::string description;
  at::Tensor kappa_bias, kappa_scale;  // [E,I]

 private:
  Model model_;
  RunPlan plans_[2];  // κ off, κ on
  Weights weights_;
};

// What the peer is handed: sorted cells, and all that the κ of a row depends on.
struct PeerRouting {
  at::Tensor token, expert, score, weight, ends;  // [rows] ×4, [E]
  PeerRouting(const Layer& layer, const at::Tensor& x) {
    const at::Tensor logits = at::mm(x, layer.moe().w_g.t());
    const auto [value, index] = at::topk(logits, layer.shape.slots);
    const at::Tensor flat = index.flatten(), order = at::argsort(flat, /*stable=*/true);
    weight = value.softmax(-1).flatten().index_select(0, order);
    score = 2 * weight;
    expert = flat.index_select(0, order);
    token = order.div(layer.shape.slots, "floor");
    ends = at::bincount(flat, {}, layer.shape.experts).cumsum(0).to(at::kInt);
  }
};

at::Tensor run_peer(const Layer& layer, const at::Tensor& x, const PeerRouting& routing) {
  const at::Tensor rows = x.to(at::kBFloat16).index_select(0, routing.token);
  const at::Tensor z = at::_grouped_mm(rows, layer.moe().gate_proj, routing.ends).to(at::kFloat);
  const at::Tensor up = at::_grouped_mm(rows, layer.moe().c_fc, routing.ends);
  const at::Tensor alpha = layer.kappa_scale.index_select(0, routing.expert);
  const at::Tensor bias = layer.kappa_bias.index_select(0, routing.expert);
  const at::Tensor u = alpha * routing.score.unsqueeze(1) + bias;
  const at::Tensor kappa = (kLogBound * u.tanh()).exp();
  const at::Tensor hidden = (z * (kappa * z).sigmoid() * up).to(at::kBFloat16);
  const at::Tensor y = at::_grouped_mm(hidden, layer.moe().c_proj, routing.ends);
  return at::zeros_like(x).index_add_(0, routing.token, y * routing.weight.unsqueeze(1));
}

using Work = std::function<void()>;

// How often each work is measured; none of the first kWarmUp rounds counts unless there is but one.
struct Rounds {
  static constexpr int kWarmUp = 3;
  int counted;
  int warm_up() const { return counted > 1 ? kWarmUp : 0; }
  int all() const { return counted + warm_up(); }
};

// Milliseconds of the device for one call of each, interleaved; medians. Each round begins with
// another: what comes after long work finds a warmer GPU. The device is idle before each call, so
// that the time holds what the host does before its first launch; or, with `before`, it is busy
// with that while the host prepares the call, as it is in the middle of a model.
std::vector<double> times_of(const std::vector<Work>& works, const at::Device& device,
                             Rounds rounds, const Work& before = {}) {
  CudaEvent from = nullptr, to = nullptr;
  require_launched(cuda_create(from), "event");
  require_launched(cuda_create(to), "event");
  std::vector<std::vector<double>> times(works.size());
  for (int round = 0; round < rounds.all(); ++round) {
    for (std::size_t turn = 0; turn < works.size(); ++turn) {
      const std::size_t i = (turn + std::size_t(round)) % works.size();
      if (before) { before(); }
      require_launched(cuda_record(from, stream_of(device)), "event");
      works[i]();
      require_launched(cuda_record(to, stream_of(device)), "event");
      require_launched(cuda_wait(to), "work");
      float time = 0;
      require_launched(cuda_milliseconds(from, to, time), "event");
      if (round >= rounds.warm_up()) { times[i].push_back(double(time)); }
    }
  }
  cuda_destroy(from);
  cuda_destroy(to);
  std::vector<double> medians;
  for (std::vector<double>& of : times) {
    const auto middle = of.begin() + rounds.counted / 2;
    std::nth_element(of.begin(), middle, of.end());
    medians.push_back(*middle);
  }
  return medians;
}

class Report {
 public:
  // How often as fast as the peer, at least `goal`.
  void faster(const std::string& name, double ours, double peer, double goal, const char* what) {
    add(name, peer / ours, ours, peer, goal, true, what);
  }
  // How often as long as the peer, at most `goal`.
  void longer(const std::string& name, double ours, double peer, double goal, const char* what) {
    add(name, ours / peer, ours, peer, goal, false, what);
  }
  // How often as fast as the peer; no goal.
  void beside(const std::string& name, double ours, double peer, const char* what) {
    std::printf("%-14s %7.3f                     %9.4f ms, peer %9.4f ms: %s\n", name.c_str(),
                peer / ours, ours, peer, what);
    put(name, peer / ours, ours, peer, what, "}");
  }
  bool write(const char* path) const {
    std::FILE* file = std::fopen(path, "w");
    if (!file) { return false; }
    std::fprintf(file, "{\n%s\n}\n", json_.c_str());
    return std::fclose(file) == 0;
  }
  bool all() const { return all_; }

 private:
  void add(const std::string& name, double ratio, double ours, double peer, double goal, bool least,
           const char* what) {
    const bool holds = least ? ratio >= goal : ratio <= goal;
    std::printf("%-14s %7.3f  goal %s %.2f  %-6s  %9.4f ms, peer %9.4f ms: %s\n", name.c_str(),
                ratio, least ? "≥" : "≤", goal, holds ? "holds" : "MISSED", ours, peer, what);
    put(name, ratio, ours, peer, what,
        join_words(", \"goal\": ", goal, ", \"holds\": ", holds ? "true" : "false", "}"));
    all_ = all_ && holds;
  }
  void put(const std::string& name, double ratio, double ours, double peer, const char* what,
           const std::string& rest) {
    json_ += join_words(json_.empty() ? "" : ",\n", "  \"", name, "\": {\"ratio\": ", ratio,
                        ", \"ours_ms\": ", ours, ", \"peer_ms\": ", peer, ", \"peer\": \"", what,
                        "\"", rest);
  }
  std::string json_;
  bool all_ = true;
};

// The layer's output must be the peer's before anything is timed.
void compare_outputs(Layer& layer, const at::Tensor& x, const PeerRouting& routing) {
  Listener nobody(false);
  const at::Tensor peer = run_peer(layer, x, routing);
  const at::Tensor difference = layer.run(x, true, nobody) - peer;
  const double error = (difference.norm() / peer.norm()).item<double>();
  std::printf("%s: %lld tokens, relative difference to the peer %.2e\n", layer.shape.name,
              (long long)x.size(0), error);
  require(error < 2e-2, ExitCode::internal, {}, "the layer's output is not the peer's");
}

void measure_many(Layer& layer, std::int64_t tokens, Rounds rounds, Report& report) {
  const at::Device device = layer.moe().w_g.device();
  const Shape& of = layer.shape;
  const at::Tensor x = at::randn({tokens, of.hidden}, layer.moe().w_g.options());
  const PeerRouting routing(layer, x);
  compare_outputs(layer, x, routing);
  const auto half = layer.moe().gate_proj.options();
  const at::Tensor a = at::randn({tokens * of.slots, of.hidden}, half);
  const at::Tensor b = at::randn({of.hidden, 3 * of.gates}, half);
  Listener nobody(false), recorder(true);
  const std::vector<double> time =
      times_of({[&] { layer.run(x, true, nobody); }, [&] { run_peer(layer, x, routing); },
                [&] { at::mm(a, b); }, [&] { layer.run(x, false, nobody); },
                [&] { layer.run_unfused(x, nobody, kLayers); },
                [&] { layer.run(x, true, recorder, kLayers); },
                [&] { layer.run(x, true, nobody, kLayers); }},
               device, rounds);
  const std::string name = of.name;
  report.faster("G1_" + name, time[0], time[1], 1.15, "at::_grouped_mm + eager κ");
  report.faster("G1_" + name + "_dense", time[0], time[2], of.slots == 2 ? 0.65 : 0.5,
                "one dense product");
  report.longer("G3_" + name, time[0], time[3], 1.03, "κ off");
  report.longer("G4_" + name, time[5], time[4], 1.25, "no recording, four layers, unfused");
  std::printf("G4_%s: four layers without recording, as they run: %.4f ms\n", of.name, time[6]);
}

// Bytes a millisecond of a large copy on the device, read and written.
double memory_rate(const at::Device& device, Rounds rounds) {
  const std::int64_t bytes = std::int64_t(1) << 32;
  const at::Tensor from = at::ones({bytes}, at::TensorOptions(at::kByte).device(device));
  at::Tensor to = at::empty_like(from);
  return 2 * double(bytes) / times_of({[&] { to.copy_(from); }}, device, rounds)[0];
}

void measure_few(Layer& layer, std::int64_t tokens, double rate, Rounds rounds, Report& report) {
  const Shape& of = layer.shape;
  const auto options = layer.moe().w_g.options();
  std::vector<at::Tensor> inputs;  // other experts each round, so that no cache holds their weights
  std::vector<PeerRouting> routings;
  double hit = 0;
  for (int i = 0; i < rounds.all(); ++i) {
    inputs.push_back(at::randn({tokens, of.hidden}, options));
    routings.emplace_back(layer, inputs.back());
    hit += double(std::get<0>(at::_unique(routings.back().expert)).numel()) / rounds.all();
  }
  compare_outputs(layer, inputs[0], routings[0]);
  Listener nobody(false);
  std::size_t ours = 0, theirs = 0;
  const std::vector<Work> works = {[&] { layer.run(inputs[ours++ % inputs.size()], true, nobody); },
                                   [&] {
                                     const std::size_t i = theirs++ % inputs.size();
                                     run_peer(layer, inputs[i], routings[i]);
                                   }};
  const double bytes = hit * 3 * double(of.hidden * of.gates) * 2;
  const std::string name = std::string("G2_") + of.name + "_" + std::to_string(tokens);
  const at::Device device = layer.moe().w_g.device();
  const char* const eager = "at::_grouped_mm + eager κ";
  const char* const copy = "a copy of the weights read";
  const std::vector<double> alone = times_of(works, device, rounds);
  if (tokens <= 4) { report.faster(name, alone[0], alone[1], 3.5, eager); }
  report.faster(name + "_bytes", alone[0], bytes / rate, 0.75, copy);
  const at::Tensor busy = at::empty({std::int64_t(1) << 29}, options);
  const std::vector<double> queued = times_of(works, device, rounds, [&] { busy.zero_(); });
  report.beside(name + "_queued", queued[0], queued[1], eager);
  report.beside(name + "_queued_bytes", queued[0], bytes / rate, copy);
  const auto begin = std::chrono::steady_clock::now();
  busy.zero_();
  for (int i = 0; i < 32; ++i) { works[0](); }
  const std::chrono::duration<double, std::micro> host = std::chrono::steady_clock::now() - begin;
  std::printf("%s: the host takes %.1f µs a call\n", name.c_str(), host.count() / 32);
}

// κ-SwiGLU of one expert in training: what it reads, and the derivative by what it gives.
struct TrainedGates {
  at::Tensor z, up, score, bias, scale, grad;

  TrainedGates(const Shape& of, std::int64_t rows, const at::Device& device) {
    const auto options = at::TensorOptions(at::kFloat).device(device);
    for (at::Tensor* matrix : {&z, &up, &grad}) { *matrix = at::randn({rows, of.gates}, options); }
    score = at::randn({rows}, options);
    for (at::Tensor* column : {&bias, &scale}) { *column = at::randn({of.gates}, options); }
    for (at::Tensor* input : {&z, &up, &score, &bias, &scale}) { input->set_requires_grad(true); }
  }
  at::Tensor ours() const { return kappa_swiglu(z, up, score, bias, scale, kLogBound, false); }
  at::Tensor eager() const {
    const at::Tensor kappa = (kLogBound * (scale * score.unsqueeze(1) + bias).tanh()).exp();
    return z * (kappa * z).sigmoid() * up;
  }
  std::vector<at::Tensor> derivatives(const at::Tensor& hidden) const {
    return torch::autograd::grad({hidden}, {z, up, score, bias, scale}, {grad});
  }
};

void measure_training(const Shape& of, const at::Device& device, Rounds rounds, Report& report) {
  constexpr std::int64_t kRows = 4096;
  const c10::InferenceMode with_gradients(false);
  const TrainedGates gates(of, kRows, device);
  const auto ours = gates.derivatives(gates.ours()), theirs = gates.derivatives(gates.eager());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const double error = ((ours[i] - theirs[i]).norm() / theirs[i].norm()).item<double>();
    std::printf("%s: derivative %zu, relative difference to the peer %.2e\n", of.name, i, error);
    require(error < 1e-5, ExitCode::internal, {}, "a derivative is not the peer's");
  }
  const std::vector<double> time = times_of(
      {[&] { gates.derivatives(gates.ours()); }, [&] { gates.derivatives(gates.eager()); }}, device,
      rounds);
  report.faster(std::string("T_") + of.name, time[0], time[1], 2,
                "κ-SwiGLU as written, and its derivatives by Torch");
}

int measure(const char* path, Rounds rounds) {
  int count = 0;
  if (cuda_device_count(count) != 0 || count == 0) { return 77; }
  const at::InferenceMode no_gradients;
  const at::Device device = open_device({.device = ComputeDevice::cuda});
  const c10::DeviceGuard guard(device);
  Report report;
  const double rate = memory_rate(device, rounds);
  std::printf("copy on the device: %.0f GB/s\n", rate / 1e6);
  for (const Shape& shape : kShapes) {
    Layer layer(shape, device);
    std::printf("%s\n", layer.description.c_str());
    measure_many(layer, shape.slots == 2 ? 8192 : 4096, rounds, report);
    measure_training(shape, device, rounds, report);
    for (const std::int64_t tokens : {1, 4, 16}) {
      measure_few(layer, tokens, rate, rounds, report);
    }
  }
  require(report.write(path), ExitCode::io, {.file = path}, "cannot be written");
  return report.all() ? 0 : 1;
}

}  // namespace
}  // namespace kappascope

extern "C" __attribute__((visibility("default"))) int kappascope_gpu_rows(const char* path,
                                                                          int rounds) {
  try {
    return kappascope::measure(path, {rounds});
  } catch (const std::exception& error) {
    std::printf("FAILED %s\n", error.what());
    return 1;
  }
}
