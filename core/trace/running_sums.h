// What a trace adds up over the chunks of a text, per recorded MoE layer and expert.
#pragma once

#include <cstdint>
#include <vector>

#include "core/engine/probe.h"
#include "core/trace/npz.h"

namespace kappascope {

class RunningSums {
 public:
  RunningSums() = default;
  RunningSums(std::int64_t layers, std::int64_t experts);  // M, E

  void add(const MoeTap& tap, std::int64_t row);  // row: of the M

  // kappa_hist, gate_pre_hist and effect_*: Σ / count as float64, NaN for an expert without tokens.
  void write(NpzWriter& writer) const;
  // kappa_u_square: mean of u², u without the multiplier that the sums carry.
  void write_u_square(NpzWriter& writer, double multiplier) const;

 private:
  template <typename Sum>
  void write_effect(NpzWriter& writer, const char* array, Sum sum) const;

  std::vector<std::int64_t> kappa_hist_;     // [M,E,kKappaBins]
  std::vector<std::int64_t> gate_pre_hist_;  // [M,E,kGatePreBins]
  std::vector<EffectSums> effect_;           // [M,E]
};

}  // namespace kappascope
