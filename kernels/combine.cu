// Outputs of the tokens from those of the experts' rows, on the GPU.
//
//   output[t] = Σ_k weight[t,k]·(y[row of t,k] + bias),  output_norm[t,k] = ‖y[row of t,k] + bias‖₂
#include "kernels/cuda_launch.h"

namespace kappascope {
namespace {

// y + bias of a row, a pack from column h on. Biased: whether there is one.
template <typename T, int Width, bool Biased>
__device__ void fetch_output(const CombineArgs& args, std::int64_t cell, std::int64_t row,
                             std::int64_t h, float (&y)[Width]) {
  widen_chunk<Width, T>(fetch_product<Width, T>(args.y, row * args.width + h), y);
  if constexpr (Biased) {
    float bias[Width];
    load_values<Width>(args.bias + args.expert_index[cell] * args.width + h, bias);
    for (int w = 0; w < Width; ++w) { y[w] += bias[w]; }
  }
}

// One warp per token and kWarp packs of columns.
template <typename T, int Width, bool Biased>
__global__ void combine_kernel(CombineArgs args) {
  const std::int64_t t = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  const std::int64_t h = (std::int64_t(blockIdx.y) * kWarp + threadIdx.x % kWarp) * Width;
  if (t >= args.tokens || h >= args.width) { return; }
  float sum[Width] = {};
  for (std::int64_t cell = t * args.slots; cell < (t + 1) * args.slots; ++cell) {
    const std::int64_t row = args.cell_row[cell];
    if (row < 0) { continue; }
    const float weight = args.weight[cell];
    float y[Width];
    fetch_output<T, Width, Biased>(args, cell, row, h, y);
    for (int w = 0; w < Width; ++w) { sum[w] += weight * y[w]; }
  }
  store_values<Width>(sum, args.output + t * args.width + h);
}

// One warp per cell, in float64 and always in the same order.
template <typename T, int Width, bool Biased>
__global__ void norm_kernel(CombineArgs args) {
  const std::int64_t cell = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (cell >= args.tokens * args.slots) { return; }
  const int lane = int(threadIdx.x) % kWarp;
  const std::int64_t row = args.cell_row[cell];
  double sum = 0;
  for (std::int64_t h = lane * Width; row >= 0 && h < args.width; h += kWarp * Width) {
    float y[Width];
    fetch_output<T, Width, Biased>(args, cell, row, h, y);
    for (int w = 0; w < Width; ++w) { sum += double(y[w]) * double(y[w]); }
  }
  sum = warp_sum(sum);
  if (lane == 0) { args.output_norm[cell] = row >= 0 ? float(sqrt(sum)) : NAN; }
}

template <typename T, int Width, bool Biased>
int launch_combine(const CombineArgs& args, CudaStream stream) {
  dim3 grid = blocks_for(args.tokens, kWarps);
  grid.y = blocks_for(args.width, kWarp * Width).x;
  const int error = launch(combine_kernel<T, Width, Biased>, grid, 0, stream, args);
  if (error || !args.output_norm) { return error; }
  return launch(norm_kernel<T, Width, Biased>, blocks_for(args.tokens * args.slots, kWarps), 0,
                stream, args);
}
template <typename T, int Width>
int launch_combine(const CombineArgs& args, CudaStream stream) {
  return args.bias ? launch_combine<T, Width, true>(args, stream)
                   : launch_combine<T, Width, false>(args, stream);
}
template <typename T>
int launch_combine(const CombineArgs& args, CudaStream stream) {
  constexpr int kPack = 8;
  return args.width % kPack == 0 ? launch_combine<T, kPack>(args, stream)
                                 : launch_combine<T, 1>(args, stream);
}

}  // namespace

int combine_cuda(const CombineArgs& args, CudaStream stream) {
  const bool narrow = args.y.element == Element::bfloat16 && args.y.partials == 0;
  return narrow ? launch_combine<BFloat16>(args, stream) : launch_combine<float>(args, stream);
}

}  // namespace kappascope
