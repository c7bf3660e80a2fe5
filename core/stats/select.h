// Exact order statistics of a population that is recomputed instead of stored: κ of every (token,
// slot, gate) can be 10^9 values, and three passes over them need a few tables of 16 KB.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/ordered_bits.h"
#include "core/stats/mean.h"

namespace kappascope {

// Radix selection of several ranks at once. Three rounds: begin_round(); add() for every value of
// the population, always the same ones; end_round(). Then value(j) is the ranks[j]-th smallest
// (0: smallest). Every rank must be below the size of the population.
class RankSelector {
 public:
  static constexpr int kRounds = 3;

  explicit RankSelector(const std::vector<std::int64_t>& ranks) {
    for (const std::int64_t rank : ranks) { targets_.push_back({rank, 0}); }
  }

  void begin_round() {
    prefixes_.clear();
    for (const Target& target : targets_) { prefixes_.push_back(target.prefix); }
    std::sort(prefixes_.begin(), prefixes_.end());
    prefixes_.erase(std::unique(prefixes_.begin(), prefixes_.end()), prefixes_.end());
    first_.fill(0);
    last_.fill(0);
    for (std::uint32_t j = 0; j < prefixes_.size() && round_ > 0; ++j) {
      const std::uint32_t digit = prefixes_[j] >> (32 - kBits - prefix_shift());
      if (last_[digit] == 0) { first_[digit] = j; }
      last_[digit] = j + 1;
    }
    counts_.assign(prefixes_.size() * kDigits, 0);
  }

  void add(float value, std::int64_t multiplicity) {
    const std::uint32_t key = ordered_bits(value);
    if (round_ == 0) {
      counts_[key >> (32 - kBits)] += multiplicity;
      return;
    }
    const std::uint32_t top = key >> (32 - kBits);
    for (std::uint32_t j = first_[top]; j < last_[top]; ++j) {
      if (key >> prefix_shift() != prefixes_[j]) { continue; }
      counts_[j * kDigits + ((key >> digit_shift()) & (kDigits - 1))] += multiplicity;
    }
  }

  void end_round() {
    for (Target& target : targets_) {
      const auto slot = static_cast<std::size_t>(
          std::lower_bound(prefixes_.begin(), prefixes_.end(), target.prefix) - prefixes_.begin());
      const std::int64_t* counts = counts_.data() + slot * kDigits;
      std::uint32_t digit = 0;
      while (digit + 1 < kDigits && target.rank >= counts[digit]) {
        target.rank -= counts[digit++];
      }
      target.prefix = target.prefix << digit_bits() | digit;
    }
    ++round_;
  }

  float value(std::size_t j) const { return from_ordered_bits(targets_[j].prefix); }

 private:
  static constexpr std::uint32_t kBits = 11, kDigits = 1u << kBits;
  struct Target {
    std::int64_t rank;     // among the values that share the prefix
    std::uint32_t prefix;  // leading bits found so far
  };

  // Rounds settle bits 31…21, 20…10 and 9…0.
  std::uint32_t digit_bits() const { return round_ == 2 ? 10 : kBits; }
  std::uint32_t digit_shift() const { return round_ == 0 ? 21 : round_ == 1 ? 10 : 0; }
  std::uint32_t prefix_shift() const { return digit_shift() + digit_bits(); }

  int round_ = 0;
  std::vector<Target> targets_;
  std::vector<std::uint32_t> prefixes_;                  // distinct, ascending
  std::array<std::uint32_t, kDigits> first_{}, last_{};  // prefixes with these leading 11 bits
  std::vector<std::int64_t> counts_;                     // [prefixes, kDigits]
};

// The ranks[j]-th smallest values of the population that enumerate(visit) visits as
// visit(value, multiplicity); enumerate is called three times.
template <typename Enumerate>
std::vector<float> order_statistics(const std::vector<std::int64_t>& ranks, Enumerate&& enumerate) {
  RankSelector selector(ranks);
  for (int round = 0; round < RankSelector::kRounds; ++round) {
    selector.begin_round();
    enumerate([&](float value, std::int64_t multiplicity) { selector.add(value, multiplicity); });
    selector.end_round();
  }
  std::vector<float> values;
  for (std::size_t j = 0; j < ranks.size(); ++j) { values.push_back(selector.value(j)); }
  return values;
}

// The value of a rank among values in rows: of row j in [0, rows.count()) value(j, k) with
// k < size(j), ascending by ordered_bits(), each of them weight(j) times. Bisection over the bits
// of the value, which looks at few values of a long row.
template <typename Rows>
class RowSelector {
 public:
  explicit RowSelector(const Rows& rows) : rows_(rows), parts_(rows.count()), ends_(rows.count()) {}

  float value(std::int64_t rank) {
    std::uint32_t low = UINT32_MAX, high = 0;
    for (std::size_t j = 0; j < parts_.size(); ++j) {
      parts_[j] = {0, rows_.size(j)};
      if (rows_.size(j) == 0) { continue; }
      low = std::min(low, ordered_bits(rows_.value(j, 0)));
      high = std::max(high, ordered_bits(rows_.value(j, rows_.size(j) - 1)));
    }
    while (low < high) {
      const std::uint32_t key = low + (high - low) / 2;
      const bool reached = count_up_to(key) > rank;
      (reached ? high : low) = reached ? key : key + 1;
      for (std::size_t j = 0; j < parts_.size(); ++j) {
        (reached ? parts_[j].end : parts_[j].begin) = ends_[j];
      }
    }
    return from_ordered_bits(low);
  }

 private:
  struct Part {  // the values up to the one sought end between these
    std::int64_t begin, end;
  };

  // Sets ends_, too.
  std::int64_t count_up_to(std::uint32_t key) {
    std::int64_t count = 0;
    for (std::size_t j = 0; j < parts_.size(); ++j) {
      auto [begin, end] = parts_[j];
      while (begin < end) {
        const std::int64_t k = begin + (end - begin) / 2;
        if (ordered_bits(rows_.value(j, k)) <= key) {
          begin = k + 1;
        } else {
          end = k;
        }
      }
      ends_[j] = begin;
      count += begin * rows_.weight(j);
    }
    return count;
  }

  const Rows& rows_;
  std::vector<Part> parts_;
  std::vector<std::int64_t> ends_;
};

// As order_statistics().
template <typename Rows>
std::vector<float> order_statistics_of_rows(const std::vector<std::int64_t>& ranks,
                                            const Rows& rows) {
  RowSelector<Rows> selector(rows);
  std::vector<float> values;
  for (std::size_t j = 0; j < ranks.size(); ++j) {
    const bool again = j > 0 && ranks[j] == ranks[j - 1];
    values.push_back(again ? values.back() : selector.value(ranks[j]));
  }
  return values;
}

// Quantiles `q` of n ≥ 1 values whose order statistics are select(ranks), each between two of them
// as `value` has these.
template <typename Select, typename Value>
std::vector<double> quantiles_among(std::int64_t n, std::span<const double> q, Select&& select,
                                    Value&& value) {
  std::vector<std::int64_t> ranks;
  for (const double one : q) {
    const QuantilePlace place(n, one);
    ranks.insert(ranks.end(), {place.lower, place.upper});
  }
  const std::vector<float> found = select(ranks);
  std::vector<double> quantiles;
  for (std::size_t j = 0; j < q.size(); ++j) {
    quantiles.push_back(
        QuantilePlace(n, q[j]).between(value(found[2 * j]), value(found[2 * j + 1])));
  }
  return quantiles;
}

// Of the values that enumerate(visit) visits.
template <typename Enumerate>
std::vector<double> quantiles_of(std::int64_t n, std::span<const double> q, Enumerate&& enumerate) {
  return quantiles_among(
      n, q,
      [&](const std::vector<std::int64_t>& ranks) { return order_statistics(ranks, enumerate); },
      [](float value) { return static_cast<double>(value); });
}

inline constexpr std::array<double, 3> kBandQuantiles = {0.05, 0.5, 0.95};

}  // namespace kappascope
