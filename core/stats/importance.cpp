#include "core/stats/importance.h"

#include <algorithm>
#include <cmath>

#include "core/stats/kappa.h"
#include "core/stats/router.h"
#include "core/tokenizer/token.h"
#include "core/trace/corpus_totals.h"
#include "core/trace/meta.h"

namespace kappascope {
namespace {

// C of a call of `tokens` tokens (SPEC §1.5).
double call_capacity(double factor, double minimum, double tokens, double slots, double experts) {
  double capacity = std::floor(slots * factor * tokens / experts);
  if (std::fmod(capacity, 2) == 1) { capacity += 1; }
  return std::max(capacity, minimum);
}

bool sets_kappa(std::string_view word) {
  return word.starts_with("kappa=") || word.starts_with("kappa-mul=");
}

// The meta has one rule for the model.
bool sets_capacity_of_layers(std::string_view word) {
  return word.starts_with("capacity=") && word.find('@') != word.npos;
}

// K of this layer: the arrays may have more slots than it.
std::int64_t slots_in_use(const TraceLayer& layer) {
  std::int64_t slots = 0;
  for (std::int64_t entry = 0; entry < layer.tokens * layer.slots; ++entry) {
    if (layer.expert(entry) >= 0) { slots = std::max(slots, entry % layer.slots + 1); }
  }
  return slots;
}

// m of u' = m·b·c in dense layers, by the formula (SPEC-layouts §1.5f).
double dense_multiplier(const Trace& trace) {
  const std::string formula = text_of(meta_at(trace, "kappa_formula"));
  return formula == "2026-05" ? 2 : formula == "2026-05-20" ? -2 : 1;
}

}  // namespace

ImportanceTotals importance_totals(const TraceLayer& layer) {
  if (layer.trace.corpus) { return layer.trace.corpus->rows[layer.row].importance; }
  ImportanceTotals totals;
  totals.add(row_tokens(layer));
  return totals;
}

ExpertImportance expert_importance(const ImportanceTotals& totals) {
  ExpertImportance result;
  double all = 0;
  for (const Sum& sum : totals.saliency) { all += sum.value(); }
  for (std::size_t e = 0; e < totals.saliency.size(); ++e) {
    const double sum = totals.saliency[e].value();
    const auto count = double(totals.saliency_count[e]);
    result.saliency.push_back(count > 0 ? sum / count : kNaN);
    result.contribution.push_back(all > 0 ? sum / all : kNaN);
  }
  return result;
}

ExpertImportance expert_importance(const TraceLayer& layer) {
  return expert_importance(importance_totals(layer));
}

std::vector<double> mean_selected_logit(const ImportanceTotals& totals) {
  std::vector<double> result;
  for (std::size_t e = 0; e < totals.selected_logit.size(); ++e) {
    const auto count = double(totals.selected_count[e]);
    result.push_back(count > 0 ? totals.selected_logit[e].value() / count : kNaN);
  }
  return result;
}

std::vector<double> mean_selected_logit(const TraceLayer& layer) {
  return mean_selected_logit(importance_totals(layer));
}

std::optional<double> run_capacity(const TraceLayer& layer) {
  if (layer.trace.corpus) {
    const std::int64_t capacity = layer.trace.corpus->rows[layer.row].capacity;
    return capacity > 0 ? std::optional(double(capacity)) : std::nullopt;
  }
  if (layer.trace.only_assistant) { return std::nullopt; }  // others take seats, too
  const Json* rule = meta_at(layer.trace, "capacity");
  if (!flag_is(member(rule, "in_force"), true)) { return std::nullopt; }
  if (any_intervention(layer.trace, sets_capacity_of_layers)) { return std::nullopt; }
  const double factor = number_of(member(rule, "factor")),
               minimum = number_of(member(rule, "minimum"));
  if (!(factor > 0) || !(minimum >= 0)) { return std::nullopt; }
  const Json* chunks = meta_at(layer.trace, "window", "chunks");
  const auto slots = static_cast<double>(slots_in_use(layer));
  const auto experts = static_cast<double>(layer.experts);
  double sum = 0, recorded = 0;
  for (std::size_t i = 0; chunks && chunks->is_array() && i < chunks->size(); ++i) {
    const Json* chunk = &(*chunks)[i];
    const double begin = number_of(member(chunk, "begin")), end = number_of(member(chunk, "end"));
    if (begin != number_of(member(chunk, "first_recorded"))) { return std::nullopt; }
    sum += call_capacity(factor, minimum, end - begin, slots, experts);
    recorded += end - begin;
  }
  if (recorded != static_cast<double>(layer.tokens)) { return std::nullopt; }
  return sum;
}

Utility expert_utility(const TraceLayer& layer, const ChoiceTotals& choices) {
  Utility result;
  const std::optional<double> capacity = run_capacity(layer);
  if (!capacity) { return result; }
  for (const std::int64_t kept : choices.kept) { result.of_expert.push_back(double(kept)); }
  Mean mean;
  for (double& share : result.of_expert) {
    share /= *capacity;
    mean.add(share);
  }
  result.least = *std::min_element(result.of_expert.begin(), result.of_expert.end());
  result.mean = mean.value();
  return result;
}

double slope_square(const TraceLayer& layer, std::int64_t expert) {
  const auto squares = layer.part(layer.trace.kappa_u_square, layer.trace.experts);
  const auto counts = layer.part(layer.trace.effect_count, layer.trace.experts);
  if (squares.empty() || counts.empty()) { return kNaN; }
  const KappaFunction kappa = kappa_function(layer);
  if (kappa.in_force->source(layer.row) == KappaSource::fixed) { return kNaN; }
  double sum = 0, count = 0;
  for (std::int64_t e = 0; e < layer.experts; ++e) {
    if ((expert >= 0 && e != expert) || !(counts[e] > 0) || !std::isfinite(squares[e])) {
      continue;
    }
    if (kappa_set_by_run(layer, e)) { continue; }  // its u is none of κ's
    sum += counts[e] * squares[e];
    count += counts[e];
  }
  return count > 0 ? sum / count : kNaN;
}

double dense_slope_square(const Trace& trace, std::int64_t row) {
  const auto kappa = trace.dense_kappa.subspan(row * trace.dense_gates, trace.dense_gates);
  const std::int64_t layer = trace.dense_layer_index[row];
  const bool known = trace.model != nullptr && layer < std::ssize(trace.model->kappa_u);
  const auto is_one = [](float value) { return value == 1 || std::isnan(value); };
  // Without model.npz nothing distinguishes b = 0 everywhere from a layer without κ.
  if (!trace.kappa || any_intervention(trace, sets_kappa)) { return kNaN; }
  if (!known && std::all_of(kappa.begin(), kappa.end(), is_one)) { return kNaN; }
  const double bound = known ? static_cast<double>(trace.model->kappa_u[layer])
                             : number_of(meta_at(trace, "kappa", "bound_dense"));
  const double log_bound = std::log(bound), multiplier = dense_multiplier(trace);
  if (!std::isfinite(log_bound) || log_bound == 0) { return kNaN; }
  Mean mean;
  for (const float value : kappa) {
    if (std::isnan(value)) { continue; }  // beyond the layer's own gate units
    const double u = std::atanh(std::log(static_cast<double>(value)) / log_bound) / multiplier;
    if (!std::isfinite(u)) { return kNaN; }
    mean.add(u * u);
  }
  return mean.value();
}

bool is_control_token(const Trace& trace, std::int64_t token) {
  if (trace.token_text.empty() || trace.char_start.empty()) { return false; }
  const std::string& text = trace.token_text[token];
  return trace.char_start[token] < 0 && text.starts_with("<") && text.ends_with(">");
}

std::int64_t text_bytes(const Trace& trace, std::int64_t token) {
  if (token >= std::ssize(trace.token_bytes_hex) || is_control_token(trace, token)) { return -1; }
  const std::string& hex = trace.token_bytes_hex[token];
  if (hex.empty()) { return -1; }
  std::int64_t code_points = 0;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    // Bytes 80 to bf go on with a code point.
    code_points += std::string_view("89ab").find(hex[i]) == std::string_view::npos ? 1 : 0;
  }
  Token place;
  if (!trace.char_start.empty()) {
    place.char_start = std::int32_t(trace.char_start[token]);
    place.char_end = std::int32_t(trace.char_end[token]);
  }
  return place.text_bytes(std::ssize(hex) / 2, code_points, hex.starts_with("20"));
}

BitsPerByte bits_per_byte(const Trace& trace) {
  BitsPerByte result;
  if (trace.corpus) {
    result.bytes = trace.corpus->bytes_counted;
    const double nats = trace.corpus->nll_of_bytes.value();
    if (result.bytes > 0) { result.value = nats / (std::log(2.0) * double(result.bytes)); }
    return result;
  }
  if (trace.token_bytes_hex.size() != trace.nll.size()) { return result; }
  const std::span<const std::uint8_t> mask = counted_mask(trace);
  double nats = 0;
  for (std::int64_t t = 0; t < std::ssize(trace.nll); ++t) {
    if (!mask.empty() && mask[t] == 0) { continue; }
    if (!std::isfinite(trace.nll[t]) || is_control_token(trace, t)) { continue; }
    const std::int64_t bytes = text_bytes(trace, t);
    if (bytes < 0) { return {}; }
    nats += trace.nll[t];
    result.bytes += bytes;
  }
  if (result.bytes > 0) {
    result.value = nats / (std::log(2.0) * static_cast<double>(result.bytes));
  }
  return result;
}

}  // namespace kappascope
