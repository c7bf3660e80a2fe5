#include "core/stats/paired.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "core/stats/correlation.h"
#include "core/stats/mean.h"

namespace kappascope {
namespace {

constexpr std::int64_t kMostExact = 50;

// Next number of splitmix64.
std::uint64_t next(std::uint64_t& state) {
  std::uint64_t z = state += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

// P(at most `least` of n fair coins).
double binomial_tail(std::int64_t least, std::int64_t n) {
  const auto size = static_cast<double>(n);
  double sum = 0;
  for (std::int64_t k = 0; k <= least; ++k) {
    const auto heads = static_cast<double>(k);
    sum += std::exp(std::lgamma(size + 1) - std::lgamma(heads + 1) - std::lgamma(size - heads + 1) -
                    size * std::log(2.0));
  }
  return sum;
}

// P(sum of the ranks of positive differences ≤ w), every sign equally likely.
double rank_sum_tail(double w, std::int64_t n) {
  std::vector<double> share(static_cast<std::size_t>(n * (n + 1) / 2 + 1), 0);
  share[0] = 1;
  for (std::int64_t rank = 1; rank <= n; ++rank) {
    for (std::int64_t sum = std::ssize(share) - 1; sum >= 0; --sum) {
      const double without = share[sum] / 2;
      share[sum] = sum >= rank ? without + share[sum - rank] / 2 : without;
    }
  }
  double tail = 0;
  for (std::int64_t sum = 0; static_cast<double>(sum) <= w; ++sum) { tail += share[sum]; }
  return tail;
}

// Σ t³ − t over groups of equal ranks; 0 without any.
double tie_sum(std::vector<double> ranks) {
  std::sort(ranks.begin(), ranks.end());
  double sum = 0;
  for (std::size_t first = 0; first < ranks.size();) {
    std::size_t last = first;
    while (last < ranks.size() && ranks[last] == ranks[first]) { ++last; }
    const auto t = static_cast<double>(last - first);
    sum += t * t * t - t;
    first = last;
  }
  return sum;
}

}  // namespace

SignTest sign_test(std::span<const double> differences) {
  SignTest result;
  for (const double d : differences) {
    if (!std::isfinite(d)) { continue; }
    result.positive += d > 0;
    result.negative += d < 0;
    result.zero += d == 0;
  }
  const std::int64_t n = result.positive + result.negative;
  if (n == 0) { return result; }
  result.p = std::min(1.0, 2 * binomial_tail(std::min(result.positive, result.negative), n));
  return result;
}

WilcoxonTest wilcoxon_test(std::span<const double> differences) {
  WilcoxonTest result;
  std::vector<double> sizes;
  std::vector<bool> positive;
  bool zeros = false;
  for (const double d : differences) {
    zeros |= d == 0;
    if (!std::isfinite(d) || d == 0) { continue; }
    sizes.push_back(std::abs(d));
    positive.push_back(d > 0);
  }
  result.pairs = std::ssize(sizes);
  if (sizes.empty()) { return result; }
  const std::vector<double> ranks = average_ranks(sizes);
  const auto n = static_cast<double>(sizes.size());
  double above = 0;
  for (std::size_t i = 0; i < ranks.size(); ++i) { above += positive[i] ? ranks[i] : 0; }
  result.statistic = std::min(above, n * (n + 1) / 2 - above);
  const double ties = tie_sum(ranks);
  result.exact = result.pairs <= kMostExact && !zeros && ties == 0;
  if (result.exact) {
    result.p = std::min(1.0, 2 * rank_sum_tail(result.statistic, result.pairs));
    return result;
  }
  const double variance = n * (n + 1) * (2 * n + 1) / 24 - ties / 48;
  const double distance = std::abs(result.statistic - n * (n + 1) / 4);
  result.p = variance > 0 ? std::erfc(distance / std::sqrt(2 * variance)) : 1;
  return result;
}

Interval interval_of(std::vector<double> values) {
  const bool finite =
      std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
  if (values.empty() || !finite) { return {}; }
  std::sort(values.begin(), values.end());
  const auto quantile = [&](double q) {
    const QuantilePlace place(std::ssize(values), q);
    return place.between(values[place.lower], values[place.upper]);
  };
  return {quantile(0.025), quantile(0.975)};
}

Resamples::Resamples(std::int64_t documents, std::int64_t count, std::uint64_t seed)
    : documents_(documents), count_(count) {
  require(documents <= kMostResampled, ExitCode::unsupported, {}, "resampling of ", documents,
          " documents; expected at most ", kMostResampled);
  if (documents < 2) { return; }
  times_.assign(static_cast<std::size_t>(documents * count), 0);
  for (std::int64_t b = 0; b < count; ++b) {
    for (std::int64_t i = 0; i < documents; ++i) {
      const double place = static_cast<double>(next(seed) >> 11) * 0x1p-53;
      ++times_[b * documents + static_cast<std::int64_t>(place * static_cast<double>(documents))];
    }
  }
}

Interval Resamples::interval(std::span<const double> numerators,
                             std::span<const double> denominators) const {
  std::vector<double> ratios;
  for (std::int64_t b = 0; b < count_ && documents_ > 1; ++b) {
    double above = 0, below = 0;
    for (std::int64_t i = 0; i < documents_; ++i) {
      if (!std::isfinite(numerators[i]) || !std::isfinite(denominators[i])) { continue; }
      const auto times = static_cast<double>(times_[b * documents_ + i]);
      above += times * numerators[i];
      below += times * denominators[i];
    }
    if (below > 0) { ratios.push_back(above / below); }
  }
  return interval_of(std::move(ratios));
}

std::vector<double> Resamples::means(std::span<const double> values) const {
  std::vector<double> means;
  for (std::int64_t b = 0; b < count_ && documents_ > 1; ++b) {
    double sum = 0, count = 0;
    for (std::int64_t i = 0; i < documents_; ++i) {
      if (!std::isfinite(values[i])) { continue; }
      const auto times = static_cast<double>(times_[b * documents_ + i]);
      sum += times * values[i];
      count += times;
    }
    means.push_back(count > 0 ? sum / count : kNaN);
  }
  return means;
}

Interval Resamples::interval(std::span<const double> values) const {
  const std::vector<double> ones(values.size(), 1);
  return interval(values, ones);
}

}  // namespace kappascope
