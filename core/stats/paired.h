// Tests and intervals for paired numbers: one difference for each document, or each seed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/nan.h"

namespace kappascope {

// All of these leave out pairs that are not finite.

// Whether differences are as often above 0 as below: two-sided, exact.
struct SignTest {
  std::int64_t positive = 0, negative = 0, zero = 0;
  double p = kNaN;  // NaN without a difference that is not 0
};
SignTest sign_test(std::span<const double> differences);

// Wilcoxon's signed ranks, two-sided; differences of 0 are left out, equal sizes get mean ranks.
// Exact up to 50 pairs without a 0 and without equal sizes, else by the normal approximation with
// its correction for ties.
struct WilcoxonTest {
  std::int64_t pairs = 0;   // not 0
  double statistic = kNaN;  // the smaller sum of ranks
  bool exact = false;
  double p = kNaN;
};
WilcoxonTest wilcoxon_test(std::span<const double> differences);

// 2.5 % and 97.5 %, NumPy's default quantiles.
struct Interval {
  double low = kNaN, high = kNaN;
};

// Of these values, in any order; none of no value, or where one is not finite.
Interval interval_of(std::vector<double> values);

inline constexpr std::int64_t kMostResampled = 65535;  // documents

// Which documents are drawn how often in each of `count` resamples of `documents` of them with
// replacement: by splitmix64 from `seed`, the same on every machine.
class Resamples {
 public:
  Resamples(std::int64_t documents, std::int64_t count, std::uint64_t seed);

  std::int64_t count() const { return count_; }
  // Of Σ numerator / Σ denominator; a document whose numbers are not finite is left out. NaN with
  // fewer than two documents.
  Interval interval(std::span<const double> numerators, std::span<const double> denominators) const;
  // Of the mean.
  Interval interval(std::span<const double> values) const;
  // [count] the mean of each resample, likewise; NaN of one that drew no finite value. Empty with
  // fewer than two documents.
  std::vector<double> means(std::span<const double> values) const;

 private:
  std::int64_t documents_, count_;
  std::vector<std::uint16_t> times_;  // [count, documents]
};

}  // namespace kappascope
