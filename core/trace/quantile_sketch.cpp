#include "core/trace/quantile_sketch.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/nan.h"

namespace kappascope {
namespace {

std::size_t capacity_of(std::size_t level) {
  return std::size_t(level == 0 ? QuantileSketch::kExact : QuantileSketch::kLevel);
}

}  // namespace

void QuantileSketch::add(float value) {
  if (levels_.empty()) { make_room(0); }
  levels_[0].push_back(value);
  ++count_;
  if (levels_[0].size() > capacity_of(0)) { halve(0); }
}

void QuantileSketch::add(const QuantileSketch& other) {
  for (std::size_t level = 0; level < other.levels_.size(); ++level) {
    make_room(level);
    levels_[level].insert(levels_[level].end(), other.levels_[level].begin(),
                          other.levels_[level].end());
  }
  count_ += other.count_;
  error_ += other.error_;
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    if (levels_[level].size() > capacity_of(level)) { halve(level); }
  }
}

void QuantileSketch::make_room(std::size_t level) {
  if (levels_.size() > level) { return; }
  levels_.resize(level + 1);
  odd_.resize(level + 1, 0);
}

// Of two neighbours one stays with the weight of both: a rank between them is off by their weight.
void QuantileSketch::halve(std::size_t level) {
  make_room(level + 1);
  std::vector<float>& values = levels_[level];
  std::vector<float>& above = levels_[level + 1];
  std::sort(values.begin(), values.end());
  const std::size_t pairs = values.size() / 2;
  for (std::size_t i = 0; i < pairs; ++i) { above.push_back(values[2 * i + odd_[level]]); }
  values.erase(values.begin(), values.begin() + std::ptrdiff_t(2 * pairs));
  odd_[level] ^= 1;
  error_ += std::int64_t{1} << level;
  if (above.size() > capacity_of(level + 1)) { halve(level + 1); }
}

double QuantileSketch::rank_error() const {
  return count_ == 0 ? 0 : std::min(1.0, double(error_) / double(count_));
}

std::vector<double> QuantileSketch::quantiles(std::span<const double> q) const {
  std::vector<std::pair<float, std::int64_t>> weighted;
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    for (const float value : levels_[level]) {
      weighted.emplace_back(value, std::int64_t{1} << level);
    }
  }
  std::sort(weighted.begin(), weighted.end());
  std::vector<double> result;
  // The value of rank `rank`, 0 … count − 1.
  const auto at = [&](std::int64_t rank) {
    for (const auto& [value, weight] : weighted) {
      if (rank < weight) { return double(value); }
      rank -= weight;
    }
    return double(weighted.back().first);
  };
  for (const double one : q) {
    if (weighted.empty()) {
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

bool QuantileSketch::consistent() const {
  if (levels_.size() != odd_.size() || levels_.size() > 62 || error_ < 0) { return false; }
  std::int64_t left = count_;
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    const auto size = std::int64_t(levels_[level].size());
    if (odd_[level] > 1 || size > (left >> level)) { return false; }
    for (const float value : levels_[level]) {
      if (!std::isfinite(value)) { return false; }
    }
    left -= size << level;
  }
  return left == 0;
}

}  // namespace kappascope
