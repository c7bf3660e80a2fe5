// y = x·W[e] over the rows of all experts by the matrix instructions of compute capability 9.0.
//
// A tile is 64·Atoms columns of weights by up to 144 rows of one expert: the columns are the long
// side of the instruction, so that few rows are padded. Of a block's three groups of four warps one
// copies stages of a tile, 64 deep each, into a ring in shared memory; the other two multiply. With
// two atoms they take turns by whole tiles, so that one multiplies while the other writes; with
// four both work on every tile, which reads less and pays where sums are long.
#include "kernels/wgmma_product.h"

#include <utility>

#ifdef KAPPASCOPE_WGMMA  // compiled for 9.0 alone, or on the CPU for the tests
#ifdef __CUDACC__
#include "kernels/wgmma.h"
#else
#include <emulated_wgmma.h>
#endif
#include "kernels/wgmma_finish.h"

namespace kappascope {
namespace {

using wgmma::Barrier;

constexpr int kDepth = 64;         // of a stage
constexpr int kLine = 2 * kDepth;  // bytes of a row in a stage, and of a line of an atom
constexpr int kAtomBytes = kDepth * kLine;
constexpr int kBlock = 3 * kGroup;

struct Parameters {
  const std::int32_t* ends;
  int experts, in, out, columns, blocks;  // columns: in tiles
};

// x has a map for every size of tile, so that one copy brings its rows.
struct Maps {
  wgmma::TensorMap weight, x[kTileSizes];
};

template <int Atoms_, int Stages_, class Finish>
struct alignas(1024) Memory {
  static constexpr int Atoms = Atoms_, Stages = Stages_, Width = Atoms * kAtom;
  static constexpr bool Turns = Atoms == 2;
  unsigned char weight[Stages][Atoms * kAtomBytes];
  unsigned char x[Stages][kMostTileRows * kLine];
  typename Finish::Room room[2];
  Barrier full[Stages], empty[Stages], turn[2];  // turn: that group may multiply
  int tile_start[kMostWgmmaExperts + 1], row_start[kMostWgmmaExperts + 1];

  __device__ TileStarts starts(const Parameters& p) const {
    return {tile_start, row_start, p.experts, p.columns};
  }
};

// The place in the ring of stages.
template <int Stages>
struct Ring {
  int stage = 0;
  std::uint32_t parity = 0;
  __device__ void skip(int stages) {
    stage += stages;
    parity ^= std::uint32_t(stage / Stages % 2);
    stage %= Stages;
  }
  __device__ void next() {
    if (++stage == Stages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// Where the rows and tiles of each expert start; by the first warp.
template <class Memory>
__device__ void find_starts(Memory& memory, const Parameters& p) {
  const int lane = int(threadIdx.x);
  int before = 0;
  for (int first = 0; first < p.experts; first += kWarp) {
    const int e = first + lane;
    const bool exists = e < p.experts;
    const int begin = exists && e > 0 ? p.ends[e - 1] : 0, end = exists ? p.ends[e] : 0;
    int sum = exists ? row_tiles(end - begin) : 0;
    for (int by = 1; by < kWarp; by *= 2) {
      const int other = __shfl_up_sync(kAllLanes, sum, unsigned(by));
      if (lane >= by) { sum += other; }
    }
    if (exists) {
      memory.row_start[e + 1] = end;
      memory.tile_start[e + 1] = before + sum;
    }
    before += __shfl_sync(kAllLanes, sum, kWarp - 1);
  }
  if (lane == 0) { memory.row_start[0] = memory.tile_start[0] = 0; }
}

// One thread: brings the stages of all tiles of this block.
template <class Memory>
__device__ void copy_tiles(Memory& memory, const Parameters& p, const Maps& maps) {
  const TileStarts starts = memory.starts(p);
  const int steps = (p.in + kDepth - 1) / kDepth;
  TileWalk walk;
  ProductTile tile;
  Ring<Memory::Stages> ring;
  ring.parity = 1;  // at first every stage is empty
  for (int number = int(blockIdx.x); walk.find(number, starts, tile); number += p.blocks) {
    const wgmma::TensorMap& x = maps.x[tile_size_index(tile.size)];
    for (int k = 0; k < steps; ++k, ring.next()) {
      Barrier& full = memory.full[ring.stage];
      memory.empty[ring.stage].wait(ring.parity);
      full.arrive_for(std::uint32_t(Memory::Atoms * kAtomBytes + tile.size * kLine));
      wgmma::copy_2d(x, full, memory.x[ring.stage], k * kDepth, tile.first);
      for (int atom = 0; atom < Memory::Atoms; ++atom) {
        wgmma::copy_3d(maps.weight, full, memory.weight[ring.stage] + atom * kAtomBytes,
                       tile.column * Memory::Width + atom * kAtom, k * kDepth, tile.expert);
      }
    }
  }
}

// One tile of a group that multiplies: atoms `atom0` and `atom1` of each stage.
template <int N, class Memory, class Finish>
__device__ __forceinline__ void multiply_tile(Memory& memory, const Parameters& p,
                                              const Finish& finish, const ProductTile& tile,
                                              int atom0, int atom1, Ring<Memory::Stages>& ring,
                                              std::uint32_t turn) {
  const int thread = int(threadIdx.x) % kGroup, group = int(threadIdx.x) / kGroup - 1;
  const int steps = (p.in + kDepth - 1) / kDepth, column = tile.column * Memory::Width;
  finish.begin(tile, memory.room[group], column, turn);
  float sum0[N / 2], sum1[N / 2];
#pragma unroll
  for (int i = 0; i < N / 2; ++i) { sum0[i] = sum1[i] = 0; }
  int before = 0;
  // A parity distinguishes a round of the ring from the one before only for who has seen that
  // filled: here the other group has.
  if (Memory::Turns) { memory.turn[group].wait(turn); }
  for (int k = 0; k < steps; ++k, ring.next()) {
    memory.full[ring.stage].wait(ring.parity);
    const wgmma::Operand w0(memory.weight[ring.stage] + atom0 * kAtomBytes);
    const wgmma::Operand w1(memory.weight[ring.stage] + atom1 * kAtomBytes);
    const wgmma::Operand x(memory.x[ring.stage]);
    wgmma::hold(sum0);
    wgmma::hold(sum1);
    wgmma::begin_products();
#pragma unroll
    for (int i = 0; i < kDepth / 16; ++i) {
      wgmma::multiply_add<N>(sum0, w0.at(2048 * i), x.at(32 * i));
      wgmma::multiply_add<N>(sum1, w1.at(2048 * i), x.at(32 * i));
    }
    wgmma::end_products();
    wgmma::hold(sum0);
    wgmma::hold(sum1);
    wgmma::wait_products<1>();
    if (k > 0 && thread == 0) { memory.empty[before].arrive(); }
    before = ring.stage;
  }
  if (Memory::Turns && thread == 0) { memory.turn[1 - group].arrive(); }
  wgmma::wait_products<0>();
  wgmma::hold(sum0);
  wgmma::hold(sum1);
  if (thread == 0) { memory.empty[before].arrive(); }

  finish.write(tile, memory.room[group], sum0, sum1, column + atom0 * kAtom, column + atom1 * kAtom,
               turn);
}

// The kernel has code for every size of wgmma_tiles.h.
constexpr auto kAllSizes = std::make_integer_sequence<int, kTileSizes>();

template <class Memory, class Finish, int... Index>
__device__ __forceinline__ void multiply_tile_of(Memory& memory, const Parameters& p,
                                                 const Finish& finish, const ProductTile& tile,
                                                 int a0, int a1, Ring<Memory::Stages>& ring,
                                                 std::uint32_t& turn,
                                                 std::integer_sequence<int, Index...>) {
  (void)((tile.size == tile_size_at(Index) &&
          (multiply_tile<tile_size_at(Index)>(memory, p, finish, tile, a0, a1, ring, turn),
           true)) ||
         ...);
}

template <class Memory, class Finish>
__device__ __forceinline__ void multiply_tiles(Memory& memory, const Parameters& p,
                                               const Finish& finish, int group) {
  constexpr bool Turns = Memory::Turns;
  const TileStarts starts = memory.starts(p);
  const int steps = (p.in + kDepth - 1) / kDepth;
  const int a0 = Turns ? 0 : group, a1 = Turns ? 1 : group + 2;
  TileWalk walk;
  ProductTile tile;
  Ring<Memory::Stages> ring;
  std::uint32_t turn = group == 0;  // the first turn of group 0 has been given
  if (Turns && group == 1) { ring.skip(steps); }
  for (int number = int(blockIdx.x) + (Turns ? group * p.blocks : 0);
       walk.find(number, starts, tile); number += (Turns ? 2 : 1) * p.blocks) {
    multiply_tile_of(memory, p, finish, tile, a0, a1, ring, turn, kAllSizes);
    if (Turns) { ring.skip(steps); }
    turn ^= 1;
  }
}

template <int Atoms, int Stages, class Finish>
__global__ void __launch_bounds__(kBlock, 1)
    product_kernel(const Parameters p, const KAPPASCOPE_GRID_CONSTANT Finish finish,
                   const KAPPASCOPE_GRID_CONSTANT Maps maps) {
  KAPPASCOPE_DYNAMIC_SHARED(unsigned char, shared);
  using OfBlock = Memory<Atoms, Stages, Finish>;
  auto& memory =
      *reinterpret_cast<OfBlock*>((reinterpret_cast<std::uintptr_t>(shared) + 1023) / 1024 * 1024);
  if (int(threadIdx.x) == kWarp) {
    for (int s = 0; s < Stages; ++s) {
      memory.full[s].init(1);
      memory.empty[s].init(OfBlock::Turns ? 1 : 2);
    }
    memory.turn[0].init(1);
    memory.turn[1].init(1);
    wgmma::publish_barriers();
  }
  if (int(threadIdx.x) < kWarp) { find_starts(memory, p); }
  __syncthreads();
  const int group = __shfl_sync(kAllLanes, int(threadIdx.x) / kGroup, 0);
  if (group == 0) {
    wgmma::give_registers();
    if (threadIdx.x == 0) { copy_tiles(memory, p, maps); }
  } else {
    wgmma::take_registers();
    multiply_tiles(memory, p, finish, group - 1);
  }
}

int make_maps(const WgmmaProductArgs& args, Maps& maps) {
  const auto in = std::uint64_t(args.in), out = std::uint64_t(args.out);
  int error =
      wgmma::make_map(maps.weight, args.weight, out, in, std::uint64_t(args.experts), kDepth);
  for (int i = 0; i < kTileSizes && !error; ++i) {
    error = wgmma::make_map(maps.x[i], args.x, in, std::uint64_t(args.rows), 0, tile_size_at(i));
  }
  return error;
}

template <int Atoms, int Stages, class Finish>
int launch_product(const WgmmaProductArgs& args, const Finish& finish, int multiprocessors,
                   CudaStream stream) {
  using OfBlock = Memory<Atoms, Stages, Finish>;
  constexpr int kBytes = int(sizeof(OfBlock)) + 1024;  // to begin at a multiple of 1,024
  static_assert(kBytes <= 227 * 1024);
  Maps maps;
  int error = make_maps(args, maps);
  if (error) { return error; }
  const std::int64_t columns = (args.out + OfBlock::Width - 1) / OfBlock::Width;
  const std::int64_t most = columns * (args.rows / kMostTileRows + args.experts);  // tiles
  const int blocks = int(most < multiprocessors ? most : multiprocessors);
  const Parameters p{args.ends,     int(args.experts), int(args.in),
                     int(args.out), int(columns),      blocks};
  const auto kernel = product_kernel<Atoms, Stages, Finish>;
  error = wgmma::allow_shared(kernel, kBytes);
  if (error) { return error; }
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(unsigned(blocks));
  config.blockDim = dim3(kBlock);
  config.dynamicSmemBytes = kBytes;
  config.stream = stream;
  return launch(config, kernel, p, finish, maps);
}

bool fits(const WgmmaProductArgs& args) {
  return args.experts <= kMostWgmmaExperts && args.in % 8 == 0 && args.out % 8 == 0;
}

// One group finishes a tile while the other multiplies.
template <KappaCase Case>
int launch_swiglu(const WgmmaProductArgs& args, const GroupedSwigluArgs& swiglu,
                  int multiprocessors, CudaStream stream) {
  return launch_product<2, 4>(args, SwigluFinish<Case>{swiglu}, multiprocessors, stream);
}

}  // namespace

bool has_wgmma_product() {
  return true;
}

int wgmma_product_cuda(const WgmmaProductArgs& args, int multiprocessors, CudaStream stream) {
  if (!fits(args)) { return int(cudaErrorInvalidValue); }
  if (args.rows == 0) { return 0; }
  const ProductFinish finish{static_cast<BFloat16*>(args.y), int(args.out)};
  return args.out > args.in ? launch_product<2, 6>(args, finish, multiprocessors, stream)
                            : launch_product<4, 4>(args, finish, multiprocessors, stream);
}

bool wgmma_swiglu_takes(const GroupedSwigluArgs& swiglu) {
  const ProductView& z = swiglu.gate_pre;
  const KappaCase of = kappa_case(swiglu);
  return !swiglu.stats && (of == KappaCase::fixed || of == KappaCase::per_gate) &&
         z.partials == 0 && z.element == Element::bfloat16 && swiglu.element == Element::bfloat16;
}

int wgmma_swiglu_cuda(const WgmmaProductArgs& args, const GroupedSwigluArgs& swiglu,
                      int multiprocessors, CudaStream stream) {
  if (!fits(args) || !wgmma_swiglu_takes(swiglu)) { return int(cudaErrorInvalidValue); }
  if (args.rows == 0) { return 0; }
  return kappa_case(swiglu) == KappaCase::fixed
             ? launch_swiglu<KappaCase::fixed>(args, swiglu, multiprocessors, stream)
             : launch_swiglu<KappaCase::per_gate>(args, swiglu, multiprocessors, stream);
}

}  // namespace kappascope

#else

namespace kappascope {

bool has_wgmma_product() {
  return false;
}
int wgmma_product_cuda(const WgmmaProductArgs&, int, CudaStream) {
  return 1;  // an invalid value: nobody calls it
}
bool wgmma_swiglu_takes(const GroupedSwigluArgs&) {
  return false;
}
int wgmma_swiglu_cuda(const WgmmaProductArgs&, const GroupedSwigluArgs&, int, CudaStream) {
  return 1;
}

}  // namespace kappascope

#endif
