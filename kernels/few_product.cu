// y = x·W[e] for the tiles of a few tokens, on the GPU: the time is that of reading W once.
//
// Every block takes an equal share of the line of units (few.h), so that all of them read until the
// end. A unit is kFewUnit rows of W and 256 bytes of columns: 16 threads share the columns, 16
// bytes each, and 16 share the rows. While a unit is multiplied the next two are on their way into
// shared memory, where each thread reads what it has copied itself; where a strip ends, the
// threads' sums are added.
#include "kernels/few.h"
#include "kernels/few_hidden.h"
#include "kernels/few_launch.h"

namespace kappascope {
namespace {

constexpr int kLanes = int(kFewLanes);
constexpr int kUnit = int(kFewUnit);
constexpr int kDepth = kThreads / kLanes;  // threads over the rows of a unit
constexpr int kSteps = kUnit / kDepth;     // rows of a unit that a thread takes
constexpr int kRowsApart = kThreads / kUnit;
constexpr int kRowsFetched = kTileRows / kRowsApart;  // rows of x that a thread fetches

constexpr int kStages = 2;  // units of weights in shared memory

// The weights of a unit, each thread's for itself.
template <typename T, int Width>
struct UnitWeights {
  Pack<Width, T> row[kSteps][kThreads];
};

// Shared memory is declared of one type for all kernels of a file.
struct alignas(16) UnitMemory {
  char bytes[16];
};

// A unit: where it is in the line, and what the thread knows of its tile.
struct Unit {
  int number, step;         // its strip, counted over tiles and matrices; which of its units
  int tile, matrix, strip;  // of that number
  int expert, rows;
  int cell[kRowsFetched], token[kRowsFetched];  // of the rows it fetches; −1: no row
};

__device__ void read_tile(const FewProductArgs& args, Unit& unit) {
  unit.expert = args.places.tile_expert[unit.tile];
  unit.rows = args.places.tile_rows[unit.tile];
  const int first = unit.tile * kTileRows + int(threadIdx.x) / kUnit;
  for (int j = 0; j < kRowsFetched; ++j) {
    unit.cell[j] = args.places.place_cell[first + j * kRowsApart];
    unit.token[j] = unit.cell[j] / int(args.slots);
  }
}

__device__ Unit unit_at(const FewProductArgs& args, int index) {
  Unit unit{};
  unit.number = index / args.y.units;
  unit.step = index - unit.number * args.y.units;
  const int of_all = unit.number / args.y.strips;
  unit.strip = unit.number - of_all * args.y.strips;
  unit.tile = of_all / args.y.matrices;
  unit.matrix = of_all - unit.tile * args.y.matrices;
  read_tile(args, unit);
  return unit;
}

__device__ void advance(const FewProductArgs& args, Unit& unit) {
  if (++unit.step < args.y.units) { return; }
  unit.step = 0;
  ++unit.number;
  if (++unit.strip < args.y.strips) { return; }
  unit.strip = 0;
  if (++unit.matrix < args.y.matrices) { return; }
  unit.matrix = 0;
  ++unit.tile;
  read_tile(args, unit);
}

// Starts to copy the thread's weights of a unit; 0 beyond the edges of W.
template <typename T, int Width>
__device__ void copy_weights(const FewProductArgs& args, const Unit& unit,
                             UnitWeights<T, Width>& weights) {
  using Raw = Pack<Width, T>;
  const int depth = int(threadIdx.x) / kLanes;
  const int column = (unit.strip * kLanes + int(threadIdx.x) % kLanes) * Width;
  const int first = unit.step * kUnit + depth, in = int(args.in);
  const std::int64_t apart = kDepth * args.out;
  const void* matrix = unit.matrix == 0 ? args.weight[0] : args.weight[1];
  const T* from =
      static_cast<const T*>(matrix) + (unit.expert * args.in + first) * args.out + column;
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const bool inside = first + step * kDepth < in && column < args.out;
    const auto* source = reinterpret_cast<const Raw*>(inside ? from + step * apart : matrix);
    copy_async(&weights.row[step][threadIdx.x], source, inside);
  }
}

// Rows that are multiplied: 1, 2 or all.
__device__ int padded_rows(int rows) {
  return rows <= 2 ? rows : kTileRows;
}

// x of a unit, on its way from memory while the unit before is multiplied; then in shared memory.
template <typename T, Input From>
struct UnitInput {
  static constexpr bool kGated = From != Input::tokens;
  HiddenLoads hidden[kGated ? kRowsFetched : 1];
  float value[kGated ? 1 : kRowsFetched];

  __device__ void load(const FewProductArgs& args, int gate_up_share, const Unit& unit) {
    const int i = unit.step * kUnit + int(threadIdx.x) % kUnit;
    const int first = unit.tile * kTileRows + int(threadIdx.x) / kUnit;
#pragma unroll
    for (int j = 0; j < kRowsFetched; ++j) {
      const int cell = unit.cell[j];
      const bool inside = cell >= 0 && i < args.in;
      if constexpr (kGated) {
        hidden[j] = {};
        if (inside) {
          load_hidden<From>(args, gate_up_share, first + j * kRowsApart, unit.expert, cell, i,
                            hidden[j]);
        }
      } else {
        value[j] = inside ? args.x[unit.token[j] * args.in + i] : 0;
      }
    }
  }

  // Rows and columns beyond the edges are 0.
  __device__ void store(const FewProductArgs& args, int rows, float (*x)[kUnit]) const {
    const int column = int(threadIdx.x) % kUnit, first = int(threadIdx.x) / kUnit;
#pragma unroll
    for (int j = 0; j < kRowsFetched; ++j) {
      const int r = first + j * kRowsApart;
      if (r >= padded_rows(rows)) { break; }
      float known = 0;
      if constexpr (kGated) {
        if (hidden[j].z) { known = swiglu_value<From>(args, hidden[j]); }
      } else {
        known = value[j];
      }
      T element;
      narrow(known, element);
      x[r][column] = widen(element);
    }
  }
};

// sums[r][w] += x[r,i]·W[i,column + w] over the thread's rows of one unit; Rows ≥ the tile's.
template <int Rows, typename T, int Width>
__device__ void add_rows(const float (*x)[kUnit], const UnitWeights<T, Width>& weights,
                         float (&sums)[kTileRows][Width]) {
  const int depth = int(threadIdx.x) / kLanes;
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    float values[Width];
    load_values<Width>(weights.row[step][threadIdx.x].value, values);
#pragma unroll
    for (int r = 0; r < Rows; ++r) {
      const float factor = x[r][step * kDepth + depth];
#pragma unroll
      for (int w = 0; w < Width; ++w) { sums[r][w] += factor * values[w]; }
    }
  }
}
template <typename T, int Width>
__device__ void add_unit(int rows, const float (*x)[kUnit], const UnitWeights<T, Width>& weights,
                         float (&sums)[kTileRows][Width]) {
  if (rows == 1) {
    add_rows<1>(x, weights, sums);
  } else if (rows == 2) {
    add_rows<2>(x, weights, sums);
  } else {
    add_rows<kTileRows>(x, weights, sums);
  }
}

// Sums of the block's threads over `in` into the segment, always in the same order; then 0.
template <int Width>
struct alignas(32) SumMemory {
  float value[kWarps][kLanes * Width];
};
template <int Width>
__device__ void write_sums(float* segment, int rows, float (&sums)[kTileRows][Width]) {
  constexpr int kColumns = kLanes * Width;
  KAPPASCOPE_SHARED(SumMemory<Width>, shared);
  const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
#pragma unroll
  for (int r = 0; r < kTileRows; ++r) {
    if (r >= rows) { break; }  // the same for the whole block
    float sum[Width];
#pragma unroll
    for (int w = 0; w < Width; ++w) {
      sum[w] = sums[r][w] + __shfl_xor_sync(kAllLanes, sums[r][w], kLanes);
      sums[r][w] = 0;
    }
    if (lane < kLanes) { store_values<Width>(sum, &shared.value[warp][lane * Width]); }
    __syncthreads();
    if (int(threadIdx.x) < kColumns) {
      float all = 0;
      for (int part = 0; part < kWarps; ++part) { all += shared.value[part][threadIdx.x]; }
      segment[r * kColumns + int(threadIdx.x)] = all;
    }
    __syncthreads();
  }
}

// x of a unit, and of the next.
struct InputMemory {
  float x[2][kTileRows][kUnit];
};

// The share [first, last) of a block.
template <typename T, int Width, Input From>
__device__ void multiply_units(const FewProductArgs& args, int tiles, int first, int last,
                               UnitWeights<T, Width>* weights) {
  constexpr bool kGated = From != Input::tokens;
  KAPPASCOPE_SHARED(InputMemory, input);
  Unit ahead = unit_at(args, first), unit = ahead;  // what is copied, and what x is fetched for
  copy_weights(args, ahead, weights[0]);
  close_copies();
  if (first + 1 < last) {
    advance(args, ahead);
    copy_weights(args, ahead, weights[1]);
  }
  close_copies();
  if (kGated) { wait_for_previous(); }
  const int gate_up_share = kGated ? args.gate_up.share(tiles) : 0;
  UnitInput<T, From> next;
  next.load(args, gate_up_share, unit);
  next.store(args, unit.rows, input.x[0]);
  __syncthreads();
  float sums[kTileRows][Width] = {};
  for (int index = first; index < last; ++index) {
    const int stage = (index - first) % kStages, number = unit.number, rows = unit.rows;
    const bool more = index + 1 < last;
    if (more) {
      advance(args, unit);
      next.load(args, gate_up_share, unit);
    }
    wait_for_copies<kStages - 1>();
    add_unit(rows, input.x[stage], weights[stage], sums);
    if (index + kStages < last) {
      advance(args, ahead);
      copy_weights(args, ahead, weights[stage]);
    }
    close_copies();
    if (more) { next.store(args, unit.rows, input.x[1 - stage]); }
    if (!more || unit.number != number) {
      write_sums(args.y.segment(int(blockIdx.x), number), rows, sums);
    }
    __syncthreads();
  }
}

template <typename T, int Width, Input From>
__global__ void __launch_bounds__(kThreads, 2) few_product_kernel(FewProductArgs args) {
  static_assert(kStages == 2, "x and weights take turns alike");
  constexpr bool kGated = From != Input::tokens;
  KAPPASCOPE_DYNAMIC_SHARED(UnitMemory, memory);  // kStages of UnitWeights
  // The product of gate and up started after the routing was done, and this one after it started:
  // only z and up are to be waited for, which the first weights do not need.
  if (!kGated) { wait_for_previous(); }
  let_next_start();
  const int tiles = *args.places.tiles;
  const int share = args.y.share(tiles), all = args.y.all_units(tiles);
  const int first = int(blockIdx.x) * share;
  if (first >= all) {
    if (kGated) { wait_for_previous(); }
    return;
  }
  multiply_units<T, Width, From>(args, tiles, first, first + share < all ? first + share : all,
                                 reinterpret_cast<UnitWeights<T, Width>*>(memory));
}

template <typename T, int Width>
constexpr std::size_t kSharedBytes = kStages * sizeof(UnitWeights<T, Width>);

template <typename T, int Width>
int launch_product(const FewProductArgs& args, CudaStream stream) {
  const auto kernel = args.x             ? few_product_kernel<T, Width, Input::tokens>
                      : args.rules.any() ? few_product_kernel<T, Width, Input::ruled>
                                         : few_product_kernel<T, Width, Input::gated>;
  return launch_overlapping(args.overlap, kernel, dim3(unsigned(args.y.blocks)),
                            kSharedBytes<T, Width>, stream, args);
}

// Rows of W that are whole packs of 16 bytes can be read so; others element by element.
template <typename T>
int launch_product_of(const FewProductArgs& args, CudaStream stream) {
  constexpr int kWidth = 16 / int(sizeof(T));
  return args.y.columns == kLanes * kWidth ? launch_product<T, kWidth>(args, stream)
                                           : launch_product<T, 1>(args, stream);
}

template <typename T, int Width>
int prepare_product() {
  for (const auto kernel :
       {few_product_kernel<T, Width, Input::tokens>, few_product_kernel<T, Width, Input::gated>,
        few_product_kernel<T, Width, Input::ruled>}) {
    cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                             int(kSharedBytes<T, Width>));
    if (error == cudaSuccess) {
      error = cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, 100);
    }
    if (error != cudaSuccess) { return reported(error); }
  }
  return 0;
}

}  // namespace

int few_product_prepare() {
  for (const auto prepare : {prepare_product<float, 4>, prepare_product<float, 1>,
                             prepare_product<BFloat16, 8>, prepare_product<BFloat16, 1>}) {
    const int error = prepare();
    if (error) { return error; }
  }
  return 0;
}

int few_product_cuda(const FewProductArgs& args, CudaStream stream) {
  return args.element == Element::float32 ? launch_product_of<float>(args, stream)
                                          : launch_product_of<BFloat16>(args, stream);
}

}  // namespace kappascope
