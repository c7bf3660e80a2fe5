#include "core/trace/running_sums.h"

#include <cmath>

#include "core/nan.h"

namespace kappascope {
RunningSums::RunningSums(std::int64_t layers, std::int64_t experts) {
  const auto rows = static_cast<std::size_t>(layers * experts);
  kappa_hist_.resize(rows * kKappaBins);
  gate_pre_hist_.resize(rows * kGatePreBins);
  effect_.resize(rows);
}

void RunningSums::add(const MoeTap& tap, std::int64_t row) {
  const auto experts = static_cast<std::size_t>(tap.routing.experts);
  const std::size_t base = static_cast<std::size_t>(row) * experts;
  for (std::size_t i = 0; i < experts * kKappaBins; ++i) {
    kappa_hist_[base * kKappaBins + i] += tap.kappa_hist[i];
  }
  for (std::size_t i = 0; i < experts * kGatePreBins; ++i) {
    gate_pre_hist_[base * kGatePreBins + i] += tap.gate_pre_hist[i];
  }
  for (std::size_t e = 0; e < experts; ++e) { add_effects(effect_[base + e], tap.effect[e]); }
}

template <typename Sum>
void RunningSums::write_effect(NpzWriter& writer, const char* array, Sum sum) const {
  std::vector<double> column;
  for (const EffectSums& sums : effect_) {
    column.push_back(sums.count > 0 ? sum(sums, static_cast<double>(sums.count)) : kNaN);
  }
  writer.write(array, column);
}

void RunningSums::write(NpzWriter& writer) const {
  writer.write("kappa_hist", kappa_hist_);
  writer.write("gate_pre_hist", gate_pre_hist_);
  using Sums = const EffectSums&;
  write_effect(writer, "effect_mean", [](Sums s, double n) { return s.sum / n; });
  write_effect(writer, "effect_abs", [](Sums s, double n) { return s.sum_abs / n; });
  write_effect(writer, "effect_rms", [](Sums s, double n) { return std::sqrt(s.sum_square / n); });
  write_effect(writer, "effect_positive", [](Sums s, double n) { return s.positive / n; });
  write_effect(writer, "effect_rel_mean", [](Sums s, double n) { return s.rel_sum / n; });
  write_effect(writer, "effect_rel_abs", [](Sums s, double n) { return s.rel_sum_abs / n; });
  write_effect(writer, "effect_rel_rms",
               [](Sums s, double n) { return std::sqrt(s.rel_sum_square / n); });
  write_effect(writer, "effect_rel_positive", [](Sums s, double n) { return s.rel_positive / n; });
  std::vector<double> count;
  for (const EffectSums& sums : effect_) { count.push_back(static_cast<double>(sums.count)); }
  writer.write("effect_count", count);
}

void RunningSums::write_u_square(NpzWriter& writer, double multiplier) const {
  write_effect(writer, "kappa_u_square", [&](const EffectSums& s, double n) {
    return s.slope_square / (n * multiplier * multiplier);
  });
}

}  // namespace kappascope
