// How alike the experts of a layer are, from their weights alone.
#pragma once

#include <cstdint>
#include <vector>

#include "core/engine/progress.h"
#include "core/model/model.h"

namespace kappascope {

struct ExpertSimilarity {
  std::int64_t layer = -1, experts = 0;
  // [E,E] cosine of the weights of two experts: gate, up and down, one behind the other as one
  // vector; and of their rows of the router. NaN where a norm is 0 or a weight is not finite.
  std::vector<double> weights, router;
  // [E] experts in an order that puts alike ones beside each other: clusters joined by the mean of
  // the distances 1 − cosine of the weights (average linkage), the one with the lower expert first.
  std::vector<std::int64_t> order;
};

// A layer without experts: our mistake. Takes as much memory as one of the three weights of the
// layer as float32. Stage::read, in matrices.
ExpertSimilarity expert_similarity(const Model& model, std::int64_t layer, Progress& progress);

}  // namespace kappascope
