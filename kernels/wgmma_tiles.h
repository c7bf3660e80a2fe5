// How the tiles of wgmma_product cover the rows of all experts, for the kernel and the CPU.
//
// The rows of an expert are cut into as few tiles as kMostTileRows allows, of one size that the
// matrix instruction has; only the last may be smaller. Of one expert the row tiles of a column
// come one after another, so that what reads the same weights runs at the same time.
#pragma once

#include "kernels/kappa_math.h"

namespace kappascope {

constexpr int kMostTileRows = 144;

// The sizes: 32, 64, 96, 112, 128, 144.
constexpr int kTileSizes = 6;
KAPPASCOPE_HOST_DEVICE constexpr int tile_size_at(int index) {
  return index < 3 ? 32 * (index + 1) : 64 + 16 * index;
}
// The least that holds `rows`, 1 to kMostTileRows.
KAPPASCOPE_HOST_DEVICE constexpr int tile_size_index(int rows) {
  return rows <= 96 ? (rows - 1) / 32 : rows <= 112 ? 3 : (rows - 49) / 16;
}
KAPPASCOPE_HOST_DEVICE constexpr int tile_size(int rows) {
  return tile_size_at(tile_size_index(rows));
}
// Row tiles of an expert with so many rows.
KAPPASCOPE_HOST_DEVICE constexpr int row_tiles(int rows) {
  return (rows + kMostTileRows - 1) / kMostTileRows;
}

struct ProductTile {
  int expert, first, rows;  // rows [first, first + rows)
  int size;                 // of the instruction, ≥ rows
  int column;               // counted in tiles
};

// Where the tiles of each expert start, [E+1] each.
struct TileStarts {
  const int* tile;  // row tiles of the experts before
  const int* row;   // rows of the experts before
  int experts, columns;
};

// Finds tiles by number, which must not decrease from call to call.
class TileWalk {
 public:
  // False past the last one.
  KAPPASCOPE_HOST_DEVICE bool find(int number, const TileStarts& starts, ProductTile& tile) {
    if (number >= starts.tile[starts.experts] * starts.columns) { return false; }
    while (number >= starts.tile[expert_ + 1] * starts.columns) { ++expert_; }
    const int tiles = starts.tile[expert_ + 1] - starts.tile[expert_];
    const int local = number - starts.tile[expert_] * starts.columns;
    const int begin = starts.row[expert_], rows = starts.row[expert_ + 1] - begin;
    const int step = tile_size((rows + tiles - 1) / tiles), skipped = local % tiles * step;
    tile.expert = expert_;
    tile.first = begin + skipped;
    tile.rows = rows - skipped < step ? rows - skipped : step;
    tile.size = tile_size(tile.rows);
    tile.column = local / tiles;
    return true;
  }

 private:
  int expert_ = 0;
};

}  // namespace kappascope
