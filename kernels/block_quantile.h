// Order statistics of a row in shared memory, by one block. For .cu files only.
#pragma once

#include "kernels/largest_sum.h"

namespace kappascope {

// The least above `bound` (∞ where there is none) and the largest of values[0..n), without NaN.
// `memory`: [2·kWarps], shared.
inline __device__ void block_extremes(const float* values, int n, float bound, float& least,
                                      float& largest, float* memory) {
  least = INFINITY;
  largest = -INFINITY;
  for (int i = int(threadIdx.x); i < n; i += kThreads) {
    if (values[i] > bound) { least = fminf(least, values[i]); }
    largest = fmaxf(largest, values[i]);
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    least = fminf(least, __shfl_xor_sync(kAllLanes, least, offset));
    largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, offset));
  }
  const int warp = int(threadIdx.x) / kWarp;
  __syncthreads();
  if (int(threadIdx.x) % kWarp == 0) {
    memory[warp] = least;
    memory[kWarps + warp] = largest;
  }
  __syncthreads();
  for (int w = 0; w < kWarps; ++w) {
    least = fminf(least, memory[w]);
    largest = fmaxf(largest, memory[kWarps + w]);
  }
}

// The value that has `rank` others before it when values[0..n), all ≥ 0, are sorted: found bit by
// bit, as the largest number that at most `rank` values are below.
inline __device__ float block_ranked(const float* values, int n, int rank,
                                     LargestSumMemory& memory) {
  std::uint32_t found = 0;
  for (int bit = 30; bit >= 0; --bit) {
    const std::uint32_t higher = found | (1u << bit);
    const auto below = [higher](float value) { return order_bits(value) < higher; };
    if (block_count(values, n, below, memory) <= rank) { found = higher; }
  }
  float value;
  memcpy(&value, &found, sizeof value);
  return value;
}

// The q-quantile of values[0..n), all ≥ 0, between its two neighbours linearly (NumPy's default).
// Every thread gets it.
inline __device__ float block_quantile(const float* values, int n, double q,
                                       LargestSumMemory& memory, float* extremes) {
  const double position = q * double(n - 1);
  const int below = int(position);
  const float low = block_ranked(values, n, below, memory);
  if (below + 1 == n) { return low; }
  const auto through = [low](float value) { return value <= low; };
  float high = low, largest = 0;
  if (block_count(values, n, through, memory) == below + 1) {
    block_extremes(values, n, low, high, largest, extremes);
  }
  return float(double(low) + (double(high) - double(low)) * (position - double(below)));
}

}  // namespace kappascope
