// Σ of the largest values that a warp sees go by, without keeping the others. For .cu files only.
//
// The G-th largest of the lanes' own maxima is at most the G-th largest of all values. Only values
// above that bound are listed; a full list is cut to its own G largest. In the end the G largest of
// all are the listed ones above the bound, and the bound itself as often as those are too few.
//
// What is rare is a function of its own, so that a kernel's loop fits the instruction cache.
#pragma once

#include "kernels/cuda_launch.h"

namespace kappascope {

constexpr int kMostWarpLargest = kWarp;  // G at most
constexpr int kWarpListed = 128;

// The G-th largest of the lanes' values.
inline __device__ __noinline__ float warp_ranked(float mine, int wanted) {
  const int lane = int(threadIdx.x) % kWarp;
  int before = 0;  // lanes whose value comes before this one's
#pragma unroll 4
  for (int other = 0; other < kWarp; ++other) {
    const float value = __shfl_sync(kAllLanes, mine, other);
    before += value > mine || (value == mine && other < lane) ? 1 : 0;
  }
  const unsigned at = __ballot_sync(kAllLanes, before == wanted - 1);
  return __shfl_sync(kAllLanes, mine, __ffs(int(at)) - 1);
}

// A list of a warp in its lanes' registers, largest first to be taken.
class WarpHeld {
 public:
  __device__ WarpHeld(const float* list, int listed) {
    for (int h = 0; h < kHeld; ++h) {
      const int at = h * kWarp + int(threadIdx.x) % kWarp;
      held_[h] = at < listed ? list[at] : -1;
    }
  }
  // The largest, which is then no longer held; −1: none is left.
  __device__ float take() {
    float mine = held_[0];
    for (int h = 1; h < kHeld; ++h) { mine = fmaxf(mine, held_[h]); }
    float highest = mine;
    for (int offset = kWarp / 2; offset > 0; offset /= 2) {
      highest = fmaxf(highest, __shfl_xor_sync(kAllLanes, highest, offset));
    }
    const unsigned owners = __ballot_sync(kAllLanes, mine == highest);
    bool taken = __ffs(int(owners)) - 1 != int(threadIdx.x) % kWarp;
    for (int h = 0; h < kHeld; ++h) {
      if (!taken && held_[h] == highest) {
        held_[h] = -1;
        taken = true;
      }
    }
    return highest;
  }

 private:
  static constexpr int kHeld = kWarpListed / kWarp;
  float held_[kHeld];
};

// Leaves the `wanted` largest of the `listed` values at the front of the list.
inline __device__ __noinline__ void cut_list(float* list, int listed, int wanted) {
  WarpHeld held(list, listed);
  __syncwarp();  // all have read before any writes
#pragma unroll 1
  for (int k = 0; k < wanted; ++k) {
    const float value = held.take();
    if (int(threadIdx.x) % kWarp == 0) { list[k] = value; }
  }
  __syncwarp();
}

// Σ of the `wanted` largest of the listed values and as many of the bound as are wanted.
inline __device__ __noinline__ double sum_largest(const float* list, int listed, int wanted,
                                                  float bound) {
  WarpHeld held(list, listed);
  double sum = 0;
#pragma unroll 1
  for (int k = 0; k < wanted; ++k) { sum += double(fmaxf(held.take(), bound)); }
  return sum;
}

class WarpLargest {
 public:
  // `list`: [kWarpListed] in shared memory, of this warp alone; 1 ≤ wanted ≤ kMostWarpLargest.
  __device__ WarpLargest(float* list, int wanted) : list_(list), wanted_(wanted) {}

  // All lanes at once; `valid` says which have values ≥ 0 to offer. NaN is passed over.
  template <int Width>
  __device__ void offer(const float (&values)[Width], bool valid) {
    float highest = -1;
#pragma unroll
    for (int w = 0; w < Width; ++w) { highest = fmaxf(highest, values[w]); }
    if (!valid) { highest = -1; }
    highest_ = fmaxf(highest_, highest);
    if ((batch_ & (batch_ - 1)) == 0 && (batch_ & kPowersOfFour)) { raise_bound(); }
    ++batch_;
    if (!__ballot_sync(kAllLanes, highest > bound_)) { return; }
#pragma unroll
    for (int w = 0; w < Width; ++w) { list_above(values[w], valid && values[w] > bound_); }
  }

  // The same in every lane.
  __device__ double sum() {
    raise_bound();
    return sum_largest(list_, listed_, wanted_, bound_);
  }

 private:
  static constexpr unsigned kPowersOfFour = 0x55555555;

  // It never falls.
  __device__ void raise_bound() { bound_ = warp_ranked(highest_, wanted_); }

  __device__ void list_above(float value, bool above) {
    const unsigned all = __ballot_sync(kAllLanes, above);
    const int more = __popc(all), lane = int(threadIdx.x) % kWarp;
    if (listed_ + more > kWarpListed) {
      cut_list(list_, listed_, wanted_);
      listed_ = wanted_;
    }
    if (above) { list_[listed_ + __popc(all & ((1u << lane) - 1))] = value; }
    listed_ += more;
    __syncwarp();
  }

  float* const list_;
  const int wanted_;
  unsigned batch_ = 1;  // packs offered, this one included
  int listed_ = 0;
  float highest_ = -1, bound_ = -1;
};

}  // namespace kappascope
