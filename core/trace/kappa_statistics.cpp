#include "core/trace/kappa_statistics.h"

namespace kappascope {

LayerKappa::LayerKappa(const KappaView& kappa, std::int64_t experts, std::int64_t gates)
    : kappa_(kappa),
      gates_(gates),
      fixed_(static_cast<std::size_t>(kappa.scale == nullptr ? experts : 0)) {}

KappaStatistics LayerKappa::at(std::int64_t expert, float score) {
  if (kappa_.bias == nullptr) { return {1, 1, 1, 1, 1}; }
  if (!fixed_.empty() && fixed_[expert]) { return *fixed_[expert]; }
  KappaStatistics result{};
  KappaView view = kappa_;
  view.bias += expert * view.expert_stride;
  if (view.scale) { view.scale += expert * view.expert_stride; }
  cpu_kernels().kappa_statistics({gates_, view, score, &result});
  if (!fixed_.empty()) { fixed_[expert] = result; }
  return result;
}

}  // namespace kappascope
