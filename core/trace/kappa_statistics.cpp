#include "core/trace/kappa_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/kappa_math.h"

namespace kappascope {
namespace {

// NumPy's default: between the order statistics around q·(n − 1). Reorders `values`.
float quantile(std::vector<float>& values, double q) {
  const double position = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::ptrdiff_t>(position);
  const auto middle = values.begin() + below;
  std::nth_element(values.begin(), middle, values.end());
  const double low = *middle;
  if (middle + 1 == values.end()) return static_cast<float>(low);
  const double high = *std::min_element(middle + 1, values.end());
  return static_cast<float>(low + (high - low) * (position - static_cast<double>(below)));
}

}  // namespace

LayerKappa::LayerKappa(const KappaView& kappa, std::int64_t experts, std::int64_t gates)
    : kappa_(kappa),
      values_(static_cast<std::size_t>(kappa.gate_stride == 0 ? 1 : gates)),
      fixed_(static_cast<std::size_t>(kappa.scale == nullptr ? experts : 0)) {}

KappaStatistics LayerKappa::at(std::int64_t expert, float score) {
  if (kappa_.bias == nullptr) return {1, 1, 1, 1, 1};
  if (fixed_.empty()) return compute(expert, score);
  std::optional<KappaStatistics>& known = fixed_[static_cast<std::size_t>(expert)];
  if (!known) known = compute(expert, score);
  return *known;
}

KappaStatistics LayerKappa::compute(std::int64_t expert, float score) {
  const float* bias = kappa_.bias + expert * kappa_.expert_stride;
  const float* scale = kappa_.scale ? kappa_.scale + expert * kappa_.expert_stride : nullptr;
  double sum = 0;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const float u = scale ? scale[i] * score + bias[i] : score * bias[i];
    values_[i] = kappa_value(kappa_.log_bound, u);
    sum += values_[i];
  }
  if (std::isnan(sum)) {
    constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
    return {kNone, kNone, kNone, kNone, kNone};
  }
  const auto [minimum, maximum] = std::minmax_element(values_.begin(), values_.end());
  KappaStatistics result{static_cast<float>(sum / static_cast<double>(values_.size())), *minimum,
                         *maximum, 0, 0};
  result.p05 = quantile(values_, 0.05);
  result.p95 = quantile(values_, 0.95);
  return result;
}

}  // namespace kappascope
