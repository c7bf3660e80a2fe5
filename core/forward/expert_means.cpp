#include "core/forward/expert_means.h"

namespace kappascope {

ExpertMeans::ExpertMeans(const LayerPlan& plan, std::int64_t width) {
  for (std::int64_t e = 0; e < std::ssize(plan.modes); ++e) {
    if (plan.modes[e] == ExpertMode::mean) { outputs_[e].sum.resize(std::size_t(width)); }
  }
}

void ExpertMeans::add(std::int64_t expert, const float* output) {
  const auto found = outputs_.find(expert);
  if (found == outputs_.end()) { return; }
  for (double& sum : found->second.sum) { sum += *output++; }
  ++found->second.count;
}

const float* ExpertMeans::of(std::int64_t expert) {
  const auto found = outputs_.find(expert);
  if (found == outputs_.end()) { return nullptr; }
  Outputs& outputs = found->second;
  if (outputs.mean.empty()) {
    for (const double sum : outputs.sum) {
      outputs.mean.push_back(float(sum / double(outputs.count)));
    }
  }
  return outputs.mean.data();
}

}  // namespace kappascope
