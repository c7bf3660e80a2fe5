#include "core/figure/pyramid.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <random>

#include "core/figure/cells.h"
#include "core/nan.h"

namespace kappascope {
namespace {

HeatMap make_map(std::int64_t rows, std::int64_t columns, ColourKind kind, bool log) {
  HeatMap map;
  map.rows = rows;
  map.columns = columns;
  map.colours.kind = kind;
  map.colours.log = log;
  map.colours.centre = 1;
  std::mt19937_64 random(static_cast<std::uint64_t>(rows * 1000 + columns));
  std::normal_distribution<float> normal;
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    const float drawn = normal(random);
    float value = kind == ColourKind::categorical ? std::floor(3 * drawn) : std::exp(drawn);
    if (random() % 5 == 0) { value = kNaN; }
    if (random() % 7 == 0) { value = kind == ColourKind::categorical ? 5.0f : 0.0f; }
    if (i / columns % 64 < 8 && i % columns % 64 < 16) { value = i % 3 == 0 ? 0.0f : kNaN; }
    map.cells.push_back(value);
  }
  return map;
}

// The block of cells from (row, column) on, by the words of its definition.
std::size_t block_index(const HeatMap& map, const ColourMap& colours, std::int64_t row,
                        std::int64_t column, std::int64_t height, std::int64_t width) {
  std::array<int, 256> count{};
  ManyBlock many;
  double sum = 0, valued = 0;
  for (std::int64_t r = row; r < std::min(map.rows, row + height); ++r) {
    for (std::int64_t c = column; c < std::min(map.columns, column + width); ++c) {
      const std::uint8_t index = colours.index(map.cells[r * map.columns + c]);
      ++count[index];
      many.add(index);
      if (index < 2) { continue; }
      sum += index;
      ++valued;
    }
  }
  if (map.colours.kind != ColourKind::categorical && valued > 0) {
    return static_cast<std::size_t>(std::lround(sum / valued));
  }
  const bool categories = map.colours.kind == ColourKind::categorical;
  if (categories && map.colours.has_bar()) { return many.index(); }
  return static_cast<std::size_t>(std::max_element(count.begin(), count.end()) - count.begin());
}

void expect_every_level(const HeatMap& map) {
  const ColourMap colours(map.colours, map.cells);
  const std::vector<Colour> palette = colours.palette();
  const CellPyramid pyramid(map);
  for (int r = 0; r < pyramid.row_levels(); ++r) {
    for (int c = 0; c < pyramid.column_levels(); ++c) {
      const std::int64_t rows = pyramid.rows(r), columns = pyramid.columns(c);
      std::vector<std::uint32_t> rgba(static_cast<std::size_t>(rows * columns));
      pyramid.pixels(r, c, 0, 0, rows, columns, rgba.data(), columns);
      std::int64_t wrong = 0;
      for (std::int64_t i = 0; i < rows * columns; ++i) {
        const std::int64_t height = std::int64_t{1} << r, width = std::int64_t{1} << c;
        const Colour colour = palette[block_index(map, colours, i / columns * height,
                                                  i % columns * width, height, width)];
        const unsigned char bytes[] = {colour.red, colour.green, colour.blue, 255};
        wrong += std::memcmp(bytes, &rgba[i], 4) != 0;
      }
      EXPECT_EQ(wrong, 0) << map.rows << " × " << map.columns << ", levels " << r << ", " << c;
    }
  }
}

TEST(CellPyramid, EveryLevelIsTheMeanOfItsOwnCells) {
  const std::int64_t shapes[][2] = {{1, 1}, {64, 64}, {65, 130}, {130, 1}, {3, 2049}, {301, 79}};
  for (const auto& [rows, columns] : shapes) {
    expect_every_level(make_map(rows, columns, ColourKind::sequential, false));
    expect_every_level(make_map(rows, columns, ColourKind::diverging, true));
    expect_every_level(make_map(rows, columns, ColourKind::categorical, false));
  }
}

// More categories than the palette has colours: small blocks are mostly equals, and the lowest of
// them would make a map of many experts pale.
TEST(CellPyramid, ManyCategoriesAreNotDrawnToTheFirst) {
  for (const auto& [rows, columns] : {std::pair{3, 2049}, {130, 70}, {67, 4101}}) {
    HeatMap map = make_map(rows, columns, ColourKind::categorical, false);
    std::mt19937_64 random(1);
    for (int i = 0; i < 128; ++i) { map.colours.names.push_back(std::to_string(i)); }
    for (float& cell : map.cells) { cell = static_cast<float>(random() % 128); }
    expect_every_level(map);
    const CellPyramid pyramid(map);
    std::vector<std::uint32_t> rgba(static_cast<std::size_t>(rows * pyramid.columns(1)));
    pyramid.pixels(0, 1, 0, 0, rows, pyramid.columns(1), rgba.data(), pyramid.columns(1));
    double green = 0;
    for (const std::uint32_t pixel : rgba) { green += pixel >> 8 & 255; }
    const ColourMap colours(map.colours, map.cells);
    double expected = 0;
    for (int i = 0; i < 128; ++i) { expected += colours.colour(i).green / 128.0; }
    EXPECT_NEAR(green / static_cast<double>(rgba.size()), expected, 6);
  }
}

TEST(CellPyramid, TwoThreadsMakeTheSame) {
  expect_every_level(make_map(67, 4101, ColourKind::diverging, true));  // above kCellsForTwo
}

TEST(CellPyramid, RowsAndColumnsAreHalvedUntilFewAreLeft) {
  HeatMap map;
  map.rows = 48;
  map.columns = 4096;
  map.cells.assign(48 * 4096, 1.0f);
  const CellPyramid pyramid(map);
  EXPECT_EQ(pyramid.row_levels(), 1);
  EXPECT_EQ(pyramid.column_levels(), 7);
  EXPECT_EQ(pyramid.columns(6), 64);
  EXPECT_FALSE(pyramid.averaged(0, 0));
  EXPECT_TRUE(pyramid.averaged(0, 1));
  const CellPyramid none{HeatMap{}};
  EXPECT_EQ(none.rows(0), 0);
  std::uint32_t untouched = 7;
  none.pixels(0, 0, 0, 0, 1, 1, &untouched, 1);
  EXPECT_EQ(untouched, 7u);
}

TEST(CellPyramid, WhatLiesOutsideIsLeftAsItIs) {
  const HeatMap map = make_map(5, 7, ColourKind::sequential, false);
  const CellPyramid pyramid(map);
  std::vector<std::uint32_t> all(35);
  pyramid.pixels(0, 0, 0, 0, 5, 7, all.data(), 7);
  std::vector<std::uint32_t> part(11 * 12, 7);
  pyramid.pixels(0, 0, -2, -3, 10, 11, part.data(), 12);
  for (std::int64_t i = 0; i < 11; ++i) {
    for (std::int64_t j = 0; j < 12; ++j) {
      const bool inside = i >= 2 && i < 7 && j >= 3 && j < 10;
      EXPECT_EQ(part[i * 12 + j], inside ? all[(i - 2) * 7 + j - 3] : 7u);
    }
  }
}

void expect_same_indices(const ColourScale& scale, const std::vector<float>& seen) {
  const ColourMap colours(scale, seen);
  const ColourIndexer indexer(colours);
  std::mt19937 random(9);
  std::vector<float> values = seen;
  for (int i = 0; i < 200000; ++i) {
    const double share = static_cast<double>(random()) / 4294967296.0 * 1.2 - 0.1;
    const double value = scale.log ? colours.low() * std::pow(colours.high() / colours.low(), share)
                                   : colours.low() + share * (colours.high() - colours.low());
    values.push_back(static_cast<float>(value));
  }
  // Around the values where the index changes.
  for (int step = 0; step < 254; ++step) {
    const double share = (step + 0.5) / 253;
    float value = static_cast<float>(
        scale.log ? colours.low() * std::pow(colours.high() / colours.low(), share)
                  : colours.low() + share * (colours.high() - colours.low()));
    for (int i = 0; i < 4; ++i) { value = std::nextafterf(value, -INFINITY); }
    for (int i = 0; i < 8; ++i) {
      values.push_back(value);
      value = std::nextafterf(value, INFINITY);
    }
  }
  const float odd[] = {0.0f, -0.0f, -1.0f, 1e-45f, 3.4e38f, -3.4e38f, INFINITY, -INFINITY, kNaN};
  values.insert(values.end(), std::begin(odd), std::end(odd));
  std::int64_t wrong = 0;
  for (const float value : values) { wrong += indexer(value) != colours.index(value); }
  EXPECT_EQ(wrong, 0) << "ends " << colours.low() << ", " << colours.high();
}

TEST(ColourIndexer, IsTheIndexOfTheMap) {
  ColourScale scale;
  expect_same_indices(scale, {0, 1});
  expect_same_indices(scale, {-3e37f, 2.5e38f});
  expect_same_indices(scale, {7, 7});
  expect_same_indices(scale, {1000, 1000.001f});
  scale.low = 0;
  scale.high = 4;
  expect_same_indices(scale, {-1, 9});
  scale = {};
  scale.log = true;
  expect_same_indices(scale, {1e-6f, 30});
  expect_same_indices(scale, {1, 1.000001f, 0, -2});
  scale.low = 1e-3;
  expect_same_indices(scale, {1e-6f, 30, 0, kNaN});
  scale = {};
  scale.kind = ColourKind::diverging;
  scale.log = true;
  scale.centre = 1;
  expect_same_indices(scale, {0.9f, 1.3f});
  scale.log = false;
  expect_same_indices(scale, {0.9f, 1.3f});
  scale = {};
  scale.kind = ColourKind::categorical;
  expect_same_indices(scale, {0, 3, 30, -1, kNaN});
}

}  // namespace
}  // namespace kappascope
