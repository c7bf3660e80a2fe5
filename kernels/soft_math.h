// The decisions of soft routing, a token at a time, for the CPU and the GPU (SoftMoE, arXiv
// 2606.17952; SPEC §3, SPEC-layouts §3a).
//
//   F(u) = ½eᵘ for u < 0, 1 − ½e⁻ᵘ otherwise         (Laplace distribution function)
//   Σᵢ F(rᵢ/T − x) falls as x grows. Between two neighbouring logits, j of them above x, it is
//   j − ½·eˣ·Σ_{above} e^(−r/T) + ½·e⁻ˣ·Σ_{below} e^(r/T): a quadratic in eˣ.
//
// All sums are over differences of logits, so that neither huge ones nor equal ones lose anything.
// `Team` says how they are made: by one thread (Alone), or by the lanes of a warp (soft_route.cu).
#pragma once

#include <cmath>

#include "kernels/kernels.h"

// Of a function whose team is the GPU's where nvcc compiles it, and the CPU's elsewhere.
#ifdef __CUDACC__
#define KAPPASCOPE_OF_TEAM __device__ inline
#else
#define KAPPASCOPE_OF_TEAM inline
#endif

namespace kappascope {

// The root x* = reference/T + offset, reference being one of the logits.
struct SoftRoot {
  double reference = 0, offset = 0;
};

KAPPASCOPE_INLINED double laplace(double u) {
  return u < 0 ? 0.5 * std::exp(u) : 1 - 0.5 * std::exp(-u);
}
// p of a logit.
KAPPASCOPE_INLINED double soft_weight(double logit, const SoftRoot& root, double temperature) {
  return laplace((logit - root.reference) / temperature - root.offset);
}

// One thread adds everything up.
struct Alone {
  // Σ of term(i), i in [first, last).
  template <typename Term>
  KAPPASCOPE_INLINED double sum(std::int64_t first, std::int64_t last, const Term& term) const {
    double total = 0;
    for (std::int64_t i = first; i < last; ++i) { total += term(i); }
    return total;
  }
  // The least term(i), i in [0, count); NaN when all are; ∞ without one.
  template <typename Term>
  KAPPASCOPE_INLINED double least(std::int64_t count, const Term& term) const {
    double result = INFINITY;
    for (std::int64_t i = 0; i < count; ++i) {
      const double value = term(i);
      if (!(value >= result)) { result = value; }
    }
    return result;
  }
};

// Σ over the sorted logits [first, last) of e^(sign·(r − reference)/T).
template <typename Team>
KAPPASCOPE_OF_TEAM double exp_sum(const Team& team, const float* sorted, std::int64_t first,
                                  std::int64_t last, double reference, double sign,
                                  double temperature) {
  return team.sum(first, last, [&](std::int64_t i) {
    return std::exp(sign * (double(sorted[i]) - reference) / temperature);
  });
}

// How many of the sorted logits are above x*: those m at which Σ F(r/T − r_m/T) < k.
template <typename Team>
KAPPASCOPE_OF_TEAM std::int64_t logits_above_root(const Team& team, const float* sorted,
                                                  std::int64_t experts, const SoftRule& rule) {
  std::int64_t low = 0, high = experts;
  while (low < high) {
    const std::int64_t middle = (low + high) / 2;
    const double at = sorted[middle];
    const double sum = team.sum(0, experts, [&](std::int64_t i) {
      return laplace((double(sorted[i]) - at) / rule.temperature);
    });
    if (sum < rule.budget) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// x* of finite logits, highest first. O(E log E).
template <typename Team>
KAPPASCOPE_OF_TEAM SoftRoot soft_root(const Team& team, const float* sorted, std::int64_t experts,
                                      const SoftRule& rule) {
  const double t = rule.temperature, k = rule.budget;
  const std::int64_t j = logits_above_root(team, sorted, experts, rule);
  if (j == 0) {  // ½·e⁻ˣ·Σ e^r = k
    const double top = sorted[0];
    return {top, std::log(exp_sum(team, sorted, 0, experts, top, 1, t) / (2 * k))};
  }
  const double lowest_above = sorted[j - 1];
  const double above = exp_sum(team, sorted, 0, j, lowest_above, -1, t);  // 1 … j
  if (j == experts) {                                                     // E − ½·eˣ·Σ e^−r = k
    return {lowest_above, std::log(2 * (double(experts) - k) / above)};
  }
  const double highest_below = sorted[j];
  const double below = exp_sum(team, sorted, j, experts, highest_below, 1, t);  // 1 … E − j
  const double gap = (lowest_above - highest_below) / t, d = double(j) - k;
  // With w = e^(x − lowest_above): above·w² − 2d·w − below·e^−gap = 0; the form that cancels
  // nothing.
  const double root = std::sqrt(d * d + above * below * std::exp(-gap));
  if (d > 0) { return {lowest_above, std::log((d + root) / above)}; }
  if (d < 0) { return {highest_below, -std::log((root - d) / below)}; }
  return {lowest_above, 0.5 * (std::log(below / above) - gap)};
}

// How many of the weights run, which are given highest first, and how clear that is.
struct SoftChoice {
  std::int64_t run = 0;
  double margin = 0;    // distance of the nearest p from the threshold; NaN: it is every p
  bool capped = false;  // the cap left out some p that passes the threshold
};

// How many of the weights are not below (`strictly`: are above) a threshold. NaN is neither.
template <typename Team>
KAPPASCOPE_OF_TEAM std::int64_t count_passing(const Team& team, const double* p,
                                              std::int64_t experts, double threshold,
                                              bool strictly) {
  return std::int64_t(team.sum(0, experts, [&](std::int64_t i) {
    return strictly ? double(!(p[i] <= threshold)) : double(!(p[i] < threshold));
  }));
}

template <typename Team>
KAPPASCOPE_OF_TEAM SoftChoice soft_choice(const Team& team, const double* p, std::int64_t experts,
                                          const SoftRule& rule) {
  SoftChoice choice;
  const bool relative = rule.relative >= 0;
  const bool has_cap = rule.most > 0 && rule.most < experts;
  const double least = has_cap ? p[rule.most - 1] : 0;
  const double wanted = soft_threshold(rule, experts);
  double threshold = wanted;
  if (relative) {
    if (threshold < least) { threshold = least; }
    if (threshold > p[0]) { threshold = p[0]; }
  }
  const std::int64_t passing = count_passing(team, p, experts, wanted, !relative);
  choice.run = count_passing(team, p, experts, relative ? threshold : least, false);
  if (!relative && passing < choice.run) { choice.run = passing; }
  choice.capped = choice.run < passing;
  const bool clamped = threshold != wanted;
  double margin = team.least(experts, [&](std::int64_t i) {
    return clamped && p[i] == threshold ? double(INFINITY) : std::fabs(p[i] - threshold);
  });
  if (!relative && choice.capped && least - p[choice.run] < margin) {
    margin = least - p[choice.run];
  }
  choice.margin = margin == double(INFINITY) ? double(NAN) : margin;
  return choice;
}

}  // namespace kappascope
