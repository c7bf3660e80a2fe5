#include "core/figure/pyramid.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <future>

#include "core/figure/cells.h"

namespace kappascope {
namespace {

constexpr std::int64_t kCellsForTwo = std::int64_t{1} << 18;  // fewer are not worth a thread

int levels_for(std::int64_t size) {
  int levels = 1;
  for (; size > CellPyramid::kFewCells; size = (size + 1) / 2) { ++levels; }
  return levels;
}

}  // namespace

// Makes every level of some columns of the map. Rows go through like a binary counter: each row
// level keeps one row of blocks until its neighbour is complete, and every row of blocks is halved
// along the columns as it appears.
template <typename Block>
class CellPyramid::Builder {
 public:
  Builder(const CellPyramid& pyramid, const HeatMap& map, const ColourIndexer& colours,
          std::int64_t first, std::int64_t end)
      : pyramid_(pyramid), map_(map), colours_(colours), first_(first), end_(end) {
    const auto width = static_cast<std::size_t>(end - first);
    waiting_.assign(static_cast<std::size_t>(pyramid.row_levels_), std::vector<Block>(width));
    halves_.resize(width);
  }

  void run() {
    std::vector<Block> row(halves_.size());
    for (std::int64_t r = 0; r < map_.rows; ++r) {
      const float* cells = map_.cells.data() + r * map_.columns + first_;
      std::uint8_t* out = pyramid_.level(0, 0) + r * map_.columns + first_;
      for (std::size_t j = 0; j < row.size(); ++j) {
        out[j] = colours_(cells[j]);
        row[j] = {};
        row[j].add(out[j]);
      }
      take(0, r, row);
    }
  }

 private:
  void take(int row_level, std::int64_t r, std::vector<Block>& row) {
    emit(row_level, r, row);
    if (row_level + 1 == pyramid_.row_levels_) { return; }
    std::vector<Block>& other = waiting_[row_level];
    if (r % 2 == 1) {
      for (std::size_t j = 0; j < row.size(); ++j) { row[j].add(other[j]); }
    } else if (r + 1 < pyramid_.rows(row_level)) {
      std::swap(row, other);
      return;
    }
    take(row_level + 1, r / 2, row);
  }

  void emit(int row_level, std::int64_t r, const std::vector<Block>& row) {
    std::size_t width = row.size();
    const Block* from = row.data();
    for (int c = 0;; ++c) {
      std::uint8_t* out = pyramid_.level(row_level, c) + r * pyramid_.columns(c) + (first_ >> c);
      if (row_level + c > 0) {
        for (std::size_t j = 0; j < width; ++j) { out[j] = from[j].index(); }
      }
      if (c + 1 == pyramid_.column_levels_) { return; }
      for (std::size_t j = 0; j < width / 2; ++j) {
        Block sum = from[2 * j];
        sum.add(from[2 * j + 1]);
        halves_[j] = sum;
      }
      if (width % 2 == 1) { halves_[width / 2] = from[width - 1]; }
      width = (width + 1) / 2;
      from = halves_.data();
    }
  }

  const CellPyramid& pyramid_;
  const HeatMap& map_;
  const ColourIndexer& colours_;
  std::int64_t first_, end_;
  std::vector<std::vector<Block>> waiting_;  // [row levels]
  std::vector<Block> halves_;
};

// ManyBlock is too large to be added up: every level counts its own cells instead.
template <>
class CellPyramid::Builder<ManyBlock> {
 public:
  Builder(const CellPyramid& pyramid, const HeatMap& map, const ColourIndexer& colours,
          std::int64_t first, std::int64_t end)
      : pyramid_(pyramid), map_(map), colours_(colours), first_(first), end_(end) {}

  void run() {
    for (std::int64_t r = 0; r < map_.rows; ++r) {
      std::uint8_t* out = pyramid_.level(0, 0) + r * map_.columns;
      for (std::int64_t c = first_; c < end_; ++c) {
        out[c] = colours_(map_.cells[r * map_.columns + c]);
      }
    }
    for (int r = 0; r < pyramid_.row_levels(); ++r) {
      for (int c = 0; c < pyramid_.column_levels(); ++c) {
        if (r + c > 0) { make(r, c); }
      }
    }
  }

 private:
  void make(int row_level, int column_level) {
    std::uint8_t* out = pyramid_.level(row_level, column_level);
    const std::int64_t rows = std::int64_t{1} << row_level,
                       columns = std::int64_t{1} << column_level;
    for (std::int64_t r = 0; r < map_.rows; r += rows) {
      for (std::int64_t c = first_; c < end_; c += columns) {
        for (std::int64_t i = r; i < std::min(map_.rows, r + rows); ++i) {
          const std::uint8_t* cells = pyramid_.level(0, 0) + i * map_.columns;
          for (std::int64_t j = c; j < std::min(end_, c + columns); ++j) { add(cells[j]); }
        }
        out[(r >> row_level) * pyramid_.columns(column_level) + (c >> column_level)] = take();
      }
    }
  }

  void add(std::uint8_t index) {
    if (count_[index]++ == 0) { seen_[kinds_++] = index; }
    sum_ += index;
  }

  // What ManyBlock::index gives of the cells added; starts anew.
  std::uint8_t take() {
    std::uint32_t most = 0;
    for (std::size_t k = 0; k < kinds_; ++k) { most = std::max(most, count_[seen_[k]]); }
    std::size_t equals = 0;
    for (std::size_t k = 0; k < kinds_; ++k) {
      if (count_[seen_[k]] == most) { equals_[equals++] = seen_[k]; }
      count_[seen_[k]] = 0;
    }
    const auto chosen = equals_.begin() + static_cast<std::ptrdiff_t>(any_of_equals(sum_, equals));
    std::nth_element(equals_.begin(), chosen,
                     equals_.begin() + static_cast<std::ptrdiff_t>(equals));
    kinds_ = 0;
    sum_ = 0;
    return *chosen;
  }

  const CellPyramid& pyramid_;
  const HeatMap& map_;
  const ColourIndexer& colours_;
  std::int64_t first_, end_;
  std::array<std::uint32_t, 256> count_{};
  std::array<std::uint8_t, 256> seen_{}, equals_{};
  std::size_t kinds_ = 0;
  std::uint64_t sum_ = 0;
};

template <typename Block>
void CellPyramid::build(const HeatMap& map, const ColourIndexer& colours) {
  // Each thread takes whole blocks of the coarsest level.
  const std::int64_t coarsest = std::int64_t{1} << (column_levels_ - 1);
  const std::int64_t middle = (columns_ / 2 + coarsest - 1) / coarsest * coarsest;
  const auto make = [&](std::int64_t first, std::int64_t end) {
    Builder<Block>(*this, map, colours, first, end).run();
  };
  if (rows_ * columns_ < kCellsForTwo || middle >= columns_) { return make(0, columns_); }
  std::future<void> other = std::async(std::launch::async, [&] { make(middle, columns_); });
  make(0, middle);
  other.get();
}

CellPyramid::CellPyramid(const HeatMap& map)
    : rows_(map.rows),
      columns_(map.columns),
      row_levels_(levels_for(map.rows)),
      column_levels_(levels_for(map.columns)) {
  const ColourMap colours(map.colours, map.cells);
  palette_.resize(256);
  const std::vector<Colour> palette = colours.palette();
  for (std::size_t i = 0; i < palette.size(); ++i) {
    const std::uint8_t bytes[] = {palette[i].red, palette[i].green, palette[i].blue, 255};
    std::memcpy(&palette_[i], bytes, sizeof bytes);
  }
  for (int r = 0; r < row_levels_; ++r) {
    for (int c = 0; c < column_levels_; ++c) {
      const auto size = static_cast<std::size_t>(rows(r) * columns(c));
      levels_.push_back(std::make_unique_for_overwrite<std::uint8_t[]>(size));
    }
  }
  if (rows_ == 0 || columns_ == 0) { return; }
  const ColourIndexer indexer(colours);
  if (colours.categorical() && map.colours.has_bar()) {
    build<ManyBlock>(map, indexer);
  } else if (colours.categorical()) {
    build<FewBlock>(map, indexer);
  } else {
    build<MeanBlock>(map, indexer);
  }
}

void CellPyramid::pixels(int row_level, int column_level, std::int64_t row, std::int64_t column,
                         std::int64_t rows_asked, std::int64_t columns_asked, std::uint32_t* rgba,
                         std::int64_t stride) const {
  const std::int64_t width = columns(column_level);
  const std::int64_t first_row = std::max<std::int64_t>(0, row);
  const std::int64_t first_column = std::max<std::int64_t>(0, column);
  const std::int64_t end_row = std::min(rows(row_level), row + rows_asked);
  const std::int64_t end_column = std::min(width, column + columns_asked);
  const std::uint8_t* from = level(row_level, column_level);
  for (std::int64_t i = first_row; i < end_row; ++i) {
    for (std::int64_t j = first_column; j < end_column; ++j) {
      rgba[(i - row) * stride + j - column] = palette_[from[i * width + j]];
    }
  }
}

}  // namespace kappascope
