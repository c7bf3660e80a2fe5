// Outputs of the tokens from those of the experts' rows, on the GPU.
//
//   output[t] = Σ_k weight[t,k]·y[row of t,k],  output_norm[t,k] = ‖y[row of t,k]‖₂
#include "kernels/cuda_launch.h"

namespace kappascope {
namespace {

// One block per token and kThreads columns.
__global__ void combine_kernel(CombineArgs args) {
  const std::int64_t t = blockIdx.x, h = std::int64_t(blockIdx.y) * kThreads + threadIdx.x;
  if (h >= args.width) { return; }
  float sum = 0;
  for (std::int64_t cell = t * args.slots; cell < (t + 1) * args.slots; ++cell) {
    const std::int64_t row = args.cell_row[cell];
    if (row >= 0) { sum += args.weight[cell] * product_value(args.y, row * args.width + h); }
  }
  args.output[t * args.width + h] = sum;
}

// One warp per cell, in float64 and always in the same order.
__global__ void norm_kernel(CombineArgs args) {
  const std::int64_t cell = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (cell >= args.tokens * args.slots) { return; }
  const int lane = int(threadIdx.x) % kWarp;
  const std::int64_t row = args.cell_row[cell];
  double sum = 0;
  for (std::int64_t h = lane; row >= 0 && h < args.width; h += kWarp) {
    const double value = double(product_value(args.y, row * args.width + h));
    sum += value * value;
  }
  sum = warp_sum(sum);
  if (lane == 0) { args.output_norm[cell] = row >= 0 ? float(sqrt(sum)) : NAN; }
}

}  // namespace

int combine_cuda(const CombineArgs& args, CudaStream stream) {
  dim3 grid = blocks_for(args.tokens, 1);
  grid.y = blocks_for(args.width, kThreads).x;
  const int error = launch(combine_kernel, grid, 0, stream, args);
  if (error || !args.output_norm) { return error; }
  return launch(norm_kernel, blocks_for(args.tokens * args.slots, kWarps), 0, stream, args);
}

}  // namespace kappascope
