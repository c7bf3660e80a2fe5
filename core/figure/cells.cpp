#include "core/figure/cells.h"

#include <algorithm>
#include <cmath>

#include "core/figure/png.h"
#include "core/figure/readout_text.h"

namespace kappascope {
namespace {

constexpr int kLevels = 254;  // colours along the bar of an indexed picture
constexpr std::int64_t kTile = 8192;
constexpr std::int64_t kMostStarts = 1 << 16;
constexpr double kOverlap = 0.3;    // points under the next cell, so that no seam shines through
constexpr double kLeastMarked = 3;  // pixels of a cell that carries a mark

struct Blocks {
  std::int64_t rows = 1, columns = 1;  // cells in a pixel
};

// Means of blocks of cells, or the cells themselves; row 0 is the top of the picture.
class PixelSource {
 public:
  PixelSource(const HeatMap& map, const ColourIndexer& colours, Blocks blocks)
      : map_(map), colours_(colours), blocks_(blocks) {}

  std::int64_t rows() const { return (map_.rows + blocks_.rows - 1) / blocks_.rows; }
  std::int64_t columns() const { return (map_.columns + blocks_.columns - 1) / blocks_.columns; }

  std::uint8_t pixel(std::int64_t row, std::int64_t column) const {
    const std::int64_t first_row = (rows() - 1 - row) * blocks_.rows;
    const std::int64_t first_column = column * blocks_.columns;
    if (blocks_.rows == 1 && blocks_.columns == 1) {
      return colours_(cell(first_row, first_column));
    }
    if (map_.colours.kind != ColourKind::categorical) {
      return block<MeanBlock>(first_row, first_column);
    }
    return map_.colours.has_bar() ? block<ManyBlock>(first_row, first_column)
                                  : block<FewBlock>(first_row, first_column);
  }

 private:
  float cell(std::int64_t row, std::int64_t column) const {
    return map_.cells[row * map_.columns + column];
  }

  template <typename Block>
  std::uint8_t block(std::int64_t first_row, std::int64_t first_column) const {
    const std::int64_t end_row = std::min(map_.rows, first_row + blocks_.rows);
    const std::int64_t end_column = std::min(map_.columns, first_column + blocks_.columns);
    Block result;
    for (std::int64_t r = first_row; r < end_row; ++r) {
      for (std::int64_t c = first_column; c < end_column; ++c) { result.add(colours_(cell(r, c))); }
    }
    return result.index();
  }

  const HeatMap& map_;
  const ColourIndexer& colours_;
  Blocks blocks_;
};

struct Tile {
  std::int64_t row, column, rows, columns;
  std::string png;
};

// All tiles, or none when they need more than `most` bytes together.
std::vector<Tile> encode(const PixelSource& source, const std::vector<Colour>& palette,
                         std::size_t most) {
  std::vector<Tile> tiles;
  for (std::int64_t row = 0; row < source.rows(); row += kTile) {
    for (std::int64_t column = 0; column < source.columns(); column += kTile) {
      Tile tile{row, column, std::min(kTile, source.rows() - row),
                std::min(kTile, source.columns() - column), ""};
      const auto fill = [&](std::int64_t y, std::span<std::uint8_t> pixels) {
        for (std::int64_t x = 0; x < tile.columns; ++x) {
          pixels[x] = source.pixel(row + y, column + x);
        }
      };
      tile.png = palette_png(tile.columns, tile.rows, palette, fill, most);
      if (tile.png.empty()) { return {}; }
      most -= std::min(most, tile.png.size());
      tiles.push_back(std::move(tile));
    }
  }
  return tiles;
}

Blocks blocks_for(const HeatMap& map, const Box& plot, double finest) {
  Blocks blocks;
  if (finest <= 0) { return blocks; }
  const auto needed = [&](std::int64_t cells, double length) {
    return std::max<std::int64_t>(
        1, static_cast<std::int64_t>(std::ceil(static_cast<double>(cells) / (length * finest))));
  };
  return {needed(map.rows, plot.height), needed(map.columns, plot.width)};
}

std::string draw_picture(Painter& painter, const Panel& panel, const ColourMap& colours,
                         const Box& plot, double finest, std::size_t most) {
  const HeatMap& map = panel.heat_map[0];
  const ColourIndexer indexer(colours);
  Blocks blocks = blocks_for(map, plot, finest);
  std::vector<Tile> tiles;
  for (;;) {
    const PixelSource source(map, indexer, blocks);
    tiles = encode(source, colours.palette(), most);
    if (!tiles.empty() || (source.rows() == 1 && source.columns() == 1)) { break; }
    const double row_height = plot.height / static_cast<double>(source.rows());
    const double column_width = plot.width / static_cast<double>(source.columns());
    (source.rows() > 1 && row_height < column_width ? blocks.rows : blocks.columns) *= 2;
  }
  const double row_height =
      plot.height / (static_cast<double>(map.rows) / static_cast<double>(blocks.rows));
  const double column_width =
      plot.width / (static_cast<double>(map.columns) / static_cast<double>(blocks.columns));
  const PixelSource source(map, indexer, blocks);
  // The last block may be cut: the picture then extends past the top and right edges of the plot.
  const int clip = painter.clip(plot);
  const double top = plot.bottom() - row_height * static_cast<double>(source.rows());
  for (Tile& tile : tiles) {
    const Box box{plot.x + column_width * static_cast<double>(tile.column),
                  top + row_height * static_cast<double>(tile.row),
                  column_width * static_cast<double>(tile.columns),
                  row_height * static_cast<double>(tile.rows)};
    painter.add(SceneImage{box, std::move(tile.png), clip});
  }
  const std::string note = zoomed_out_note(panel, {blocks.rows, blocks.columns});
  return note.empty() ? note : note + " The CSV has every value.";
}

}  // namespace

ScenePath hatch(const Box& box) {
  ScenePath path;
  path.points = {{box.x, box.bottom()}, {box.right(), box.y}};
  path.stroke = Colour{255, 255, 255};
  path.width = std::clamp(std::min(box.width, box.height) / 8, 0.1, 0.6);
  return path;
}

ColourMap::ColourMap(const ColourScale& scale, const std::vector<float>& values) : scale_(scale) {
  double low = 1e300, high = -1e300;
  for (const float value : values) {
    if (!std::isfinite(value)) {
      any_missing_ = true;
    } else if (under(value)) {
      any_under_ = true;
    } else {
      low = std::min<double>(low, value);
      high = std::max<double>(high, value);
      any_value_ = true;
    }
  }
  const double seen_low = low, seen_high = high;
  if (!any_value_) { low = high = scale.log ? 1 : 0; }
  const double centre = place(scale.centre);
  if (scale.kind == ColourKind::diverging) {
    double reach = std::max(std::abs(place(low) - centre), std::abs(place(high) - centre));
    if (!(reach > 0) || !any_value_) { reach = scale.log ? std::log(1.1) : 0.1; }
    low = scale.log ? std::exp(centre - reach) : centre - reach;
    high = scale.log ? std::exp(centre + reach) : centre + reach;
    if (any_value_ && std::isfinite(scale.most)) {
      high = std::min(high, std::max(scale.most, seen_high));
    }
  }
  if (many()) {
    low = 0;
    high = static_cast<double>(scale.names.size() - 1);
  }
  low_ = std::isfinite(scale.low) ? scale.low : low;
  high_ = std::isfinite(scale.high) ? scale.high : high;
  if (!(low_ < high_)) {
    const double space = std::max(0.05 * std::abs(low_), 1e-6);
    high_ = scale.log ? low_ * 1.1 : low_ + space;
    low_ = scale.log ? low_ / 1.1 : low_ - space;
  }
  reach_ = std::max(std::abs(place(low_) - centre), std::abs(place(high_) - centre));
  any_beyond_ =
      any_value_ && (seen_low < low_ * (1 - 1e-6) - 1e-12 || seen_high > high_ * (1 + 1e-6));
}

bool ColourScale::has_bar() const {
  return kind != ColourKind::categorical || names.size() > std::size_t(kPaletteSize);
}

bool ColourMap::many() const {
  return categorical() && scale_.has_bar();
}

double ColourMap::place(double value) const {
  return scale_.log ? std::log(value) : value;
}

bool ColourMap::under(double value) const {
  return scale_.kind == ColourKind::categorical ? value < 0 : scale_.log && value <= 0;
}

double ColourMap::share(double value) const {
  if (scale_.log) { return std::log(value / low_) / std::log(high_ / low_); }
  return (value / 2 - low_ / 2) / (high_ / 2 - low_ / 2);
}

Colour ColourMap::at(double share) const {
  if (scale_.kind != ColourKind::diverging) {
    return sequential_colour(scale_.palest + (1 - scale_.palest) * std::clamp(share, 0.0, 1.0));
  }
  const double at = place(low_) + share * (place(high_) - place(low_));
  return diverging_colour((at - place(scale_.centre)) / reach_);
}

Colour ColourMap::colour(double value) const {
  if (!std::isfinite(value)) { return kNoValueColour; }
  if (under(value)) { return under_colour(); }
  return categorical() && !many() ? palette_colour(static_cast<int>(value)) : at(share(value));
}

// Further than the low end of the bar: darker than the blue end, paler than the pale end. Beside
// categories: paler than their greys, too.
Colour ColourMap::under_colour() const {
  if (categorical()) { return {228, 228, 228}; }
  return scale_.kind == ColourKind::diverging ? Colour{10, 22, 46} : Colour{255, 255, 255};
}

std::vector<Colour> ColourMap::palette() const {
  std::vector<Colour> result{kNoValueColour, under_colour()};
  if (categorical() && !many()) {
    for (int i = 0; i < kPaletteSize; ++i) { result.push_back(palette_colour(i)); }
    return result;
  }
  for (int i = 0; i < kLevels; ++i) { result.push_back(at(i / (kLevels - 1.0))); }
  return result;
}

std::uint8_t ColourMap::index(double value) const {
  if (!std::isfinite(value)) { return 0; }
  if (under(value)) { return 1; }
  if (categorical() && !many()) {
    return static_cast<std::uint8_t>(2 + std::lround(value) % kPaletteSize);
  }
  return static_cast<std::uint8_t>(2 +
                                   std::lround(std::clamp(share(value), 0.0, 1.0) * (kLevels - 1)));
}

ColourIndexer::ColourIndexer(const ColourMap& colours)
    : colours_(colours), positive_(colours.log()) {
  if (colours.categorical()) { return; }
  const auto value_of = [](std::int64_t place) {
    return std::bit_cast<float>(static_cast<std::int32_t>(
        place >= 0 ? place : std::numeric_limits<std::int32_t>::min() - place - 1));
  };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  least_.fill(kInfinity);
  least_[0] = least_[1] = least_[2] = -kInfinity;
  first_ = last_ = order(0);
  for (std::size_t index = 3; index < 256; ++index) {
    std::int64_t below = positive_ ? 0 : order(-kInfinity), at = order(kInfinity);
    while (at - below > 1) {
      const std::int64_t middle = (at + below) >> 1;
      (colours.index(value_of(middle)) < index ? below : at) = middle;
    }
    least_[index] = value_of(at);
    if (index == 3) { first_ = below; }
    if (std::isfinite(least_[index])) { last_ = at; }
  }
  last_ = std::max(first_, last_);
  while ((last_ - first_) >> shift_ > kMostStarts) { ++shift_; }
  std::size_t index = 2;
  for (std::int64_t place = first_; place <= last_; place += std::int64_t{1} << shift_) {
    while (order(least_[index + 1]) <= place) { ++index; }
    start_.push_back(static_cast<std::uint8_t>(index));
  }
}

CellField::CellField(const HeatMap& cells, const Box& area, const AxisSpan& along_x,
                     const AxisSpan& along_y)
    : map(cells), plot(area), x(along_x), y(along_y) {
  const auto first = [](double low) {
    return std::max<std::int64_t>(0, static_cast<std::int64_t>(std::floor(low + 0.5)));
  };
  const auto end = [](double high, std::int64_t size) {
    return std::min(size, static_cast<std::int64_t>(std::ceil(high + 0.5)));
  };
  first_row = first(y.low);
  end_row = end(y.high, map.rows);
  first_column = first(x.low);
  end_column = end(x.high, map.columns);
}

Box CellField::box(std::int64_t row, std::int64_t column) const {
  const double width = plot.width / (x.high - x.low), height = plot.height / (y.high - y.low);
  return {plot.x + width * (static_cast<double>(column) - 0.5 - x.low),
          plot.bottom() - height * (static_cast<double>(row) + 0.5 - y.low), width, height};
}

namespace {

// Where cells are too small to see it, a stroke across those without a value would only be noise.
void hatch_missing(Painter& painter, const CellField& field) {
  const Box one = field.box(0, 0);
  if (std::min(one.width, one.height) < kLeastMarked * painter.outlet().pixel) { return; }
  for (std::int64_t row = field.first_row; row < field.end_row; ++row) {
    for (std::int64_t column = field.first_column; column < field.end_column; ++column) {
      if (std::isfinite(field.map.cells[row * field.map.columns + column])) { continue; }
      ScenePath path = hatch(field.box(row, column));
      path.clip = painter.last_clip();
      painter.add_as_is(std::move(path));
    }
  }
}

}  // namespace

std::string draw_cells(Painter& painter, const Panel& panel, const ColourMap& colours,
                       const CellField& field, std::size_t most_bytes) {
  const HeatMap& map = field.map;
  if (painter.outlet().screen()) {
    painter.add(SceneCells{field.box(0, 0), painter.panels(), painter.clip(field.plot)});
    hatch_missing(painter, field);
    return "";
  }
  if (map.rows * map.columns > kMostVectorCells) {
    return draw_picture(painter, panel, colours, field.plot, painter.outlet().finest, most_bytes);
  }
  for (std::int64_t row = map.rows - 1; row >= 0; --row) {
    for (std::int64_t column = 0; column < map.columns; ++column) {
      const float value = map.cells[row * map.columns + column];
      const Box cell = field.box(row, column);
      Box box = cell;
      box.width += column + 1 < map.columns ? kOverlap : 0;
      box.height += row > 0 ? kOverlap : 0;
      painter.add_as_is(SceneRect{box, colours.colour(value)});
      if (!std::isfinite(value)) { painter.add_as_is(hatch(cell)); }
    }
  }
  return "";
}

void draw_outlines(Painter& painter, const CellField& field) {
  const HeatMap& map = field.map;
  for (const std::uint32_t at : map.outlined) {
    const std::int64_t row = at / map.columns, column = at % map.columns;
    if (row < field.first_row || row >= field.end_row || column < field.first_column ||
        column >= field.end_column) {
      continue;
    }
    Box box = field.box(row, column);
    if (std::min(box.width, box.height) < kLeastMarked * painter.outlet().pixel) { return; }
    const double inset = std::min({0.35, box.width / 6, box.height / 6});
    box = {box.x + inset, box.y + inset, box.width - 2 * inset, box.height - 2 * inset};
    ScenePath path = frame_of(box);
    path.stroke = kInk;
    path.width = std::clamp(std::min(box.width, box.height) / 8, 0.15, 0.7);
    path.clip = painter.outlet().screen() ? painter.last_clip() : -1;
    painter.add_as_is(std::move(path));
  }
}

}  // namespace kappascope
