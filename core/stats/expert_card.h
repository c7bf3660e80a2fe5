// Everything that a trace holds about one expert of one layer.
#pragma once

#include <cstdint>
#include <vector>

#include "core/stats/gates.h"
#include "core/stats/kappa.h"
#include "core/stats/mean.h"
#include "core/trace/trace.h"

namespace kappascope {

// An assignment to the expert; κ and sharpness are NaN where it was dropped.
struct ServedEntry {
  std::int64_t token = -1, slot = -1;
  bool kept = false;
  double weight = kAbsent, score = kAbsent;          // combine weight, s
  double kappa_mean = kAbsent, sharpness = kAbsent;  // over gate units; rms of κz
};

struct ExpertCard {
  std::int64_t m = -1, layer = -1, pass = -1, expert = -1, experts = 0;  // experts: of the layer
  // Tokens with finite router numbers, as in expert_loads.
  std::int64_t assigned = 0, kept = 0, dropped = 0;
  double load = kAbsent, load_over_even = kAbsent;  // share of the assignments, and over 1/E
  std::int64_t load_rank = -1;                      // 1: the most loaded; equal: the lower expert
  double gate_mass = kAbsent;                       // Σ combine weight / tokens
  KappaBand kappa;                                  // over kept (token, gate)
  double kappa_lower = kAbsent, kappa_upper = kAbsent;  // 1/U and U; NaN without κ
  GateMeans gates;                                      // over kept tokens
  EffectSummary effect, effect_relative;
  double alignment_mean = kAbsent, alignment_energy = kAbsent;
  std::vector<ServedEntry> served;  // in token order
};

// Of expert e of recorded layer m. Outside the trace: usage.
ExpertCard expert_card(const Trace& trace, std::int64_t m, std::int64_t e);

// The served entries by token, or by falling weight, κ or sharpness: equal ones by token, those
// without a value last.
enum class ServedOrder : std::uint8_t { token, weight, kappa, sharpness };
std::vector<ServedEntry> served_by(const ExpertCard& card, ServedOrder order);

}  // namespace kappascope
