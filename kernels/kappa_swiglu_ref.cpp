// κ-SwiGLU over the rows of one expert with its gate statistics, reference (SPEC §1.5, §5).
//
//   κ = factor · exp(ln U · tanh u),  a = z·σ(κz),  hidden = a ∘ up
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "kernels/kappa_math.h"
#include "kernels/kernels.h"

namespace kappascope {
namespace {

// Index of x among `bins` equal bins of [low, high], the last one closed on both sides.
int bin_of(float x, float low, float high, int bins) {
  const int bin = int((x - low) / (high - low) * float(bins));
  return std::clamp(bin, 0, bins - 1);
}

struct Row {
  std::vector<float> argument;   // [I] u; 0 where κ is fixed
  std::vector<float> tanh;       // [I] of u
  std::vector<float> position;   // [I] ln κ / ln U
  std::vector<float> kappa;      // [I]
  std::vector<float> gate_act;   // [I] a
  std::vector<float> magnitude;  // [I] |a|
  explicit Row(std::int64_t gates)
      : argument(gates, 0.0f),
        tanh(gates),
        position(gates),
        kappa(gates),
        gate_act(gates),
        magnitude(gates) {}
};

void fill_kappa(const KappaSwigluArgs& args, std::int64_t r, Row& row) {
  const KappaView& view = args.kappa;
  const float score = args.score ? args.score[r] : 0;
  for (std::int64_t i = 0; i < args.gates; ++i) {
    if (!view.fixed()) {
      row.argument[i] = view.argument(i, score, args.gate_pre[r * args.gates + i]);
    }
    const float tanh_u = row.tanh[i] = std::tanh(row.argument[i]);
    row.position[i] = view.position(tanh_u);
    row.kappa[i] = view.factor_value() * std::exp(view.log_bound * tanh_u);
  }
}

GateStats describe_gates(const KappaSwigluArgs& args, const float* z, Row& row) {
  const auto gates = args.gates;
  double sum = 0, x_log_x = 0, sharpness = 0;
  std::int64_t active = 0, linear = 0, saturated = 0;
  for (std::int64_t i = 0; i < gates; ++i) {
    const float magnitude = row.magnitude[i] = std::fabs(row.gate_act[i]);
    sum += magnitude;
    if (magnitude > 0) { x_log_x += magnitude * std::log(magnitude); }
    active += magnitude > args.active_threshold;
    const float kz = row.kappa[i] * z[i];
    sharpness += double(kz) * kz;
    linear += std::fabs(kz) < kLinearKz;
    saturated += std::fabs(kz) > kSaturatedKz;
  }
  const double n = double(gates), safe_sum = std::max(sum, 1e-8);
  if (std::isnan(sum)) { return {NAN, NAN, NAN, NAN, NAN, NAN, NAN}; }
  const auto top = std::min(args.top_gates, gates);
  std::nth_element(row.magnitude.begin(), row.magnitude.begin() + (top - 1), row.magnitude.end(),
                   std::greater<>());
  double top_sum = 0;
  for (std::int64_t i = 0; i < top; ++i) { top_sum += row.magnitude[i]; }
  GateStats stats{};
  stats.mean_abs = float(sum / n);
  stats.active_fraction = float(double(active) / n);
  stats.top_share = float(top_sum / safe_sum);
  stats.entropy = float(std::log(safe_sum) - x_log_x / safe_sum);
  // A bilinear expert has no sigmoid: nothing is sharp, linear or saturated about it.
  stats.kz_rms = args.identity_gate ? NAN : float(std::sqrt(sharpness / n));
  stats.linear_fraction = args.identity_gate ? NAN : float(double(linear) / n);
  stats.saturated_fraction = args.identity_gate ? NAN : float(double(saturated) / n);
  return stats;
}

void count_bins(const KappaSwigluArgs& args, const float* z, const Row& row) {
  for (std::int64_t i = 0; i < args.gates; ++i) {
    if (args.kappa_hist && !std::isnan(row.position[i])) {
      ++args.kappa_hist[bin_of(row.position[i], -1, 1, kKappaBins)];
    }
    if (!args.gate_pre_hist || std::isnan(z[i])) { continue; }
    const int bin = z[i] < -8  ? 0
                    : z[i] > 8 ? kGatePreBins - 1
                               : 1 + bin_of(z[i], -8, 8, kGatePreBins - 2);
    ++args.gate_pre_hist[bin];
  }
}

// d = a − silu(z); r = d / silu(z), the denominator pushed away from 0 to ±1e-6 (≥ 0: to +).
void add_effect(const KappaSwigluArgs& args, const float* z, const Row& row) {
  EffectSums& total = *args.effect;
  for (std::int64_t i = 0; i < args.gates; ++i) {
    const float silu = silu_kappa(z[i], 1);
    const float d = row.gate_act[i] - silu;
    if (std::isnan(d)) { continue; }
    float denominator = silu;
    if (std::fabs(silu) < 1e-6f) { denominator = silu >= 0 ? 1e-6f : -1e-6f; }
    const double relative = double(d) / denominator;
    total.sum += d;
    total.sum_abs += std::fabs(d);
    total.sum_square += double(d) * d;
    total.positive += d > 0;
    total.rel_sum += relative;
    total.rel_sum_abs += std::fabs(relative);
    total.rel_sum_square += relative * relative;
    total.rel_positive += relative > 0;
    total.slope_square += double(row.argument[i]) * row.argument[i];
    total.tanh_sum += row.tanh[i];
    ++total.count;
  }
}

}  // namespace

void kappa_swiglu_ref(const KappaSwigluArgs& args) {
  Row row(args.gates);
  for (std::int64_t r = 0; r < args.rows; ++r) {
    const float* z = args.gate_pre + r * args.gates;
    const float* up = args.up + r * args.gates;
    float* hidden = args.hidden + r * args.gates;
    fill_kappa(args, r, row);
    for (std::int64_t i = 0; i < args.gates; ++i) {
      row.gate_act[i] = args.identity_gate ? z[i] : silu_kappa(z[i], row.kappa[i]);
    }
    for (std::int64_t i = 0; i < args.gates; ++i) { hidden[i] = row.gate_act[i] * up[i]; }
    if (args.position_out) {
      std::copy(row.position.begin(), row.position.end(), args.position_out + r * args.gates);
    }
    if (r < args.first_recorded) { continue; }
    const std::int64_t to = args.out_row ? args.out_row[r] : r;
    if (args.kappa_out) {
      std::copy(row.kappa.begin(), row.kappa.end(), args.kappa_out + to * args.gates);
    }
    if (args.gate_pre_out) { std::copy_n(z, args.gates, args.gate_pre_out + to * args.gates); }
    if (args.gate_act_out) {
      std::copy(row.gate_act.begin(), row.gate_act.end(), args.gate_act_out + to * args.gates);
    }
    if (args.stats) { args.stats[to] = describe_gates(args, z, row); }
    if (args.kappa_stats) {
      const float score = args.score ? args.score[r] : 0;
      kappa_statistics_ref({args.gates, args.kappa, score, z, &args.kappa_stats[to]});
    }
    if (args.kappa_hist || args.gate_pre_hist) { count_bins(args, z, row); }
    if (args.effect && !args.identity_gate) { add_effect(args, z, row); }
  }
}

}  // namespace kappascope
