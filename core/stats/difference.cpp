#include "core/stats/difference.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/stats/gates.h"
#include "core/stats/importance.h"
#include "core/stats/layer.h"
#include "core/stats/layer_statistics.h"
#include "core/trace/corpus_totals.h"
#include "core/trace/meta.h"

namespace kappascope {
namespace {

// Tokens with a place in the text, in order: where they begin and end, in code points.
struct Places {
  explicit Places(const Trace& trace) {
    for (std::int64_t t = 0; t < trace.tokens; ++t) {
      if (t >= std::ssize(trace.char_start) || trace.char_start[t] < 0) { continue; }
      tokens.push_back(t);
      ends.push_back(trace.char_end[t]);
    }
  }
  std::vector<std::int64_t> tokens, ends;
};

double sum_nll(const Trace& trace, std::int64_t first, std::int64_t last) {
  double sum = 0;
  for (std::int64_t t = first; t <= last; ++t) { sum += trace.nll[t]; }
  return sum;  // NaN as soon as one is
}

// Whether statistics are of all these tokens.
bool counts(const Trace& trace, std::int64_t first, std::int64_t last) {
  const std::span<const std::uint8_t> mask = counted_mask(trace);
  return mask.empty() || std::all_of(mask.begin() + first, mask.begin() + last + 1,
                                     [](std::uint8_t counted) { return counted != 0; });
}

// Bytes of tokens; −1 where one has none or is no text.
std::int64_t bytes_of(const Trace& trace, std::int64_t first, std::int64_t last) {
  std::int64_t bytes = 0;
  for (std::int64_t t = first; t <= last; ++t) {
    const std::int64_t own = text_bytes(trace, t);
    if (own < 0) { return -1; }
    bytes += own;
  }
  return bytes;
}

// The experts of a token's slots, ascending; −1 for empty ones.
void sorted_experts(const TraceLayer& layer, std::int64_t token, std::vector<std::int64_t>& into) {
  into.clear();
  for (std::int64_t k = 0; k < layer.slots; ++k) {
    const std::int64_t e = layer.expert(token * layer.slots + k);
    if (e >= 0) { into.push_back(e); }
  }
  std::sort(into.begin(), into.end());
}

// A − B of each expert; nothing where their numbers differ.
void put_experts(Json& json, const char* key, const std::vector<double>& a,
                 const std::vector<double>& b) {
  if (a.empty() || a.size() != b.size()) { return; }
  Json list = Json::array();
  for (std::size_t e = 0; e < a.size(); ++e) { list.push_back(number_json(a[e] - b[e])); }
  json[key] = std::move(list);
}

Json loss_json(const LossDifference& loss) {
  Json json{{"nll_difference_sum", number_json(loss.sum)},
            {"nll_difference_mean", number_json(loss.mean)},
            {"nll_tokens", loss.tokens}};
  if (loss.bytes > 0) {
    json["bits_per_byte_difference"] = number_json(loss.bits_per_byte);
    json["bytes_counted"] = loss.bytes;
  }
  return json;
}

const LayerSummary* summary_at(const std::vector<LayerSummary>& layers, std::int64_t row) {
  return row < std::ssize(layers) ? &layers[row] : nullptr;
}

Json layer_json(const Trace& a, const LayerSummary& of_a, const Trace& b, const LayerSummary& of_b,
                RowPair rows, bool same_tokens) {
  Json json{{"layer", of_a.layer}, {"pass", of_a.pass}};
  if (same_tokens) {
    const RoutingDifference routing = routing_difference(a, b, rows);
    json["routing_compared"] = routing.compared;
    json["routed_otherwise"] = routing.otherwise;
    json["routed_otherwise_share"] = number_json(routing.share());
    json["routed_otherwise_near_ties"] = routing.near_ties;
  }
  Json statistics = Json::object();
  for (const StatisticDifference& one : statistic_differences(of_a, of_b)) {
    if (std::isfinite(one.difference())) { statistics[std::string(one.name)] = one.difference(); }
  }
  put_experts(statistics, "load", of_a.load, of_b.load);
  put_experts(statistics, "gate_mass", of_a.gate_mass, of_b.gate_mass);
  put_experts(statistics, "saliency", of_a.saliency, of_b.saliency);
  put_experts(statistics, "contribution", of_a.contribution, of_b.contribution);
  put_experts(statistics, "mean_selected_logit", of_a.mean_selected_logit,
              of_b.mean_selected_logit);
  json["statistics_difference"] = std::move(statistics);
  return json;
}

Json run_json(const Trace& trace) {
  Json json{{"model", trace.model_name}};
  if (trace.step >= 0) { json["step"] = trace.step; }
  if (const Json* words = meta_at(trace, "interventions")) { json["interventions"] = *words; }
  return json;
}

}  // namespace

std::string tokens_differ_because(const Trace& a, const Trace& b) {
  if (a.corpus || b.corpus) { return "they are sums over a corpus"; }
  if (a.tokens != b.tokens) {
    return join_words("they are of ", a.tokens, " and of ", b.tokens, " tokens");
  }
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    if (a.token_id[t] != b.token_id[t]) {
      return join_words("token ", t, " is ", a.token_id[t], " in one and ", b.token_id[t],
                        " in the other");
    }
  }
  if (a.token_bytes_hex != b.token_bytes_hex && !a.token_bytes_hex.empty() &&
      !b.token_bytes_hex.empty()) {
    return "their tokenizers are not the same";
  }
  return "";
}

std::vector<Stretch> common_stretches(const Trace& a, const Trace& b) {
  std::vector<Stretch> stretches;
  if (tokens_differ_because(a, b).empty()) {
    for (std::int64_t t = 0; t < a.tokens; ++t) { stretches.push_back({t, t, t, t}); }
    return stretches;
  }
  const Places of_a(a), of_b(b);
  std::size_t i = 0, j = 0, first_i = 0, first_j = 0;
  const auto inside = [](const Places& places, std::size_t at) {  // ends within a character
    return at + 1 < places.ends.size() && places.ends[at + 1] == places.ends[at];
  };
  while (i < of_a.ends.size() && j < of_b.ends.size()) {
    if (of_a.ends[i] < of_b.ends[j] || inside(of_a, i)) {
      ++i;
    } else if (of_b.ends[j] < of_a.ends[i] || inside(of_b, j)) {
      ++j;
    } else {
      stretches.push_back(
          {of_a.tokens[first_i], of_a.tokens[i], of_b.tokens[first_j], of_b.tokens[j]});
      first_i = ++i;
      first_j = ++j;
    }
  }
  return stretches;
}

namespace {

// Of means over the documents of a corpus: in nats a token only of the same tokens.
LossDifference corpus_loss_difference(const Trace& a, const Trace& b) {
  LossDifference result;
  const std::string tokenizer = text_of(meta_at(a, "corpus", "tokenizer_sha256"));
  if (!tokenizer.empty() && tokenizer == text_of(meta_at(b, "corpus", "tokenizer_sha256"))) {
    result.tokens = b.corpus->nll_count;
    result.mean = mean_nll_of(a).value() - mean_nll_of(b).value();
    result.sum = result.mean * double(result.tokens);
  }
  const BitsPerByte of_a = bits_per_byte(a), of_b = bits_per_byte(b);
  if (of_a.bytes > 0 && of_b.bytes > 0) {
    result.bytes = of_b.bytes;
    result.bits_per_byte = of_a.value - of_b.value;
  }
  return result;
}

}  // namespace

LossDifference loss_difference(const Trace& a, const Trace& b) {
  if (a.corpus && b.corpus) { return corpus_loss_difference(a, b); }
  LossDifference result;
  if (a.nll.empty() || b.nll.empty()) { return result; }
  double sum = 0, text = 0;
  bool bytes_known = true;
  for (const Stretch& at : common_stretches(a, b)) {
    const double difference = sum_nll(a, at.first_a, at.last_a) - sum_nll(b, at.first_b, at.last_b);
    result.nll.push_back(std::isfinite(difference) ? difference : kNaN);
    if (!std::isfinite(difference) || !counts(a, at.first_a, at.last_a)) { continue; }
    sum += difference;
    result.tokens += at.last_b - at.first_b + 1;
    const std::int64_t bytes = bytes_of(b, at.first_b, at.last_b);
    const bool control = at.first_b == at.last_b && is_control_token(b, at.first_b);
    if (control) { continue; }
    bytes_known &= bytes >= 0;
    text += difference;
    result.bytes += bytes;
  }
  if (result.tokens > 0) {
    result.sum = sum;
    result.mean = sum / static_cast<double>(result.tokens);
  }
  if (!bytes_known) { result.bytes = 0; }
  if (result.bytes > 0) {
    result.bits_per_byte = text / (std::log(2.0) * static_cast<double>(result.bytes));
  }
  return result;
}

std::string models_differ_because(const Trace& a, const Trace& b) {
  if (a.model_layers != b.model_layers) {
    return join_words("they have ", a.model_layers, " and ", b.model_layers, " layers");
  }
  if (a.experts != b.experts) {
    return join_words("they have ", a.experts, " and ", b.experts, " experts");
  }
  return "";
}

std::vector<RowPair> common_rows(const Trace& a, const Trace& b) {
  std::vector<RowPair> pairs;
  for (std::int64_t i = 0; i < a.layers; ++i) {
    for (std::int64_t j = 0; j < b.layers; ++j) {
      if (a.layer_index[i] == b.layer_index[j] && a.pass_index[i] == b.pass_index[j]) {
        pairs.push_back({i, j});
      }
    }
  }
  return pairs;
}

double RoutingDifference::share() const {
  return compared > 0 ? static_cast<double>(otherwise) / static_cast<double>(compared) : kNaN;
}

RoutingDifference routing_difference(const Trace& a, const Trace& b, RowPair rows) {
  const TraceLayer of_a(a, rows.a, LayerTokens::all), of_b(b, rows.b, LayerTokens::all);
  const auto margins = of_b.token_part(b.router_margin);
  RoutingDifference result;
  result.layer = of_a.layer;
  result.pass = of_a.pass;
  std::vector<std::int64_t> chosen_a, chosen_b;
  for (std::int64_t t = 0; t < std::min(a.tokens, b.tokens); ++t) {
    if (!of_a.router_finite(t) || !of_b.router_finite(t)) {
      result.tokens.push_back(Routed::unknown);
      continue;
    }
    sorted_experts(of_a, t, chosen_a);
    sorted_experts(of_b, t, chosen_b);
    const bool tie = !margins.empty() && b.is_near_tie(margins[t]);
    result.tokens.push_back(chosen_a == chosen_b ? Routed::same
                            : tie                ? Routed::near_tie
                                                 : Routed::otherwise);
    if (!counts(a, t, t) || !counts(b, t, t)) { continue; }
    ++result.compared;
    result.otherwise += chosen_a != chosen_b;
    result.near_ties += result.tokens.back() == Routed::near_tie;
  }
  return result;
}

double router_saturation(const Trace& earlier, const Trace& later, RowPair rows) {
  const TraceLayer before(earlier, rows.a), after(later, rows.b);
  std::vector<std::int64_t> chosen_before, chosen_after;
  double already = 0, all = 0;
  for (std::int64_t t = 0; t < std::min(earlier.tokens, later.tokens); ++t) {
    if (!before.router_finite(t) || !after.router_finite(t)) { continue; }
    sorted_experts(before, t, chosen_before);
    sorted_experts(after, t, chosen_after);
    for (const std::int64_t e : chosen_after) {
      already += std::binary_search(chosen_before.begin(), chosen_before.end(), e);
    }
    all += static_cast<double>(chosen_after.size());
  }
  return all > 0 ? already / all : kNaN;
}

std::vector<StatisticDifference> statistic_differences(const LayerSummary& a,
                                                       const LayerSummary& b) {
  std::vector<StatisticDifference> list;
  for (const LayerStatistic& statistic : layer_statistics()) {
    list.push_back({statistic.name, statistic.of(a), statistic.of(b)});
  }
  return list;
}

namespace {

// NaN where either list has no such number.
double difference_at(const std::vector<double>& a, const std::vector<double>& b, std::size_t e) {
  return e < a.size() && e < b.size() ? a[e] - b[e] : kNaN;
}

std::vector<ExpertDifference> expert_differences(const TraceLayer& a, const LayerSummary& of_a,
                                                 const TraceLayer& b, const LayerSummary& of_b) {
  std::vector<ExpertDifference> list;
  if (a.experts != b.experts) { return list; }
  for (std::int64_t e = 0; e < a.experts; ++e) {
    const auto at = static_cast<std::size_t>(e);
    const auto effect = [&](EffectKind kind) {
      return expert_effect(a, kind, e).mean - expert_effect(b, kind, e).mean;
    };
    list.push_back({.expert = e,
                    .load = difference_at(of_a.load, of_b.load, at),
                    .gate_mass = difference_at(of_a.gate_mass, of_b.gate_mass, at),
                    .saliency = difference_at(of_a.saliency, of_b.saliency, at),
                    .effect = effect(EffectKind::absolute),
                    .effect_relative = effect(EffectKind::relative)});
  }
  const auto size = [](const ExpertDifference& one) {
    return std::isfinite(one.load) ? std::abs(one.load) : -1;
  };
  std::stable_sort(list.begin(), list.end(),
                   [&](const auto& one, const auto& other) { return size(one) > size(other); });
  return list;
}

}  // namespace

Divergence divergence_of(const Trace& a) {
  const std::span<const std::uint8_t> mask = counted_mask(a);
  Divergence result;
  for (std::int64_t t = 0; t < std::ssize(a.kl_against); ++t) {
    if (!mask.empty() && (t + 1 == std::ssize(mask) || mask[t + 1] == 0)) { continue; }
    const double divergence = a.kl_against[t];
    result.mean.add(divergence);
    if (std::isfinite(divergence)) { result.most = std::max(result.most, divergence); }
  }
  return result;
}

RunDifference run_difference(const Trace& a, const Trace& b) {
  RunDifference difference;
  difference.loss = loss_difference(a, b);
  const auto against = a.meta.find("against");
  const auto edits = b.meta.find("interventions");
  const Json none = Json::array();
  if (against != a.meta.end() && *against == (edits == b.meta.end() ? none : *edits)) {
    difference.divergence = divergence_of(a).mean.value();
  }
  const bool same_tokens = tokens_differ_because(a, b).empty();
  const std::vector<LayerSummary> of_a = summarise(a), of_b = summarise(b);
  for (const RowPair rows : common_rows(a, b)) {
    LayerDifference layer;
    layer.rows = rows;
    layer.layer = a.layer_index[rows.a];
    layer.pass = a.pass_index[rows.a];
    if (same_tokens) { layer.routing = routing_difference(a, b, rows); }
    layer.statistics = statistic_differences(of_a[rows.a], of_b[rows.b]);
    layer.experts = expert_differences(TraceLayer(a, rows.a), of_a[rows.a], TraceLayer(b, rows.b),
                                       of_b[rows.b]);
    difference.layers.push_back(std::move(layer));
  }
  return difference;
}

Json difference_json(const Trace& a, const std::vector<LayerSummary>& layers_a, const Trace& b,
                     const std::vector<LayerSummary>& layers_b) {
  const bool same_tokens = tokens_differ_because(a, b).empty();
  Json json = loss_json(loss_difference(a, b));
  json["schema"] = kDifferenceSchema;
  json["run"] = run_json(a);
  json["against"] = run_json(b);
  json["same_tokens"] = same_tokens;
  json["layers"] = Json::array();
  for (const RowPair rows : common_rows(a, b)) {
    const LayerSummary* of_a = summary_at(layers_a, rows.a);
    const LayerSummary* of_b = summary_at(layers_b, rows.b);
    if (of_a == nullptr || of_b == nullptr) { continue; }
    json["layers"].push_back(layer_json(a, *of_a, b, *of_b, rows, same_tokens));
  }
  return json;
}

}  // namespace kappascope
