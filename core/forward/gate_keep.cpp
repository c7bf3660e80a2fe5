#include "core/forward/gate_keep.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

namespace kappascope {

void keep_largest(float* a, std::int64_t gates, double share) {
  std::vector<std::int32_t> order(std::size_t(gates), 0);
  std::iota(order.begin(), order.end(), 0);
  double sum = 0;
  for (std::int64_t i = 0; i < gates; ++i) { sum += std::fabs(a[i]); }
  if (std::isnan(sum)) { return; }  // nothing can be said of what is largest
  std::sort(order.begin(), order.end(), [a](std::int32_t i, std::int32_t j) {
    const float x = std::fabs(a[i]), y = std::fabs(a[j]);
    return x != y ? x > y : i < j;
  });
  const double wanted = share * sum;
  double taken = 0;
  for (const std::int32_t i : order) {
    if (taken >= wanted) { a[i] = 0; }
    taken += std::fabs(a[i]);
  }
}

GateStats stats_of_kept(GateStats stats, const float* a, const KappaSwigluArgs& args) {
  const std::int64_t gates = args.gates, top = std::min(args.top_gates, gates);
  std::vector<float> magnitude;
  double sum = 0, x_log_x = 0;
  std::int64_t active = 0;
  for (std::int64_t i = 0; i < gates; ++i) {
    const float x = std::fabs(a[i]);
    magnitude.push_back(x);
    sum += x;
    if (x > 0) { x_log_x += x * std::log(x); }
    active += x > args.active_threshold;
  }
  if (std::isnan(sum)) { return stats; }
  std::nth_element(magnitude.begin(), magnitude.begin() + (top - 1), magnitude.end(),
                   std::greater<>());
  const double safe_sum = std::max(sum, 1e-8);
  const double top_sum = std::accumulate(magnitude.begin(), magnitude.begin() + top, 0.0);
  stats.mean_abs = float(sum / double(gates));
  stats.active_fraction = float(double(active) / double(gates));
  stats.top_share = float(top_sum / safe_sum);
  stats.entropy = float(std::log(safe_sum) - x_log_x / safe_sum);
  return stats;
}

void kappa_swiglu_of_largest(const CpuKernels& kernels, const KappaSwigluArgs& args, double share) {
  const std::int64_t gates = args.gates;
  std::vector<float> a(std::size_t(args.rows * gates)), up(args.up, args.up + args.rows * gates);
  kernels.kappa_swiglu(args);
  // a of all rows, and of nothing else.
  KappaSwigluArgs plain = args;
  plain.first_recorded = 0;
  plain.stats = nullptr;
  plain.kappa_stats = nullptr;
  plain.kappa_hist = plain.gate_pre_hist = nullptr;
  plain.effect = nullptr;
  plain.kappa_out = plain.gate_pre_out = nullptr;
  plain.out_row = nullptr;
  plain.up = up.data();
  plain.gate_act_out = a.data();
  kernels.kappa_swiglu(plain);
  for (std::int64_t r = 0; r < args.rows; ++r) {
    float* acting = a.data() + r * gates;
    keep_largest(acting, gates, share);
    for (std::int64_t i = 0; i < gates; ++i) {
      args.hidden[r * gates + i] = acting[i] * up[r * gates + i];
    }
    if (r < args.first_recorded) { continue; }
    const std::int64_t to = args.out_row ? args.out_row[r] : r;
    if (args.stats) { args.stats[to] = stats_of_kept(args.stats[to], acting, args); }
    if (args.gate_act_out) { std::copy_n(acting, gates, args.gate_act_out + to * gates); }
  }
}

}  // namespace kappascope
