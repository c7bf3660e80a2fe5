// From values to coloured cells: rectangles when few, one picture when many.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "core/figure/figure.h"
#include "core/figure/scene.h"

namespace kappascope {

inline constexpr std::int64_t kMostVectorCells = 20000;

// A colour scale with its ends settled.
class ColourMap {
 public:
  // Ends that `scale` leaves open are those of the finite `values`; a diverging scale reaches
  // equally far on both sides of its centre.
  ColourMap(const ColourScale& scale, const std::vector<float>& values);

  bool any_value() const { return any_value_; }
  bool any_missing() const { return any_missing_; }
  bool any_under() const { return any_under_; }    // ≤ 0 on a log scale, < 0 on a categorical one
  bool any_beyond() const { return any_beyond_; }  // outside ends that were given
  bool log() const { return scale_.log; }
  bool categorical() const { return scale_.kind == ColourKind::categorical; }
  double low() const { return low_; }
  double high() const { return high_; }

  double share(double value) const;  // place on the colour bar, 0 … 1; not cut
  Colour at(double share) const;     // of a place on the colour bar
  Colour colour(double value) const;
  Colour under_colour() const;

  // The same as 256 colours: index 0 no value, 1 under, 2…255 along the bar.
  std::vector<Colour> palette() const;
  std::uint8_t index(double value) const;

 private:
  friend class ColourIndexer;
  bool under(double value) const;

  const ColourScale& scale_;
  bool many() const;                 // categories along a bar
  double place(double value) const;  // its logarithm where the scale is logarithmic

  double low_ = 0, high_ = 1;
  double reach_ = 1;  // diverging: from the centre to the further end, in places
  bool any_value_ = false, any_missing_ = false, any_under_ = false, any_beyond_ = false;
};

// ColourMap::index of many values without a logarithm or a division each. Holds on to the map.
class ColourIndexer {
 public:
  explicit ColourIndexer(const ColourMap& colours);

  std::uint8_t operator()(float value) const {
    if (!std::isfinite(value)) { return 0; }
    if (start_.empty()) {
      return colours_.index(value);  // categories
    }
    if (positive_ && value <= 0) { return 1; }
    const std::int64_t place = std::clamp(order(value), first_, last_) - first_;
    std::size_t index = start_[place >> shift_];
    while (value >= least_[index + 1]) { ++index; }
    return static_cast<std::uint8_t>(index);
  }

 private:
  // Floats as whole numbers in the same order.
  static std::int64_t order(float value) {
    const auto bits = std::int64_t{std::bit_cast<std::int32_t>(value)};
    return bits >= 0 ? bits : std::numeric_limits<std::int32_t>::min() - bits - 1;
  }

  const ColourMap& colours_;
  bool positive_ = false;              // logarithmic
  std::array<float, 257> least_{};     // value with this index, or a higher one
  std::int64_t first_ = 0, last_ = 0;  // orders between which the index changes
  int shift_ = 0;
  std::vector<std::uint8_t> start_;  // index at first_ + (j << shift_)
};

// The colour of a block of cells, as an index of the palette: the mean along the bar (of logarithms
// when that is logarithmic) of cells that have a place there, else what most of them are. For fewer
// than 2²⁴ cells.
struct MeanBlock {
  std::uint32_t sum = 0, valued = 0, missing = 0, under = 0;

  void add(std::uint8_t index) {
    sum += index < 2 ? 0u : index;
    valued += index >= 2;
    missing += index == 0;
    under += index == 1;
  }
  void add(const MeanBlock& other) {
    sum += other.sum;
    valued += other.valued;
    missing += other.missing;
    under += other.under;
  }
  std::uint8_t index() const {
    if (valued == 0) { return under > missing ? 1 : 0; }
    const std::uint32_t up = sum + valued / 2;  // halves go up
    if (valued >= 1u << 16) { return static_cast<std::uint8_t>(up / valued); }
    // Faster, and as exact: a float holds `up`, and no quotient rounds to the next whole number.
    return static_cast<std::uint8_t>(static_cast<float>(up) / static_cast<float>(valued));
  }
};

// One of `equals` things, whichever the sum leads to, without a leaning to the first.
constexpr std::uint64_t any_of_equals(std::uint64_t sum, std::uint64_t equals) {
  return (sum * 0x9E3779B97F4A7C15U >> 32) % equals;
}

// The same of categories: the most frequent one, of equals the lowest index. Along a bar, where
// small blocks are mostly equals and the lowest would all be pale: one of them by the sum of all
// cells, in whatever order these came. `Size`: indices.
template <std::size_t Size>
struct FrequentBlock {
  std::array<std::uint32_t, Size> count{};  // by index of the palette

  void add(std::uint8_t index) { ++count[index % Size]; }
  void add(const FrequentBlock& other) {
    for (std::size_t i = 0; i < Size; ++i) { count[i] += other.count[i]; }
  }
  std::uint8_t index() const {
    const auto most = std::max_element(count.begin(), count.end());
    if constexpr (Size < 256) { return static_cast<std::uint8_t>(most - count.begin()); }
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < Size; ++i) { sum += i * count[i]; }
    const auto equals = static_cast<std::uint64_t>(std::count(most, count.end(), *most));
    auto at = most;
    for (std::uint64_t skip = any_of_equals(sum, equals); skip > 0; --skip) {
      at = std::find(at + 1, count.end(), *most);
    }
    return static_cast<std::uint8_t>(at - count.begin());
  }
};
using FewBlock = FrequentBlock<16>;    // of the palette
using ManyBlock = FrequentBlock<256>;  // along a bar
static_assert(kPaletteSize + 2 <= 16);

// The white stroke that distinguishes a cell without a value from a grey one.
ScenePath hatch(const Box& box);

// A heat map in a panel: where its cells are, and which of them are in sight.
struct CellField {
  const HeatMap& map;
  Box plot;
  AxisSpan x, y;
  std::int64_t first_row = 0, end_row = 0, first_column = 0, end_column = 0;

  CellField(const HeatMap& map, const Box& plot, const AxisSpan& x, const AxisSpan& y);
  Box box(std::int64_t row, std::int64_t column) const;
};

// Draws the cells of the panel's heat map. In a file, above kMostVectorCells, they are pictures of
// one pixel a cell; where these would not fit into `most_bytes`, or would be finer than the
// outlet's `finest`, blocks of whole cells become one pixel: their mean (categorical: the most
// frequent). Returns what was done beyond one pixel a cell, in words; "" for nothing. For a window:
// SceneCells.
std::string draw_cells(Painter& painter, const Panel& panel, const ColourMap& colours,
                       const CellField& field, std::size_t most_bytes);

// Frames around the chosen cells, and names or texts in large ones.
void draw_outlines(Painter& painter, const CellField& field);
void draw_cell_names(Painter& painter, const CellField& field, const ColourMap& colours,
                     double size);

}  // namespace kappascope
