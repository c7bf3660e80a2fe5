// What tokens add up to beside the experts that they are routed to: in a dense layer with a gate,
// and in the shared expert of an MoE layer.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/engine/probe.h"
#include "core/trace/totals.h"

namespace kappascope {

// With "dense_" or "shared_" in front these are arrays of a trace; a dense layer has none of the
// first two.
inline constexpr std::array<std::string_view, 9> kSideNumbers{"weight",
                                                              "output_norm",
                                                              "gate_mean_abs",
                                                              "gate_active_fraction",
                                                              "gate_top16_share",
                                                              "gate_entropy",
                                                              "gate_kz_rms",
                                                              "gate_linear_fraction",
                                                              "gate_saturated_fraction"};
inline constexpr std::size_t kSideGates = 2;  // the first one of the gate

// One layer in one pass.
struct SideTotals {
  std::int32_t layer = -1, pass = -1;
  std::vector<float> kappa;  // [I] of a dense layer, the same for every token; else empty
  std::array<NumberTotals, kSideNumbers.size()> numbers;

  // Token t of the tap counts where counts(first_token + t) says so.
  template <typename Counts>
  void add(const DenseTap& tap, Counts&& counts) {
    kappa.assign(tap.kappa, tap.kappa + tap.gates);
    for (std::int64_t t = 0; t < tap.tokens; ++t) {
      if (counts(tap.first_token + t)) { add(tap.gate_stats[t]); }
    }
  }
  template <typename Counts>
  void add(const SharedTap& tap, Counts&& counts) {
    for (std::int64_t t = 0; t < tap.tokens; ++t) {
      if (!counts(tap.first_token + t)) { continue; }
      numbers[0].add(tap.weight[t]);
      numbers[1].add(tap.output_norm[t]);
      add(tap.gate_stats[t]);
    }
  }
  void add(const GateStats& stats);
  void add(const SideTotals& other);
  double mean(std::string_view number) const;  // one of kSideNumbers; NaN without values
  bool consistent() const;
  template <typename Archive>
  void exchange(Archive& archive) {
    archive(layer);
    archive(pass);
    archive(kappa);
    for (NumberTotals& number : numbers) { archive(number); }
  }
};

// Adds the layers of `from`, of the same model, to those of `to`, which may be none.
void add_sides(std::vector<SideTotals>& to, const std::vector<SideTotals>& from);
// The one of that layer and pass, made where there is none: layers of a pass come in their order.
SideTotals& side_of(std::vector<SideTotals>& sides, std::int64_t layer, std::int64_t pass);

}  // namespace kappascope
