// κ over the gate units of one expert at one score, reference (SPEC §4).
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/kappa_math.h"
#include "kernels/kernels.h"

namespace kappascope {
namespace {

// NumPy's default: between the order statistics around q·(n − 1). Reorders `values`.
float quantile(float* values, std::int64_t size, double q) {
  const double position = q * double(size - 1);
  const auto below = std::int64_t(position);
  std::nth_element(values, values + below, values + size);
  const double low = values[below];
  if (below + 1 == size) { return float(low); }
  const double high = *std::min_element(values + below + 1, values + size);
  return float(low + (high - low) * (position - double(below)));
}

}  // namespace

void kappa_statistics_ref(const KappaStatisticsArgs& args) {
  const KappaView& view = args.kappa;
  const float factor = view.factor_value();
  *args.result = {factor, factor, factor, factor, factor};
  if (view.fixed()) { return; }
  const std::int64_t gates = view.uniform() ? 1 : args.gates;
  std::vector<float> storage(static_cast<std::size_t>(gates));
  float* values = storage.data();
  double sum = 0;
  for (std::int64_t i = 0; i < gates; ++i) {
    const float z = view.from_gate ? args.gate_pre[i] : 0;
    values[i] = factor * kappa_value(view.log_bound, view.argument(i, args.score, z));
    sum += values[i];
  }
  *args.result = {NAN, NAN, NAN, NAN, NAN};
  if (std::isnan(sum)) { return; }
  const auto [minimum, maximum] = std::minmax_element(values, values + gates);
  args.result->mean = float(sum / double(gates));
  args.result->minimum = *minimum;
  args.result->maximum = *maximum;
  args.result->p05 = quantile(values, gates, 0.05);
  args.result->p95 = quantile(values, gates, 0.95);
}

}  // namespace kappascope
