// Σ of the largest values of a row in shared memory, by one block. For .cu files only.
//
// The G-th largest value is at least the smallest of the maxima of G disjoint groups of values. The
// values at or above that bound are few: they are listed, ranked against each other, and the first
// G added. Where the list overflows (many equal values), the G-th largest is found bit by bit.
#pragma once

#include "kernels/cuda_launch.h"

namespace kappascope {

constexpr int kListed = 512;

struct LargestSumMemory {
  float list[kListed], ranked[kListed], bounds[kWarps];
  int count;
  double sum;
};

// The bit pattern of a float ≥ 0 orders as the float does.
inline __device__ std::uint32_t order_bits(float value) {
  std::uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// A lower bound of the `wanted`-th largest; 0 when there are more wanted than groups of threads.
inline __device__ float lower_bound_of(const float* values, int n, int wanted,
                                       LargestSumMemory& memory) {
  float highest = 0;
  for (int i = int(threadIdx.x); i < n; i += kThreads) { highest = fmaxf(highest, values[i]); }
  int group = kWarp;  // threads of a group, so that there are at least `wanted` groups
  while (group > 1 && kThreads / group < wanted) { group /= 2; }
  for (int offset = 1; offset < group; offset *= 2) {
    highest = fmaxf(highest, __shfl_xor_sync(kAllLanes, highest, offset));
  }
  for (int offset = group; offset < kWarp; offset *= 2) {
    highest = fminf(highest, __shfl_xor_sync(kAllLanes, highest, offset));
  }
  if (int(threadIdx.x) % kWarp == 0) { memory.bounds[threadIdx.x / kWarp] = highest; }
  __syncthreads();
  float bound = memory.bounds[0];
  for (int warp = 1; warp < kWarps; ++warp) { bound = fminf(bound, memory.bounds[warp]); }
  return wanted > kThreads ? 0 : bound;
}

// How many values the block holds for which `counts` says so.
template <typename Counts>
__device__ int block_count(const float* values, int n, Counts counts, LargestSumMemory& memory) {
  __syncthreads();
  if (threadIdx.x == 0) { memory.count = 0; }
  __syncthreads();
  int mine = 0;
  for (int i = int(threadIdx.x); i < n; i += kThreads) { mine += counts(values[i]) ? 1 : 0; }
  mine = warp_sum(mine);
  if (int(threadIdx.x) % kWarp == 0) { atomicAdd(&memory.count, mine); }
  __syncthreads();
  return memory.count;
}

inline __device__ double sum_by_bits(const float* values, int n, int wanted,
                                     LargestSumMemory& memory) {
  std::uint32_t threshold = 0;  // bits of the largest value that `wanted` others reach
  for (int bit = 30; bit >= 0; --bit) {
    const std::uint32_t higher = threshold | (1u << bit);
    const auto reaches = [higher](float value) { return order_bits(value) >= higher; };
    if (block_count(values, n, reaches, memory) >= wanted) { threshold = higher; }
  }
  const auto above = [threshold](float value) { return order_bits(value) > threshold; };
  const int larger = block_count(values, n, above, memory);
  float value;
  memcpy(&value, &threshold, sizeof value);
  double sum = 0;
  if (threadIdx.x == 0) {  // in one order; this way is rare
    for (int i = 0; i < n; ++i) {
      if (above(values[i])) { sum += double(values[i]); }
    }
    memory.sum = sum + double(wanted - larger) * double(value);
  }
  __syncthreads();
  return memory.sum;
}

// Σ of the `wanted` largest of values[0..n), all ≥ 0; 1 ≤ wanted ≤ n. Every thread gets it.
inline __device__ double largest_sum(const float* values, int n, int wanted,
                                     LargestSumMemory& memory) {
  const float bound = lower_bound_of(values, n, wanted, memory);
  if (threadIdx.x == 0) { memory.count = 0; }
  __syncthreads();
  for (int i = int(threadIdx.x); i < n; i += kThreads) {
    if (values[i] < bound) { continue; }
    const int at = atomicAdd(&memory.count, 1);
    if (at < kListed) { memory.list[at] = values[i]; }
  }
  __syncthreads();
  const int listed = memory.count;
  if (listed > kListed) { return sum_by_bits(values, n, wanted, memory); }
  for (int i = int(threadIdx.x); i < listed; i += kThreads) {
    int rank = 0;
    for (int j = 0; j < listed; ++j) {
      rank += memory.list[j] > memory.list[i] || (memory.list[j] == memory.list[i] && j < i);
    }
    memory.ranked[rank] = memory.list[i];
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double sum = 0;
    for (int i = 0; i < wanted && i < listed; ++i) { sum += double(memory.ranked[i]); }
    memory.sum = sum;
  }
  __syncthreads();
  return memory.sum;
}

}  // namespace kappascope
