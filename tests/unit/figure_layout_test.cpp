#include "core/figure/layout.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "figure_fixture.h"

namespace kappascope {
namespace {

bool has_text(const Scene& scene, const std::string& words) {
  for (const SceneText* text : texts_of(scene)) {
    if (text->text.find(words) != std::string::npos) { return true; }
  }
  return false;
}

TEST(Layout, TextsKeepClearOfEachOtherAtEverySize) {
  FileTextMeter meter;
  for (const double width : {50.0, 85.0, 178.0, 400.0}) {
    FigureStyle style;
    style.width_mm = width;
    style.panel_letters = width > 100;
    for (const std::int64_t columns : {1, 2, 40, 400}) {
      for (const std::int64_t rows : {1, 6, 64}) {
        const Figure figure = cell_figure(rows, columns, ColourKind::diverging);
        expect_tidy(lay_out(figure, style, {}, &meter), std::to_string(width) + " mm, " +
                                                            std::to_string(rows) + " × " +
                                                            std::to_string(columns));
      }
    }
    expect_tidy(lay_out(mark_figure(), style, {}), "marks, " + std::to_string(width));
  }
}

TEST(Layout, LongNamesAndLargeFontsStayInside) {
  for (const double font : {4.0, 7.0, 14.0}) {
    FigureStyle style;
    style.width_mm = 85;
    style.font_pt = font;
    Figure figure = mark_figure();
    figure.title = std::string(200, 'W') + " with a long name";
    figure.subtitle = "m";
    for (int i = 0; i < 60; ++i) { figure.subtitle += "-漢字e\u0301\u0302\u0303"; }
    figure.panels[0].lines[0].name = std::string(200, 'n');
    figure.panels[0].y.name = std::string(90, 'y');
    expect_tidy(lay_out(figure, style, {}), std::to_string(font) + " pt");
  }
}

TEST(Layout, ExtremeValuesHaveAPlace) {
  for (const double size : {0.0, 1e-300, 1e300, -1e308}) {
    Figure figure = mark_figure();
    for (double& y : figure.panels[0].lines[0].y) { y = size; }
    figure.panels[0].lines[1].y.assign(12, std::numeric_limits<double>::infinity());
    expect_tidy(lay_out(figure, {}, {}), std::to_string(size));
  }
}

TEST(Layout, HeightIsMetOrRefused) {
  FigureStyle style;
  style.width_mm = 178;
  style.height_mm = 120;
  const Scene scene = lay_out(mark_figure(), style, {});
  EXPECT_DOUBLE_EQ(scene.height, 120 * kPointsPerMm);
  expect_tidy(scene, "120 mm");
  style.height_mm = 20;
  EXPECT_THROW(lay_out(mark_figure(), style, {}), Error);
  style = {};
  style.width_mm = 10;
  EXPECT_THROW(lay_out(mark_figure(), style, {}), Error);
}

TEST(Layout, ALegendOfAllPanelsTakesOfTheirHeight) {
  Figure figure;
  figure.title = "Lines twice";
  figure.panels = {line_panel(), line_panel()};
  for (Panel& panel : figure.panels) { panel.points.clear(); }
  for (const double height : {70.0, 120.0}) {
    const Scene scene = lay_out(figure, {.width_mm = 178, .height_mm = height}, {});
    EXPECT_TRUE(has_text(scene, "model number 3"));
    expect_tidy(scene, std::to_string(height));
    double bottom = 0;
    for (const SceneText* text : texts_of(scene)) {
      bottom = std::max(bottom, text->bounds.bottom());
    }
    EXPECT_GT(bottom, scene.height - 20) << height;
  }
}

TEST(Layout, WhatABarePictureLeavesOutIsItsCaption) {
  Figure figure = cell_figure(6, 12, ColourKind::diverging);
  figure.notes = {"Left out: nothing."};
  const std::vector<std::string> words{"Cells of a map", "model, step 4,000 · settings in force",
                                       "Left out: nothing."};
  for (const bool bare : {false, true}) {
    const Scene scene = lay_out(figure, {.bare = bare}, {});
    ASSERT_GE(scene.caption.size(), 3U);
    EXPECT_EQ(std::vector(scene.caption.begin(), scene.caption.begin() + 3), words);
    EXPECT_EQ(has_text(scene, "Cells of a map"), !bare);
  }
}

TEST(Layout, NothingToShowIsAPictureThatSaysSo) {
  Figure figure = cell_figure(0, 0, ColourKind::sequential);
  figure.panels[0].empty = "nothing to show: every assignment was dropped";
  FigureStyle style;
  EXPECT_TRUE(has_text(lay_out(figure, style, {}), "every assignment was dropped"));
  figure = cell_figure(3, 4, ColourKind::diverging);
  for (float& cell : figure.panels[0].heat_map[0].cells) { cell = std::nanf(""); }
  const Scene scene = lay_out(figure, style, {});
  EXPECT_TRUE(has_text(scene, "nothing to show"));
  EXPECT_TRUE(has_text(scene, "Cells of a map"));
  figure.panels.clear();
  expect_tidy(lay_out(figure, style, {}), "no panel");
}

TEST(Layout, SaysWhatStandsThere) {
  const Scene scene = lay_out(cell_figure(6, 12, ColourKind::diverging), {}, {});
  for (const char* words : {"Cells of a map", "settings in force", "Token", "Layer",
                            "κ, mean over what was kept (nats)", "softer than the other",
                            "sharper than the other", "dropped"}) {
    EXPECT_TRUE(has_text(scene, words)) << words;
  }
}

TEST(Layout, ManyCellsBecomeAPictureOfOnePixelACell) {
  const auto count = [](const Scene& scene) {
    std::size_t pictures = 0;
    for (const SceneItem& item : scene.items) {
      pictures += std::holds_alternative<SceneImage>(item);
    }
    return pictures;
  };
  EXPECT_EQ(count(lay_out(cell_figure(20, 1000, ColourKind::sequential), {}, {})), 0u);
  const Figure many = cell_figure(21, 1000, ColourKind::sequential);
  const Scene scene = lay_out(many, {}, {});
  EXPECT_EQ(count(scene), 1u);
  EXPECT_FALSE(has_text(scene, "Zoomed out"));
  Outlet coarse;
  coarse.finest = 1;
  EXPECT_TRUE(has_text(lay_out(many, {}, coarse), "Zoomed out: mean of"));
  Outlet small;
  small.most_picture_bytes = 4000;
  EXPECT_TRUE(has_text(lay_out(many, {}, small), "Zoomed out: mean of"));
}

// Side by side over the whole plot, which the last block of cells may leave by a part of itself.
TEST(Layout, PicturesOfCellsAreAsLargeAsTheirPlot) {
  Outlet coarse;
  coarse.finest = 1;
  for (const auto& [rows, columns] : {std::pair{21, 1000}, {2, 16384}, {8192, 3}}) {
    const Figure figure = cell_figure(rows, columns, ColourKind::sequential);
    for (const Outlet& outlet : {Outlet{}, coarse}) {
      const Scene scene = lay_out(figure, {}, outlet);
      std::vector<const SceneImage*> pictures;
      for (const SceneItem& item : scene.items) {
        if (const auto* image = std::get_if<SceneImage>(&item)) { pictures.push_back(image); }
      }
      const bool zoomed_out = has_text(scene, "Zoomed out");
      ASSERT_EQ(pictures.size(), !zoomed_out && columns > 8192 ? 2U : 1U) << rows;
      const Box plot = scene.clips[pictures[0]->clip];
      const Box first = pictures[0]->box, last = pictures.back()->box;
      EXPECT_NEAR(first.x, plot.x, 1e-6);
      EXPECT_NEAR(first.bottom(), plot.bottom(), 1e-6);
      EXPECT_GE(last.right(), plot.right() - 1e-6);
      EXPECT_LE(last.y, plot.y + 1e-6);
      EXPECT_LE(last.right(), plot.right() + (zoomed_out ? 0.01 * plot.width : 1e-6));
      EXPECT_GE(last.y, plot.y - (zoomed_out ? 0.1 * plot.height : 1e-6));
    }
  }
}

}  // namespace
}  // namespace kappascope
