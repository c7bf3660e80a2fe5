#include "core/trace/row_tokens.h"

#include <algorithm>
#include <cmath>

#include "core/nan.h"
#include "core/trace/kappa_statistics.h"
#include "core/trace/recorded_fields.h"
#include "core/trace/trace.h"

namespace kappascope {

std::size_t row_number(std::string_view name) {
  std::size_t place = 0;
  while (place < kRowNumbers.size() && kRowNumbers[place].name != name) { ++place; }
  require(place < kRowNumbers.size(), ExitCode::internal, {}, "a number of tokens called ", name);
  return place;
}

void leave_out(RowTokens& row, std::span<const std::uint8_t> taken) {
  row.left_out.resize(std::size_t(row.tokens));
  for (std::int64_t t = 0; t < row.tokens; ++t) {
    if (taken[t] != 0) { continue; }
    row.left_out[t] = 1;
    row.counted[t] = 0;
    std::fill_n(row.expert.begin() + t * row.slots, row.slots, -1);
    std::fill_n(row.kept.begin() + t * row.slots, row.slots, std::uint8_t{0});
  }
}

std::vector<KappaStatistics> slot_kappa(const MoeTap& tap, const RunPlan& plan) {
  LayerKappa kappa(plan.kappa_of(tap.layer, tap.pass).view(), tap.routing.experts, tap.gates);
  const Assignments& cells = tap.routing.cells;
  std::vector<KappaStatistics> slots(std::size_t(tap.routing.tokens * tap.routing.slots),
                                     {kNaN, kNaN, kNaN, kNaN, kNaN});
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!cells.kept[i]) { continue; }
    slots[i] = tap.kappa_stats ? tap.kappa_stats[i] : kappa.at(cells.expert[i], cells.score[i]);
  }
  return slots;
}

TapTokens::TapTokens(const MoeTap& tap, const RunPlan& plan) : kappa_(slot_kappa(tap, plan)) {
  tokens_.tokens = tap.routing.tokens;
  tokens_.experts = tap.routing.experts;
  tokens_.slots = tap.routing.slots;
  tokens_.logits = tap.routing.logits;
  tokens_.logit_stride = tap.routing.experts;
  tokens_.near_tie = near_tie_margin(plan.layers[tap.layer].spec->moe()->router);
  take_choices(tap, plan.layers[tap.layer].soft.has_value());
  take_numbers(tap);
}

// With soft routing what does not run has no slot.
void TapTokens::take_choices(const MoeTap& tap, bool soft) {
  const Assignments& cells = tap.routing.cells;
  const auto entries = std::size_t(tokens_.tokens * tokens_.slots);
  tokens_.expert.assign(cells.expert, cells.expert + entries);
  tokens_.kept.assign(cells.kept, cells.kept + entries);
  for (std::size_t i = 0; i < entries; ++i) {
    if (soft && tokens_.kept[i] == 0) { tokens_.expert[i] = -1; }
  }
  tokens_.counted.resize(std::size_t(tokens_.tokens));
  for (std::size_t t = 0; t < tokens_.counted.size(); ++t) {
    tokens_.counted[t] = std::isfinite(tap.routing.numbers.entropy[t]) ? 1 : 0;
  }
}

void TapTokens::take_numbers(const MoeTap& tap) {
  const auto put = [&](std::string_view name, const float* first, std::int64_t stride) {
    tokens_.numbers[row_number(name)] = {first, stride};
  };
  const RouterNumbers& router = tap.routing.numbers;
  put("router_top1_prob", router.top1_prob, 1);
  put("router_selected_mass", router.selected_mass, 1);
  put("router_margin", router.margin, 1);
  put("router_top_gap", router.top_gap, 1);
  put("router_entropy", router.entropy, 1);
  put("expert_weight", tap.routing.cells.weight, 1);
  put("kappa_input", tap.routing.cells.score, 1);
  put("expert_output_norm", tap.output_norm, 1);
  put("gate_clamped_fraction", tap.gate_clamped, 1);
  if (kappa_.empty()) { return; }
  constexpr std::int64_t kKappaStride = sizeof(KappaStatistics) / sizeof(float);
  for (const KappaField& field : kKappaFields) {
    put(field.name, &(kappa_.front().*field.value), kKappaStride);
  }
  if (!tap.gate_stats) { return; }
  constexpr std::int64_t kGateStride = sizeof(GateStats) / sizeof(float);
  for (const GateField& field : kGateFields) {
    put(field.name, &(tap.gate_stats->*field.value), kGateStride);
  }
}

}  // namespace kappascope
