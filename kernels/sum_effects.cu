// The κ effect of each expert on the GPU: the sums of its rows.
#include "kernels/cuda_launch.h"

namespace kappascope {
namespace {

__device__ EffectSums from_lane_at(const EffectSums& mine, int offset) {
  constexpr int kWords = int(sizeof(EffectSums) / 8);
  unsigned long long words[kWords];
  memcpy(words, &mine, sizeof words);
  for (unsigned long long& word : words) { word = __shfl_xor_sync(kAllLanes, word, offset); }
  EffectSums other;
  memcpy(&other, words, sizeof words);
  return other;
}

// One warp per expert, always in the same order, so that the same rows give the same bits.
__global__ void effect_kernel(EffectArgs args) {
  const std::int64_t e = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (e >= args.experts) { return; }
  const int lane = int(threadIdx.x) % kWarp;
  EffectSums total;
  for (std::int32_t row = args.row_start[e] + lane; row < args.row_start[e + 1]; row += kWarp) {
    add_effects(total, args.row_effect[row]);
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    add_effects(total, from_lane_at(total, offset));
  }
  if (lane == 0) { args.effect[e] = total; }
}

}  // namespace

int sum_effects_cuda(const EffectArgs& args, CudaStream stream) {
  return launch(effect_kernel, blocks_for(args.experts, kWarps), 0, stream, args);
}

}  // namespace kappascope
