// Averages over finite values, and quantiles as NumPy's default.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "core/nan.h"

namespace kappascope {

// Mean of the finite values; NaN when there is none.
struct Mean {
  double sum = 0;
  std::int64_t count = 0;

  void add(double value) {
    if (!std::isfinite(value)) { return; }
    sum += value;
    ++count;
  }
  double value() const { return count > 0 ? sum / static_cast<double>(count) : kNaN; }
};

template <typename Values>
Mean mean_of(const Values& values) {
  Mean mean;
  for (const auto value : values) { mean.add(value); }
  return mean;
}

// Mean and quantiles of a population; NaN when it is empty.
struct Band {
  double mean = kNaN, p05 = kNaN, p50 = kNaN, p95 = kNaN;
};

// Where quantile q of n ≥ 1 sorted values is: between the ranks `lower` and `upper`, linearly
// (type 7 of Hyndman and Fan 1996).
struct QuantilePlace {
  std::int64_t lower = 0, upper = 0;
  double fraction = 0;

  QuantilePlace(std::int64_t n, double q) {
    const double position = q * static_cast<double>(n - 1);
    lower = static_cast<std::int64_t>(std::floor(position));
    upper = lower + 1 < n ? lower + 1 : lower;
    fraction = position - static_cast<double>(lower);
  }
  double between(double low, double high) const {
    return low == high ? low : low + (high - low) * fraction;
  }
};

// Quantile q of ascending values; NaN when there are none.
inline double sorted_quantile(const std::vector<float>& ascending, double q) {
  if (ascending.empty()) { return kNaN; }
  const QuantilePlace place(static_cast<std::int64_t>(ascending.size()), q);
  return place.between(ascending[place.lower], ascending[place.upper]);
}

}  // namespace kappascope
