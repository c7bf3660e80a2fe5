// One gate unit of κ-SwiGLU and what is counted of it, for the CPU and the GPU (SPEC §1.5, §5).
//
// On the GPU by its fast exponential and reciprocal: every value within 1e-6 of the exact one,
// absolute where it is below 1, else relative.
#pragma once

#include <cmath>

#include "kernels/kappa_math.h"
#include "kernels/kernels.h"

namespace kappascope {

inline constexpr float kLog2E = 1.44269504f, kLn2 = 0.69314718f;

// 2^x, 1/x and log₂ x: one instruction each on the GPU, where numbers too small for a normal float
// count as 0. The emulation has a model of them.
KAPPASCOPE_HOST_DEVICE inline float fast_exp2(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#elif defined(KAPPASCOPE_EMULATED_MATH)
  return emulated::exp2_approx(x);
#else
  return std::exp2(x);
#endif
}
KAPPASCOPE_HOST_DEVICE inline float fast_reciprocal(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#elif defined(KAPPASCOPE_EMULATED_MATH)
  return emulated::reciprocal_approx(x);
#else
  return 1 / x;
#endif
}
KAPPASCOPE_HOST_DEVICE inline float fast_log2(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#elif defined(KAPPASCOPE_EMULATED_MATH)
  return emulated::log2_approx(x);
#else
  return std::log2(x);
#endif
}

// 1 / (1 + e^−x); e^−x = ∞ gives 0.
KAPPASCOPE_HOST_DEVICE inline float fast_sigmoid(float x) {
  return fast_reciprocal(1 + fast_exp2(-kLog2E * x));
}

// 1 − 2 / (1 + e^2x): −1 and 1 far out, the error absolute.
KAPPASCOPE_HOST_DEVICE inline float fast_tanh(float x) {
  return 1 - 2 * fast_reciprocal(1 + fast_exp2(2 * kLog2E * x));
}

// Bins of the two histograms without a branch; NaN has one of its own behind the others, which is
// not added to any histogram. Each is the bin that x − low, over the width, is in; the last one is
// closed on both sides.
inline constexpr int kKappaNaN = kKappaBins, kGatePreNaN = kGatePreBins;
KAPPASCOPE_HOST_DEVICE inline int kappa_bin(float position) {
  constexpr float kHalf = kKappaBins / 2;
  const int bin = int(fminf(position * kHalf + kHalf, kKappaBins - 1));
  return position == position ? bin : kKappaNaN;
}
KAPPASCOPE_HOST_DEVICE inline int gate_pre_bin(float z) {
  constexpr float kPerUnit = (kGatePreBins - 2) / 16.0f;  // bins of [−8,8]
  const float within = fminf(fmaxf(z, -8), 8);
  const int bin = int(fminf(within * kPerUnit + (8 * kPerUnit + 1), kGatePreBins - 2));
  const int inside = z < -8 ? 0 : bin;
  const int known = z > 8 ? kGatePreBins - 1 : inside;
  return z == z ? known : kGatePreNaN;
}

// The sums over the gate units of one row, and what is counted of them.
enum GateSum : int {
  kSumAbs,      // |a|
  kSumAbsLog2,  // |a| log₂|a|
  kSharpness,   // (κz)²
  kEffect,      // d = z·σ(κz) − z·σ(z), and so on as in EffectSums
  kEffectAbs,
  kEffectSquare,
  kRelative,
  kRelativeAbs,
  kRelativeSquare,
  kSlopeSquare,
  kTanh,
  kGateSums
};
enum GateCount : int {
  kActive,     // |a| > threshold
  kLinear,     // |κz| < kLinearKz
  kSaturated,  // |κz| > kSaturatedKz
  kEffectPositive,
  kRelativePositive,
  kEffectCount,
  kGateCounts
};
template <typename Sum, typename Count>
struct GateTotals {
  Sum sum[kGateSums] = {};
  Count count[kGateCounts] = {};
};

// Adds one gate unit: z, κ, a.
KAPPASCOPE_HOST_DEVICE inline void add_gate(GateTotals<float, int>& to, float z, float kappa,
                                            float a, float threshold) {
  constexpr float kLeast = 1e-37f;  // so that |a| = 0 adds 0
  const float magnitude = fabsf(a), kz = fabsf(kappa * z);
  to.sum[kSumAbs] += magnitude;
  to.sum[kSumAbsLog2] += magnitude * fast_log2(fmaxf(magnitude, kLeast));
  to.sum[kSharpness] += kz * kz;
  to.count[kActive] += magnitude > threshold ? 1 : 0;
  to.count[kLinear] += kz < kLinearKz ? 1 : 0;
  to.count[kSaturated] += kz > kSaturatedKz ? 1 : 0;
}
// Adds its effect: z, σ(κz), a, and the argument u of its κ with tanh u. d / silu(z) = (σ(κz) −
// σ(z)) / σ(z) without a division; where |silu(z)| < 1e-6 the denominator is ±1e-6 (≥ 0: +). NaN
// adds nothing.
KAPPASCOPE_HOST_DEVICE inline void add_gate_effect(GateTotals<float, int>& to, float z,
                                                   float sigmoid, float a, float u, float tanh_u) {
  constexpr float kLeastSilu = 1e-6f, kInverse = 1e6f;
  const float inverse = 1 + fast_exp2(-kLog2E * z), plain = fast_reciprocal(inverse);
  const float silu = z * plain, difference = a - silu;
  const bool known = difference == difference;
  const float pushed = difference * (silu >= 0 ? kInverse : -kInverse);
  const float ratio = fabsf(silu) < kLeastSilu ? pushed : (sigmoid - plain) * inverse;
  const float d = known ? difference : 0, relative = known ? ratio : 0, slope = known ? u : 0;
  to.sum[kEffect] += d;
  to.sum[kEffectAbs] += fabsf(d);
  to.sum[kEffectSquare] += d * d;
  to.sum[kRelative] += relative;
  to.sum[kRelativeAbs] += fabsf(relative);
  to.sum[kRelativeSquare] += relative * relative;
  to.sum[kSlopeSquare] += slope * slope;
  to.sum[kTanh] += known ? tanh_u : 0;
  to.count[kEffectPositive] += d > 0 ? 1 : 0;
  to.count[kRelativePositive] += relative > 0 ? 1 : 0;
  to.count[kEffectCount] += known ? 1 : 0;
}

// The statistics of a row of `gates` units, from its sums and that of its largest magnitudes. A
// bilinear gate has no sigmoid: nothing is sharp, linear or saturated about it.
KAPPASCOPE_HOST_DEVICE inline GateStats gate_stats_of(const GateTotals<double, int>& of,
                                                      double top_sum, double gates,
                                                      bool identity_gate) {
  const double* sum = of.sum;
  const double safe_sum = sum[kSumAbs] > 1e-8 ? sum[kSumAbs] : 1e-8;
  GateStats stats{NAN, NAN, NAN, NAN, NAN, NAN, NAN};
  if (sum[kSumAbs] != sum[kSumAbs]) { return stats; }
  // One lane does this while its warp waits: two divisions, and no function of a double.
  const double per_gate = 1 / gates, per_sum = 1 / safe_sum;
  stats.mean_abs = float(sum[kSumAbs] * per_gate);
  stats.active_fraction = float(of.count[kActive] * per_gate);
  stats.top_share = float(top_sum * per_sum);
  stats.entropy = logf(float(safe_sum)) - float(kLn2 * sum[kSumAbsLog2] * per_sum);
  if (identity_gate) { return stats; }
  stats.kz_rms = sqrtf(float(sum[kSharpness] * per_gate));
  stats.linear_fraction = float(of.count[kLinear] * per_gate);
  stats.saturated_fraction = float(of.count[kSaturated] * per_gate);
  return stats;
}

KAPPASCOPE_HOST_DEVICE inline EffectSums effect_of(const GateTotals<double, int>& of) {
  EffectSums effect;
  effect.sum = of.sum[kEffect];
  effect.sum_abs = of.sum[kEffectAbs];
  effect.sum_square = of.sum[kEffectSquare];
  effect.positive = of.count[kEffectPositive];
  effect.rel_sum = of.sum[kRelative];
  effect.rel_sum_abs = of.sum[kRelativeAbs];
  effect.rel_sum_square = of.sum[kRelativeSquare];
  effect.rel_positive = of.count[kRelativePositive];
  effect.slope_square = of.sum[kSlopeSquare];
  effect.tanh_sum = of.sum[kTanh];
  effect.count = of.count[kEffectCount];
  return effect;
}

}  // namespace kappascope
