// One gate unit of κ-SwiGLU and what is counted of it, for the CPU and the GPU (SPEC §1.5, §5).
//
// On the GPU by its fast exponential and division: every value within 1e-6 of the exact one,
// absolute where it is below 1, else relative.
#pragma once

#include <cmath>

#include "kernels/kappa_math.h"
#include "kernels/kernels.h"

namespace kappascope {

KAPPASCOPE_HOST_DEVICE inline float fast_exp(float x) {
#ifdef __CUDA_ARCH__
  return __expf(x);
#else
  return std::exp(x);
#endif
}

KAPPASCOPE_HOST_DEVICE inline float fast_log(float x) {
#ifdef __CUDA_ARCH__
  return __logf(x);
#else
  return std::log(x);
#endif
}

KAPPASCOPE_HOST_DEVICE inline float fast_divide(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fdividef(a, b);
#else
  return a / b;
#endif
}

// 1 / (1 + e^−x); e^−x = ∞ gives 0.
KAPPASCOPE_HOST_DEVICE inline float fast_sigmoid(float x) {
  return fast_divide(1, 1 + fast_exp(-x));
}

// 1 − 2 / (1 + e^2x): −1 and 1 far out, the error absolute.
KAPPASCOPE_HOST_DEVICE inline float fast_tanh(float x) {
  return 1 - fast_divide(2, 1 + fast_exp(2 * x));
}

// Index of x among `bins` equal bins of [low, high], the last one closed on both sides.
KAPPASCOPE_HOST_DEVICE inline int equal_bin(float x, float low, float high, int bins) {
  const int bin = int((x - low) / (high - low) * float(bins));
  return bin < 0 ? 0 : bin >= bins ? bins - 1 : bin;
}
KAPPASCOPE_HOST_DEVICE inline int kappa_bin(float position) {
  return equal_bin(position, -1, 1, kKappaBins);
}
KAPPASCOPE_HOST_DEVICE inline int gate_pre_bin(float z) {
  return z < -8 ? 0 : z > 8 ? kGatePreBins - 1 : 1 + equal_bin(z, -8, 8, kGatePreBins - 2);
}

// d / silu(z), the denominator pushed away from 0 to ±1e-6 (≥ 0: to +).
KAPPASCOPE_HOST_DEVICE inline float relative_effect(float d, float silu) {
  float denominator = silu;
  if (fabsf(silu) < 1e-6f) { denominator = silu >= 0 ? 1e-6f : -1e-6f; }
  return d / denominator;
}

// The sums over the gate units of one row, as floats so that one reduction takes them all: counts
// of less than 2^24 units are exact.
enum GateSum : int {
  kSumAbs,     // |a|
  kSumAbsLog,  // |a| ln|a|
  kActive,     // |a| > threshold
  kSharpness,  // (κz)²
  kLinear,     // |κz| < kLinearKz
  kSaturated,  // |κz| > kSaturatedKz
  kEffect,     // d = z·σ(κz) − z·σ(z), and so on as in EffectSums
  kEffectAbs,
  kEffectSquare,
  kEffectPositive,
  kRelative,
  kRelativeAbs,
  kRelativeSquare,
  kRelativePositive,
  kSlopeSquare,
  kEffectCount,
  kGateSums
};

// Adds one gate unit: z, κ, a.
KAPPASCOPE_HOST_DEVICE inline void add_gate(float* sums, float z, float kappa, float a,
                                            float threshold) {
  const float magnitude = fabsf(a), kz = kappa * z;
  sums[kSumAbs] += magnitude;
  if (magnitude > 0) { sums[kSumAbsLog] += magnitude * fast_log(magnitude); }
  sums[kActive] += magnitude > threshold ? 1.0f : 0.0f;
  sums[kSharpness] += kz * kz;
  sums[kLinear] += fabsf(kz) < kLinearKz ? 1.0f : 0.0f;
  sums[kSaturated] += fabsf(kz) > kSaturatedKz ? 1.0f : 0.0f;
}
// Adds its effect: z, a, and the argument u of its κ.
KAPPASCOPE_HOST_DEVICE inline void add_gate_effect(float* sums, float z, float a, float u) {
  const float silu = z * fast_sigmoid(z), d = a - silu;
  if (d != d) { return; }
  const float relative = relative_effect(d, silu);
  sums[kEffect] += d;
  sums[kEffectAbs] += fabsf(d);
  sums[kEffectSquare] += d * d;
  sums[kEffectPositive] += d > 0 ? 1.0f : 0.0f;
  sums[kRelative] += relative;
  sums[kRelativeAbs] += fabsf(relative);
  sums[kRelativeSquare] += relative * relative;
  sums[kRelativePositive] += relative > 0 ? 1.0f : 0.0f;
  sums[kSlopeSquare] += u * u;
  sums[kEffectCount] += 1;
}

// The statistics of a row of `gates` units, from its sums and that of its largest magnitudes. A
// bilinear gate has no sigmoid: nothing is sharp, linear or saturated about it.
KAPPASCOPE_HOST_DEVICE inline GateStats gate_stats_of(const double* sums, double top_sum,
                                                      double gates, bool identity_gate) {
  const double safe_sum = sums[kSumAbs] > 1e-8 ? sums[kSumAbs] : 1e-8;
  GateStats stats{NAN, NAN, NAN, NAN, NAN, NAN, NAN};
  if (sums[kSumAbs] != sums[kSumAbs]) { return stats; }
  stats.mean_abs = float(sums[kSumAbs] / gates);
  stats.active_fraction = float(sums[kActive] / gates);
  stats.top_share = float(top_sum / safe_sum);
  stats.entropy = float(log(safe_sum) - sums[kSumAbsLog] / safe_sum);
  if (identity_gate) { return stats; }
  stats.kz_rms = float(sqrt(sums[kSharpness] / gates));
  stats.linear_fraction = float(sums[kLinear] / gates);
  stats.saturated_fraction = float(sums[kSaturated] / gates);
  return stats;
}

KAPPASCOPE_HOST_DEVICE inline EffectSums effect_of(const double* sums) {
  EffectSums effect;
  effect.sum = sums[kEffect];
  effect.sum_abs = sums[kEffectAbs];
  effect.sum_square = sums[kEffectSquare];
  effect.positive = sums[kEffectPositive];
  effect.rel_sum = sums[kRelative];
  effect.rel_sum_abs = sums[kRelativeAbs];
  effect.rel_sum_square = sums[kRelativeSquare];
  effect.rel_positive = sums[kRelativePositive];
  effect.slope_square = sums[kSlopeSquare];
  effect.count = std::int64_t(sums[kEffectCount]);
  return effect;
}

}  // namespace kappascope
