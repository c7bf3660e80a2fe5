#include "core/trace/quantile_sketch.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/nan.h"
#include "core/ordered_bits.h"

namespace kappascope {
namespace {

template <std::int64_t kAll, std::int64_t kAbove>
std::size_t capacity_of(std::size_t level) {
  return std::size_t(level == 0 ? kAll : kAbove);
}

// Puts the keys in the order of 11 of their bits, those of equal bits as they are.
void sort_by_digit(const std::vector<std::uint32_t>& from, std::vector<std::uint32_t>& to,
                   int shift) {
  constexpr std::uint32_t kDigits = 1u << 11;
  std::array<std::uint32_t, kDigits> place{};
  for (const std::uint32_t key : from) { ++place[(key >> shift) & (kDigits - 1)]; }
  std::uint32_t before = 0;
  for (std::uint32_t& count : place) { before += std::exchange(count, before); }
  for (const std::uint32_t key : from) { to[place[(key >> shift) & (kDigits - 1)]++] = key; }
}

// Ascending. Most of the time of a corpus's sums would go into comparisons; digits take a sixth.
void sort_values(std::vector<float>& values) {
  if (values.size() < 1024) { return std::sort(values.begin(), values.end()); }
  std::vector<std::uint32_t> keys(values.size()), sorted(values.size());
  for (std::size_t i = 0; i < keys.size(); ++i) { keys[i] = ordered_bits(values[i]); }
  sort_by_digit(keys, sorted, 0);
  sort_by_digit(sorted, keys, 11);
  sort_by_digit(keys, sorted, 22);
  for (std::size_t i = 0; i < keys.size(); ++i) { values[i] = from_ordered_bits(sorted[i]); }
}

}  // namespace

template <std::int64_t kAll, std::int64_t kAbove>
void Sketch<kAll, kAbove>::add(float value) {
  if (levels_.empty()) { make_room(0); }
  levels_[0].push_back(value);
  ++count_;
  if (levels_[0].size() > capacity_of<kAll, kAbove>(0)) { halve(0); }
}

template <std::int64_t kAll, std::int64_t kAbove>
void Sketch<kAll, kAbove>::add(const Sketch& other) {
  for (std::size_t level = 0; level < other.levels_.size(); ++level) {
    make_room(level);
    levels_[level].insert(levels_[level].end(), other.levels_[level].begin(),
                          other.levels_[level].end());
  }
  count_ += other.count_;
  error_ += other.error_;
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    if (levels_[level].size() > capacity_of<kAll, kAbove>(level)) { halve(level); }
  }
}

template <std::int64_t kAll, std::int64_t kAbove>
void Sketch<kAll, kAbove>::make_room(std::size_t level) {
  if (levels_.size() > level) { return; }
  levels_.resize(level + 1);
  odd_.resize(level + 1, 0);
}

// Of two neighbours one stays with the weight of both: a rank between them is off by their weight.
template <std::int64_t kAll, std::int64_t kAbove>
void Sketch<kAll, kAbove>::halve(std::size_t level) {
  make_room(level + 1);
  std::vector<float>& values = levels_[level];
  std::vector<float>& above = levels_[level + 1];
  sort_values(values);
  const std::size_t pairs = values.size() / 2;
  for (std::size_t i = 0; i < pairs; ++i) { above.push_back(values[2 * i + odd_[level]]); }
  values.erase(values.begin(), values.begin() + std::ptrdiff_t(2 * pairs));
  odd_[level] ^= 1;
  error_ += std::int64_t{1} << level;
  if (above.size() > capacity_of<kAll, kAbove>(level + 1)) { halve(level + 1); }
}

template <std::int64_t kAll, std::int64_t kAbove>
double Sketch<kAll, kAbove>::rank_error() const {
  return count_ == 0 ? 0 : std::min(1.0, double(error_) / double(count_));
}

template <std::int64_t kAll, std::int64_t kAbove>
std::vector<std::pair<float, std::int64_t>> Sketch<kAll, kAbove>::weighted() const {
  std::vector<std::pair<float, std::int64_t>> values;
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    for (const float value : levels_[level]) {
      values.emplace_back(value, std::int64_t{1} << level);
    }
  }
  std::sort(values.begin(), values.end());
  return values;
}

template <std::int64_t kAll, std::int64_t kAbove>
std::vector<double> Sketch<kAll, kAbove>::quantiles(std::span<const double> q) const {
  const auto values = weighted();
  std::vector<double> result;
  // The value of rank `rank`, 0 … count − 1.
  const auto at = [&](std::int64_t rank) {
    for (const auto& [value, weight] : values) {
      if (rank < weight) { return double(value); }
      rank -= weight;
    }
    return double(values.back().first);
  };
  for (const double one : q) {
    if (values.empty()) {
      result.push_back(kNaN);
      continue;
    }
    const double place = one * double(count_ - 1), below = std::floor(place);
    const double low = at(std::int64_t(below));
    const double high = at(std::min(std::int64_t(below) + 1, count_ - 1));
    result.push_back(low + (high - low) * (place - below));
  }
  return result;
}

template <std::int64_t kAll, std::int64_t kAbove>
bool Sketch<kAll, kAbove>::consistent() const {
  if (levels_.size() != odd_.size() || levels_.size() > 62 || error_ < 0) { return false; }
  std::int64_t left = count_;
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    const auto size = std::int64_t(levels_[level].size());
    if (odd_[level] > 1 || size > (left >> level)) { return false; }
    if (levels_[level].size() > capacity_of<kAll, kAbove>(level)) { return false; }
    for (const float value : levels_[level]) {
      if (!std::isfinite(value)) { return false; }
    }
    left -= size << level;
  }
  return left == 0;
}

template class Sketch<QuantileSketch::kExact, QuantileSketch::kLevel>;
template class Sketch<ScoreSketch::kExact, ScoreSketch::kLevel>;

}  // namespace kappascope
