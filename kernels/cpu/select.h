// The n smallest (or largest) of an array, for kernels/cpu/*.cpp.
#pragma once

#include <cstdint>

namespace kappascope::KAPPASCOPE_ISA {

// Reorders values so that values[k] is what it would be if they were sorted, none before it is
// larger and none after it smaller. 0 ≤ k < count, no NaN.
static inline void select_kth(float* values, std::int64_t count, std::int64_t k) {
  std::int64_t low = 0, high = count - 1;
  while (low < high) {
    const float pivot = values[low + (high - low) / 2];
    std::int64_t i = low, j = high;
    while (i <= j) {
      while (values[i] < pivot) { ++i; }
      while (pivot < values[j]) { --j; }
      if (i > j) { break; }
      const float swapped = values[i];
      values[i++] = values[j];
      values[j--] = swapped;
    }
    if (k <= j) {
      high = j;
    } else if (k >= i) {
      low = i;
    } else {
      return;
    }
  }
}

}  // namespace kappascope::KAPPASCOPE_ISA
