// What wgmma_product makes of the sums of a tile: y, or hidden of κ-SwiGLU.
//
// A finish is a parameter of the kernel; `Room` is what it needs in shared memory for each group of
// four warps. A group calls `begin` before it multiplies a tile, so that what is read for it comes
// closer, and `write` when the sums are there, in registers as multiply_add of wgmma.h says.
// `column0` and `column1` are the first columns of the two atoms that they are of; `turn` is 0 and
// 1 in turn, tile after tile. For wgmma_product.cu only.
#pragma once

#include "kernels/gate_row.h"
#include "kernels/wgmma_tiles.h"

namespace kappascope {

constexpr int kAtom = 64;    // columns of one instruction
constexpr int kGroup = 128;  // threads
constexpr int kPatch = 16;   // rows, and columns of a warp: of an atom each of the four has some
constexpr int kPackWidth = 8;
using FinishPack = Chunk<kPackWidth, BFloat16>;

// 16 rows × 16 columns of a warp, its sums 8·j to 8·j + 7, rounded into shared memory: row after
// row, `line` bytes from one to the next.
template <int N>
__device__ __forceinline__ void store_patch(const float (&sum)[N], int j, unsigned char* to,
                                            int line) {
  std::uint32_t words[4];  // pairs of rows of (rows 0–7, columns 0–7), (0–7, 8–15), (8–15, 0–7), …
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float pair[2] = {sum[8 * j + 2 * i], sum[8 * j + 2 * i + 1]};
    words[i] = narrow_chunk<2, BFloat16>(pair).word[0];
  }
  const int lane = int(threadIdx.x) % kWarp, block = lane / 8;
  wgmma::store_blocks(to + (block / 2 * 8 + lane % 8) * line + block % 2 * 16, words);
}

// y = the sums, patch by patch.
struct ProductFinish {
  BFloat16* y;  // [rows,out]
  int out;

  struct alignas(16) Room {
    // 48 bytes a line, of which 32 are used: 8 lines are then in different banks.
    static constexpr int kLine = 48;
    unsigned char patch[kGroup / kWarp][2][kPatch * kLine];
  };

  __device__ void begin(const ProductTile&, Room&, int, std::uint32_t) const {}

  template <int N>
  __device__ __forceinline__ void write(const ProductTile& tile, Room& room, const float (&sum0)[N],
                                        const float (&sum1)[N], int column0, int column1,
                                        std::uint32_t) const {
    const int warp = int(threadIdx.x) % kGroup / kWarp;
#pragma unroll
    for (int j = 0; j < N / 8; ++j) {
      write_patch(tile, j, room.patch[warp][0], sum0, column0 + warp * kPatch);
      write_patch(tile, j, room.patch[warp][1], sum1, column1 + warp * kPatch);
    }
  }
  template <int N>
  __device__ __forceinline__ void write_patch(const ProductTile& tile, int j, unsigned char* patch,
                                              const float (&sum)[N], int column) const {
    store_patch(sum, j, patch, Room::kLine);
    __syncwarp();
    const int lane = int(threadIdx.x) % kWarp, line = lane / 2, half = lane % 2;
    const int row = kPatch * j + line, first = column + kPackWidth * half;
    if (row < tile.rows && first < out) {
      const auto* from = reinterpret_cast<const BFloat16*>(patch + line * Room::kLine + half * 16);
      store_chunk(load_chunk<kPackWidth>(from), y + std::int64_t(tile.first + row) * out + first);
    }
  }
};

// hidden = z·σ(κz) ∘ up, where up are the sums, rounded like a product that is written. The whole
// tile is in shared memory first: a thread then has the same columns in all of its rows, whose α
// and b it reads once, and a warp writes whole lines.
template <KappaCase Case>
struct SwigluFinish {
  GroupedSwigluArgs args;  // of the piece; `up` is not read

  static constexpr int kWidth = 2 * kAtom;  // columns of a tile
  struct alignas(16) Room {
    static constexpr int kLine = 2 * kWidth + 16;  // bytes
    unsigned char up[kMostTileRows * kLine];
    float score[2][kMostTileRows];
  };

  __device__ __forceinline__ void begin(const ProductTile& tile, Room& room, int column0,
                                        std::uint32_t turn) const {
    constexpr int kLine = 64, kLines = kWidth / kLine;  // elements of a line of the cache
#pragma unroll 1
    for (int i = thread(); i < tile.rows * kLines; i += kGroup) {
      const int column = column0 + i % kLines * kLine;
      if (column < args.gates) { prefetch_line(z() + element(tile, i / kLines, column)); }
    }
    if constexpr (Case != KappaCase::fixed) {
      const KappaView kappa = args.kappa.at_expert(tile.expert);
      constexpr int kFloats = 32;  // of a line
      const int column = column0 + thread() * kFloats;
      if (thread() < kWidth / kFloats && column < args.gates) {
        prefetch_line(kappa.bias + column);
        prefetch_line(kappa.scale + column);
      }
#pragma unroll 1  // unrolled it takes registers from the sums
      for (int row = thread(); row < tile.rows; row += kGroup) {
        room.score[turn][row] = score(tile, row);
      }
    }
  }

  template <int N>
  __device__ __forceinline__ void write(const ProductTile& tile, Room& room, const float (&sum0)[N],
                                        const float (&sum1)[N], int column0, int,
                                        std::uint32_t turn) const {
    wgmma::group_barrier();  // all have read what the tile before left
    unsigned char* to = room.up + 2 * (thread() / kWarp) * kPatch;
#pragma unroll
    for (int j = 0; j < N / 8; ++j) {
      store_patch(sum0, j, to + j * kPatch * Room::kLine, Room::kLine);
      store_patch(sum1, j, to + j * kPatch * Room::kLine + 2 * kAtom, Room::kLine);
    }
    wgmma::group_barrier();
    const int pack = thread() % kPacks * kPackWidth;
    if (column0 + pack < args.gates) {
      write_rows(tile, room.up + 2 * pack, room.score[turn], column0 + pack);
    }
  }

 private:
  // Packs of a row; rows that the group has at a time; rows of a thread whose z is on its way.
  static constexpr int kPacks = kWidth / kPackWidth, kRows = kGroup / kPacks, kAhead = 2;

  // The packs at `column` of all rows; `up` is that of the first one.
  __device__ __forceinline__ void write_rows(const ProductTile& tile, const unsigned char* up,
                                             const float* scores, int column) const {
    const KappaView kappa = args.kappa.at_expert(tile.expert);
    GateRow of_row{0, 0, tile.expert, args.score_constant, kappa.bias, kappa.scale, nullptr};
    const KappaLoads<kPackWidth, Case> loads(args.kappa, of_row, column);
    const std::int64_t stride = kRows * args.gates;
    int row = thread() / kPacks;
    std::int64_t at = element(tile, row, column);
    FinishPack ahead[kAhead];
    const auto fetch = [&](int n, int rows_on) {
      if (row + rows_on * kRows < tile.rows) {
        ahead[n] = load_chunk<kPackWidth>(z() + at + rows_on * stride);
      }
    };
#pragma unroll
    for (int n = 0; n < kAhead; ++n) { fetch(n, n); }
#pragma unroll 1  // short code: more of it, with more on its way, took longer
    for (; row < tile.rows; row += kRows, at += stride) {
      float z_of[kPackWidth], up_of[kPackWidth], hidden[kPackWidth];
      widen_chunk<kPackWidth, BFloat16>(ahead[0], z_of);
#pragma unroll
      for (int n = 0; n + 1 < kAhead; ++n) { ahead[n] = ahead[n + 1]; }
      fetch(kAhead - 1, kAhead);
      load_values<kPackWidth>(reinterpret_cast<const BFloat16*>(up + row * Room::kLine), up_of);
      if constexpr (Case != KappaCase::fixed) { of_row.score = scores[row]; }
#pragma unroll
      for (int w = 0; w < kPackWidth; ++w) {
        const GateKappa k =
            gate_kappa<Case>(args.kappa, of_row, loads.bias[w], loads.scale[w], z_of[w]);
        hidden[w] = z_of[w] * fast_sigmoid(k.kappa * z_of[w]) * up_of[w];
      }
      store_values<kPackWidth>(hidden, static_cast<BFloat16*>(args.hidden) + at);
    }
  }
  __device__ static int thread() { return int(threadIdx.x) % kGroup; }
  __device__ const BFloat16* z() const { return static_cast<const BFloat16*>(args.gate_pre.data); }
  __device__ std::int64_t element(const ProductTile& tile, int row, int column) const {
    return std::int64_t(tile.first + row) * args.gates + column;
  }
  __device__ float score(const ProductTile& tile, int row) const {
    if (!args.score) { return args.score_constant; }
    return args.score[args.row_cell[args.first_row + tile.first + row]];
  }
};

}  // namespace kappascope
