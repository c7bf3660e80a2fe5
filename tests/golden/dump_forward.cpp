// kappascope_dump_forward MODEL IDS OUT.npz [IDS OUT.npz …] [--device cpu|cuda[:N]] [--dtype
// bfloat16] [--backend plain] [--wants stream] [--checks none] [--gpu-memory SIZE]
// [--kappa-slot SIDE] [--sft-kappa READING] [--kappa-formula NAME] [--INTERVENTION VALUE …]: runs
// token ids and writes all that the forward pass tells, under the names of the
// golden files: layerL.{router_logits,…,gate_act,router_input,moe_output,hidden} ("utP." in front
// with several passes), logits, nll; --wants stream: hidden, logits and nll alone. Without a
// GPU, 77. With "-" alone such words are read from stdin, a JSON list a line, and each line is
// answered by [exit code, what went wrong]. Two statements are checked on the way, bit for bit,
// unless --checks none: the lens after the last layer is the output, and a text patched with its
// own outputs of MoE layers changes nothing.
#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/engine/engine.h"
#include "core/engine/memory_plan.h"
#include "core/engine/output_plan.h"
#ifndef KAPPASCOPE_WITHOUT_TRACES
#include "core/trace/given_routes.h"
#endif
#include "core/trace/npz.h"

namespace kappascope {
namespace {

// gpu-check has no reader of traces: it replays no routing.
#ifdef KAPPASCOPE_WITHOUT_TRACES
RunPlan resolve_run(const Model& model, const std::vector<Intervention>& interventions) {
  return resolve(model, interventions);
}
#endif

constexpr ProbeWants kEverything{.routing = true,
                                 .gate_stats = true,
                                 .gates = true,
                                 .hidden = true,
                                 .next_token = true,
                                 .logits = true,
                                 .lens = true,
                                 .outputs = true};

// Nothing of the experts, which then may take their fastest way.
constexpr ProbeWants kStream{
    .hidden = true, .next_token = true, .logits = true, .lens = true, .outputs = true};

// The likeliest token of every row, its log-probability, the rank of the one that follows.
struct Likeliest {
  std::vector<std::int32_t> id, rank;
  std::vector<float> logprob;
  bool operator==(const Likeliest&) const = default;
};

class GoldenProbe final : public Probe {
 public:
  GoldenProbe(const Architecture& architecture, const RunPlan& plan, const ProbeWants& wants)
      : vocab_(architecture.vocab),
        depth_(architecture.depth()),
        passes_(plan.passes),
        wants_(wants) {}
  ProbeWants wants() const noexcept override { return wants_; }
  bool moe(const MoeTap& tap) noexcept override {
    const std::string front = front_of(tap.layer, tap.pass);
    const std::int64_t tokens = tap.routing.tokens, slots = tap.routing.slots;
    const std::int64_t experts = tap.routing.experts;
    keep(front + "router_logits", tap.routing.logits, {tokens, experts});
    if (tap.routing.soft_weight) {
      keep(front + "soft_weight", tap.routing.soft_weight, {tokens, experts});
    }
    keep(front + "router_margin", tap.routing.numbers.margin, {tokens});
    keep(front + "expert_index", tap.routing.cells.expert, {tokens, slots});
    keep(front + "expert_weight", tap.routing.cells.weight, {tokens, slots});
    keep(front + "kept", tap.routing.cells.kept, {tokens, slots});
    keep(front + "kappa_input", tap.routing.cells.score, {tokens, slots});
    keep(front + "gate_stats", &tap.gate_stats->mean_abs, {tokens, slots, 7});
    keep(front + "output_norm", tap.output_norm, {tokens, slots});
    if (tap.gate_clamped) { keep(front + "gate_clamped", tap.gate_clamped, {tokens, slots}); }
    if (tap.selection_score) {
      keep(front + "selection_score", tap.selection_score, {tokens, experts});
    }
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
  bool shared(const SharedTap& tap) noexcept override {
    const std::string front = front_of(tap.layer, tap.pass) + "shared_";
    keep(front + "weight", tap.weight, {tap.tokens});
    keep(front + "output_norm", tap.output_norm, {tap.tokens});
    keep(front + "stats", &tap.gate_stats->mean_abs, {tap.tokens, 7});
    return true;
  }
  bool hidden(const RowsTap& tap) noexcept override {
    keep(front_of(tap.layer, tap.pass) + "hidden", tap.rows, {tap.tokens, tap.width});
    return true;
  }
  bool next_token(const NextTokenTap& tap) noexcept override {
    nll_.insert(nll_.end(), tap.nll, tap.nll + tap.tokens);
    logits_.insert(logits_.end(), tap.logits, tap.logits + tap.tokens * tap.vocab);
    for (std::int64_t r = 0; r < tap.tokens; ++r) {
      output_.id.push_back(tap.top_id[r * kTopTokens]);
      output_.logprob.push_back(tap.top_logprob[r * kTopTokens]);
      output_.rank.push_back(tap.target_rank[r]);
    }
    return true;
  }
  bool lens(const LensTap& tap) noexcept override {
    if (tap.layer + 1 < depth_ || tap.pass + 1 < passes_) { return true; }
    for (std::int64_t r = 0; r < tap.tokens; ++r) {
      lens_.id.push_back(tap.top_id[r]);
      lens_.logprob.push_back(tap.top_logprob[r]);
      lens_.rank.push_back(tap.target_rank[r]);
    }
    return true;
  }
  bool output(const RowsTap& tap) noexcept override {
    given_.tokens = tap.tokens;
    given_.width = tap.width;
    given_.layer.push_back(std::int32_t(tap.layer));
    given_.pass.push_back(std::int32_t(tap.pass));
    outputs_.insert(outputs_.end(), tap.rows, tap.rows + tap.tokens * tap.width);
    return true;
  }
  void require_lens_is_output() const {
    require(lens_ == output_, ExitCode::internal, {},
            "the lens after the last layer is not the output");
  }
  // What the MoE layers gave, as if a trace of `model` had it.
  std::shared_ptr<const GivenOutputs> outputs(const Model& model) const {
    auto given = std::make_shared<GivenOutputs>(given_);
    given->file = "itself";
    given->config_sha256 = model.config_sha256;
    given->directory_sha256 = model.directory_sha256;
    given->step = model.files.step;
    given->output = outputs_;
    return given;
  }
  const std::vector<float>& logits() const { return logits_; }
  void write(const std::string& path) {
    const auto tokens = std::int64_t(nll_.size());
    keep("logits", logits_.data(), {tokens, vocab_});
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
    return join_words(passes_ > 1 ? join_words("ut", pass, ".") : "", "layer", layer, ".");
  }
  template <typename T>
  void keep(const std::string& name, const T* values, std::vector<std::int64_t> shape) {
    NpyArray description{name, type_of(values), std::move(shape), 0};
    const auto bytes = std::as_bytes(std::span(values, std::size_t(description.elements())));
    arrays_[name] = {description, {bytes.begin(), bytes.end()}};
  }

  std::int64_t vocab_, depth_, passes_;
  ProbeWants wants_;
  Likeliest output_, lens_;
  GivenOutputs given_;
  std::vector<float> outputs_;
  std::map<std::string, Array> arrays_;
  std::vector<float> nll_, logits_;
};

struct Words {
  std::string model;
  struct Text {
    std::string ids, output;
  };
  std::vector<Text> texts;
  LoadOptions load;
  KappaChoices choices;
  std::vector<Intervention> interventions;
  bool stream = false, checks = true;

  ProbeWants wants() const {
    ProbeWants result = stream ? kStream : kEverything;
    result.lens = result.outputs = checks;
    return result;
  }
};

template <typename Enum>
std::optional<Enum> chosen(const std::string& word, std::initializer_list<Enum> known) {
  for (const Enum value : known) {
    if (word == name(value)) { return value; }
  }
  fail(ExitCode::usage, {}, "unknown word ", word);
}

Words read_words(const std::vector<std::string>& given) {
  Words words;
  words.model = given.at(0);
  std::size_t i = 1;
  for (; i + 1 < given.size() && !given[i].starts_with("--"); i += 2) {
    words.texts.push_back({given[i], given[i + 1]});
  }
  for (; i + 1 < given.size(); i += 2) {
    const std::string &word = given[i], &value = given[i + 1];
    if (word == "--backend") {
      words.load.plain = value == "plain";
    } else if (word == "--wants") {
      words.stream = value == "stream";
    } else if (word == "--checks") {
      words.checks = value != "none";
    } else if (word == "--gpu-memory") {
      words.load.gpu_memory = std::stoull(value);
    } else if (word == "--device") {
      if (value == "cpu") { continue; }
      words.load.device = ComputeDevice::cuda;
      if (value.size() > 5) { words.load.device_index = std::stoi(value.substr(5)); }
    } else if (word == "--dtype") {
      if (value == "bfloat16") { words.load.dtype = ComputeType::bfloat16; }
    } else if (word == "--kappa-slot") {
      words.choices.side = chosen(value, {KappaSide::base, KappaSide::sft});
    } else if (word == "--sft-kappa") {
      words.choices.sft = chosen(value, {SftKappa::residual, SftKappa::independent});
    } else if (word == "--kappa-formula") {
      words.choices.formula = chosen(value, {KappaFormula::v2026_06, KappaFormula::v2026_05_31,
                                             KappaFormula::v2026_05, KappaFormula::v2026_05_20});
    } else {
      words.interventions.push_back(parse_intervention(word.substr(2), value));
    }
  }
  return words;
}

std::vector<std::int32_t> read_ids(const std::string& path) {
  std::ifstream in(path);
  return {std::istream_iterator<std::int32_t>(in), {}};
}

// A text with its own outputs in their place.
void require_unpatched(const GoldenProbe& own, const std::vector<std::int32_t>& ids,
                       const Model& model, const Words& words, EngineModel& loaded) {
  const std::shared_ptr<const GivenOutputs> outputs = own.outputs(model);
  if (outputs->layer.empty()) { return; }
  RunPlan plan = resolve_run(model, words.interventions);
  for (const std::int64_t layer : layers_of(*outputs)) {
    const std::string problem = place_outputs(plan, outputs, layer, {});
    require(problem.empty(), ExitCode::internal, {}, problem);
  }
  ProbeWants wants = own.wants();
  wants.lens = false;  // of which nothing is compared here
  GoldenProbe patched(model.architecture, plan, wants);
  NoProgress progress;
  const Failure failure = loaded.forward({.ids = ids}, plan, patched, progress);
  if (failure) { throw Error(failure); }
  require(patched.logits() == own.logits(), ExitCode::internal, {},
          "a text patched with itself has other logits");
}

void dump(const Words& words) {
  std::vector<std::vector<std::int32_t>> ids;
  for (const Words::Text& text : words.texts) { ids.push_back(read_ids(text.ids)); }
  const Model model = open_model(words.model, {.kappa = words.choices});
  const RunPlan plan = resolve_run(model, words.interventions);
  NoProgress progress;
  std::unique_ptr<EngineModel> loaded;
  LoadOptions load = words.load;
  load.lens = words.checks;
  for (const auto& text : ids) { load.tokens = std::max(load.tokens, std::ssize(text)); }
  const MemoryPlan memory = plan_memory(model, load);
  if (memory.streamed) { std::cerr << memory_text(memory) << '\n'; }
  Failure failure = engine(load.device).load(model, load, progress, loaded);
  if (failure) { throw Error(failure); }
  std::cerr << loaded->description();
  for (std::size_t n = 0; n < ids.size(); ++n) {
    GoldenProbe probe(model.architecture, plan, words.wants());
    plan.check_text(ids[n]);
    failure = loaded->forward({.ids = ids[n]}, plan, probe, progress);
    if (failure) { throw Error(failure); }
    if (words.checks) { probe.require_lens_is_output(); }
    if (words.checks && n == 0) { require_unpatched(probe, ids[n], model, words, *loaded); }
    probe.write(words.texts[n].output);
  }
}

}  // namespace
}  // namespace kappascope

// The exit code, and what went wrong.
std::pair<int, std::string> code_of(const std::vector<std::string>& words) {
  try {
    kappascope::dump(kappascope::read_words(words));
  } catch (const kappascope::Error& error) {
    return {error.code() == kappascope::ExitCode::gpu ? 77 : 1, error.what()};
  } catch (const std::exception& error) { return {1, error.what()}; }
  return {0, ""};
}

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words == std::vector<std::string>{"-"}) {
    for (std::string line; std::getline(std::cin, line);) {
      std::cout << kappascope::Json(code_of(kappascope::Json::parse(line))).dump() << std::endl;
    }
    return 0;
  }
  if (words.size() < 3) { return 2; }
  const auto [code, said] = code_of(words);
  if (code != 0) { std::cerr << "kappascope_dump_forward: " << said << '\n'; }
  return code;
}
