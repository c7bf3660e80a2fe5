// Experts that go together: with the first choice in the row before, with those of the next token
// (SPEC §10).
#pragma once

#include <cstdint>
#include <vector>

#include "core/nan.h"
#include "core/stats/layer.h"
#include "core/trace/totals.h"

namespace kappascope {

struct PairStatistics {
  // Mutual information of a token's first choice here and in the row before, over the entropy of
  // the one here, both with the correction of Miller and Madow (1955); NaN in the first row, where
  // all chose one expert, and where E > kMostPairExperts. The second pairs each token with another
  // one of its call: what the measure gives where there is nothing to predict from.
  double predictability = kNaN, predictability_shuffled = kNaN;
  // Mean share of a token's experts that the next token of its text chose, too; and Σ p_e² / Σ p_e,
  // which tokens that chose independently would have, p_e the share of tokens that chose e.
  double neighbour_overlap = kNaN, neighbour_chance = kNaN;
};
PairStatistics pair_statistics(const PairTotals& pairs, const ChoiceTotals& choices);

// Of a corpus as they were added up, else of the trace's tokens.
PairTotals pair_totals(const TraceLayer& layer);

// The smallest number of experts with 90 % of the assignments; 0 without any.
std::int64_t hot_set(std::vector<std::int64_t> assigned);

}  // namespace kappascope
