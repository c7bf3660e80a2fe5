// `kappascope selftest`: the shipped checkpoint against the reference implementation's numbers.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>

#include "app/cli/command_line.h"
#include "app/cli/output_folder.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "app/run_text.h"
#include "core/checkpoint/folder.h"
#include "core/trace/trace.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSelftestFooter = R"(
Runs assets/d8-kappa on the texts of assets/selftest and prints, for each quantity, the difference
that is largest beside its tolerance, 1e-4 + 1e-4·|expected|, for shares of gate units one unit more.
Exit code 0 when all hold, else 1.
$KAPPASCOPE_ASSETS names another assets folder.

Example:
  kappascope selftest)";

// float32 rounding through eight layers, and no more.
constexpr double kAbsolute = 1e-4, kRelative = 1e-4;
// Two correct programs may choose differently where scores are closer than this.
constexpr double kTie = 1e-5;
constexpr std::int64_t kLogitStride = 8;  // the golden files hold every eighth column

// The largest difference of one quantity, measured in its tolerance.
struct Quantity {
  std::string name;
  double difference = 0, tolerance = kAbsolute, ratio = -1;
  std::string place;
  std::int64_t values = 0;

  void compare(double ours, double golden, double slack, const std::string& where) {
    ++values;
    if (std::isnan(ours) && std::isnan(golden)) { return; }
    const double allowed = kAbsolute + kRelative * std::abs(golden) + slack;
    const double off = std::abs(ours - golden);
    const double share = std::isnan(off) ? std::numeric_limits<double>::infinity() : off / allowed;
    if (share <= ratio) { return; }
    difference = off;
    tolerance = allowed;
    ratio = share;
    place = where;
  }
};

class Comparison {
 public:
  Quantity& quantity(const std::string& name) {
    for (Quantity& known : quantities_) {
      if (known.name == name) { return known; }
    }
    quantities_.emplace_back().name = name;
    return quantities_.back();
  }

  void compare_text(const Trace& trace, const NpzReader& golden, const std::string& text);
  std::string report() const;
  bool holds() const;

 private:
  void compare_choices(const Trace& trace, const NpzReader& golden, std::int64_t m);
  void compare_layer(const Trace& trace, const NpzReader& golden, std::int64_t m);
  void compare_next_tokens(const Trace& trace, const NpzReader& golden);
  std::string at(const Trace& trace, std::int64_t m, std::int64_t t) const {
    return join_words(text_, ", layer ", trace.layer_index[m], ", token ", t);
  }

  std::vector<Quantity> quantities_;
  std::vector<std::string> failures_;
  std::int64_t flips_ = 0;
  std::string text_;               // of the golden file compared now
  std::vector<char> comparable_;   // [T] the same experts were chosen so far
  std::vector<char> next_layers_;  // [T] and in what comes after this layer
};

void require_shape(const NpzReader& golden, std::string_view name,
                   const std::vector<std::int64_t>& shape) {
  const NpyArray* array = golden.find(name);
  require(array && array->shape == shape, ExitCode::damaged, {.file = golden.file().path()}, name,
          "; expected shape ", shape_text(shape), ", found ",
          array ? shape_text(array->shape) : "none");
}

// Whether the chosen experts of a token, or their order, may differ in a correct program: the
// gaps between the K+1 highest logits.
struct Ties {
  bool set = false, order = false;
};

Ties ties_of(std::span<const float> logits, std::size_t slots) {
  std::vector<float> ranked(logits.begin(), logits.end());
  std::sort(ranked.begin(), ranked.end(), std::greater<>());
  Ties ties;
  for (std::size_t k = 0; k < slots && k + 1 < ranked.size(); ++k) {
    if (ranked[k] - ranked[k + 1] >= kTie) { continue; }
    (k + 1 == slots ? ties.set : ties.order) = true;
  }
  ties.order |= ties.set;
  return ties;
}

void Comparison::compare_choices(const Trace& trace, const NpzReader& golden, std::int64_t m) {
  const std::size_t experts = std::size_t(trace.experts), slots = std::size_t(trace.slots);
  for (std::int64_t t = 0; t < trace.tokens; ++t) {
    if (!comparable_[t]) { continue; }
    const std::size_t row = std::size_t(m * trace.tokens + t);
    const auto ours = trace.expert_index.subspan(row * slots, slots);
    const auto theirs = golden.int16("expert_index").subspan(row * slots, slots);
    if (std::equal(ours.begin(), ours.end(), theirs.begin())) { continue; }
    const Ties ties =
        ties_of(golden.float32("router_logits").subspan(row * experts, experts), slots);
    const bool same_set = std::is_permutation(ours.begin(), ours.end(), theirs.begin());
    comparable_[t] = false;
    ++flips_;
    if (same_set ? ties.order : ties.set) {
      // Another expert at a tie: this token goes its own way, and those that attend to it.
      if (!same_set) { std::fill(next_layers_.begin() + t, next_layers_.end(), false); }
    } else {
      failures_.push_back(at(trace, m, t) + ": other experts chosen, and not at a tie");
    }
  }
}

void Comparison::compare_layer(const Trace& trace, const NpzReader& golden, std::int64_t m) {
  const std::pair<const char*, std::span<const float>> kArrays[] = {
      {"router_logits", trace.router_logits},
      {"expert_weight", trace.expert_weight},
      {"kappa_input", trace.kappa_input},
      {"kappa_mean", trace.kappa_mean},
      {"kappa_min", trace.kappa_min},
      {"kappa_max", trace.kappa_max},
      {"kappa_p05", trace.kappa_p05},
      {"kappa_p95", trace.kappa_p95},
      {"gate_mean_abs", trace.gate_mean_abs},
      {"gate_active_fraction", trace.gate_active_fraction},
      {"gate_top16_share", trace.gate_top16_share},
      {"gate_entropy", trace.gate_entropy},
      {"gate_kz_rms", trace.gate_kz_rms},
      {"gate_linear_fraction", trace.gate_linear_fraction},
      {"gate_saturated_fraction", trace.gate_saturated_fraction}};
  next_layers_ = comparable_;
  compare_choices(trace, golden, m);
  for (const auto& [name, ours] : kArrays) {
    if (!golden.find(name)) {
      continue;  // some texts come without gates
    }
    const std::span<const float> theirs = golden.float32(name);
    const std::size_t width = ours.size() / std::size_t(trace.layers * trace.tokens);
    // Of a share, one gate unit may stand on the other side of the threshold.
    const bool share = std::string_view(name).ends_with("_fraction");
    const double slack = share ? 1.0 / double(trace.gates) : 0;
    for (std::int64_t t = 0; t < trace.tokens; ++t) {
      if (!comparable_[t]) { continue; }
      const std::size_t first = std::size_t(m * trace.tokens + t) * width;
      for (std::size_t i = first; i < first + width; ++i) {
        quantity(name).compare(ours[i], theirs[i], slack, at(trace, m, t));
      }
    }
  }
  comparable_ = next_layers_;
}

void Comparison::compare_next_tokens(const Trace& trace, const NpzReader& golden) {
  const std::span<const float> logits = golden.float32("logits_every8");
  const std::int64_t vocab = std::int64_t(trace.logits.size()) / trace.tokens;
  const std::int64_t columns = std::int64_t(logits.size()) / trace.tokens;
  for (std::int64_t t = 0; t < trace.tokens; ++t) {
    if (!comparable_[t]) { continue; }
    const std::string where = join_words(text_, ", token ", t);
    for (std::int64_t c = 0; c < columns; ++c) {
      quantity("logits").compare(trace.logits[t * vocab + c * kLogitStride],
                                 logits[t * columns + c], 0, where);
    }
    if (t + 1 == trace.tokens) { break; }
    quantity("nll").compare(trace.nll[t + 1], golden.float32("nll")[t + 1], 0, where);
  }
}

void Comparison::compare_text(const Trace& trace, const NpzReader& golden,
                              const std::string& text) {
  text_ = text;
  const auto ids = golden.int32("token_id");
  if (!std::equal(ids.begin(), ids.end(), trace.token_id.begin(), trace.token_id.end())) {
    failures_.push_back(text + ": other token ids");
    return;
  }
  const std::int64_t layers = trace.layers, tokens = trace.tokens;
  require_shape(golden, "router_logits", {layers, tokens, trace.experts});
  require_shape(golden, "nll", {tokens});
  const std::int64_t vocab = std::int64_t(trace.logits.size()) / tokens;
  require_shape(golden, "logits_every8", {tokens, (vocab + kLogitStride - 1) / kLogitStride});
  for (const NpyArray& array : golden.arrays()) {
    const bool slots = array.name.starts_with("expert_") || array.name.starts_with("kappa_") ||
                       array.name.starts_with("gate_");
    if (slots) { require_shape(golden, array.name, {layers, tokens, trace.slots}); }
  }
  comparable_.assign(std::size_t(tokens), true);
  for (std::int64_t m = 0; m < layers; ++m) { compare_layer(trace, golden, m); }
  compare_next_tokens(trace, golden);
}

std::string Comparison::report() const {
  std::string lines = bold("quantity                 largest difference  tolerance there  place");
  char line[256];
  for (const Quantity& of : quantities_) {
    std::snprintf(line, sizeof line, "\n%-24s %18.2e  %15.2e  %s%s", of.name.c_str(), of.difference,
                  of.tolerance, of.place.c_str(), of.ratio > 1 ? "  FAILED" : "");
    lines += line;
  }
  for (const std::string& failure : failures_) { lines += "\nFAILED " + failure; }
  if (flips_ > 0) {
    lines += join_words("\n", flips_, " choices of experts differ; what follows from those at ",
                        "near ties was not compared");
  }
  return lines + (holds() ? "\nall hold\n" : "\nnot all hold\n");
}

bool Comparison::holds() const {
  return failures_.empty() && !quantities_.empty() &&
         std::all_of(quantities_.begin(), quantities_.end(),
                     [](const Quantity& of) { return of.ratio <= 1 && of.values > 0; });
}

std::vector<fs::path> golden_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".npz") { files.push_back(entry.path()); }
  }
  require(!files.empty(), ExitCode::io, {.file = folder.native()}, "no golden numbers here");
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

int selftest_verb(const Arguments& arguments) {
  CLI::App app("Run the shipped checkpoint against shipped numbers", "kappascope selftest");
  app.footer(kSelftestFooter);
  ComputeOptions compute;
  compute.add_to(app);
  if (!parse_words(app, arguments.words)) { return int(ExitCode::ok); }
  compute.check_device();

  Interrupts interrupts;
  Terminal terminal(Talk::normal, interrupts);
  const std::vector<fs::path> files = golden_files(assets_folder() / "selftest");
  const Model model = open_model(assets_folder() / "d8-kappa");
  const Tokenizer tokenizer = Tokenizer::load(find_tokenizer(model.files.weights.parent_path()));
  OutputFolder folder({}, false, interrupts);
  const LoadOptions load = compute.load_options();
  const std::unique_ptr<EngineModel> loaded = load_weights(model, load, terminal);
  const std::string nonfinite = nonfinite_weights(model, *loaded);
  if (!nonfinite.empty()) { throw Error(ExitCode::damaged, nonfinite); }
  const RunPlan plan = resolve(model, {});
  TraceSettings settings;
  settings.record_logits = true;
  for (std::int64_t i = 0; i < model.architecture.depth(); ++i) { settings.layers.push_back(i); }
  settings.tool_version = kToolVersion;
  settings.torch_version = engine(load.device).torch_version();
  settings.device = compute.name_of(load);
  settings.dtype = compute.dtype;

  Comparison comparison;
  for (const fs::path& file : files) {
    const NpzReader golden(file);
    const std::vector<std::string> texts = golden.text("text");
    require(texts.size() == 1, ExitCode::damaged, {.file = file.native()}, "expected one text");
    TokenizedText text = tokenize({file.string(), texts[0]}, tokenizer, model, 0);
    cut_into_chunks(text, model.architecture.context, false, file.string());
    folder.clear();
    TokenProgress progress(terminal, tokens_to_run(text));
    record_trace(folder.staged(kTraceFile), model, plan, *loaded, text, settings, progress);
    terminal.erase();
    comparison.compare_text(open_trace(folder.staged(kTraceFile)), golden, file.stem().string());
  }
  print(comparison.report());
  return int(comparison.holds() ? ExitCode::ok : ExitCode::internal);
}

}  // namespace kappascope
