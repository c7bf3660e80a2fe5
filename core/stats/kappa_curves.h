// How κ answers the score, and what it does to SiLU: the curves behind the κ figures.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/stats/kappa.h"
#include "core/stats/layer.h"

namespace kappascope {

// Counts of finite values in equal bins of [low, high]; the last bin holds `high` too. All values
// equal: one bin of no width.
struct Histogram {
  double low = kNaN, high = kNaN;
  std::vector<std::int64_t> counts;  // [bins]; empty without values
};
Histogram histogram(const std::vector<float>& values, std::int64_t bins);

// s of the kept entries of one expert, in token order; with expert −1 of all experts.
std::vector<float> kept_scores(const TraceLayer& layer, std::int64_t expert);

// `count` gate units of one expert at even steps through its sorted α (b where α is one number for
// all, or there is none): the first has the smallest, the last the largest; equal values in order
// of their index.
std::vector<std::int64_t> spread_gates(const KappaView& view, std::int64_t gates,
                                       std::int64_t count);

// κ(s) of some gate units of one expert. Empty where the layer's κ has no parameters.
struct KappaCurves {
  std::vector<std::int64_t> gates;         // [n]
  std::vector<float> scale, bias;          // [n] α and b; NaN without
  std::vector<double> score;               // [points] s
  std::vector<std::vector<double>> kappa;  // [n][points]
};
KappaCurves kappa_curves(const KappaFunction& kappa, std::int64_t expert,
                         const std::vector<std::int64_t>& gates, double low, double high,
                         std::int64_t points);

// SiLU_κ(z) = z·σ(κz) at the 5, 50 and 95 % κ of one expert, over the counts of its z. Where κ
// follows from z: of the gate units at 5, 50 and 95 % of its α (median score; κ is NaN).
inline constexpr double kSiluQuantiles[] = {0.05, 0.5, 0.95};
struct SiluCurves {
  std::array<double, 3> kappa;                    // 5, 50, 95 %
  std::array<std::int64_t, 3> unit{-1, -1, -1};   // gate units; −1: the curves are of no one unit
  std::array<double, 3> scale{kNaN, kNaN, kNaN};  // their α
  std::vector<double> z;                          // [points] over [−8,8]
  std::array<std::vector<double>, 3> value;       // [points] each
  std::vector<std::int64_t> counts;               // [66] underflow, 64 bins of [−8,8], overflow
  double rank_error = 0;                          // of the quantiles, as KappaBand has it
};
SiluCurves silu_curves(const TraceLayer& layer, const KappaFunction& kappa, std::int64_t expert,
                       std::int64_t points);

// Quantiles of learned numbers over experts × gates (of one expert, when asked); NaN without any.
struct Spread {
  double least = kNaN, p05 = kNaN, p25 = kNaN, p50 = kNaN, p75 = kNaN, p95 = kNaN, most = kNaN,
         mean = kNaN;
};
struct ParameterSpread {
  Spread scale, bias;          // α and b
  double median_score = kNaN;  // of the kept s of the layer (or the expert)
  Spread kappa;                // κ of every gate unit at that s
  KappaBounds bounds;
};
ParameterSpread kappa_parameters(const TraceLayer& layer, const KappaFunction& kappa,
                                 std::int64_t expert = -1);

}  // namespace kappascope
