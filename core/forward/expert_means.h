// The experts of a layer whose output is its mean over the tokens of a call (ablate=…:mean).
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "core/engine/run_plan.h"

namespace kappascope {

class ExpertMeans {
 public:
  ExpertMeans(const LayerPlan& plan, std::int64_t width);
  bool any() const { return !outputs_.empty(); }
  // An output [H] that the expert gives, of whichever expert.
  void add(std::int64_t expert, const float* output);
  // Their mean [H], once all are added; nullptr: the expert's output is its own.
  const float* of(std::int64_t expert);

 private:
  struct Outputs {
    std::vector<double> sum;  // [H]
    std::int64_t count = 0;
    std::vector<float> mean;  // [H] or empty: not asked for yet
  };
  std::map<std::int64_t, Outputs> outputs_;  // by expert
};

}  // namespace kappascope
