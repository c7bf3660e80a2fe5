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

// Σ of each of the eight values over the warp, in float64: that of value lane / 4 in each lane.
__device__ double eight_sums(double (&value)[8]) {
  const int lane = int(threadIdx.x) % kWarp;
#pragma unroll
  for (int left = 4; left > 0;
       left /= 2) {  // a half of the lanes goes on with a half of the values
    const int offset = 4 * left;
    const bool upper = lane & offset;
#pragma unroll
    for (int i = 0; i < left; ++i) {
      const double given = upper ? value[i] : value[i + left];
      const double kept = upper ? value[i + left] : value[i];
      value[i] = kept + __shfl_xor_sync(kAllLanes, given, offset);
    }
  }
  value[0] += __shfl_xor_sync(kAllLanes, value[0], 2);
  return value[0] + __shfl_xor_sync(kAllLanes, value[0], 1);
}

// The same with the norms of y, which are summed in float64, always in the same order: a block has
// a token to itself. Shared memory: [warps,K] float64.
template <typename T, int Width, bool Biased>
__global__ void combine_norms_kernel(CombineArgs args, int warps) {
  KAPPASCOPE_DYNAMIC_SHARED(double, squares);
  const std::int64_t t = blockIdx.x;
  const int lane = int(threadIdx.x) % kWarp, slots = int(args.slots);
  double* mine = squares + threadIdx.x / kWarp * args.slots;
  for (int k = lane; k < slots; k += kWarp) { mine[k] = 0; }
  __syncwarp();
  const int step = warps * kWarp * Width;
  for (std::int64_t first = 0; first < args.width; first += step) {  // as often for every thread
    const std::int64_t h = first + std::int64_t(threadIdx.x) * Width;
    float sum[Width] = {};
    for (int group = 0; group < slots; group += 8) {
      double square[8] = {};
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        if (group + k >= slots || h >= args.width) { continue; }
        const std::int64_t cell = t * args.slots + group + k, row = args.cell_row[cell];
        if (row < 0) { continue; }
        float y[Width];
        fetch_output<T, Width, Biased>(args, cell, row, h, y);
        const float weight = args.weight[cell];
        for (int w = 0; w < Width; ++w) {
          sum[w] += weight * y[w];
          square[k] += double(y[w]) * double(y[w]);
        }
      }
      const double total = eight_sums(square);
      if (lane % 4 == 0 && group + lane / 4 < slots) { mine[group + lane / 4] += total; }
    }
    if (h < args.width) { store_values<Width>(sum, args.output + t * args.width + h); }
  }
  __syncthreads();
  for (int k = int(threadIdx.x); k < slots; k += warps * kWarp) {
    double total = 0;
    for (int warp = 0; warp < warps; ++warp) { total += squares[warp * slots + k]; }
    const std::int64_t cell = t * args.slots + k;
    args.output_norm[cell] = args.cell_row[cell] >= 0 ? float(sqrt(total)) : NAN;
  }
}

template <typename T, int Width, bool Biased>
int launch_combine(const CombineArgs& args, CudaStream stream) {
  if (args.tokens == 0) { return 0; }
  const unsigned parts = blocks_for(args.width, kWarp * Width).x;  // of a row, a warp each
  if (!args.output_norm) {
    dim3 grid = blocks_for(args.tokens, kWarps);
    grid.y = parts;
    return launch(combine_kernel<T, Width, Biased>, grid, 0, stream, args);
  }
  const int warps = parts < kWarps ? int(parts) : kWarps;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(unsigned(args.tokens));
  config.blockDim = dim3(unsigned(warps * kWarp));
  config.dynamicSmemBytes = std::size_t(warps * args.slots) * sizeof(double);
  config.stream = stream;
  return launch(config, combine_norms_kernel<T, Width, Biased>, args, warps);
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
