// y = x·W[e] for a few rows an expert, on the GPU: the time is that of reading W once.
//
//   y[part][r] = Σ over the part's share of `in` of x[r,i]·W[e][i]
//
// One block per tile of rows, 128 bytes of columns and part. Of its threads, 8 share the columns,
// 16 bytes each, and 32 share `in`; their sums are added in shared memory.
#include "kernels/cuda_launch.h"

namespace kappascope {
namespace {

constexpr int kColumnLanes = 8;                   // threads over the columns
constexpr int kDepth = kThreads / kColumnLanes;   // threads over `in`
constexpr int kSteps = int(kShareUnit) / kDepth;  // elements of `in` a thread takes of a unit

// Weights that a thread holds of one unit: its kSteps rows, Width columns each.
template <typename T, int Width>
struct UnitWeights {
  Pack<Width, T> row[kSteps];
};

template <typename T, int Width>
__device__ void load_weights(const T* weight, std::int64_t out, std::int64_t first,
                             std::int64_t last, std::int64_t column,
                             UnitWeights<T, Width>& weights) {
  const int depth = int(threadIdx.x) / kColumnLanes;
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const std::int64_t i = first + step * kDepth + depth;
    if (i < last && column < out) {
      weights.row[step] = *reinterpret_cast<const Pack<Width, T>*>(weight + i * out + column);
    } else {
      weights.row[step] = Pack<Width, T>{};
    }
  }
}

// sums[r][w] += x[r,i]·W[i,column + w] over the thread's elements of one unit; Rows ≥ the tile's.
template <int Rows, typename T, int Width>
__device__ void add_unit(const float (*x)[kShareUnit], const UnitWeights<T, Width>& weights,
                         float (&sums)[kTileRows][Width]) {
  const int depth = int(threadIdx.x) / kColumnLanes;
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    float values[Width];
#pragma unroll
    for (int w = 0; w < Width; ++w) { values[w] = widen(weights.row[step].value[w]); }
#pragma unroll
    for (int r = 0; r < Rows; ++r) {
      const float factor = x[r][step * kDepth + depth];
#pragma unroll
      for (int w = 0; w < Width; ++w) { sums[r][w] += factor * values[w]; }
    }
  }
}

// Sums of the block's threads over `in`, row by row, always in the same order.
template <int Width>
__device__ void write_sums(const FewRowsArgs& args, float* y, std::int64_t column, int rows,
                           const float (&sums)[kTileRows][Width]) {
  constexpr int kColumns = kColumnLanes * Width;
  __shared__ float shared[kWarps][kColumns];
  const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
  const std::int64_t first_column = column - lane % kColumnLanes * Width;
#pragma unroll
  for (int r = 0; r < kTileRows; ++r) {
    if (r >= rows) {
      break;  // the same for the whole block
    }
#pragma unroll
    for (int w = 0; w < Width; ++w) {
      float sum = sums[r][w];
      for (int offset = kColumnLanes; offset < kWarp; offset *= 2) {
        sum += __shfl_xor_sync(kAllLanes, sum, offset);
      }
      if (lane < kColumnLanes) { shared[warp][lane * Width + w] = sum; }
    }
    __syncthreads();
    if (int(threadIdx.x) < kColumns && first_column + int(threadIdx.x) < args.out) {
      float sum = 0;
      for (int part = 0; part < kWarps; ++part) { sum += shared[part][threadIdx.x]; }
      y[r * args.out + threadIdx.x] = sum;
    }
    __syncthreads();
  }
}

template <typename T, int Width>
__global__ void __launch_bounds__(kThreads, 2) few_rows_kernel(FewRowsArgs args) {
  __shared__ float x[kTileRows][kShareUnit];
  constexpr int kColumns = kColumnLanes * Width;
  const std::int64_t column_tiles = (args.out + kColumns - 1) / kColumns;
  const int matrix = int(blockIdx.x / column_tiles);
  const std::int64_t tile = blockIdx.y, part = blockIdx.z;
  const std::int32_t expert = args.tile_expert[tile];
  if (expert < 0) { return; }
  const std::int64_t row = args.tile_row[tile];
  const int rows = args.tile_rows[tile];
  const int padded = rows <= 2 ? rows : kTileRows;
  const std::int64_t first_column = blockIdx.x % column_tiles * kColumns;
  const std::int64_t column = first_column + int(threadIdx.x) % kColumnLanes * Width;
  const void* weights = matrix == 0 ? args.weight[0] : args.weight[1];
  const T* weight = static_cast<const T*>(weights) + expert * args.in * args.out;
  const T* from = static_cast<const T*>(args.x) + row * args.in;
  const std::int64_t share = few_rows_share(args), begin = part * share;
  const std::int64_t end = begin + share < args.in ? begin + share : args.in;

  float sums[kTileRows][Width] = {};
  for (std::int64_t unit = begin; unit < end; unit += kShareUnit) {
    UnitWeights<T, Width> held;  // on their way while x is fetched
    load_weights(weight, args.out, unit, end, column, held);
    for (int r = 0; r < padded; ++r) {
      const std::int64_t i = unit + threadIdx.x;
      x[r][threadIdx.x] = r < rows && i < end ? widen(from[r * args.in + i]) : 0.0f;
    }
    __syncthreads();
    if (padded == 1) {
      add_unit<1>(x, held, sums);
    } else if (padded == 2) {
      add_unit<2>(x, held, sums);
    } else {
      add_unit<kTileRows>(x, held, sums);
    }
    __syncthreads();
  }
  float* y =
      (matrix == 0 ? args.y[0] : args.y[1]) + (part * args.rows + row) * args.out + first_column;
  write_sums(args, y, column, rows, sums);
}

// Rows of W that are whole packs of 16 bytes can be read so; others element by element.
template <typename T>
int launch_few_rows(const FewRowsArgs& args, CudaStream stream) {
  constexpr int kWidth = 16 / int(sizeof(T));
  const bool packs = args.out % kWidth == 0;
  const std::int64_t columns = kColumnLanes * (packs ? kWidth : 1);
  const std::int64_t blocks = (args.out + columns - 1) / columns * args.matrices;
  const dim3 grid(unsigned(blocks), unsigned(args.rows), unsigned(args.partials));
  return launch(packs ? few_rows_kernel<T, kWidth> : few_rows_kernel<T, 1>, grid, 0, stream, args);
}

}  // namespace

int few_rows_cuda(const FewRowsArgs& args, CudaStream stream) {
  static_assert(kShareUnit == kThreads, "a block fetches x by one element a thread");
  return args.element == Element::float32 ? launch_few_rows<float>(args, stream)
                                          : launch_few_rows<BFloat16>(args, stream);
}

}  // namespace kappascope
