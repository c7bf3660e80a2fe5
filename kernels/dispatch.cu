// Rows of the experts from those of the tokens, and back, on the GPU.
//
//   rows[r] = x[token of r],  output[t] = Σ_k weight[t,k]·y[row of t,k]
#include "kernels/cuda_launch.h"

namespace kappascope {
namespace {

// A block a cell.
template <typename T>
__global__ void dispatch_kernel(DispatchArgs args) {
  const std::int64_t cell = blockIdx.x, row = args.cell_row[cell];
  if (row < args.first_row || row >= args.last_row) { return; }
  const float* from = args.x + cell / args.slots * args.width;
  T* to = static_cast<T*>(args.rows) + (row - args.first_row) * args.width;
  for (std::int64_t h = threadIdx.x; h < args.width; h += kThreads) { narrow(from[h], to[h]); }
}

// A block a token and kThreads columns.
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

}  // namespace

int dispatch_cuda(const DispatchArgs& args, CudaStream stream) {
  const auto kernel =
      args.element == Element::float32 ? dispatch_kernel<float> : dispatch_kernel<BFloat16>;
  return launch(kernel, blocks_for(args.tokens * args.slots, 1), 0, stream, args);
}

int combine_cuda(const CombineArgs& args, CudaStream stream) {
  dim3 grid = blocks_for(args.tokens, 1);
  grid.y = blocks_for(args.width, kThreads).x;
  return launch(combine_kernel, grid, 0, stream, args);
}

}  // namespace kappascope
