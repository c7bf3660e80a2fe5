#include "core/stats/summary.h"

#include <algorithm>
#include <cmath>

#include "core/stats/each_layer.h"
#include "core/stats/importance.h"
#include "core/stats/kappa.h"
#include "core/stats/layer.h"
#include "core/stats/router.h"
#include "core/stats/soft_routing.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {
namespace {

void set_loads(LayerSummary& summary, const TraceLayer& layer) {
  const ChoiceTotals choices = choice_totals(layer);
  ExpertLoads loads = expert_loads(choices);
  summary.load = std::move(loads.load);
  summary.gate_mass = std::move(loads.gate_mass);
  summary.load_entropy = loads.entropy;
  summary.load_cv = loads.cv;
  summary.effective_experts = loads.effective;
  summary.effective_experts_share = loads.effective / static_cast<double>(layer.experts);
  summary.max_vio = loads.max_vio;
  summary.unused_experts = loads.unused;
  summary.unused_by_chance = loads.unused_by_chance;
  summary.hot_set = hot_set(loads.assigned);
  summary.pairs = pair_statistics(pair_totals(layer), choices);
  summary.phases = phase_statistics(layer);
  DropRates drops = drop_rates(choices);
  summary.drop_rate_by_slot = std::move(drops.by_slot);
  summary.drop_rate_by_slot.resize(
      std::min(summary.drop_rate_by_slot.size(), std::size_t(layer.slots)));
  summary.drop_rate = drops.all;
  summary.no_expert_rate = drops.no_expert;
}

void set_router(LayerSummary& summary, const RowTotals& row, std::int64_t experts) {
  const auto mean = [&](std::string_view name) { return row.mean(name); };
  summary.confidence = mean("router_top1_prob");
  summary.selected_mass = mean("router_selected_mass");
  summary.margin = mean("router_margin");
  summary.top_gap = mean("router_top_gap");
  summary.router_entropy = mean("router_entropy");
  summary.router_entropy_nats = summary.router_entropy * std::log(double(experts));
  summary.near_ties = row.choices.near_ties;
}

void set_router(LayerSummary& summary, const TraceLayer& layer) {
  const Trace& trace = layer.trace;
  if (trace.corpus) { return set_router(summary, trace.corpus->rows[layer.row], layer.experts); }
  const std::span<const float> margins = layer.token_part(trace.router_margin);
  summary.confidence = layer.token_mean(trace.router_top1_prob);
  summary.selected_mass = layer.token_mean(trace.router_selected_mass);
  summary.margin = layer.token_mean(trace.router_margin);
  for (std::int64_t t = 0; t < std::ssize(margins); ++t) {
    summary.near_ties += layer.counts(t) && trace.is_near_tie(margins[t]) ? 1 : 0;
  }
  summary.top_gap = layer.token_mean(trace.router_top_gap);
  summary.router_entropy = layer.token_mean(trace.router_entropy);
  summary.router_entropy_nats =
      summary.router_entropy * std::log(static_cast<double>(layer.experts));
}

void set_kappa(LayerSummary& summary, const TraceLayer& layer) {
  const KappaSummary kappa = kappa_summary(layer, kappa_function(layer));
  summary.kappa = kappa.band;
  summary.kappa_read_off = kappa.read_off;
  summary.kappa_log_mean = kappa.log_mean;
  summary.kappa_top5_mean = kappa.top5_mean;
  summary.kappa_bottom5_mean = kappa.bottom5_mean;
  summary.kappa_sqrt_n_mean = kappa.sqrt_n_mean;
  summary.effect = layer_effect(layer, EffectKind::absolute);
  summary.effect_relative = layer_effect(layer, EffectKind::relative);
}

void set_soft_routing(LayerSummary& summary, const TraceLayer& layer) {
  if (layer.trace.layer_budget.empty()) { return; }
  summary.budget = layer.trace.layer_budget[layer.row];
  summary.experts_run = experts_run(layer);
  summary.tokens_at_cap = tokens_at_cap(layer);
}

void set_importance(LayerSummary& summary, const TraceLayer& layer) {
  const ImportanceTotals totals = importance_totals(layer);
  ExpertImportance importance = expert_importance(totals);
  summary.saliency = std::move(importance.saliency);
  summary.contribution = std::move(importance.contribution);
  summary.mean_selected_logit = mean_selected_logit(totals);
  const Utility utility = expert_utility(layer, choice_totals(layer));
  summary.utility_min = utility.least;
  summary.utility_mean = utility.mean;
  summary.kappa_slope_l2 = slope_square(layer);
}

// Mean over the layer's experts of an array [L,E] of model.npz.
double alignment_of(const TraceLayer& layer, std::span<const float> array) {
  const std::int64_t stride = layer.trace.model->experts, first = layer.layer * stride;
  if (layer.layer < 0 || first + layer.experts > std::ssize(array)) { return kNaN; }
  return mean_of(array.subspan(static_cast<std::size_t>(first),
                               static_cast<std::size_t>(std::min(layer.experts, stride))))
      .value();
}

// Tokens with a router number, κ or gate statistic that is not finite.
std::int64_t nonfinite_tokens(const TraceLayer& layer) {
  if (layer.trace.corpus) { return layer.trace.corpus->rows[layer.row].choices.spoilt_tokens; }
  const std::span<const float> numbers[] = {layer.slot_part(layer.trace.kappa_mean),
                                            layer.slot_part(layer.trace.gate_mean_abs)};
  const auto spoilt = [&](std::int64_t t) {
    if (!layer.counts(t)) { return false; }
    if (!layer.router_finite(t)) { return true; }
    for (std::int64_t entry = t * layer.slots; entry < (t + 1) * layer.slots; ++entry) {
      if (!layer.kept(entry)) { continue; }
      for (const std::span<const float> array : numbers) {
        if (!array.empty() && !std::isfinite(array[entry])) { return true; }
      }
    }
    return false;
  };
  std::int64_t count = 0;
  for (std::int64_t t = 0; t < layer.tokens; ++t) { count += spoilt(t) ? 1 : 0; }
  return count;
}

// A statistic that this trace may lack: then without a key.
void put_known(Json& json, const char* key, double value) {
  if (std::isfinite(value)) { json[key] = value; }
}

void put_known(Json& json, const char* key, const std::vector<double>& values) {
  if (!values.empty()) { json[key] = numbers_json(values); }
}

Json band_json(const Band& band) {
  return {{"mean", number_json(band.mean)},
          {"p05", number_json(band.p05)},
          {"p50", number_json(band.p50)},
          {"p95", number_json(band.p95)}};
}

Json effect_json(const EffectSummary& effect) {
  return {{"mean", number_json(effect.mean)},
          {"mean_abs", number_json(effect.mean_abs)},
          {"rms", number_json(effect.rms)},
          {"positive_share", number_json(effect.positive_share)},
          {"count", effect.count}};
}

Json gates_json(const GateMeans& means) {
  return {{"gate_mean_abs", number_json(means.gate_mean_abs)},
          {"gate_active_fraction", number_json(means.gate_active_fraction)},
          {"gate_top16_share", number_json(means.gate_top16_share)},
          {"gate_entropy", number_json(means.gate_entropy)},
          {"gate_kz_rms", number_json(means.gate_kz_rms)},
          {"gate_linear_fraction", number_json(means.gate_linear_fraction)},
          {"gate_saturated_fraction", number_json(means.gate_saturated_fraction)}};
}

// The reference's trainer averages over all seats of the experts, the empty ones with gates of 0.
// Their share of kept tokens is the mean utility.
Json as_logged_json(const LayerSummary& s) {
  return {{"occupancy", number_json(s.utility_mean)},
          {"gate_mean_abs", number_json(s.gate_mean_abs * s.utility_mean)},
          {"gate_active_fraction", number_json(s.gate_active_fraction * s.utility_mean)},
          {"gate_top16_share", number_json(s.gate_top16_share * s.utility_mean)}};
}

Json phase_json(const PhaseStatistics& s) {
  return {{"tokens", s.tokens},
          {"neighbour_overlap", number_json(s.neighbour_overlap)},
          {"neighbour_overlap_by_chance", number_json(s.neighbour_chance)},
          {"hot_set", s.hot_set}};
}

Json layer_json(const LayerSummary& s) {
  Json json = gates_json(s);
  json.update({{"layer", s.layer},
               {"pass", s.pass},
               {"load", numbers_json(s.load)},
               {"gate_mass", numbers_json(s.gate_mass)},
               {"load_entropy", number_json(s.load_entropy)},
               {"load_cv", number_json(s.load_cv)},
               {"unused_experts", s.unused_experts},
               {"unused_by_chance", number_json(s.unused_by_chance)},
               {"drop_rate_by_slot", numbers_json(s.drop_rate_by_slot)},
               {"drop_rate", number_json(s.drop_rate)},
               {"confidence", number_json(s.confidence)},
               {"selected_mass", number_json(s.selected_mass)},
               {"margin", number_json(s.margin)},
               {"top_gap", number_json(s.top_gap)},
               {"router_entropy", number_json(s.router_entropy)},
               {"router_entropy_nats", number_json(s.router_entropy_nats)},
               {"near_ties", s.near_ties},
               {"kappa", band_json(s.kappa)},
               {"kappa_log_mean", number_json(s.kappa_log_mean)},
               {"kappa_top5_mean", number_json(s.kappa_top5_mean)},
               {"kappa_bottom5_mean", number_json(s.kappa_bottom5_mean)},
               {"kappa_sqrt_n_mean", number_json(s.kappa_sqrt_n_mean)},
               {"effect", effect_json(s.effect)},
               {"effect_relative", effect_json(s.effect_relative)},
               {"alignment_mean", number_json(s.alignment_mean)},
               {"alignment_energy", number_json(s.alignment_energy)},
               {"nonfinite_tokens", s.nonfinite_tokens},
               {"no_expert_rate", number_json(s.no_expert_rate)},
               {"effective_experts", number_json(s.effective_experts)},
               {"effective_experts_share", number_json(s.effective_experts_share)},
               {"max_vio", number_json(s.max_vio)}});
  if (s.hot_set > 0) { json["hot_set"] = s.hot_set; }
  if (s.phases) {
    json["phases"] = {{"prompt", phase_json(s.phases->prompt)},
                      {"generated", phase_json(s.phases->generated)}};
  }
  put_known(json, "neighbour_overlap", s.pairs.neighbour_overlap);
  put_known(json, "neighbour_overlap_by_chance", s.pairs.neighbour_chance);
  put_known(json, "predictability", s.pairs.predictability);
  put_known(json, "predictability_shuffled", s.pairs.predictability_shuffled);
  put_known(json, "saliency", s.saliency);
  put_known(json, "contribution", s.contribution);
  put_known(json, "mean_selected_logit", s.mean_selected_logit);
  put_known(json, "utility_min", s.utility_min);
  put_known(json, "utility_mean", s.utility_mean);
  put_known(json, "kappa_slope_l2", s.kappa_slope_l2);
  if (std::isfinite(s.utility_mean)) { json["as_logged"] = as_logged_json(s); }
  if (std::isfinite(s.budget)) {
    json.update({{"budget", s.budget},
                 {"experts_run", band_json(s.experts_run)},
                 {"tokens_at_cap", s.tokens_at_cap}});
  }
  return json;
}

Json dense_json(const DenseSummary& s) {
  Json json = gates_json(s);
  json.update({{"layer", s.layer}, {"pass", s.pass}, {"kappa", band_json(s.kappa)}});
  put_known(json, "kappa_slope_l2", s.kappa_slope_l2);
  return json;
}

Json tails_json(const Trace& trace, EffectKind kind) {
  Json list = Json::array();
  for (const EffectTail& tail : effect_tails(trace, kind, kEffectTops)) {
    Json json = effect_json(tail.effect);
    json.update(
        {{"quantile", number_json(tail.quantile)}, {"threshold", number_json(tail.threshold)}});
    list.push_back(std::move(json));
  }
  return list;
}

}  // namespace

Json number_json(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json numbers_json(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) { list.push_back(number_json(value)); }
  return list;
}

Mean counted_mean(const Trace& trace, std::span<const float> values) {
  const std::span<const std::uint8_t> mask = counted_mask(trace);
  if (mask.empty()) { return mean_of(values); }
  Mean mean;
  for (std::size_t t = 0; t < values.size(); ++t) {
    if (mask[t] != 0) { mean.add(values[t]); }
  }
  return mean;
}

Mean mean_nll_of(const Trace& trace) {
  if (!trace.corpus) { return counted_mean(trace, trace.nll); }
  return {trace.corpus->nll.value(), trace.corpus->nll_count};
}

std::vector<LayerSummary> summarise(const Trace& trace) {
  std::vector<LayerSummary> layers(static_cast<std::size_t>(trace.layers));
  for_each_layer(trace.layers, nullptr, [&](std::int64_t row) {
    const TraceLayer layer(trace, row);
    LayerSummary& summary = layers[row];
    summary.layer = layer.layer;
    summary.pass = layer.pass;
    set_loads(summary, layer);
    set_router(summary, layer);
    set_kappa(summary, layer);
    set_importance(summary, layer);
    set_soft_routing(summary, layer);
    static_cast<GateMeans&>(summary) = gate_means(layer);
    if (trace.model != nullptr) {
      summary.alignment_mean = alignment_of(layer, trace.model->alignment_mean);
      summary.alignment_energy = alignment_of(layer, trace.model->alignment_energy);
    }
    summary.nonfinite_tokens = nonfinite_tokens(layer);
  });
  return layers;
}

std::vector<DenseSummary> summarise_dense(const Trace& trace) {
  std::vector<DenseSummary> layers;
  for (std::int64_t row = 0; row < trace.dense_layers; ++row) {
    const auto own = [&](std::span<const float> array, std::int64_t width) {
      if (array.empty()) { return array; }
      return array.subspan(static_cast<std::size_t>(row * width), static_cast<std::size_t>(width));
    };
    const auto token_mean = [&](std::span<const float> array, std::string_view number) {
      return trace.corpus ? trace.corpus->dense[row].mean(number)
                          : counted_mean(trace, own(array, trace.tokens)).value();
    };
    DenseSummary summary;
    summary.layer = trace.dense_layer_index[row];
    summary.pass = trace.dense_pass_index[row];
    std::vector<float> kappa;
    for (const float value : own(trace.dense_kappa, trace.dense_gates)) {
      if (std::isfinite(value)) { kappa.push_back(value); }
    }
    std::sort(kappa.begin(), kappa.end());
    summary.kappa = {mean_of(kappa).value(), sorted_quantile(kappa, 0.05),
                     sorted_quantile(kappa, 0.5), sorted_quantile(kappa, 0.95)};
    summary.kappa_slope_l2 = dense_slope_square(trace, row);
    summary.gate_mean_abs = token_mean(trace.dense_gate_mean_abs, "gate_mean_abs");
    summary.gate_active_fraction =
        token_mean(trace.dense_gate_active_fraction, "gate_active_fraction");
    summary.gate_top16_share = token_mean(trace.dense_gate_top16_share, "gate_top16_share");
    summary.gate_entropy = token_mean(trace.dense_gate_entropy, "gate_entropy");
    summary.gate_kz_rms = token_mean(trace.dense_gate_kz_rms, "gate_kz_rms");
    summary.gate_linear_fraction =
        token_mean(trace.dense_gate_linear_fraction, "gate_linear_fraction");
    summary.gate_saturated_fraction =
        token_mean(trace.dense_gate_saturated_fraction, "gate_saturated_fraction");
    layers.push_back(summary);
  }
  return layers;
}

Json summary_json(const Trace& trace, const std::vector<LayerSummary>& layers) {
  Json json = {{"schema", kSummarySchema},
               {"model", trace.model_name},
               {"family", trace.family},
               {"kappa", trace.kappa},
               {"tokens", counted_tokens(trace)}};
  if (trace.only_assistant) { json["only"] = kOnlyAssistant; }
  if (trace.step >= 0) { json["step"] = trace.step; }
  for (const char* part : {"document", "generation"}) {
    if (trace.meta.contains(part)) { json[part] = trace.meta[part]; }
  }
  const Mean nll = mean_nll_of(trace);
  json["nll_mean"] = number_json(nll.value());
  json["nll_tokens"] = nll.count;
  const BitsPerByte bits = bits_per_byte(trace);
  put_known(json, "bits_per_byte", bits.value);
  if (bits.bytes > 0) { json["bytes_counted"] = bits.bytes; }
  const BudgetSummary budgets = budget_summary(trace);
  put_known(json, "budget_total", budgets.total);
  put_known(json, "budget_last_third", budgets.last_third);
  put_known(json, "experts_run_mean", budgets.experts_run);
  put_known(json, "active_parameters", budgets.active_parameters);
  json["layers"] = Json::array();
  for (const LayerSummary& layer : layers) { json["layers"].push_back(layer_json(layer)); }
  for (const DenseSummary& layer : summarise_dense(trace)) {
    json["dense_layers"].push_back(dense_json(layer));
  }
  if (!trace.kappa_values.empty() || (trace.corpus && !trace.corpus->effect.count.empty())) {
    json["effect_tail"] = tails_json(trace, EffectKind::absolute);
    json["effect_relative_tail"] = tails_json(trace, EffectKind::relative);
  }
  return json;
}

}  // namespace kappascope
