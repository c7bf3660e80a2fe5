// Rows of the experts from those of the tokens, on the GPU.
//
//   rows[r] = x[token of r]
#include "kernels/cuda_launch.h"

namespace kappascope {
namespace {

// One warp per token, which reads it once for all of its rows.
template <typename T, int Width>
__global__ void dispatch_kernel(DispatchArgs args) {
  const std::int64_t t = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (t >= args.tokens) { return; }
  const int lane = int(threadIdx.x) % kWarp;
  for (std::int64_t h = lane * Width; h < args.width; h += kWarp * Width) {
    float values[Width];
    load_values<Width>(args.x + t * args.width + h, values);
    const Chunk<Width, T> chunk = narrow_chunk<Width, T>(values);
    for (std::int64_t cell = t * args.slots; cell < (t + 1) * args.slots; ++cell) {
      const std::int64_t row = args.cell_row[cell];
      if (row < args.first_row || row >= args.last_row) { continue; }
      store_chunk(chunk, static_cast<T*>(args.rows) + (row - args.first_row) * args.width + h);
    }
  }
}

template <typename T>
int launch_dispatch(const DispatchArgs& args, CudaStream stream) {
  constexpr int kPack = 8;
  const auto kernel = args.width % kPack == 0 ? dispatch_kernel<T, kPack> : dispatch_kernel<T, 1>;
  return launch(kernel, blocks_for(args.tokens, kWarps), 0, stream, args);
}

}  // namespace

int dispatch_cuda(const DispatchArgs& args, CudaStream stream) {
  return args.element == Element::float32 ? launch_dispatch<float>(args, stream)
                                          : launch_dispatch<BFloat16>(args, stream);
}

}  // namespace kappascope
