#include "app/cli/layer_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "app/cli/terminal.h"
#include "app/cli/text_table.h"
#include "core/nan.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {
namespace {

constexpr const char* kNothing = "–";
constexpr const char* kAbout = "≈ ";

struct LayerColumn {
  const char* title;
  const char* unit;
  std::string (*cell)(const LayerSummary& layer);
};

std::string number(double value, int digits) {
  if (std::isnan(value)) { return kNothing; }
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string band(const Band& of) {
  if (std::isnan(of.p05) || std::isnan(of.p95)) { return kNothing; }
  return number(of.p05, 3) + "–" + number(of.p95, 3);
}

// Exact, or as kappa-depth draws it.
std::string kappa_band_of(const LayerSummary& layer) {
  if (std::isfinite(layer.kappa.p05)) { return band(layer.kappa); }
  const std::string read_off = band(layer.kappa_read_off);
  return read_off == kNothing ? read_off : kAbout + read_off;
}

const std::array<LayerColumn, 9> kLayerColumns = {{
    {"layer", "", [](const LayerSummary& l) { return std::to_string(l.layer); }},
    {"pass", "", [](const LayerSummary& l) { return std::to_string(l.pass); }},
    {"load entropy", "0–1", [](const LayerSummary& l) { return number(l.load_entropy, 3); }},
    {"drops", "%", [](const LayerSummary& l) { return number(100 * l.drop_rate, 1); }},
    {"confidence", "mean max p", [](const LayerSummary& l) { return number(l.confidence, 3); }},
    {"κ mean", "", [](const LayerSummary& l) { return number(l.kappa.mean, 3); }},
    {"κ 5–95 %", "", kappa_band_of},
    {"sharpness", "rms κz", [](const LayerSummary& l) { return number(l.gate_kz_rms, 3); }},
    {"active", "% of gates",
     [](const LayerSummary& l) { return number(100 * l.gate_active_fraction, 1); }},
}};

std::string headline(const Trace& trace, double mean_nll) {
  std::string line = printable(trace.model_name);
  if (trace.step >= 0) { line += join_words(", step ", trace.step); }
  const std::int64_t tokens = counted_tokens(trace);
  if (trace.corpus) {
    const std::int64_t documents = trace.corpus->documents;
    line += join_words(", ", documents, documents == 1 ? " document" : " documents");
  }
  line += join_words(", ", tokens, tokens == 1 ? " token" : " tokens");
  if (trace.only_assistant) { line += " of the assistant"; }
  line += ", mean NLL " + number(mean_nll, 4) + (std::isnan(mean_nll) ? "" : " nats");
  if (!trace.kappa) { line += join_words(", κ = ", trace.kappa_constant); }
  return line + "\n";
}

}  // namespace

double mean_nll(const Json& summary) {
  const Json& mean = summary.at("nll_mean");
  return mean.is_number() ? mean.get<double>() : kNaN;
}

std::string layer_table(const Trace& trace, const std::vector<LayerSummary>& layers,
                        double mean_nll) {
  std::string text = headline(trace, mean_nll);
  if (layers.empty()) { return text + "no MoE layer was recorded\n"; }
  const bool passes = std::any_of(layers.begin(), layers.end(),
                                  [](const LayerSummary& layer) { return layer.pass > 0; });
  std::vector<TextRow> rows(2 + layers.size());
  for (const LayerColumn& column : kLayerColumns) {
    if (!passes && std::string_view(column.title) == "pass") { continue; }
    rows[0].push_back(column.title);
    rows[1].push_back(column.unit);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      rows[2 + i].push_back(column.cell(layers[i]));
    }
  }
  text += text_table(rows);
  if (text.find(kAbout) != text.npos) {
    text +=
        trace.corpus
            ? "≈ read off 64 bins of ln κ, which is how a corpus keeps it\n"
            : "≈ read off 64 bins of ln κ: of single gate units κ is not known from the score\n";
  }
  return text;
}

std::string route_table(const std::vector<RouteMatch>& matches, const GivenRoutes& routes) {
  std::vector<TextRow> rows{{"layer", "pass", "tokens", "otherwise", "near ties", "share"}};
  for (const RouteMatch& match : matches) {
    const double share =
        match.compared > 0 ? double(match.otherwise) / double(match.compared) : kNaN;
    rows.push_back({std::to_string(match.layer), std::to_string(match.pass),
                    std::to_string(match.compared), std::to_string(match.otherwise),
                    std::to_string(match.near_ties), number(share, 4)});
  }
  return join_words("tokens that the router sends to other experts than ", printable(routes.file),
                    ":\n", text_table(rows));
}

}  // namespace kappascope
