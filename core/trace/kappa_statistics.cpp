#include "core/trace/kappa_statistics.h"

namespace kappascope {

LayerKappa::LayerKappa(const KappaView& kappa, std::int64_t experts, std::int64_t gates)
    : kappa_(kappa),
      gates_(gates),
      fixed_(static_cast<std::size_t>(kappa.scale == nullptr ? experts : 0)) {}

KappaStatistics LayerKappa::at(std::int64_t expert, float score) {
  if (!fixed_.empty() && fixed_[expert]) { return *fixed_[expert]; }
  KappaStatistics result{};
  cpu_kernels().kappa_statistics({gates_, kappa_.at_expert(expert), score, nullptr, &result});
  if (!fixed_.empty()) { fixed_[expert] = result; }
  return result;
}

}  // namespace kappascope
