// A part of a figure along tokens, and what blocks of cells say of themselves.
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/figure/cells.h"
#include "core/figure/layer_range.h"
#include "core/figure/readout.h"
#include "core/figure/readout_text.h"
#include "core/figure/token_range.h"
#include "figure_fixture.h"

namespace kappascope {
namespace {

using Lines = std::vector<std::string>;

// Two layers × ten tokens, values 10·row + column, and a line over the same tokens.
Figure sample(ColourScale colours = {}) {
  Figure figure;
  Panel cells;
  cells.x.scale = cells.y.scale = Scale::category;
  cells.x.subject = AxisSubject::token;
  cells.y.subject = AxisSubject::recorded_layer;
  cells.y.name = "Layer";
  cells.y.names = {"4", "5"};
  HeatMap map;
  map.rows = 2;
  map.columns = 10;
  map.colours = std::move(colours);
  map.colours.label = "Value";
  map.outlined = {3, 17};
  for (int i = 0; i < 20; ++i) { map.cells.push_back(static_cast<float>(i)); }
  Panel curve;
  curve.x.subject = AxisSubject::token;
  Line line;
  for (int t = 0; t < 10; ++t) {
    cells.x.names.push_back("t" + std::to_string(t));
    line.x.push_back(t);
    line.y.push_back(t * t);
  }
  curve.x.names = cells.x.names;
  cells.heat_map.push_back(std::move(map));
  curve.lines.push_back(std::move(line));
  figure.panels = {std::move(cells), std::move(curve)};
  return figure;
}

TEST(TokenRange, IsReadAsFirstAndLast) {
  EXPECT_EQ(token_range("12-87"), (TokenRange{12, 87}));
  EXPECT_EQ(token_range("5"), (TokenRange{5, 5}));
  for (const char* bad :
       {"", "-", "3-", "-3", "7-3", "a", "1-2x", "1--2", "99999999999999999999"}) {
    EXPECT_THROW(token_range(bad), Error) << bad;
  }
}

TEST(TokenRange, LeavesOfCellsAndLinesWhatLiesInIt) {
  Figure figure = sample();
  keep_tokens(figure, {3, 6}, "a/trace.npz");
  const Panel& cells = figure.panels[0];
  const HeatMap& map = cells.heat_map[0];
  EXPECT_EQ(map.columns, 4);
  EXPECT_EQ(map.cells, (std::vector<float>{3, 4, 5, 6, 13, 14, 15, 16}));
  EXPECT_EQ(map.outlined, (std::vector<std::uint32_t>{0}));  // 17 is token 7
  EXPECT_EQ(map.colours.low, 0);                             // as in the whole
  EXPECT_EQ(map.colours.high, 19);
  EXPECT_EQ(cells.x.names.front(), "t3");
  EXPECT_EQ(cells.x.first_number, 3);
  const auto found = readout(figure, 0, 1, 1, 0.1, 0.1);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->subject.token, 4);
  EXPECT_EQ(found->lines, (Lines{"Layer 5", "Token 4 't4'", "Value: 14.00"}));
  const Line& line = figure.panels[1].lines[0];
  EXPECT_EQ(line.x, (std::vector<double>{3, 4, 5, 6}));
  EXPECT_EQ(line.y, (std::vector<double>{9, 16, 25, 36}));
  EXPECT_EQ(figure.panels[1].x.low, 3);
  EXPECT_EQ(figure.panels[1].x.high, 6);
}

TEST(TokenRange, CutsTablesByTheirTokens) {
  Figure figure = sample();
  Table table;
  table.rows = 20;
  Column layer, token, value;
  layer.name = "layer";
  layer.values = std::vector<std::int64_t>{4, 5};
  layer.repeat = 10;
  token.name = "token";
  token.values = std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  value.name = "value";
  value.values = figure.panels[0].heat_map[0].cells;
  table.columns = {layer, token, value};
  figure.tables = {table};
  keep_tokens(figure, {8, 100}, "a/trace.npz");
  const Table& kept = figure.tables[0];
  EXPECT_EQ(kept.rows, 4);
  EXPECT_EQ(std::get<std::vector<std::int64_t>>(kept.columns[0].values),
            (std::vector<std::int64_t>{4, 4, 5, 5}));
  EXPECT_EQ(std::get<std::vector<std::int64_t>>(kept.columns[1].values),
            (std::vector<std::int64_t>{8, 9, 8, 9}));
  EXPECT_EQ(std::get<std::vector<float>>(kept.columns[2].values),
            (std::vector<float>{8, 9, 18, 19}));
  Figure none = sample();
  try {
    keep_tokens(none, {10, 12}, "a/trace.npz");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              "a/trace.npz: no token is in 10-12; expected a range within 0-9");
  }
}

TEST(LayerRange, WhatIsAtALayerGoesWithIt) {
  Figure figure;
  Panel panel;
  panel.x.subject = AxisSubject::recorded_layer;
  panel.x.scale = Scale::category;
  panel.x.names = {"1", "2", "3"};
  panel.bars.push_back({.position = {0, 1, 2}, .value = {10, 20, 30}});
  Line steps;
  for (const double at : {0, 1, 2}) {
    steps.x.insert(steps.x.end(), {at - 0.45, at + 0.45, at + 0.5});
    steps.y.insert(steps.y.end(), {at, at, at});
  }
  panel.lines.push_back(steps);
  figure.panels.push_back(panel);
  ASSERT_TRUE(keep_layers(figure, {1, 3}, std::vector<std::int32_t>{1, 2, 3}));
  const Panel& kept = figure.panels[0];
  EXPECT_EQ(kept.x.names, (std::vector<std::string>{"1", "3"}));
  EXPECT_EQ(kept.bars[0].position, (std::vector<double>{0, 1}));
  EXPECT_EQ(kept.bars[0].value, (std::vector<double>{10, 30}));
  EXPECT_EQ(kept.lines[0].y, (std::vector<double>{0, 0, 0, 2, 2, 2}));
  for (const auto& [i, x] : {std::pair{0, -0.45}, {2, 0.5}, {3, 0.55}, {5, 1.5}}) {
    EXPECT_NEAR(kept.lines[0].x.at(i), x, 1e-12) << i;
  }
}

TEST(Blocks, SayTheMeanThatTheirColourShows) {
  const Figure figure = sample();
  const auto found = readout(figure, 0, 5, 1, 0.1, 0.1, {1, 4});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->lines, (Lines{"Layer 5", "Tokens 4 to 7", "Value: 15.50 (mean of 4 cells)",
                                 "Here:", "Layer 5", "Token 5 't5'", "Value: 15.00"}));
  EXPECT_EQ(found->subject.token, 5);
  // The last block is what is left; a row of blocks is both layers.
  EXPECT_EQ(readout(figure, 0, 9, 0, 0.1, 0.1, {2, 8})->lines[2], "Value: 13.50 (mean of 4 cells)");
  EXPECT_EQ(readout(figure, 0, 9, 0, 0.1, 0.1, {2, 8})->lines[0], "Layers 4 to 5");
  EXPECT_EQ(zoomed_out_note(figure.panels[0], {1, 4}), "Zoomed out: mean of 4 tokens a column.");
  EXPECT_EQ(zoomed_out_note(figure.panels[0], {1, 1}), "");
}

TEST(Blocks, LeaveOutWhatHasNoValue) {
  ColourScale colours;
  colours.log = true;
  Figure figure = sample(colours);
  std::vector<float>& cells = figure.panels[0].heat_map[0].cells;
  cells[1] = std::nanf("");
  cells[2] = 4;
  cells[3] = 16;
  EXPECT_EQ(readout(figure, 0, 0, 0, 0.1, 0.1, {1, 4})->lines[2],
            "Value: 8.000 (geometric mean of 2 of 4 cells)");
  ColourScale names;
  names.kind = ColourKind::categorical;
  names.names = {"a", "b"};
  figure = sample(names);
  figure.panels[0].heat_map[0].cells.assign(20, 1);
  figure.panels[0].heat_map[0].cells[0] = 0;
  EXPECT_EQ(readout(figure, 0, 0, 0, 0.1, 0.1, {1, 4})->lines[2],
            "Value: b (most frequent: 3 of 4 cells)");
}

}  // namespace
}  // namespace kappascope
