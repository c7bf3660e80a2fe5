// What κ of the experts of one MoE layer and pass adds up to over a corpus.
#pragma once

#include <cstdint>
#include <vector>

#include "core/engine/probe.h"
#include "core/engine/run_plan.h"
#include "core/trace/quantile_sketch.h"
#include "core/trace/row_tokens.h"
#include "core/trace/sum.h"

namespace kappascope {

// Over the slots that ran, without those of tokens that NaN or Inf weights spoilt. Empty where
// nothing was added yet.
struct KappaTotals {
  std::vector<Sum> mean;            // [E] Σ kappa_mean
  std::vector<std::int64_t> count;  // [E] slots that have one
  // [E] Σ ln κ over the gate units that the κ effect counts, and how many they are.
  std::vector<Sum> log;
  std::vector<std::int64_t> log_count;
  std::vector<ScoreSketch> score;  // [E] s of these slots; empty where κ does not follow from it

  // `kappa`: of the layer, as it acted.
  void add(const RowTokens& row, const KappaView& kappa);
  // `effect` [E] of a call; sums that NaN or Inf weights spoilt add nothing.
  void add_effect(const EffectSums* effect, std::int64_t experts, const KappaView& kappa);
  void add(const KappaTotals& other);
  // Of the greatest of the sketches; 0: all are exact.
  double rank_error() const;
  // Whether what exchange() has read is of so many experts and gate units, all of whose κ together
  // can be counted.
  bool consistent(std::int64_t experts, std::int64_t gates) const;
  template <typename Archive>
  void exchange(Archive& archive) {
    archive(mean);
    archive(count);
    archive(log);
    archive(log_count);
    archive(score);
  }
};

}  // namespace kappascope
