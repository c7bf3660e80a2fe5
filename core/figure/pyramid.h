// The cells of a heat map as colours at every halving of rows and of columns, so that a window
// draws only what is visible and touches no more cells than pixels.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/figure/figure.h"

namespace kappascope {

// Rows and columns are halved independently until at most kFewCells are left: a map of 48 rows and
// 4,096 columns has one row level and seven column levels. Level (r, c) has ⌈rows / 2^r⌉ ×
// ⌈columns / 2^c⌉ pixels, and pixel (i, j) is of the cells from (i·2^r, j·2^c) on. Every pair
// of levels is kept, one byte a pixel: at most four bytes a cell of the map. Blocks of cells are
// averaged as in pictures (MeanBlock, FewBlock, ManyBlock), each from the cells themselves.
class CellPyramid {
 public:
  static constexpr std::int64_t kFewCells = 64;

  // Reads the map once; large ones on two threads. `map` is not needed afterwards.
  explicit CellPyramid(const HeatMap& map);

  int row_levels() const { return row_levels_; }  // ≥ 1
  int column_levels() const { return column_levels_; }
  std::int64_t rows(int row_level) const { return halved(rows_, row_level); }
  std::int64_t columns(int column_level) const { return halved(columns_, column_level); }
  bool averaged(int row_level, int column_level) const { return row_level + column_level > 0; }

  // Writes the pixels of level (row_level, column_level) from (row, column) on, `rows` × `columns`
  // of them, to rgba[(i − row) · stride + j − column]: bytes R, G, B, A in memory, A 255. Row 0 is
  // row 0 of the map. What is outside the level is left as it is.
  void pixels(int row_level, int column_level, std::int64_t row, std::int64_t column,
              std::int64_t rows, std::int64_t columns, std::uint32_t* rgba,
              std::int64_t stride) const;

 private:
  static std::int64_t halved(std::int64_t size, int level) {
    return (size + (std::int64_t{1} << level) - 1) >> level;
  }
  std::uint8_t* level(int row_level, int column_level) const {
    const std::int64_t at = std::int64_t{row_level} * column_levels_ + column_level;
    return levels_[at].get();
  }
  template <typename Block>
  class Builder;
  template <typename Block>
  void build(const HeatMap& map, const class ColourIndexer& colours);

  std::int64_t rows_, columns_;
  int row_levels_ = 1, column_levels_ = 1;
  std::vector<std::unique_ptr<std::uint8_t[]>> levels_;  // index of the palette, row by row
  std::vector<std::uint32_t> palette_;                   // [256]
};

}  // namespace kappascope
