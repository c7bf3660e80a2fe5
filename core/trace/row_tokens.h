// The tokens of one MoE layer in one pass as totals take them: from a tap while the model runs, or
// from the arrays of a trace.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/engine/probe.h"
#include "core/engine/run_plan.h"

namespace kappascope {

// The numbers of a trace that a token, or a slot of a token, has one of (SPEC §4).
struct RowNumber {
  std::string_view name;  // of its array in a trace
  bool of_slot;           // [T,K], NaN where nothing runs; else [T]
};
inline constexpr std::array<RowNumber, 21> kRowNumbers{{{"router_top1_prob", false},
                                                        {"router_selected_mass", false},
                                                        {"router_margin", false},
                                                        {"router_top_gap", false},
                                                        {"router_entropy", false},
                                                        {"expert_weight", true},
                                                        {"kappa_input", true},
                                                        {"kappa_mean", true},
                                                        {"kappa_min", true},
                                                        {"kappa_max", true},
                                                        {"kappa_p05", true},
                                                        {"kappa_p95", true},
                                                        {"gate_mean_abs", true},
                                                        {"gate_active_fraction", true},
                                                        {"gate_top16_share", true},
                                                        {"gate_entropy", true},
                                                        {"gate_kz_rms", true},
                                                        {"gate_linear_fraction", true},
                                                        {"gate_saturated_fraction", true},
                                                        {"expert_output_norm", true},
                                                        {"gate_clamped_fraction", true}}};
// Place in the table; a name that is not in it: internal.
std::size_t row_number(std::string_view name);

// One of these of every token or slot; `first` null: not recorded.
struct NumberColumn {
  const float* first = nullptr;
  std::int64_t stride = 1;
  float operator[](std::int64_t i) const { return first[i * stride]; }
};

// Points into memory of somebody else but for what it says of experts.
struct RowTokens {
  std::int64_t tokens = 0, experts = 0, slots = 0;  // T, E, K
  std::vector<std::int32_t> expert;                 // [T,K] chosen, best first; −1: empty slot
  std::vector<std::uint8_t> kept;                   // [T,K] 1: it ran
  std::vector<std::uint8_t> counted;                // [T] 0: NaN or Inf weights spoilt its router
  std::vector<std::uint8_t> left_out;               // [T] 1: no statistic is of it; empty: none
  std::array<NumberColumn, kRowNumbers.size()> numbers;
  const float* logits = nullptr;  // [T,logit_stride] raw router logits
  std::int64_t logit_stride = 0;
  double near_tie = 0;  // Trace::near_tie

  bool is_left_out(std::int64_t token) const { return !left_out.empty() && left_out[token] != 0; }
  bool has(std::size_t number) const { return numbers[number].first != nullptr; }
};

// Leaves the tokens out that `taken` [T] has 0 for: they choose nothing and are not counted.
void leave_out(RowTokens& row, std::span<const std::uint8_t> taken);

// The recorded tokens of a tap, one layer and pass. What a tap lacks of κ is computed from `plan`.
class TapTokens {
 public:
  TapTokens(const MoeTap& tap, const RunPlan& plan);
  TapTokens(const TapTokens&) = delete;  // tokens() points into it
  TapTokens& operator=(const TapTokens&) = delete;
  RowTokens& tokens() { return tokens_; }

 private:
  void take_choices(const MoeTap& tap, bool soft);
  void take_numbers(const MoeTap& tap);

  std::vector<KappaStatistics> kappa_;
  RowTokens tokens_;
};

// [T,K] κ over the gate units of each kept slot, as the tap has it or else from its scores; NaN
// where nothing ran.
std::vector<KappaStatistics> slot_kappa(const MoeTap& tap, const RunPlan& plan);

}  // namespace kappascope
