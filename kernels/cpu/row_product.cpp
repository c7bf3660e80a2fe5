// Products of few rows with a matrix that is read once, in the order of memory.
//
//   y[r,:] = Σ_k x[r,k] · W[k,:]
//
// A tile is kDepth rows of W by a block of columns. Its running sums stay in the first cache; each
// pair of vectors of W is loaded once and multiplied with every row of x, so that at eight rows the
// multipliers are busy. With one row the memory is. Where rows of W are short, several of a tile
// lie in one page, which memory gives slower than a page read in its order: a tile is a row of W
// then. The sums are added in the same order.
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/vector.h"
#include "kernels/kernels.h"

namespace kappascope::KAPPASCOPE_ISA {
namespace {

// Its rows of a pair of vectors, two sums and a number of x fill the 16 (AVX-512: 32) registers.
constexpr int kDepth = kLanes == 16 ? 12 : 6;
constexpr std::int64_t kPair = 2 * kVector;
constexpr std::int64_t kSums = 4096;      // floats of running sums, 16 KB
constexpr std::int64_t kMostRows = 64;    // of one pass over W
constexpr std::int64_t kShortRow = 2048;  // bytes; measured: 2,048 gain, 3,072 do not, 6,144 lose
constexpr std::int64_t kAhead = 8192;     // multiplications between fetching a weight and its use

// x as [in/kDepth, rows, kDepth], so that a tile reads it in order.
void pack(const RowProductArgs& args, std::int64_t first, std::int64_t rows, float* packed) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t row = args.row_index ? args.row_index[first + r] : first + r;
    const float* x = args.x + row * args.x_stride;
    const std::int64_t whole = args.in / kDepth * kDepth;
    for (std::int64_t k = 0; k < whole; k += kDepth) {
      std::memcpy(packed + k * rows + r * kDepth, x + k, kDepth * sizeof(float));
    }
    for (std::int64_t k = whole; k < args.in; ++k) {
      packed[whole * rows + r * kDepth + (k - whole)] = x[k];
    }
  }
}

template <typename Weight>  // float, or the bits of bfloat16, which are widened as they are loaded
struct Tile {
  const Weight* weight;  // first of its rows and columns
  std::int64_t stride;
  std::int64_t columns;
  const float* x;  // [rows, kDepth]
  std::int64_t rows;
  const Weight* next;  // where the next tile's weights begin
};

// sums [columns/kPair, rows, kPair] += x · tile
template <int kRows, typename Weight>
KAPPASCOPE_INLINE void add_pair(const Tile<Weight>& tile, const Vec (&low)[kRows],
                                const Vec (&high)[kRows], float* sums) {
  for (std::int64_t r = 0; r < tile.rows; ++r) {
    const float* x = tile.x + r * kDepth;
    float* to = sums + r * kPair;
    Vec first = load(to), second = load(to + kVector);
    for (int k = 0; k < kRows; ++k) {
      first += x[k] * low[k];
      second += x[k] * high[k];
    }
    store(to, first);
    store(to + kVector, second);
  }
}

template <int kRows, typename Weight>
void add_tile(const Tile<Weight>& tile, float* sums) {
  const std::int64_t whole = tile.columns / kPair * kPair;
  Vec low[kRows], high[kRows];
  for (std::int64_t c = 0; c < whole; c += kPair) {
    for (int k = 0; k < kRows; ++k) {
      const Weight* from = tile.weight + k * tile.stride + c;
      low[k] = load(from);
      high[k] = load(from + kVector);
      __builtin_prefetch(tile.next + k * tile.stride + c);
    }
    add_pair<kRows>(tile, low, high, sums + c * tile.rows);
  }
  if (whole == tile.columns) { return; }
  for (int k = 0; k < kRows; ++k) {
    Weight padded[kPair] = {};
    std::memcpy(padded, tile.weight + k * tile.stride + whole,
                static_cast<std::size_t>(tile.columns - whole) * sizeof(Weight));
    low[k] = load(padded);
    high[k] = load(padded + kVector);
  }
  add_pair<kRows>(tile, low, high, sums + whole * tile.rows);
}

// sums [columns] += x · row
template <typename Weight>
void add_row(const Weight* row, float x, std::int64_t columns, float* sums) {
  const std::int64_t whole = columns / kVector * kVector;
  for (std::int64_t c = 0; c < whole; c += kVector) {
    store(sums + c, load(sums + c) + x * load(row + c));
  }
  if (whole == columns) { return; }
  Weight padded[kVector] = {};
  std::memcpy(padded, row + whole, static_cast<std::size_t>(columns - whole) * sizeof(Weight));
  store(sums + whole, load(sums + whole) + x * load(padded));
}

// A tile of what is left of W, fewer than kRows rows.
template <int kRows, typename Weight>
void add_last_tile(std::int64_t depth, const Tile<Weight>& tile, float* sums) {
  if constexpr (kRows > 1) {
    if (depth == kRows - 1) {
      add_tile<kRows - 1>(tile, sums);
    } else {
      add_last_tile<kRows - 1>(depth, tile, sums);
    }
  }
}

void write_block(const RowProductArgs& args, const float* sums, std::int64_t first,
                 std::int64_t rows, std::int64_t column, std::int64_t columns) {
  for (std::int64_t r = 0; r < rows; ++r) {
    float* y = args.y + (first + r) * args.y_stride + column;
    for (std::int64_t c = 0; c < columns; c += kPair) {
      const std::int64_t count = columns - c < kPair ? columns - c : kPair;
      std::memcpy(y + c, sums + c * rows + r * kPair,
                  static_cast<std::size_t>(count) * sizeof(float));
    }
  }
}

// sums [columns/kPair, rows, kPair] += x · the columns of W from `weight` on.
template <typename Weight>
void add_tiles(const RowProductArgs& args, const Weight* weight, std::int64_t columns,
               std::int64_t rows, const float* packed, float* sums) {
  const std::int64_t tiles = kAhead / (rows * columns * kDepth);
  const std::int64_t ahead = kDepth * (tiles > 1 ? tiles : 1);
  std::int64_t k = 0;
  for (; k + kDepth <= args.in; k += kDepth) {
    const Weight* here = weight + k * args.weight_stride;
    const std::int64_t fetched = k + ahead + kDepth <= args.in ? k + ahead : k;
    const Weight* next = weight + fetched * args.weight_stride;
    add_tile<kDepth>(Tile<Weight>{here, args.weight_stride, columns, packed + k * rows, rows, next},
                     sums);
  }
  const Weight* here = weight + k * args.weight_stride;
  add_last_tile<kDepth>(
      args.in - k, Tile<Weight>{here, args.weight_stride, columns, packed + k * rows, rows, here},
      sums);
}

template <typename Weight>
void multiply(const RowProductArgs& args, const Weight* matrix, std::int64_t first,
              std::int64_t rows, const float* packed, float* sums) {
  const std::int64_t block =
      kSums / rows / kPair * kPair > kPair ? kSums / rows / kPair * kPair : kPair;
  for (std::int64_t column = 0; column < args.out; column += block) {
    const std::int64_t columns = args.out - column < block ? args.out - column : block;
    const std::int64_t padded = (columns + kPair - 1) / kPair * kPair;
    std::memset(sums, 0, static_cast<std::size_t>(padded * rows) * sizeof(float));
    const Weight* weight = matrix + column;
    const bool in_order = columns == args.weight_stride;  // not a share of the columns
    if (rows == 1 && in_order && columns * std::int64_t(sizeof(Weight)) <= kShortRow) {
      for (std::int64_t k = 0; k < args.in; ++k) {
        add_row(weight + k * args.weight_stride, packed[k], columns, sums);
      }
    } else {
      add_tiles(args, weight, columns, rows, packed, sums);
    }
    write_block(args, sums, first, rows, column, columns);
  }
}

}  // namespace

void row_product(const RowProductArgs& args) {
  const std::int64_t most = args.rows < kMostRows ? args.rows : kMostRows;
  const std::int64_t depth = (args.in + kDepth - 1) / kDepth * kDepth;
  const std::int64_t packed = (most * depth + 15) / 16 * 16;
  const Scratch scratch(packed + kSums + kMostRows * kPair);
  for (std::int64_t first = 0; first < args.rows; first += kMostRows) {
    const std::int64_t rows = args.rows - first < kMostRows ? args.rows - first : kMostRows;
    pack(args, first, rows, scratch.data);
    if (args.weight_bits) {
      multiply(args, args.weight_bits, first, rows, scratch.data, scratch.data + packed);
    } else {
      multiply(args, args.weight, first, rows, scratch.data, scratch.data + packed);
    }
  }
}

}  // namespace kappascope::KAPPASCOPE_ISA
