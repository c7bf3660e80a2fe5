// For the tests of core/trace: a small hand-made model and taps of it.
#pragma once

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "core/checkpoint/tensor.h"
#include "core/nan.h"
#include "core/trace/recorder.h"
#include "core/trace/trace.h"
#include "tests/unit/temp_folder.h"

namespace kappascope::trace_test {

using testing::TempFolder;

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_bytes(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::remove(path);  // truncating an old file is slow where it is flushed for safety
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// The failure that `work` throws; code ok when it throws none.
template <typename Work>
Failure failure_of(Work work) {
  try {
    work();
  } catch (const Error& error) { return error.failure(); }
  return {};
}

// Uniform in [−2,2), the same on every machine.
class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  float next() { return static_cast<float>(engine_()) / 1073741824.0f - 2; }
  std::vector<float> floats(std::size_t count) {
    std::vector<float> values(count);
    for (float& value : values) { value = next(); }
    return values;
  }

 private:
  std::mt19937 engine_;
};

// L = 4 (dense, then three MoE layers, κ from layer 2 on), E = 3, K = 2, I = 8, two passes, V = 11.
inline Model make_model(Granularity granularity = Granularity::per_gate, bool scale = true) {
  Model model;
  Architecture& architecture = model.architecture;
  architecture.family = "kappa-swiglu";
  architecture.context = 16;
  architecture.vocab = 11;
  architecture.width = 2;
  architecture.recurrence.passes = 2;
  model.document = {{"n_layer", 4}, {"n_exp", 3}};
  model.files.weights = "runs/tiny/model_000120.pt";
  model.files.step = 120;
  model.config_sha256 = std::string(64, 'a');
  model.directory_sha256 = std::string(64, 'b');
  architecture.layers.resize(4);
  architecture.layers[0].feed_forward = DenseSpec{8, Activation::silu, {}, 1};
  model.kappa.resize(4);
  Random random(7);
  for (std::size_t i = 1; i < 4; ++i) {
    MoeSpec moe;
    moe.router = {3, 2, false, CapacityRule{}};
    moe.gates = 8;
    moe.score = KappaScore{.input = scale ? KappaInput::top_logits : KappaInput::constant};
    if (i >= 2) { moe.kappa = KappaSpec{.granularity = granularity, .scale = scale}; }
    architecture.layers[i].feed_forward = moe;
    if (i < 2) { continue; }
    KappaParameters& kappa = model.kappa[i];
    const bool gates = granularity == Granularity::per_gate;
    const bool experts = gates || granularity == Granularity::per_expert;
    const std::size_t count = gates ? 3 * 8 : experts ? 3 : 1;
    kappa.gate_stride = gates ? 1 : 0;
    kappa.expert_stride = gates ? 8 : experts ? 1 : 0;
    const bool shared = granularity == Granularity::global && i > 2;
    kappa.bias = shared ? model.kappa[2].bias : random.floats(count);
    if (!scale) { continue; }
    kappa.scale = shared ? model.kappa[2].scale : random.floats(count);
  }
  return model;
}

// Router and gate weights for router_alignment, in a file at `path`.
inline void add_weights(Model& model, const std::filesystem::path& path) {
  const std::vector<float> values = Random(9).floats(3 * 2 + 3 * 2 * 8);
  write_bytes(path, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  std::vector<TensorInfo> tensors;
  for (int i = 1; i < 4; ++i) {
    const std::string head = join_words("transformer.h.", i, ".mlp.");
    tensors.push_back({head + "experts.gate_proj", DType::float32, {3, 2, 8}, 24, 192});
    tensors.push_back({head + "router.w_g.weight", DType::float32, {3, 2}, 0, 24});
  }
  model.tensors = std::make_unique<TensorFile>(InputFile::open(path), std::move(tensors));
  for (const TensorInfo& tensor : model.tensors->tensors()) {
    const Role role = tensor.name.ends_with("gate_proj") ? Role::expert_gate : Role::router;
    const std::int64_t layer = tensor.name[std::string_view("transformer.h.").size()] - '0';
    model.weights.add({role, layer, tensor.name, tensor.shape, &tensor});
  }
}

// `tokens` tokens " 0", " 1" …; the first one is a BOS, the second one a lone byte.
inline TokenizedText make_text(int tokens, std::vector<TextChunk> chunks = {}) {
  TokenizedText text;
  for (int t = 0; t < tokens; ++t) {
    text.tokens.push_back({t % 11, 2 * t - 2, 2 * t});
    text.bytes.push_back(" " + std::to_string(t));
  }
  text.tokens[0] = {10, -1, -1};
  text.bytes[0] = "<|bos|>";
  text.bytes[1] = "\xe2";
  text.chunks = chunks.empty() ? std::vector<TextChunk>{{0, 0, tokens}} : chunks;
  return text;
}

// A MoeTap and what it points to: random numbers, every fifth slot dropped.
struct MoeRows {
  std::vector<float> logits, weight, input, columns, kappa, pre, act, norm;
  std::vector<std::int32_t> expert;
  std::vector<std::uint8_t> kept;
  std::vector<GateStats> stats;
  std::vector<std::int64_t> kappa_hist, gate_pre_hist;
  std::vector<EffectSums> effect;
  MoeTap tap{};

  MoeRows(std::int64_t layer, std::int64_t pass, std::int64_t first, std::int64_t tokens) {
    Random random(static_cast<std::uint32_t>(1000 * layer + 100 * pass + first));
    const auto rows = static_cast<std::size_t>(tokens), slots = rows * 2;
    logits = random.floats(rows * 3);
    weight = random.floats(slots);
    input = random.floats(slots);
    columns = random.floats(rows * 5);
    kappa = random.floats(slots * 8);
    pre = random.floats(slots * 8);
    act = random.floats(slots * 8);
    norm = Random(static_cast<std::uint32_t>(first + 17)).floats(slots);
    stats.resize(slots);
    for (std::size_t i = 0; i < slots; ++i) {
      expert.push_back(static_cast<std::int32_t>((i + static_cast<std::size_t>(layer)) % 3));
      kept.push_back(i % 5 != 4);
      stats[i] = {random.next(), random.next(), random.next(), random.next(),
                  random.next(), random.next(), random.next()};
      if (!kept[i]) { weight[i] = 0, input[i] = kNaN; }
    }
    for (std::int64_t i = 0; i < 3 * kKappaBins; ++i) { kappa_hist.push_back(i % 64 < 2 ? 1 : 0); }
    for (std::int64_t i = 0; i < 3 * kGatePreBins; ++i) { gate_pre_hist.push_back(i % 66 > 63); }
    effect = {{1, 2, 8, 1, 3, 4, 18, 2, 6, 0, 2}, {}, {-1, 1, 1, 0, -2, 2, 4, 0, 5, 0, 1}};
    tap.layer = layer, tap.pass = pass, tap.first_token = first;
    tap.gates = 8, tap.width = 2;
    float* const numbers = columns.data();
    tap.routing = {
        tokens,
        3,
        2,
        logits.data(),
        {nullptr, expert.data(), weight.data(), kept.data(), input.data()},
        {numbers, numbers + rows, numbers + 2 * rows, numbers + 3 * rows, numbers + 4 * rows}};
    tap.gate_stats = stats.data(), tap.kappa_hist = kappa_hist.data();
    tap.gate_pre_hist = gate_pre_hist.data(), tap.effect = effect.data();
    tap.output_norm = norm.data();
    tap.kappa = kappa.data(), tap.gate_pre = pre.data(), tap.gate_act = act.data();
  }
  MoeRows(const MoeRows&) = delete;
  MoeRows& operator=(const MoeRows&) = delete;
};

// Runs the taps of a whole text through the recorder, chunk after chunk, as an engine would.
inline bool feed(TraceRecorder& recorder, const Model& model, const TokenizedText& text,
                 const TraceSettings& settings) {
  bool going = true;
  const auto tokens = static_cast<std::int64_t>(text.tokens.size());
  for (const TextChunk& chunk : text.chunks) {
    const std::int64_t first = chunk.first_recorded, rows = chunk.end - first;
    const auto count = static_cast<std::size_t>(rows);
    for (std::int64_t pass = 0; pass < model.architecture.recurrence.passes; ++pass) {
      if (recorder.wants_layer(0)) {
        const std::vector<float> kappa(8, 1.0f);
        const std::vector<GateStats> stats(count, {0.5f, 1, 2, 3, 4, 5, float(pass)});
        going &= recorder.dense({0, pass, first, rows, 8, kappa.data(), stats.data()});
      }
      for (std::int64_t layer = 1; layer < 4; ++layer) {
        if (!recorder.wants_layer(layer)) { continue; }
        going &= recorder.moe(MoeRows(layer, pass, first, rows).tap);
      }
    }
    std::vector<float> nll, logprob = Random(5).floats(count * kTopTokens);
    std::vector<std::int32_t> rank, top(count * kTopTokens, 4);
    for (std::int64_t t = first; t < chunk.end; ++t) {
      nll.push_back(t + 1 < tokens ? static_cast<float>(t + 1) / 8 : kNaN);
      rank.push_back(t + 1 < tokens ? static_cast<std::int32_t>(t + 1) : -1);
    }
    const std::vector<float> logits = Random(6).floats(count * 11);
    going &=
        recorder.next_token({first, rows, 11, nll.data(), rank.data(), top.data(), logprob.data(),
                             settings.record_logits ? logits.data() : nullptr});
  }
  return going;
}

inline TraceSettings make_settings() {
  TraceSettings settings;
  settings.command = "kappascope run runs/tiny -p 'a b'";
  settings.tool_version = "0.1.0";
  settings.torch_version = "none";
  return settings;
}

inline void record(const std::filesystem::path& path, const Model& model, const TokenizedText& text,
                   const TraceSettings& settings = make_settings(),
                   const std::vector<Intervention>& interventions = {}) {
  const RunPlan plan = resolve(model, interventions);
  TraceRecorder recorder(path, model, plan, text, settings);
  feed(recorder, model, text, settings);
  recorder.finish();
}

}  // namespace kappascope::trace_test
