// Outputs of a few tokens from the sums of the down product, on the GPU.
//
//   output[t] = Σ_k weight[t,k]·(y[place of t,k] + bias)
#include "kernels/few.h"
#include "kernels/few_launch.h"

namespace kappascope {
namespace {

struct CombineMemory {
  float value[kWarps][kWarp], weight[kWarps];
};

// One block per token and kWarp columns; each warp fetches every kWarps-th slot. Biased: whether
// there is a bias.
template <bool Biased>
__global__ void few_combine_kernel(FewCombineArgs args) {
  KAPPASCOPE_SHARED(CombineMemory, memory);
  wait_for_previous();
  const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
  const int t = int(blockIdx.x), column = int(blockIdx.y) * kWarp + lane;
  const int share = args.y.share(*args.places.tiles), slots = int(args.slots);
  const bool inside = column < args.width;
  float sum = 0;
  for (int first = 0; first < slots; first += kWarps) {
    const int k = first + warp, cell = t * slots + k;
    const int place = k < slots ? args.places.cell_place[cell] : -1;
    const float weight = k < slots ? args.weight[cell] : 0;  // on its way beside the place
    if (lane == 0) { memory.weight[warp] = place >= 0 ? weight : 0; }
    float value = place >= 0 && inside ? few_value(args.y, share, place, 0, column) : 0;
    if (Biased && place >= 0 && inside) {
      value += args.bias[args.expert[cell] * args.width + column];
    }
    memory.value[warp][lane] = value;
    __syncthreads();
    for (int from = 0; warp == 0 && from < kWarps; ++from) {
      sum += memory.weight[from] * memory.value[from][lane];
    }
    __syncthreads();
  }
  if (warp == 0 && inside) { args.output[t * args.width + column] = sum; }
}

}  // namespace

int few_combine_cuda(const FewCombineArgs& args, CudaStream stream) {
  const dim3 grid(unsigned(args.tokens), blocks_for(args.width, kWarp).x);
  const auto kernel = args.bias ? few_combine_kernel<true> : few_combine_kernel<false>;
  return launch_overlapping(args.overlap, kernel, grid, 0, stream, args);
}

}  // namespace kappascope
