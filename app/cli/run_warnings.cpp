#include "app/cli/run_warnings.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "app/cli/effect.h"
#include "app/cli/output_folder.h"
#include "core/error.h"
#include "core/stats/layer_statistics.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {
namespace {

constexpr const char* kTextNumbers[] = {"bits_per_byte", "nll_mean"};

// Where a run of finite weights overflows: the first recorded layer, pass by pass, with a number
// that is not finite. "" when all are finite.
std::string overflow_text(const Trace& trace, const std::vector<LayerSummary>& layers) {
  using Where = std::pair<std::int64_t, std::int64_t>;  // pass, layer
  std::optional<Where> first;
  const auto found = [&](Where where) { first = std::min(first.value_or(where), where); };
  for (const LayerSummary& layer : layers) {
    if (layer.nonfinite_tokens > 0) { found({layer.pass, layer.layer}); }
  }
  const auto finite = [](float value) { return std::isfinite(value); };
  const auto tokens = std::size_t(trace.tokens);
  for (std::size_t m = 0; m < trace.dense_layer_index.size(); ++m) {
    const auto row = trace.dense_gate_mean_abs.subspan(m * tokens, tokens);
    if (!std::all_of(row.begin(), row.end(), finite)) {
      found({trace.dense_pass_index[m], trace.dense_layer_index[m]});
    }
  }
  const std::string reason = ": activations overflow, every weight is finite";
  if (first) {
    return join_words("numbers that are not finite, first in layer ", first->second,
                      first->first > 0 ? join_words(" of pass ", first->first) : "", reason);
  }
  const auto scored = trace.nll.subspan(std::min<std::size_t>(trace.nll.size(), 1));
  const bool logits = !std::all_of(scored.begin(), scored.end(), finite);  // the first has no NLL
  return logits ? "numbers that are not finite, first in the logits" + reason : "";
}

}  // namespace

void NearTies::add(const Trace& trace, const std::vector<LayerSummary>& layers) {
  const std::int64_t before = ties;
  for (const LayerSummary& layer : layers) { ties += layer.near_ties; }
  choices += counted_tokens(trace) * trace.layers;
  texts += ties > before ? 1 : 0;
  limit = trace.near_tie;
}

std::string NearTies::text() const {
  if (ties == 0) { return ""; }
  return join_words(ties, " of ", choices, " (token, layer) choices of experts",
                    texts > 1 ? join_words(", in ", texts, " texts,") : "",
                    " are near ties (margin < ", limit,
                    "): another precision may route them otherwise");
}

std::vector<std::string> trace_warnings(const Trace& trace, const std::vector<LayerSummary>& layers,
                                        bool weights_finite) {
  std::vector<std::string> warnings;
  std::int64_t spoilt = 0;
  for (const LayerSummary& layer : layers) { spoilt += layer.nonfinite_tokens; }
  const std::string overflow = weights_finite ? overflow_text(trace, layers) : "";
  if (!overflow.empty()) { warnings.push_back(overflow); }
  const std::string_view why =
      weights_finite ? "rows are not finite" : "rows are spoilt by NaN or infinite weights";
  if (spoilt > 0) {
    warnings.push_back(join_words(spoilt, " of ", counted_tokens(trace) * trace.layers,
                                  " (token, layer) ", why, " and left out of the statistics"));
  }
  return warnings;
}

std::string older_files(const std::filesystem::path& folder,
                        const std::vector<std::string>& written) {
  std::string older;
  const std::string unedited = join_words(kAgainstFolder, "/", kTraceFile);
  for (const char* name : {kTraceFile, kTokensFile, kRoutingFile, kSummaryFile, kEffectJson,
                           kEffectCsv, unedited.c_str()}) {
    const bool of_this = std::find(written.begin(), written.end(), name) != written.end();
    if (!of_this && std::filesystem::exists(folder / name)) {
      older += join_words(older.empty() ? "" : ", ", name);
    }
  }
  const std::filesystem::path figures = folder / kFiguresFolder;
  std::error_code none;
  std::int64_t drawn = 0;
  for (const auto& entry : std::filesystem::directory_iterator(figures, none)) {
    const std::string name = join_words(kFiguresFolder, "/", entry.path().filename().string());
    drawn += std::find(written.begin(), written.end(), name) == written.end();
  }
  if (drawn > 0) {
    older += join_words(older.empty() ? "" : ", ", drawn, drawn == 1 ? " file" : " files", " in ",
                        kFiguresFolder, "/");
  }
  return older.empty() ? "" : older + " there: of an earlier run";
}

std::vector<std::string> run_threshold_names() {
  std::vector<std::string> names(std::begin(kTextNumbers), std::end(kTextNumbers));
  for (const LayerStatistic& statistic : layer_statistics()) { names.emplace_back(statistic.name); }
  return names;
}

void check_thresholds(Thresholds& thresholds, const std::vector<LayerSummary>& layers,
                      const Json& summary, const std::string& source) {
  for (const char* name : kTextNumbers) {
    const auto found = summary.find(name);
    if (found != summary.end() && found->is_number()) {
      thresholds.check(name, found->get<double>(), source);
    }
  }
  const bool passes = std::any_of(layers.begin(), layers.end(),
                                  [](const LayerSummary& layer) { return layer.pass > 0; });
  for (const LayerSummary& layer : layers) {
    const std::string where =
        join_words(source, " layer ", layer.layer, passes ? join_words(", pass ", layer.pass) : "");
    for (const LayerStatistic& statistic : layer_statistics()) {
      thresholds.check(statistic.name, statistic.of(layer), where);
    }
  }
}

}  // namespace kappascope
