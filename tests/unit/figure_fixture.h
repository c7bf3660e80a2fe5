// Figures for tests: one of every mark, and the words an attacker would choose.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/figure/catalogue.h"
#include "core/figure/layout.h"

namespace kappascope {

// The figure of one trace; a difference is that of the trace from itself.
inline Figure figure_of(const FigureEntry& entry, const Trace& trace,
                        const FigureChoices& choices = {}) {
  const Trace* const twice[] = {&trace, &trace};
  return entry.make(Traces(twice).first(entry.several == Several::difference ? 2 : 1), choices);
}

inline std::vector<const SceneText*> texts_of(const Scene& scene) {
  std::vector<const SceneText*> found;
  for (const SceneItem& item : scene.items) {
    if (const auto* text = std::get_if<SceneText>(&item)) { found.push_back(text); }
  }
  return found;
}

// No text touches another or leaves the canvas.
inline void expect_tidy(const Scene& scene, const std::string& what) {
  const std::vector<const SceneText*> all = texts_of(scene);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Box& box = all[i]->bounds;
    EXPECT_GE(box.x, 0) << what << ": " << all[i]->text;
    EXPECT_GE(box.y, 0) << what << ": " << all[i]->text;
    EXPECT_LE(box.right(), scene.width) << what << ": " << all[i]->text;
    EXPECT_LE(box.bottom(), scene.height) << what << ": " << all[i]->text;
    for (std::size_t k = i + 1; k < all.size(); ++k) {
      if (!box.overlaps(all[k]->bounds)) { continue; }  // of millions of pairs
      ADD_FAILURE() << what << ": \"" << all[i]->text << "\" and \"" << all[k]->text << '"';
    }
  }
}

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
  for (std::int64_t i = 0; i < columns; ++i) { panel.x.names.push_back(words[i % words.size()]); }
  for (std::int64_t i = 0; i < rows; ++i) { panel.y.names.push_back(std::to_string(i)); }
  HeatMap map;
  map.rows = rows;
  map.columns = columns;
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    const float value = kind == ColourKind::categorical ? static_cast<float>(i % 5 - 1)
                                                        : std::exp(0.3f * normal(random));
    map.cells.push_back(i % 41 == 3 ? kNaN : value);
  }
  map.colours.kind = kind;
  map.colours.label = "κ, mean over what was kept";
  map.colours.unit = "nats";
  map.colours.centre = 1;
  map.colours.log = kind == ColourKind::diverging;
  map.colours.low_note = "softer than the other";
  map.colours.high_note = "sharper than the other";
  map.colours.no_value = "dropped";
  if (kind == ColourKind::categorical) { map.colours.names = {"0", "1", "2", "3"}; }
  map.number_cells = true;
  panel.heat_map.push_back(std::move(map));
  figure.panels.push_back(std::move(panel));
  figure.provenance = {{"command", "plot '<a&b>'"}, {"sha256", "0123"}};
  return figure;
}

inline Panel line_panel() {
  Panel panel;
  panel.title = "Lines";
  panel.x.name = "Relative depth";
  panel.y.name = "Sharpness";
  panel.y.unit = "1";
  for (int k = 0; k < 4; ++k) {
    Line line;
    line.name = "model number " + std::to_string(k);
    line.colour = line.dash = k;
    line.marker = k % 2 == 0;
    for (int i = 0; i < 12; ++i) {
      line.x.push_back(i / 11.0);
      line.y.push_back(i == 5 ? kNaN : std::sin(i + k));
      line.low.push_back(line.y.back() - 0.2);
      line.high.push_back(line.y.back() + 0.2);
    }
    panel.lines.push_back(std::move(line));
  }
  panel.references.push_back({0, false, "nothing"});
  Points points;
  for (int i = 0; i < 30; ++i) {
    points.x.push_back(i / 29.0);
    points.y.push_back(std::cos(i));
    points.value.push_back(static_cast<float>(i));
  }
  points.colours.label = "order";
  panel.points.push_back(points);
  return panel;
}

inline Panel stack_panel() {
  Panel panel;
  panel.title = "Shares";
  panel.x.name = "Layer";
  panel.x.scale = Scale::category;
  panel.x.names = {"3", "4"};
  panel.y.name = "Share of gate units";
  StackedBars stack;
  stack.names = {"linear", "knee", "saturated"};
  stack.colours = {10, 2, 0};
  stack.values = {{0.5, 0.2}, {0.3, 0.3}, {0.2, kNaN}};
  stack.position = {0, 1};
  panel.stacks.push_back(stack);
  return panel;
}

inline Panel bar_panel() {
  Panel panel;
  panel.beside = true;
  panel.share = 0.3;
  panel.x.name = "Rate";
  panel.x.unit = "%";
  Bars bars;
  bars.horizontal = true;
  bars.position = {0.2, 0.6};
  bars.value = {3, 12};
  panel.bars.push_back(bars);
  return panel;
}

inline Panel violin_panel() {
  Panel panel;
  panel.title = "Violins";
  panel.x.name = "Layer";
  panel.x.scale = Scale::category;
  panel.x.names = {"0", "1"};
  panel.y.name = "κ";
  panel.y.scale = Scale::log;
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
    panel.violins.push_back(violin);
  }
  panel.references.push_back({1, false, "κ = 1"});
  return panel;
}

inline Panel bin_panel(const FigureAxis& x) {
  Panel panel;
  panel.below = true;
  panel.share = 0.4;
  panel.x = x;
  panel.y.name = "Count";
  Bins bins;
  bins.edges = {-0.5, 0, 0.5, 1, 1.5};
  bins.counts = {1, 5, 3, kNaN};
  panel.bins.push_back(bins);
  return panel;
}

// Lines, bands, points, bars, stacks, violins, bins and references in three groups of panels.
inline Figure mark_figure() {
  Figure figure;
  figure.id = "marks";
  figure.title = "Every mark";
  figure.subtitle = "model · settings";
  const Panel violins = violin_panel();
  figure.panels = {line_panel(), stack_panel(), bar_panel(), violins, bin_panel(violins.x)};
  figure.notes = {"Small print."};
  return figure;
}

}  // namespace kappascope
