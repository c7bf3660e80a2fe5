// Statistics of gate activations: means over entries, saturation, and the κ effect (SPEC §5).
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/stats/layer.h"
#include "core/stats/mean.h"

namespace kappascope {

// Mean over the kept entries of one layer of an array [M,T,K].
double slot_mean(const TraceLayer& layer, std::span<const float> array);

// The gate SiLU_κ(z) = z·σ(κz).
inline double silu(double z, double kappa) {
  return z / (1 + std::exp(-kappa * z));
}

// Means of gate statistics over kept (token, slot), or over the tokens of a dense layer.
struct GateMeans {
  double gate_mean_abs = kNaN, gate_active_fraction = kNaN, gate_top16_share = kNaN,
         gate_entropy = kNaN, gate_kz_rms = kNaN, gate_linear_fraction = kNaN,
         gate_saturated_fraction = kNaN;
};
GateMeans gate_means(const TraceLayer& layer, std::int64_t expert = -1);

// Shares of gate units by |κz|: below 1, between, above 4; means over kept entries, sum 1.
struct GateShares {
  double linear = kNaN, knee = kNaN, saturated = kNaN;
};
GateShares gate_shares(const TraceLayer& layer);

// Of d = z·σ(κz) − z·σ(z), or of d / silu(z) with the denominator at least 1e-6 away from 0 (on the
// positive side at 0), over scalars: one for each kept (token, slot, gate).
struct EffectSummary {
  double mean = kNaN, mean_abs = kNaN, rms = kNaN, positive_share = kNaN;
  std::int64_t count = 0;
};
enum class EffectKind : std::uint8_t { absolute, relative };

// One layer, from the means per expert in the trace, weighted by their counts. Experts whose sums
// NaN or Inf weights spoilt are left out.
EffectSummary layer_effect(const TraceLayer& layer, EffectKind kind);
// The same of one expert; nothing where its sums are spoilt.
EffectSummary expert_effect(const TraceLayer& layer, EffectKind kind, std::int64_t expert);

// Quantiles whose tops are shown: the largest 10 and 2 %.
inline constexpr std::array<double, 2> kEffectTops = {0.90, 0.98};

// d of one gate unit and d / silu(z).
struct GateEffect {
  float absolute, relative;
};
GateEffect gate_effect(double z, double kappa);

// The values at or above their own `quantile` (of the signed values, over all layers). Exact, in
// four passes over the recorded gates; empty where the trace has none. Of a corpus they are found
// in bins (EffectBins), 1/128 of a value wide, within which values are taken as spread evenly.
struct EffectTail {
  double quantile = kNaN;
  double threshold = kNaN;  // value of that quantile
  EffectSummary effect;
};
std::vector<EffectTail> effect_tails(const Trace& trace, EffectKind kind,
                                     std::span<const double> quantiles);
// The same of one layer, at its own quantiles.
std::vector<EffectTail> effect_tails(const TraceLayer& layer, EffectKind kind,
                                     std::span<const double> quantiles);

}  // namespace kappascope
