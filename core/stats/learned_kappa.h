// What a model has learned of κ, from its weights alone: α and b of every layer.
#pragma once

#include <cstdint>
#include <vector>

#include "core/model/model.h"
#include "core/nan.h"

namespace kappascope {

// Over the distinct values of α or b of a layer; NaN without any. Standard deviations are those of
// the population.
struct ParameterNumbers {
  double mean = kNaN, std = kNaN, least = kNaN, most = kNaN;
  double std_across_experts = kNaN;  // mean over gate units of the std over experts
  double std_across_gates = kNaN;    // mean over experts of the std over gate units
};

// Of one set of one layer: as stored, without a formula's multiplier.
struct LearnedKappa {
  std::int64_t layer = -1, slot = 0;  // slot: of a checkpoint with several sets
  bool moe = false;
  ParameterNumbers bias, scale;  // b and α
  double pearson = kNaN;         // of b and α over experts × gates
  double slope = kNaN;           // c of the least squares b ≈ c·α
  double residual = kNaN;        // root mean square of b − c·α
  double residual_share = kNaN;  // the same over the root mean square of b
};
std::vector<LearnedKappa> learned_kappa(const Model& model);

}  // namespace kappascope
