// Works on one MoE layer: the layer, its experts alone, library products of the same shapes, and
// reading its weights.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <thread>

#include "core/checkpoint/input_file.h"
#include "core/forward/device.h"
#include "core/forward/experts.h"
#include "core/forward/layer_source.h"
#include "tests/bench/works.h"

namespace kappascope::bench {
namespace {

// Nothing is recorded.
class Silent final : public Probe {
 public:
  ProbeWants wants() const noexcept override { return {}; }
};

// The model in a folder, its first layer an MoE layer.
struct LoadedLayer {
  Model model;
  NoProgress progress;
  Weights weights;
  RunPlan plan;
  Silent probe;

  explicit LoadedLayer(const Json& arguments)
      : model(open_model(arguments.at("model").get<std::string>())),
        weights(read_weights(model, {}, at::kCPU, {}, progress)),
        plan(resolve(model, {})) {
    at::set_num_threads(arguments.value("threads", 1));
  }
  const MoeWeights& layer() const { return weights.layers->layer(0, 1).moe; }

  // Runs `body` with the context of a call of so many tokens.
  template <typename Body>
  auto in_call(std::int64_t tokens, Body body) {
    const std::vector<std::int32_t> ids(std::size_t(tokens), 0);
    const ForwardCall call{ids};
    const CallContext context{model, call, plan, probe, progress, probe.wants(), native_backend(),
                              0,     0};
    const at::InferenceMode no_gradients;
    return body(context);
  }
};

// "layer": router, experts and combine on `calls` inputs [tokens,H] a round, from a file of float32
// [round, call, tokens, H]; with "output" the first call's result goes to a file.
class LayerWork final : public Work {
 public:
  explicit LayerWork(const Json& arguments)
      : loaded_(arguments),
        tokens_(arguments.at("tokens")),
        calls_(arguments.value("calls", 1)),
        width_(loaded_.model.architecture.width) {
    std::ifstream file(arguments.at("input").get<std::string>(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    input_.resize(bytes.size() / sizeof(float));
    std::memcpy(input_.data(), bytes.data(), input_.size() * sizeof(float));
  }

  Json run(const Json& arguments) override {
    const std::int64_t round = arguments.at("round"), size = tokens_ * width_;
    at::Tensor result;
    const double begin = seconds_now();
    loaded_.in_call(tokens_, [&](const CallContext& context) {
      for (std::int64_t i = 0; i < calls_; ++i) {
        const at::Tensor x =
            at::from_blob(input_.data() + (round * calls_ + i) * size, {tokens_, width_});
        const at::Tensor y = moe_layer(x, loaded_.layer(), 0, 0, context);
        if (i == 0) { result = y; }
      }
    });
    const double seconds = (seconds_now() - begin) / double(calls_);
    if (arguments.contains("output")) {
      std::ofstream file(arguments.at("output").get<std::string>(), std::ios::binary);
      file.write(reinterpret_cast<const char*>(result.const_data_ptr<float>()),
                 std::streamsize(result.nbytes()));
    }
    const MoeSpec& moe = *loaded_.model.architecture.layers[0].moe();
    const std::int64_t weights = moe.router.slots * 3 * width_ * moe.gates * 4;
    return {{"seconds", seconds}, {"weight_bytes", weights}};
  }

 private:
  LoadedLayer loaded_;
  std::int64_t tokens_, calls_, width_;
  std::vector<float> input_;
};

// The experts with `rows` tokens each, evenly: "experts" runs them whole, "loop" is a bare loop of
// the library's products over the same experts (no gather, no κ, no combine), "dense" the same
// number of multiplications as three products of all rows with one expert.
class FfnWork final : public Work {
 public:
  FfnWork(const Json& arguments, std::string kind)
      : kind_(std::move(kind)), loaded_(arguments), rows_(arguments.at("rows")) {
    const MoeSpec& moe = *loaded_.model.architecture.layers[0].moe();
    const RouterSpec& router = moe.router;
    const std::int64_t width = loaded_.model.architecture.width, gates = moe.gates;
    const std::int64_t tokens = rows_ * router.experts / router.slots;
    at::manual_seed(1);
    x_ = at::randn({tokens, width});
    const std::int64_t most = kind_ == "dense" ? rows_ * router.experts : rows_;
    z_ = at::empty({most, gates});
    up_ = at::empty({most, gates});
    y_ = at::empty({most, width});
    gathered_ = at::randn({most, width});
    routing_.emplace(at::zeros({tokens, router.experts}), router.slots, /*recorded=*/false,
                     /*soft=*/false);
    const Assignments& cells = routing_->view.cells;
    for (std::int64_t cell = 0; cell < tokens * router.slots; ++cell) {
      cells.expert[cell] = std::int32_t(cell * 7 % router.experts);
      cells.weight[cell] = 1.0f / float(router.slots);
      cells.kept[cell] = 1;
      cells.score[cell] = float(cell % 13) * 0.1f;
    }
  }

  Json run(const Json&) override {
    const double begin = seconds_now();
    loaded_.in_call(x_.size(0), [&](const CallContext& context) {
      ExpertRecord record;
      if (kind_ == "experts") {
        run_experts(x_, loaded_.layer(), 0, 0, routing_->view, context, {}, record);
      }
      const std::int64_t experts = kind_ == "loop"    ? routing_->view.experts
                                   : kind_ == "dense" ? 1
                                                      : 0;
      for (std::int64_t e = 0; e < experts; ++e) {
        at::mm_out(z_, gathered_, loaded_.layer().gate_proj[e]);
        at::mm_out(up_, gathered_, loaded_.layer().c_fc[e]);
        at::mm_out(y_, up_, loaded_.layer().c_proj[e]);
      }
    });
    return {{"seconds", seconds_now() - begin}};
  }

 private:
  std::string kind_;
  LoadedLayer loaded_;
  std::int64_t rows_;
  at::Tensor x_, gathered_, z_, up_, y_;
  std::optional<Routing> routing_;
};

// "read": adds up `bytes` of the model's file with so many threads: the limit of what streams
// weights. "fresh": through a mapping made for it, the limit of a loader.
class ReadWork final : public Work {
 public:
  explicit ReadWork(const Json& arguments)
      : path_(open_model(arguments.at("model").get<std::string>()).tensors->file().path()),
        threads_(arguments.value("threads", 2)),
        bytes_(arguments.value("bytes", std::size_t(1) << 30)),
        fresh_(arguments.value("fresh", false)),
        file_(InputFile::open(path_)) {
    run({});
  }

  Json run(const Json&) override {
    const double begin = seconds_now();
    if (fresh_) { file_ = InputFile::open(path_); }
    const std::size_t count = std::min<std::size_t>(file_.size(), bytes_) / 8;
    const auto* words =
        reinterpret_cast<const std::uint64_t*>(file_.map(0, count * 8, "weights").data());
    std::vector<std::thread> threads;
    std::vector<std::uint64_t> sums(std::size_t(threads_) * 16);
    for (int i = 0; i < threads_; ++i) {
      threads.emplace_back([&, i] {
        const std::size_t first = count * std::size_t(i) / std::size_t(threads_);
        const std::size_t last = count * std::size_t(i + 1) / std::size_t(threads_);
        std::uint64_t a = 0, b = 0, c = 0, d = 0;
        for (std::size_t at = first; at + 4 <= last; at += 4) {
          a += words[at];
          b += words[at + 1];
          c += words[at + 2];
          d += words[at + 3];
        }
        sums[std::size_t(i) * 16] = a + b + c + d;
      });
    }
    for (std::thread& thread : threads) { thread.join(); }
    std::uint64_t sum = 0;
    for (const std::uint64_t part : sums) { sum += part; }
    return {{"seconds", seconds_now() - begin}, {"bytes", count * 8}, {"sum", sum}};
  }

 private:
  std::string path_;
  int threads_;
  std::size_t bytes_;
  bool fresh_;
  InputFile file_;
};

}  // namespace

void add_layer_works(std::map<std::string, Maker>& makers) {
  makers["layer"] = [](const Json& a) { return std::make_unique<LayerWork>(a); };
  for (const char* kind : {"experts", "loop", "dense"}) {
    makers[kind] = [kind](const Json& a) { return std::make_unique<FfnWork>(a, kind); };
  }
  makers["read"] = [](const Json& a) { return std::make_unique<ReadWork>(a); };
}

}  // namespace kappascope::bench
