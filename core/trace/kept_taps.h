// What the taps of several calls on one text gave, in memory, to be given on as that of one call:
// of a text that grows, whose length a recorder could not know.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "core/engine/probe.h"
#include "core/engine/run_plan.h"
#include "core/error.h"

namespace kappascope {

// Routing and statistics, without gate values and the residual stream. Calls follow one another
// without a gap.
class KeptTaps final : public Probe {
 public:
  // `layers` of the model that are kept, ascending; without any, next-token numbers alone are.
  explicit KeptTaps(std::vector<std::int64_t> layers) : layers_(std::move(layers)) {}

  ProbeWants wants() const noexcept override;
  bool wants_layer(std::int64_t layer) const noexcept override;
  bool moe(const MoeTap& tap) noexcept override;
  bool dense(const DenseTap& tap) noexcept override;
  bool shared(const SharedTap& tap) noexcept override;
  bool next_token(const NextTokenTap& tap) noexcept override;

  // Logits [V] of the last row of the latest call.
  const std::vector<float>& last_logits() const { return last_logits_; }
  // What follows the last row, once it is known.
  void set_next(float nll, std::int32_t rank);

  // Gives all of it to `to`; false when that said stop.
  bool give(Probe& to) const;
  // Why a tap returned false: memory.
  const Failure& failure() const { return failure_; }

 private:
  struct Rows {  // of one layer in one pass
    std::int64_t tokens = 0, experts = 0, slots = 0, gates = 0;
    std::vector<float> logits, soft_weight, selection_score;  // [T,E]
    std::vector<std::int32_t> expert;                         // [T,K]
    std::vector<float> weight, score;                         // [T,K]
    std::vector<std::uint8_t> kept;                           // [T,K]
    std::array<std::vector<float>, 5> numbers;                // [T] in the order of RouterNumbers
    std::vector<GateStats> gate_stats;                        // [T,K], dense and shared: [T]
    std::vector<KappaStatistics> kappa_stats;                 // [T,K]
    std::vector<float> output_norm, gate_clamped;             // [T,K], shared: [T]
    std::vector<std::int64_t> kappa_hist, gate_pre_hist;      // [E,bins]
    std::vector<EffectSums> effect;                           // [E]
    std::vector<float> kappa;                                 // [I] of a dense layer
  };
  using Place = std::pair<std::int64_t, std::int64_t>;  // pass, layer

  template <typename Work>
  bool guarded(Work work) noexcept;
  static void add_routing(const MoeTap& tap, Rows& rows);
  static void add_sums(const MoeTap& tap, Rows& rows);
  static bool give_moe(const Place& place, const Rows& rows, Probe& to);
  static bool give_dense(const Place& place, const Rows& rows, Probe& to);
  static bool give_shared(const Place& place, const Rows& rows, Probe& to);

  std::vector<std::int64_t> layers_;
  std::map<Place, Rows> moe_, dense_, shared_;
  std::int64_t vocab_ = 0;
  std::vector<float> nll_, top_logprob_;     // [T], [T,kTopTokens]
  std::vector<std::int32_t> rank_, top_id_;  // [T], [T,kTopTokens]
  std::vector<float> last_logits_;           // [V]
  Failure failure_;
};

// Bytes that a KeptTaps of these layers takes for so many tokens at most, to be planned with.
std::uint64_t kept_bytes(const RunPlan& plan, std::span<const std::int64_t> layers,
                         std::int64_t tokens);

}  // namespace kappascope
