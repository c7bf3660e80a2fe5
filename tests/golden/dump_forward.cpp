// kappascope_dump_forward MODEL IDS OUT.npz [--kappa-off] [--device cpu|cuda[:N]] [--dtype
// bfloat16]: runs token ids and writes all that the forward pass tells, under the names of the
// golden files: layerL.{router_logits,…,gate_act,router_input,moe_output,hidden} ("utP." in front
// with several passes), logits, nll. Without a GPU, 77.
#include <fstream>
#include <iostream>
#include <map>

#include "core/engine/engine.h"
#include "core/trace/npz.h"

namespace kappascope {
namespace {

constexpr ProbeWants kEverything{.routing = true,
                                 .gate_stats = true,
                                 .gates = true,
                                 .hidden = true,
                                 .next_token = true,
                                 .logits = true};

class GoldenProbe final : public Probe {
 public:
  explicit GoldenProbe(const ModelConfig& config) : config_(config) {}
  ProbeWants wants() const noexcept override { return kEverything; }
  bool moe(const MoeTap& tap) noexcept override {
    const std::string front = front_of(tap.layer, tap.pass);
    const std::int64_t tokens = tap.routing.tokens, slots = tap.routing.slots;
    const std::int64_t experts = tap.routing.experts;
    keep(front + "router_logits", tap.routing.logits, {tokens, experts});
    keep(front + "router_margin", tap.routing.numbers.margin, {tokens});
    keep(front + "expert_index", tap.routing.cells.expert, {tokens, slots});
    keep(front + "expert_weight", tap.routing.cells.weight, {tokens, slots});
    keep(front + "kept", tap.routing.cells.kept, {tokens, slots});
    keep(front + "kappa_input", tap.routing.cells.score, {tokens, slots});
    keep(front + "gate_stats", &tap.gate_stats->mean_abs, {tokens, slots, 7});
    keep(front + "output_norm", tap.output_norm, {tokens, slots});
    keep(front + "kappa_hist", tap.kappa_hist, {experts, kKappaBins});
    keep(front + "gate_pre_hist", tap.gate_pre_hist, {experts, kGatePreBins});
    keep(front + "kappa", tap.kappa, {tokens, slots, tap.gates});
    keep(front + "gate_pre", tap.gate_pre, {tokens, slots, tap.gates});
    keep(front + "gate_act", tap.gate_act, {tokens, slots, tap.gates});
    keep(front + "router_input", tap.router_input, {tokens, tap.width});
    keep(front + "moe_output", tap.output, {tokens, tap.width});
    return true;
  }
  bool dense(const DenseTap& tap) noexcept override {
    const std::string front = front_of(tap.layer, tap.pass);
    keep(front + "dense_kappa", tap.kappa, {tap.gates});
    keep(front + "dense_stats", &tap.gate_stats->mean_abs, {tap.tokens, 7});
    return true;
  }
  bool hidden(const HiddenTap& tap) noexcept override {
    keep(front_of(tap.layer, tap.pass) + "hidden", tap.hidden, {tap.tokens, tap.width});
    return true;
  }
  bool next_token(const NextTokenTap& tap) noexcept override {
    nll_.insert(nll_.end(), tap.nll, tap.nll + tap.tokens);
    logits_.insert(logits_.end(), tap.logits, tap.logits + tap.tokens * tap.vocab);
    return true;
  }
  void write(const std::string& path) {
    const auto tokens = std::int64_t(nll_.size());
    keep("logits", logits_.data(), {tokens, config_.vocab_size});
    keep("nll", nll_.data(), {tokens - 1});
    std::vector<NpyArray> arrays;
    for (const auto& [name, array] : arrays_) { arrays.push_back(array.description); }
    NpzWriter writer(path, arrays);
    for (const auto& [name, array] : arrays_) { writer.write(name, 0, array.bytes); }
    writer.finish();
  }

 private:
  struct Array {
    NpyArray description;
    std::vector<std::byte> bytes;
  };
  static NpyType type_of(const float*) { return NpyType::float32; }
  static NpyType type_of(const std::int32_t*) { return NpyType::int32; }
  static NpyType type_of(const std::int64_t*) { return NpyType::int64; }
  static NpyType type_of(const std::uint8_t*) { return NpyType::boolean; }

  std::string front_of(std::int64_t layer, std::int64_t pass) const {
    return join_words(config_.total_ut_steps > 1 ? join_words("ut", pass, ".") : "", "layer", layer,
                      ".");
  }
  template <typename T>
  void keep(const std::string& name, const T* values, std::vector<std::int64_t> shape) {
    NpyArray description{name, type_of(values), std::move(shape), 0};
    const auto bytes = std::as_bytes(std::span(values, std::size_t(description.elements())));
    arrays_[name] = {description, {bytes.begin(), bytes.end()}};
  }

  const ModelConfig& config_;
  std::map<std::string, Array> arrays_;
  std::vector<float> nll_, logits_;
};

struct Words {
  std::string model, ids, output;
  LoadOptions load;
  bool kappa = true;
};

Words read_words(int argc, char** argv) {
  Words words{argv[1], argv[2], argv[3], {}, true};
  for (int i = 4; i < argc; ++i) {
    const std::string word = argv[i], next = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--kappa-off") { words.kappa = false; }
    if (word == "--device" && next.rfind("cuda", 0) == 0) {
      words.load.device = ComputeDevice::cuda;
      if (next.size() > 5) { words.load.device_index = std::stoi(next.substr(5)); }
    }
    if (word == "--dtype" && next == "bfloat16") { words.load.dtype = ComputeType::bfloat16; }
  }
  return words;
}

void dump(const Words& words) {
  std::vector<std::int32_t> ids;
  std::ifstream in(words.ids);
  for (std::int32_t id; in >> id;) { ids.push_back(id); }
  const Model model = open_model(words.model);
  NoProgress progress;
  std::unique_ptr<EngineModel> loaded;
  Failure failure = engine(words.load.device).load(model, words.load, progress, loaded);
  if (failure) { throw Error(failure); }
  std::cerr << loaded->description();
  GoldenProbe probe(model.config);
  failure = loaded->forward({.ids = ids}, {.kappa = words.kappa}, probe, progress);
  if (failure) { throw Error(failure); }
  probe.write(words.output);
}

}  // namespace
}  // namespace kappascope

int main(int argc, char** argv) {
  if (argc < 4) { return 2; }
  try {
    kappascope::dump(kappascope::read_words(argc, argv));
  } catch (const kappascope::Error& error) {
    std::cerr << "kappascope_dump_forward: " << error.what() << '\n';
    return error.code() == kappascope::ExitCode::gpu ? 77 : 1;
  } catch (const std::exception& error) {
    std::cerr << "kappascope_dump_forward: " << error.what() << '\n';
    return 1;
  }
}
