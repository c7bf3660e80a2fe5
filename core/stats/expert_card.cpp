#include "core/stats/expert_card.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/stats/importance.h"
#include "core/stats/layer.h"
#include "core/stats/router.h"
#include "core/tokenizer/tokenizer.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {
namespace {

void set_load(ExpertCard& card, const TraceLayer& layer, const ChoiceTotals& choices) {
  const ExpertLoads loads = expert_loads(choices);
  const auto e = static_cast<std::size_t>(card.expert);
  card.assigned = loads.assigned[e];
  card.kept = choices.kept[e];
  card.dropped = card.assigned - card.kept;
  card.load = loads.load[e];
  card.load_over_even = card.load * static_cast<double>(layer.experts);
  card.gate_mass = loads.gate_mass[e];
  const auto order = most_loaded_experts(loads, layer.experts);
  card.load_rank = std::find(order.begin(), order.end(), card.expert) - order.begin() + 1;
}

void set_served(ExpertCard& card, const TraceLayer& layer) {
  const Trace& trace = layer.trace;
  const std::span<const float> weight = layer.slot_part(trace.expert_weight),
                               score = layer.slot_part(trace.kappa_input),
                               norm = layer.slot_part(trace.expert_output_norm),
                               kappa = layer.slot_part(trace.kappa_mean),
                               sharpness = layer.slot_part(trace.gate_kz_rms);
  const auto number = [](std::span<const float> array, std::int64_t at) {
    return array.empty() ? kNaN : array[at];
  };
  for (std::int64_t at = 0; at < layer.tokens * layer.slots; ++at) {
    const std::int64_t t = at / layer.slots;
    if (layer.expert(at) != card.expert || !layer.router_finite(t)) { continue; }
    ServedEntry entry{t, at % layer.slots, layer.kept(at), number(weight, at)};
    if (entry.kept) {
      entry.score = number(score, at);
      entry.output_norm = number(norm, at);
      entry.kappa_mean = number(kappa, at);
      entry.sharpness = number(sharpness, at);
    }
    card.served.push_back(entry);
  }
}

void set_frequent(ExpertCard& card, const CorpusTotals& corpus) {
  for (const TokenCounts::Top& top : corpus.top_tokens(card.row, card.expert)) {
    card.frequent.push_back({top.token, corpus.token_text(top.token), top.count});
  }
}

void set_places(ExpertCard& card, const CorpusTotals& corpus) {
  const auto& of_expert = corpus.rows[card.row].contexts.of_expert;
  if (card.expert >= std::ssize(of_expert)) { return; }
  for (const TokenContext& context : of_expert[card.expert]) {
    ChosenPlace place{context.document, context.position, {}, {}, {}};
    for (std::int64_t i = 0; i < kContextTokens; ++i) {
      std::string& part = i < kContextBefore    ? place.before
                          : i == kContextBefore ? place.word
                                                : place.after;
      const auto bytes = corpus.token_bytes.find(context.ids[i]);
      if (bytes != corpus.token_bytes.end()) { part += bytes->second; }
    }
    // Letters are put together from their parts first.
    for (std::string* part : {&place.before, &place.word, &place.after}) {
      *part = display_text(*part);
    }
    card.places.push_back(std::move(place));
  }
}

void set_importance(ExpertCard& card, const TraceLayer& layer, const ChoiceTotals& choices) {
  const auto own = [&](const std::vector<double>& values) {
    return values.empty() ? kNaN : values[card.expert];
  };
  const ImportanceTotals totals = importance_totals(layer);
  const ExpertImportance importance = expert_importance(totals);
  card.saliency = own(importance.saliency);
  card.contribution = own(importance.contribution);
  card.utility = own(expert_utility(layer, choices).of_expert);
  card.mean_logit = own(mean_selected_logit(totals));
  card.slope_square = slope_square(layer, card.expert);
}

// Of this expert in an array [L,E] of model.npz.
double alignment_of(const TraceLayer& layer, std::int64_t e, std::span<const float> array) {
  const std::int64_t at = layer.layer * layer.trace.model->experts + e;
  return layer.layer >= 0 && at < std::ssize(array) ? array[at] : kNaN;
}

}  // namespace

ExpertCard expert_card(const Trace& trace, std::int64_t row, std::int64_t e) {
  const std::string path = trace.path.string();
  require(row >= 0 && row < trace.layers, ExitCode::usage, {path}, "recorded layer ", row,
          "; expected 0 to ", trace.layers - 1);
  const TraceLayer layer(trace, row);
  require(e >= 0 && e < layer.experts, ExitCode::usage, {path}, "expert ", e, "; expected 0 to ",
          layer.experts - 1);
  ExpertCard card;
  card.row = row;
  card.layer = layer.layer;
  card.pass = layer.pass;
  card.expert = e;
  card.experts = layer.experts;
  const ChoiceTotals choices = choice_totals(layer);
  set_load(card, layer, choices);
  set_served(card, layer);
  if (trace.corpus) {
    set_frequent(card, *trace.corpus);
    set_places(card, *trace.corpus);
  }
  set_importance(card, layer, choices);
  card.kappa = kappa_band(layer, kappa_function(layer), e);
  const KappaBounds bounds = kappa_bounds(layer, e);
  card.kappa_lower = bounds.lower;
  card.kappa_upper = bounds.upper;
  card.gates = gate_means(layer, e);
  card.effect = expert_effect(layer, EffectKind::absolute, e);
  card.effect_relative = expert_effect(layer, EffectKind::relative, e);
  if (trace.model != nullptr) {
    card.alignment_mean = alignment_of(layer, e, trace.model->alignment_mean);
    card.alignment_energy = alignment_of(layer, e, trace.model->alignment_energy);
  }
  return card;
}

std::vector<ServedEntry> served_by(const ExpertCard& card, ServedOrder order) {
  std::vector<ServedEntry> served = card.served;
  if (order == ServedOrder::token) { return served; }
  const auto value = order == ServedOrder::weight  ? &ServedEntry::weight
                     : order == ServedOrder::kappa ? &ServedEntry::kappa_mean
                                                   : &ServedEntry::sharpness;
  std::stable_sort(served.begin(), served.end(), [&](const ServedEntry& a, const ServedEntry& b) {
    const bool has_a = std::isfinite(a.*value), has_b = std::isfinite(b.*value);
    return has_a && has_b ? a.*value > b.*value : has_a && !has_b;
  });
  return served;
}

}  // namespace kappascope
