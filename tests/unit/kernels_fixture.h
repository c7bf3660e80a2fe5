// What the tests of the kernels share.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/nan.h"
#include "kernels/kernels.h"

namespace kappascope {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr std::int64_t kSizes[] = {1, 7, 31, 33, 64, 130};

inline std::vector<float> normal(std::size_t size, std::uint32_t seed, float deviation = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution;  // its own deviation may not be 0
  std::vector<float> values(size);
  for (float& value : values) { value = deviation * distribution(generator); }
  return values;
}

template <typename Body>
void for_each_kernels(Body body) {
  for (const CpuKernels* const* at = usable_cpu_kernels(); *at; ++at) {
    SCOPED_TRACE((*at)->name);
    body(**at);
  }
}

// Both NaN, or within absolute + relative·|expected|.
inline void expect_near(float actual, float expected, float absolute, float relative,
                        const char* what) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(actual)) << what << ": " << actual << " instead of NaN";
  } else if (std::isinf(expected)) {
    EXPECT_EQ(actual, expected) << what;
  } else {
    EXPECT_LE(std::fabs(actual - expected), absolute + relative * std::fabs(expected))
        << what << ": " << actual << " instead of " << expected;
  }
}

}  // namespace kappascope
