// The κ effect of single gate units counted by its size, for the values above a quantile of theirs.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/ordered_bits.h"
#include "core/trace/sum.h"

namespace kappascope {

// By the first 16 bits of a float: its sign, its exponent and 7 bits, so that a bin is at most
// 1/128 of its values wide. 0, which is what a gate with κ = 1 gives, has a bin of its own; numbers
// nearer to it than 2^−126 are counted there. Empty: nothing was counted.
struct EffectBins {
  static constexpr std::int64_t kBins = std::int64_t{1} << 16;
  static constexpr std::int64_t kZero = kBins / 2;
  std::vector<std::int64_t> count;   // [kBins]
  std::vector<Sum> sum, sum_square;  // [kBins]

  void add(float value) {  // finite
    if (std::fabs(value) < 0x1p-126f) { value = 0; }
    const std::uint32_t bin = ordered_bits(value) >> 16;
    ++count[bin];
    sum[bin].add(value);
    sum_square[bin].add(double(value) * double(value));
  }
  void add(const EffectBins& other);
  void make();  // room for values
  // The least and the greatest value of a bin.
  static float lower(std::int64_t bin) { return from_ordered_bits(std::uint32_t(bin) << 16); }
  static float upper(std::int64_t bin) {
    return bin == kZero ? 0 : from_ordered_bits(std::uint32_t(bin) << 16 | 0xffffu);
  }
  bool consistent() const;
  template <typename Archive>
  void exchange(Archive& archive) {
    archive(count);
    archive(sum);
    archive(sum_square);
  }
};

}  // namespace kappascope
