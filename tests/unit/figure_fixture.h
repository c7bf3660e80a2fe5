// Figures for tests: one of every mark, and the words an attacker would choose.
#pragma once

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/figure/figure.h"

namespace kappascope {

inline std::vector<std::string> hostile_words() {
  return {"<script>alert(1)</script>",
          "]]>",
          "&amp;&#0;",
          "\"'/>",
          "</text><rect/>",
          "\u202Eevil",
          std::string("a\0b", 3),
          "\x1b[2J",
          "\xff\xfe",
          "漢字テスト",
          "e\u0301\u0302",
          "שלום",
          "--><!--",
          "\n\r\t",
          "%n%s",
          ""};
}

inline Figure cell_figure(std::int64_t rows, std::int64_t columns, ColourKind kind,
                          std::uint64_t seed = 1) {
  Figure figure;
  figure.id = "cells";
  figure.title = "Cells of a map";
  figure.subtitle = "model, step 4,000 · settings in force";
  Panel panel;
  panel.x.name = "Token";
  panel.x.scale = panel.y.scale = Scale::category;
  panel.x.number_when_crowded = true;
  panel.y.name = "Layer";
  const auto words = hostile_words();
  for (std::int64_t i = 0; i < columns; ++i) {
    panel.x.names.push_back(words[static_cast<std::size_t>(i) % words.size()]);
  }
  for (std::int64_t i = 0; i < rows; ++i) panel.y.names.push_back(std::to_string(i));
  HeatMap map;
  map.rows = rows;
  map.columns = columns;
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    const float value = kind == ColourKind::categorical ? static_cast<float>(i % 5 - 1)
                                                        : std::exp(0.3f * normal(random));
    map.cells.push_back(i % 41 == 3 ? static_cast<float>(kNoNumber) : value);
  }
  map.colours.kind = kind;
  map.colours.label = "κ, mean over what was kept";
  map.colours.unit = "nats";
  map.colours.centre = 1;
  map.colours.log = kind == ColourKind::diverging;
  map.colours.low_note = "softer than the other";
  map.colours.high_note = "sharper than the other";
  map.colours.no_value = "dropped";
  if (kind == ColourKind::categorical) map.colours.names = {"0", "1", "2", "3"};
  map.number_cells = true;
  panel.heat_map.push_back(std::move(map));
  figure.panels.push_back(std::move(panel));
  figure.provenance = {{"command", "plot '<a&b>'"}, {"sha256", "0123"}};
  return figure;
}

// Lines, bands, points, bars, stacks, violins, bins and references in three groups of panels.
inline Figure mark_figure() {
  Figure figure;
  figure.id = "marks";
  figure.title = "Every mark";
  figure.subtitle = "model · settings";
  Panel lines;
  lines.title = "Lines";
  lines.x.name = "Relative depth";
  lines.y.name = "Sharpness";
  lines.y.unit = "1";
  for (int k = 0; k < 4; ++k) {
    Line line;
    line.name = "model number " + std::to_string(k);
    line.colour = line.dash = k;
    line.marker = k % 2 == 0;
    for (int i = 0; i < 12; ++i) {
      line.x.push_back(i / 11.0);
      line.y.push_back(i == 5 ? kNoNumber : std::sin(i + k));
      line.low.push_back(line.y.back() - 0.2);
      line.high.push_back(line.y.back() + 0.2);
    }
    lines.lines.push_back(std::move(line));
  }
  lines.references.push_back({0, false, "nothing"});
  Points points;
  for (int i = 0; i < 30; ++i) {
    points.x.push_back(i / 29.0);
    points.y.push_back(std::cos(i));
    points.value.push_back(static_cast<float>(i));
  }
  points.colours.label = "order";
  lines.points.push_back(points);
  Panel stacks;
  stacks.title = "Shares";
  stacks.x.name = "Layer";
  stacks.x.scale = Scale::category;
  stacks.y.name = "Share of gate units";
  StackedBars stack;
  stack.names = {"linear", "knee", "saturated"};
  stack.colours = {10, 2, 0};
  stack.values = {{0.5, 0.2}, {0.3, 0.3}, {0.2, kNoNumber}};
  stack.position = {0, 1};
  stacks.x.names = {"3", "4"};
  stacks.stacks.push_back(stack);
  Panel side;
  side.beside = true;
  side.share = 0.3;
  side.x.name = "Rate";
  side.x.unit = "%";
  Bars bars;
  bars.horizontal = true;
  bars.position = {0.2, 0.6};
  bars.value = {3, 12};
  side.bars.push_back(bars);
  Panel violins;
  violins.title = "Violins";
  violins.x.name = "Layer";
  violins.x.scale = Scale::category;
  violins.x.names = {"0", "1"};
  violins.y.name = "κ";
  violins.y.scale = Scale::log;
  for (int k = 0; k < 2; ++k) {
    Violin violin;
    violin.position = k;
    for (int i = 0; i < 20; ++i) {
      violin.value.push_back(std::exp(i / 10.0 - 1));
      violin.density.push_back(std::exp(-0.05 * (i - 10 + k) * (i - 10 + k)));
    }
    violin.low = 0.6;
    violin.middle = 1;
    violin.high = 2;
    violins.violins.push_back(violin);
  }
  violins.references.push_back({1, false, "κ = 1"});
  Panel below;
  below.below = true;
  below.share = 0.4;
  below.x = violins.x;
  below.y.name = "Count";
  Bins bins;
  bins.edges = {-0.5, 0, 0.5, 1, 1.5};
  bins.counts = {1, 5, 3, kNoNumber};
  below.bins.push_back(bins);
  figure.panels = {lines, stacks, side, violins, below};
  figure.notes = {"Small print."};
  return figure;
}

}  // namespace kappascope
