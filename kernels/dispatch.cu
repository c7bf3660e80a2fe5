// Rows of the experts from those of the tokens, on the GPU.
//
//   rows[r] = x[token of r]
#include "kernels/cuda_launch.h"

namespace kappascope {
namespace {

// One block per cell.
template <typename T>
__global__ void dispatch_kernel(DispatchArgs args) {
  const std::int64_t cell = blockIdx.x, row = args.cell_row[cell];
  if (row < args.first_row || row >= args.last_row) { return; }
  const float* from = args.x + cell / args.slots * args.width;
  T* to = static_cast<T*>(args.rows) + (row - args.first_row) * args.width;
  for (std::int64_t h = threadIdx.x; h < args.width; h += kThreads) { narrow(from[h], to[h]); }
}

}  // namespace

int dispatch_cuda(const DispatchArgs& args, CudaStream stream) {
  const auto kernel =
      args.element == Element::float32 ? dispatch_kernel<float> : dispatch_kernel<BFloat16>;
  return launch(kernel, blocks_for(args.tokens * args.slots, 1), 0, stream, args);
}

}  // namespace kappascope
